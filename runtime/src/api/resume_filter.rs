//! The rule by which a sink repeats nothing after a failure, for sinks that can find what they delivered.

use std::fmt;
use std::str::FromStr;

use crate::{Body, Event, Lane, Seq, SplitKind};

/// Says which events of a lane are in the destination already.
///
/// A sink writes the [`Tag`] of every event beside it. In `open` it passes the tags that it finds in the destination to [`ResumeFilter::found`],
/// and in `write` it skips the events for which [`ResumeFilter::is_delivered`] is true. If it delivers in order, and what is in the
/// destination is always a beginning of what it delivered, nothing is lost and no event of a stream is there twice.
///
/// A split of kind `Snapshot` is read again from its start after a failure, and its rows may differ then, so none of its events counts as
/// delivered. A sink that keeps the rows of each split apart can delete them when the split is opened again.
#[derive(Clone, Debug)]
pub struct ResumeFilter {
    run: u64,
    split: u32,
    kind: SplitKind,
    last: Seq,
}

/// The identity of a delivered event, as text `run-split-seq` in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    run: u64,
    split: u32,
    seq: Seq,
}

impl ResumeFilter {
    /// A filter for this lane that has found nothing yet.
    pub fn new(lane: &Lane) -> Self {
        Self { run: lane.run, split: lane.number, kind: lane.kind, last: Seq(0) }
    }

    /// The tag of an event of the lane. A heartbeat has the seq 0, so that nothing counts as delivered because of it.
    pub fn tag(&self, event: &Event) -> Tag {
        let seq = if matches!(event.body, Body::Heartbeat) { Seq(0) } else { event.seq };
        Tag { run: self.run, split: self.split, seq }
    }

    /// Takes note of a tag in the destination, in any order. Tags of other tasks and other splits are ignored.
    pub fn found(&mut self, tag: Tag) {
        if (tag.run, tag.split) == (self.run, self.split) {
            self.last = self.last.max(tag.seq);
        }
    }

    /// Whether an event is in the destination already. Heartbeats never are: they have no `seq`.
    pub fn is_delivered(&self, event: &Event) -> bool {
        self.kind == SplitKind::Stream && event.seq <= self.last && !matches!(event.body, Body::Heartbeat)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}-{}", self.run, self.split, self.seq)
    }
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('-').collect();
        let parse = |parts: &[&str]| match parts {
            [run, split, seq] => Some(Tag {
                run: u64::from_str_radix(run, 16).ok()?,
                split: u32::from_str_radix(split, 16).ok()?,
                seq: Seq(u128::from_str_radix(seq, 16).ok()?),
            }),
            _ => None,
        };
        parse(&parts).ok_or_else(|| format!("{text:?} is not a tag of the form run-split-seq"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::events;

    fn lane(kind: SplitKind) -> Lane {
        Lane { run: 0xfee, epoch: 1, number: 3, split: "s".into(), kind }
    }

    #[test]
    fn what_was_found_of_a_stream_is_delivered() {
        let mut filter = ResumeFilter::new(&lane(SplitKind::Stream));
        let events = events(1, 10);
        for (run, split, seq) in [(0xfee, 3, 4), (0xfee, 3, 2), (0xfee, 2, 9), (0xbee, 3, 9)] {
            let tag = Tag { run, split, seq: Seq(seq) };
            filter.found(tag.to_string().parse().unwrap());
        }
        let left: Vec<u128> = events.iter().filter(|event| !filter.is_delivered(event)).map(|event| event.seq.0).collect();
        assert_eq!(left, (5..=10).collect::<Vec<_>>());
        let heartbeat = Event { body: Body::Heartbeat, ..events[0].clone() };
        assert!(!filter.is_delivered(&heartbeat));
        filter.found(filter.tag(&Event { seq: Seq(8), ..heartbeat }));
        assert!(filter.is_delivered(&events[3]) && !filter.is_delivered(&events[4]), "a heartbeat says nothing about events");
    }

    #[test]
    fn nothing_of_a_snapshot_counts_as_delivered() {
        let mut filter = ResumeFilter::new(&lane(SplitKind::Snapshot));
        let events = events(1, 2);
        filter.found(filter.tag(&events[1]));
        assert!(!filter.is_delivered(&events[0]));
    }

    #[test]
    fn a_damaged_tag_is_an_error() {
        for text in ["", "1-2", "1-2-x", "1-2-3-4", "g-1-1"] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
    }
}
