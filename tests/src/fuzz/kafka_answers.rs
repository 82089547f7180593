//! Reads whole and broken answers of brokers, of every kind and version. Whole ones must be read.

use fastrand::Rng;
use sink_kafka::fuzzing::Answer;

use super::mutation::mutate;
use crate::{Failure, Result};

/// The topic that was asked for; answers also name others.
const TOPIC: &str = "shop";
/// Lengths that a broken answer may state.
const LENGTHS: [i32; 8] = [-2, -1, 0, 1, 0xffff, 0x00ff_ffff, i32::MAX, i32::MIN];

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let kind = Answer::ALL[random.usize(..Answer::ALL.len())];
    let version = random.i16(kind.versions());
    // A few answers are as long as a broker can make them, with the smallest elements.
    let longest = if random.u8(..50) == 0 { 5_000 } else { 4 };
    let whole = answer(random, kind, version, longest);
    if let Err(problem) = kind.read(version, whole.clone(), TOPIC) {
        return Failure::err(format!("{kind:?} version {version}: {problem}"));
    }
    for _ in 0..4 {
        let mut broken = whole.clone();
        if random.bool() {
            let at = random.usize(..=broken.len().saturating_sub(4));
            let length = LENGTHS[random.usize(..LENGTHS.len())].to_be_bytes();
            broken.iter_mut().skip(at).zip(length).for_each(|(byte, new)| *byte = new);
        } else {
            mutate(random, &mut broken, &whole);
        }
        // It may be read or refused.
        let _ = kind.read(version, broken, TOPIC);
    }
    Ok(())
}

/// Writes fields in one of the two encodings of the protocol.
struct Fields<'r> {
    random: &'r mut Rng,
    out: Vec<u8>,
    is_flexible: bool,
    longest: usize,
}

impl Fields<'_> {
    fn i8(&mut self) {
        self.out.push(self.random.u8(..));
    }

    fn code(&mut self) {
        let code = if self.random.bool() { 0 } else { self.random.i16(-1..120) };
        self.out.extend(code.to_be_bytes());
    }

    fn i16(&mut self) {
        self.out.extend(self.random.i16(..).to_be_bytes());
    }

    fn i32(&mut self) {
        let number = if self.random.bool() { self.random.i32(0..10) } else { self.random.i32(..) };
        self.out.extend(number.to_be_bytes());
    }

    fn i64(&mut self) {
        self.out.extend(self.random.i64(..).to_be_bytes());
    }

    fn length(&mut self, length: Option<usize>) {
        match length {
            None if self.is_flexible => self.out.push(0),
            None => self.out.extend([0xff; 4]),
            Some(length) if self.is_flexible => self.varint(length + 1),
            Some(length) => self.out.extend((length as i32).to_be_bytes()),
        }
    }

    fn varint(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            None if self.is_flexible => self.out.push(0),
            None => self.out.extend([0xff; 2]),
            Some(text) if self.is_flexible => self.varint(text.len() + 1),
            Some(text) => self.out.extend((text.len() as i16).to_be_bytes()),
        }
        self.out.extend(text.unwrap_or_default().bytes());
    }

    fn string(&mut self) {
        let text = ["", TOPIC, "__consumer_offsets", "é中😀", "::1"][self.random.usize(..5)];
        self.text(Some(text));
    }

    fn nullable_string(&mut self) {
        if self.random.bool() { self.text(None) } else { self.string() }
    }

    fn bytes(&mut self) {
        let length = self.random.usize(..30);
        self.out.extend((length as i32).to_be_bytes());
        for _ in 0..length {
            self.i8();
        }
    }

    fn list(&mut self, mut element: impl FnMut(&mut Self)) {
        let length = self.random.usize(..=self.longest);
        // Lists in a long list are short.
        let inner = if self.longest > 100 { 1 } else { 3 };
        let longest = std::mem::replace(&mut self.longest, inner);
        self.length(Some(length));
        for _ in 0..length {
            element(self);
        }
        self.longest = longest;
    }

    /// The tagged fields at the end of an element.
    fn end(&mut self) {
        if self.is_flexible {
            let count = if self.random.u8(..4) == 0 { self.random.usize(..3) } else { 0 };
            self.varint(count);
            for _ in 0..count {
                let (tag, length) = (self.random.usize(..9), self.random.usize(..9));
                self.varint(tag);
                self.varint(length);
                self.out.extend(vec![7; length]);
            }
        }
    }
}

fn answer(random: &mut Rng, kind: Answer, v: i16, longest: usize) -> Vec<u8> {
    let is_flexible = matches!((kind, v), (Answer::ApiVersions, 3) | (Answer::Metadata, 9..));
    let mut fields = Fields { random, out: Vec::new(), is_flexible, longest };
    match kind {
        Answer::ApiVersions => api_versions(&mut fields, v),
        Answer::SaslHandshake => {
            fields.code();
            fields.list(Fields::string);
        }
        Answer::SaslAuthenticate => {
            fields.code();
            fields.nullable_string();
            fields.bytes();
            if v >= 1 {
                fields.i64();
            }
        }
        Answer::Metadata => metadata(&mut fields, v),
        Answer::CreateTopics => {
            fields.i32();
            fields.list(|fields| {
                fields.string();
                fields.code();
                fields.nullable_string();
            });
        }
        Answer::DescribeConfigs => describe_configs(&mut fields),
        Answer::InitProducerId => {
            fields.i32();
            fields.code();
            fields.i64();
            fields.i16();
        }
        Answer::ListOffsets => {
            if v >= 2 {
                fields.i32();
            }
            of_partitions(&mut fields, |fields| {
                fields.i64();
                fields.i64();
                if v >= 4 {
                    fields.i32();
                }
            });
        }
        Answer::Produce => {
            of_partitions(&mut fields, |fields| {
                fields.i64();
                fields.i64();
                if v >= 5 {
                    fields.i64();
                }
            });
            fields.i32();
        }
        Answer::Fetch => {
            fields.i32();
            if v >= 7 {
                fields.code();
                fields.i32();
            }
            of_partitions(&mut fields, |fields| {
                fields.i64();
                fields.i64();
                if v >= 5 {
                    fields.i64();
                }
                if fields.random.bool() {
                    fields.length(None);
                } else {
                    fields.list(|fields| {
                        fields.i64();
                        fields.i64();
                    });
                }
                fields.bytes();
            });
        }
    }
    fields.out
}

/// Topics with partitions, each of which begins with its number and an error code.
fn of_partitions(fields: &mut Fields<'_>, mut partition: impl FnMut(&mut Fields<'_>)) {
    fields.list(|fields| {
        fields.string();
        fields.list(|fields| {
            fields.i32();
            fields.code();
            partition(fields);
        });
    });
}

fn api_versions(fields: &mut Fields<'_>, v: i16) {
    fields.code();
    fields.list(|fields| {
        fields.i16();
        fields.i16();
        fields.i16();
        fields.end();
    });
    if v >= 1 {
        fields.i32();
    }
    fields.end();
}

fn metadata(fields: &mut Fields<'_>, v: i16) {
    fields.end(); // the header
    fields.i32();
    // A cluster does not have thousands of brokers.
    let longest = std::mem::replace(&mut fields.longest, 4);
    fields.list(|fields| {
        fields.i32();
        fields.string();
        fields.i32();
        fields.nullable_string();
        fields.end();
    });
    fields.longest = longest;
    fields.nullable_string();
    fields.i32();
    fields.list(|fields| {
        fields.code();
        fields.string();
        if v >= 10 {
            fields.i64();
            fields.i64();
        }
        fields.i8();
        fields.list(|fields| {
            fields.code();
            fields.i32();
            fields.i32();
            if v >= 7 {
                fields.i32();
            }
            for _ in 0..if v >= 5 { 3 } else { 2 } {
                fields.list(Fields::i32);
            }
            fields.end();
        });
        if v >= 8 {
            fields.i32();
        }
        fields.end();
    });
    if (8..=10).contains(&v) {
        fields.i32();
    }
    fields.end();
}

fn describe_configs(fields: &mut Fields<'_>) {
    fields.i32();
    fields.list(|fields| {
        fields.code();
        fields.nullable_string();
        fields.i8();
        fields.string();
        fields.list(|fields| {
            fields.string();
            fields.nullable_string();
            fields.i8();
            fields.i8();
            fields.i8();
            fields.list(|fields| {
                fields.string();
                fields.nullable_string();
                fields.i8();
            });
        });
    });
}
