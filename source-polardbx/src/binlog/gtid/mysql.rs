//! GTID sets of MySQL: for each server, by its UUID, and each tag, ranges of numbers.

use std::collections::BTreeMap;
use std::fmt;

use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

/// The first and the last number of a range.
type Range = (u64, u64);

/// Numbers are less than 2^63.
const NUMBERS: u64 = 1 << 63;

/// A set of transactions.
///
/// Invariant: the ranges of a server are in order and not empty, and between two of them a number is missing. No list is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MySqlSet(BTreeMap<Server, Vec<Range>>);

/// Who has numbered transactions: a server, and since MySQL 8.3 a tag, which is mostly empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Server {
    uuid: u128,
    tag: String,
}

impl MySqlSet {
    /// Reads a text such as `3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7,…`, also with white space between the servers. `None` if it is no set.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for of_server in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut parts = of_server.split(':').map(str::trim);
            let uuid = parse_uuid(parts.next()?)?;
            let mut server = Server { uuid, tag: String::new() };
            let mut has_range = false;
            for part in parts {
                if part.starts_with(|first: char| first.is_ascii_digit()) {
                    set.add(&server, parse_range(part)?);
                    has_range = true;
                } else if is_tag(part) {
                    server.tag = part.to_ascii_lowercase();
                } else {
                    return None;
                }
            }
            if !has_range {
                return None;
            }
        }
        Some(set)
    }

    /// Reads the body of a PREVIOUS_GTIDS event. `None` if it holds GTIDs with tags, whose form is another one.
    pub(crate) fn read(body: &[u8]) -> Result<Option<Self>, StreamError> {
        let mut reader = Reader::new(body);
        let servers = reader.u64()?;
        if servers >> 56 != 0 {
            return Ok(None);
        }
        let mut set = Self::default();
        for _ in 0..servers {
            let server = Server { uuid: u128::from_be_bytes(reader.array()?), tag: String::new() };
            for _ in 0..reader.u64()? {
                let (first, end) = (reader.u64()?, reader.u64()?);
                if first == 0 || first >= end || end > NUMBERS {
                    return Err(StreamError::corrupt("a set of GTIDs with an invalid range"));
                }
                set.add(&server, (first, end - 1));
            }
        }
        Ok(Some(set))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set has a transaction without a tag.
    pub(crate) fn contains(&self, uuid: u128, number: u64) -> bool {
        let Some(ranges) = self.0.get(&Server { uuid, tag: String::new() }) else { return false };
        let next = ranges.partition_point(|&(first, _)| first <= number);
        next.checked_sub(1).and_then(|last| ranges.get(last)).is_some_and(|&(_, last)| number <= last)
    }

    /// Adds a transaction without a tag.
    pub(crate) fn insert(&mut self, uuid: u128, number: u64) {
        self.add(&Server { uuid, tag: String::new() }, (number, number));
    }

    /// Adds all transactions of another set.
    pub(crate) fn extend(&mut self, other: &Self) {
        for (server, ranges) in &other.0 {
            ranges.iter().for_each(|&range| self.add(server, range));
        }
    }

    /// The transactions that `other` does not have.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut left = Self::default();
        for (server, ranges) in &self.0 {
            let mut removed = other.0.get(server).into_iter().flatten().copied().peekable();
            let mut kept = Vec::new();
            for &(mut first, last) in ranges {
                while removed.peek().is_some_and(|&(_, end)| end < first) {
                    removed.next();
                }
                // A removed range may reach into the next kept one, so it is only looked at.
                let mut rest = removed.clone();
                while let Some((from, to)) = rest.next().filter(|&(from, _)| from <= last) {
                    if from > first {
                        kept.push((first, from - 1));
                    }
                    first = first.max(to + 1);
                }
                if first <= last {
                    kept.push((first, last));
                }
            }
            if !kept.is_empty() {
                left.0.insert(server.clone(), kept);
            }
        }
        left
    }

    fn add(&mut self, server: &Server, (first, last): Range) {
        let Some(ranges) = self.0.get_mut(server) else {
            self.0.insert(server.clone(), vec![(first, last)]);
            return;
        };
        // Nearly always the number follows the last one.
        if let Some(end) = ranges.last_mut().filter(|(_, end)| *end + 1 == first) {
            end.1 = last;
            return;
        }
        // The ranges that touch the new one become one with it.
        let from = ranges.partition_point(|&(_, end)| end + 1 < first);
        let to = ranges.partition_point(|&(begin, _)| begin <= last + 1);
        let touched = ranges.get(from..to).unwrap_or_default();
        let begin = touched.first().map_or(first, |&(begin, _)| begin.min(first));
        let end = touched.last().map_or(last, |&(_, end)| end.max(last));
        ranges.splice(from..to, [(begin, end)]);
    }
}

impl fmt::Display for MySqlSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for (Server { uuid, tag }, ranges) in &self.0 {
            if last != Some(uuid) {
                let comma = if last.is_some() { "," } else { "" };
                let hex = format!("{uuid:032x}");
                let part = |range| hex.get(range).unwrap_or("");
                write!(f, "{comma}{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))?;
            }
            last = Some(uuid);
            if !tag.is_empty() {
                write!(f, ":{tag}")?;
            }
            for &(first, last) in ranges {
                if first == last { write!(f, ":{first}") } else { write!(f, ":{first}-{last}") }?;
            }
        }
        Ok(())
    }
}

fn parse_uuid(text: &str) -> Option<u128> {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| if HYPHENS.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
    is_uuid.then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok())?
}

fn parse_range(text: &str) -> Option<Range> {
    let number = |text: &str| text.trim().bytes().all(|byte| byte.is_ascii_digit()).then(|| text.trim().parse::<u64>().ok())?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first > 0 && first <= last && last < NUMBERS - 1).then_some((first, last))
}

fn is_tag(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.len() <= 32
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> MySqlSet {
        MySqlSet::parse(text).unwrap()
    }

    #[test]
    fn the_texts_of_servers_are_read() {
        let other = UUID.replace("3e11", "4e11");
        for (text, printed) in [
            (format!("{UUID}:1-5:7"), format!("{UUID}:1-5:7")),
            (format!("{UUID}:1-5:6"), format!("{UUID}:1-6")),
            (format!("{}:7:1-5", UUID.to_uppercase()), format!("{UUID}:1-5:7")),
            (format!("{other}:1,\n{UUID}:2-3"), format!("{UUID}:2-3,{other}:1")),
            (format!("{UUID}:1-5:tag:3:other:1-2"), format!("{UUID}:1-5:other:1-2:tag:3")),
            (String::new(), String::new()),
            (" \n".into(), String::new()),
        ] {
            assert_eq!(set(&text).to_string(), printed);
        }
        let wrong = ["3E11:1-5", UUID, "x", &format!("{UUID}:0"), &format!("{UUID}:5-1"), &format!("{UUID}:1-x"), &format!("{UUID}:1:")];
        for text in wrong {
            assert_eq!(MySqlSet::parse(text), None, "{text}");
        }
        assert_eq!(MySqlSet::parse(&format!("{UUID}:9223372036854775807")), None);
        assert_eq!(MySqlSet::parse(&format!("{UUID}:18446744073709551615")), None);
    }

    #[test]
    fn tags_are_kept_apart() {
        let tagged = set(&format!("{UUID}:tag:1-5"));
        assert!(!tagged.contains(0x3e11fa47_71ca_11e1_9e33_c80aa9429562, 3));
        assert_eq!(set(&format!("{UUID}:1-5")).minus(&tagged), set(&format!("{UUID}:1-5")));
        assert!(tagged.minus(&tagged).is_empty());
    }

    #[test]
    fn the_sets_of_events_are_read() {
        let mut body = 1u64.to_le_bytes().to_vec();
        body.extend(0x3e11fa47_71ca_11e1_9e33_c80aa9429562u128.to_be_bytes());
        body.extend(2u64.to_le_bytes());
        for number in [1u64, 6, 7, 8] {
            body.extend(number.to_le_bytes());
        }
        assert_eq!(MySqlSet::read(&body).unwrap(), Some(set(&format!("{UUID}:1-5:7"))));
        for length in 0..body.len() {
            assert!(MySqlSet::read(&body[..length]).is_err());
        }
        body[7] = 1;
        assert_eq!(MySqlSet::read(&body).unwrap(), None, "a set with tags");
        assert_eq!(MySqlSet::read(&[0; 8]).unwrap(), Some(MySqlSet::default()));
        let mut empty = body.clone();
        empty[7] = 0;
        empty[40..48].copy_from_slice(&1u64.to_le_bytes());
        assert!(MySqlSet::read(&empty).is_err(), "an empty range");
    }

    /// A set of some numbers of two servers, and the same numbers as a plain set.
    fn numbers() -> impl Strategy<Value = BTreeSet<(u8, u64)>> {
        prop::collection::btree_set((0..2u8, 1..40u64), 0..60)
    }

    fn made(numbers: &BTreeSet<(u8, u64)>, order: impl Iterator<Item = usize>) -> MySqlSet {
        let list: Vec<_> = numbers.iter().collect();
        let mut set = MySqlSet::default();
        order.for_each(|index| set.insert((list[index].0).into(), list[index].1));
        set
    }

    proptest! {
        #[test]
        fn sets_are_those_of_their_numbers(a in numbers(), b in numbers(), seed: u64) {
            let mut order: Vec<usize> = (0..a.len()).collect();
            let mut state = seed;
            for index in (1..order.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                order.swap(index, (state >> 33) as usize % (index + 1));
            }
            let (left, right) = (made(&a, order.into_iter()), made(&b, 0..b.len()));
            prop_assert_eq!(&left, &made(&a, 0..a.len()), "the order of the numbers does not matter");
            let minus: BTreeSet<_> = a.difference(&b).copied().collect();
            prop_assert_eq!(left.minus(&right), made(&minus, 0..minus.len()));
            let mut both = left.clone();
            both.extend(&right);
            let union: BTreeSet<_> = a.union(&b).copied().collect();
            prop_assert_eq!(&both, &made(&union, 0..union.len()));
            prop_assert!(left.minus(&both).is_empty() && right.minus(&both).is_empty());
            prop_assert_eq!(left.is_empty(), a.is_empty());
            for server in 0..2u8 {
                for number in 0..42 {
                    prop_assert_eq!(left.contains(server.into(), number), a.contains(&(server, number)));
                }
            }
            prop_assert_eq!(MySqlSet::parse(&left.to_string()), Some(left));
        }

        #[test]
        fn any_text_and_any_bytes_are_a_set_or_refused(text in ".{0,60}", bytes: Vec<u8>) {
            if let Some(set) = MySqlSet::parse(&text) {
                prop_assert_eq!(MySqlSet::parse(&set.to_string()), Some(set));
            }
            let _ = MySqlSet::read(&bytes);
        }
    }
}
