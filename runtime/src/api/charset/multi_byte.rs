//! Character sets of East Asia, of one to four bytes a character.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

use super::differences::{self, Run};

/// A character set of the Encoding Standard, as MySQL has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MultiByte {
    encoding: &'static Encoding,
    /// How MySQL cuts bytes into characters, which is narrower than the standard.
    shape: Shape,
    /// Sorted.
    differences: &'static [Run],
}

/// How bytes above 0x7F make characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Big5,
    EucKr,
    Gb2312,
    Gbk,
    Gb18030,
    ShiftJis,
    EucJp,
}

static SETS: [(&str, MultiByte); 9] = [
    ("big5", MultiByte { encoding: BIG5, shape: Shape::Big5, differences: &differences::BIG5 }),
    ("cp932", MultiByte { encoding: SHIFT_JIS, shape: Shape::ShiftJis, differences: &[] }),
    ("eucjpms", MultiByte { encoding: EUC_JP, shape: Shape::EucJp, differences: &differences::EUCJPMS }),
    ("euckr", MultiByte { encoding: EUC_KR, shape: Shape::EucKr, differences: &[] }),
    ("gb18030", MultiByte { encoding: GB18030, shape: Shape::Gb18030, differences: &differences::GB18030 }),
    ("gb2312", MultiByte { encoding: GBK, shape: Shape::Gb2312, differences: &differences::GB2312 }),
    ("gbk", MultiByte { encoding: GBK, shape: Shape::Gbk, differences: &differences::GBK }),
    ("sjis", MultiByte { encoding: SHIFT_JIS, shape: Shape::ShiftJis, differences: &differences::SJIS }),
    ("ujis", MultiByte { encoding: EUC_JP, shape: Shape::EucJp, differences: &differences::UJIS }),
];

impl MultiByte {
    /// The character set that MySQL calls `name`, in small letters.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|(known, _)| *known == name).map(|(_, set)| set)
    }

    /// The text; `None` if some bytes stand for no character.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<String> {
        let mut text = String::with_capacity(bytes.len() * 2);
        // What lies between two differences is decoded in one go.
        let (mut rest, mut same) = (bytes, bytes);
        while let Some(&first) = rest.first() {
            if first < 0x80 {
                rest = rest.get(1..)?;
                continue;
            }
            let (character, after) = rest.split_at_checked(self.shape.length(rest)?)?;
            if let Some(&(first, _, to)) = self.difference(character) {
                self.decode_same(same.get(..same.len() - rest.len())?, &mut text)?;
                same = after;
                let code = number(character) - first + to;
                text.push(char::from_u32(code).filter(|_| to != 0)?);
            }
            rest = after;
        }
        self.decode_same(same, &mut text)?;
        Some(text)
    }

    fn decode_same(&self, bytes: &[u8], text: &mut String) -> Option<()> {
        text.push_str(&self.encoding.decode_without_bom_handling_and_without_replacement(bytes)?);
        Some(())
    }

    fn difference(&self, character: &[u8]) -> Option<&Run> {
        let code = number(character);
        let place = self.differences.partition_point(|(_, last, _)| *last < code);
        self.differences.get(place).filter(|(first, _, _)| *first <= code)
    }
}

fn number(character: &[u8]) -> u32 {
    character.iter().fold(0, |code, &byte| code << 8 | u32::from(byte))
}

impl Shape {
    /// How many bytes the character has that begins `bytes`, whose first is above 0x7F; `None` if that is no character.
    fn length(self, bytes: &[u8]) -> Option<usize> {
        let (&first, rest) = bytes.split_first()?;
        let second = rest.first().copied();
        let pair = |first_fits: bool, second_fits: fn(u8) -> bool| (first_fits && second.is_some_and(second_fits)).then_some(2);
        let gbk = || pair(matches!(first, 0x81..=0xFE), |second| matches!(second, 0x40..=0x7E | 0x80..=0xFE));
        match self {
            Shape::Big5 => pair(matches!(first, 0xA1..=0xF9), |second| matches!(second, 0x40..=0x7E | 0xA1..=0xFE)),
            Shape::EucKr => pair(matches!(first, 0x81..=0xFE), |second| matches!(second, 0x41..=0x5A | 0x61..=0x7A | 0x81..=0xFE)),
            Shape::Gb2312 => pair(matches!(first, 0xA1..=0xF7), |second| matches!(second, 0xA1..=0xFE)),
            Shape::Gbk => gbk(),
            Shape::Gb18030 => match (first, rest.get(..3)) {
                (0x81..=0xFE, Some([0x30..=0x39, 0x81..=0xFE, 0x30..=0x39])) => Some(4),
                _ => gbk(),
            },
            Shape::ShiftJis => match first {
                0xA1..=0xDF => Some(1),
                _ => pair(matches!(first, 0x81..=0x9F | 0xE0..=0xFC), |second| matches!(second, 0x40..=0x7E | 0x80..=0xFC)),
            },
            Shape::EucJp => match (first, rest.get(..2)) {
                (0x8F, Some([0xA1..=0xFE, 0xA1..=0xFE])) => Some(3),
                (0x8E, _) => pair(true, |second| matches!(second, 0xA1..=0xDF)),
                _ => pair(matches!(first, 0xA1..=0xFE), |second| matches!(second, 0xA1..=0xFE)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_sorted_and_do_not_overlap() {
        for (name, set) in &SETS {
            assert!(set.differences.iter().all(|(first, last, _)| first <= last), "{name}");
            assert!(set.differences.is_sorted_by(|(_, last, _), (first, _, _)| last < first), "{name}");
        }
    }
}
