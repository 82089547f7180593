//! Answers to the requests that read: Metadata, ListOffsets and Fetch, each in an old version and in one with leader epochs.

use super::State;
use super::protocol::{Reader, Writer};

/// The names of topics that a request for metadata asks for; `None` means all topics.
fn asked_topics(request: &mut Reader<'_>, flexible: bool) -> Option<Vec<String>> {
    if !flexible {
        let asked = request.i32();
        return (asked >= 0).then(|| (0..asked).map(|_| request.string().unwrap()).collect());
    }
    assert_eq!(request.i8(), 0, "tagged fields of the header");
    let asked = request.compact_length();
    let topic = |_| {
        assert_eq!(request.uuid(), [0; 16], "topics are asked for by name");
        let name = request.compact_string().unwrap();
        assert_eq!(request.i8(), 0);
        name
    };
    (asked >= 0).then(|| (0..asked).map(topic).collect())
}

/// An answer to Metadata, version 4 or 12.
pub(super) fn metadata(request: &mut Reader<'_>, out: &mut Writer, version: i16, node: usize, ports: &[u16], state: &mut State) {
    let flexible = version == 12;
    let names = asked_topics(request, flexible).unwrap_or_else(|| state.topics.keys().cloned().collect());
    assert!(!request.bool(), "a request for metadata must never create topics");
    let length = |out: &mut Writer, length: usize| if flexible { out.compact_length(length as i32) } else { out.i32(length as i32) };
    let string = |out: &mut Writer, text: Option<&str>| if flexible { out.compact_string(text) } else { out.string(text) };
    let end = |out: &mut Writer| {
        if flexible {
            out.0.push(0)
        }
    };
    end(out); // the header
    out.i32(0);
    length(out, ports.len());
    for (node, port) in ports.iter().enumerate() {
        out.i32(node as i32);
        string(out, Some("127.0.0.1"));
        out.i32(i32::from(*port));
        string(out, None);
        end(out);
    }
    string(out, Some("fake"));
    out.i32(0);
    length(out, names.len());
    let forgets = !names.is_empty() && state.forgotten > 0;
    let shortens = !names.is_empty() && state.shortened > 0;
    state.forgotten -= u32::from(forgets);
    state.shortened -= u32::from(shortens);
    let cut_off = state.cut_off_as(node).is_some();
    for name in names {
        let count = state.topics.get(&name).filter(|_| !forgets).map(Vec::len);
        out.i16(if count.is_some() { 0 } else { 3 });
        string(out, Some(&name));
        if flexible {
            out.0.extend([if count.is_some() { topic_id(&name, state) } else { 0 }; 16]);
        }
        out.bool(false);
        let count = count.unwrap_or(0).saturating_sub(usize::from(shortens));
        length(out, count);
        for partition in 0..count {
            out.i16(0);
            out.i32(partition as i32);
            let leader = if cut_off { node } else { (partition + state.moved) % ports.len() };
            out.i32(leader as i32);
            if flexible {
                out.i32(state.epoch(node));
                length(out, 0);
            }
            length(out, 0);
            length(out, 0);
            end(out);
        }
        if flexible {
            out.i32(i32::MIN);
        }
        end(out);
    }
    end(out);
}

fn topic_id(name: &str, state: &mut State) -> u8 {
    let next = state.next_id + 1;
    let id = *state.ids.entry(name.to_owned()).or_insert(next);
    state.next_id = state.next_id.max(id);
    id
}

/// An answer to ListOffsets, version 3 or 5.
pub(super) fn list_offsets(request: &mut Reader<'_>, out: &mut Writer, version: i16, node: usize, state: &mut State) {
    let replica = request.i32();
    request.i8();
    out.i32(0);
    let topics = request.i32();
    out.i32(topics);
    let lagging = replica == -1 && state.lag > 0;
    for _ in 0..topics {
        let name = request.string().unwrap();
        out.string(Some(&name));
        let partitions = request.i32();
        out.i32(partitions);
        for _ in 0..partitions {
            let partition = request.i32();
            let epoch = if version >= 4 { request.i32() } else { -1 };
            let timestamp = request.i64();
            let log = &state.topics[&name][partition as usize];
            let end = state.cut_off_as(node).map_or(log.end, |cut_off| cut_off.end);
            let code = match state.check_epoch(node, epoch) {
                0 if replica == -2 && state.hides_end => 42,
                code => code,
            };
            out.i32(partition);
            out.i16(code);
            out.i64(-1);
            out.i64(match timestamp {
                _ if code != 0 => -1,
                -2 => log.start,
                _ if lagging => end - 1,
                _ => end,
            });
            if version >= 4 {
                out.i32(if code == 0 { state.epoch(node) } else { -1 });
            }
            if timestamp == -1 && lagging {
                state.lag -= 1;
            }
        }
    }
}

/// An answer to Fetch, version 4 or 10.
pub(super) fn fetch(request: &mut Reader<'_>, out: &mut Writer, version: i16, node: usize, state: &State) {
    for _ in 0..4 {
        request.i32();
    }
    request.i8();
    out.i32(0);
    if version >= 7 {
        request.i32();
        request.i32();
        out.i16(0);
        out.i32(0);
    }
    let topics = request.i32();
    out.i32(topics);
    for _ in 0..topics {
        let name = request.string().unwrap();
        out.string(Some(&name));
        let partitions = request.i32();
        out.i32(partitions);
        for _ in 0..partitions {
            let partition = request.i32();
            let epoch = if version >= 9 { request.i32() } else { -1 };
            let offset = request.i64();
            if version >= 5 {
                request.i64();
            }
            request.i32();
            let log = &state.topics[&name][partition as usize];
            let end = state.cut_off_as(node).map_or(log.end, |cut_off| cut_off.end);
            let code = match state.check_epoch(node, epoch) {
                0 if !(log.start..=end).contains(&offset) => 1,
                code => code,
            };
            out.i32(partition);
            out.i16(code);
            out.i64(end);
            out.i64(end);
            if version >= 5 {
                out.i64(log.start);
            }
            out.i32(-1);
            // An answer has at most two batches, so that readers need several requests.
            let records: Vec<u8> = log
                .batches
                .iter()
                .filter(|batch| code == 0 && batch.base + i64::from(batch.count) > offset && batch.base < end)
                .take(2)
                .flat_map(|batch| batch.bytes.clone())
                .collect();
            out.bytes(&records);
        }
    }
}
