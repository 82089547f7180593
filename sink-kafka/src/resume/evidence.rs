//! The evidence of the full phase: what the task has written to each partition, over all its splits, and with which settings.
//!
//! A split of the full phase that is done is never opened again. So its records must be proven by somebody else: every process of the task
//! looks for the last record of the full phase in each partition before it writes anything.
//!
//! The text is JSON: `{"v":2,"settings":{"topic":"0a1b2c3d"},"topics":{"shop":{"partitions":[[7,1042,3,"…32 hexadecimal digits…"],null]}}}`.
//! `settings` is the fingerprint of all settings that decide what the records are and where they go. The length of a list is the number of
//! partitions. An entry holds the offset of the first record that was acknowledged, the offset after the last one, its split and its seq;
//! `null` means that there is none. `id` is the id of the topic, where the brokers tell it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime::{Receipt, Seq};
use serde::{Deserialize, Serialize};

use super::recovery::{FIRST_PAUSE, LONGEST_PAUSE};
use super::scan::{Found, scan};
use crate::client::{LogPart, Retry, Session, TopicPartition, log_ranges};
use crate::error::Error;
use crate::fingerprint::Fingerprint;

/// The records of the full phase in a partition: the offset of the first one, the offset after the last one, its split and its seq.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written(i64, i64, u32, String);

/// A partition from which records of the full phase were removed, by retention or by hand. They are those before `start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) partition: TopicPartition,
    pub(crate) start: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    partitions: Vec<Option<Written>>,
}

const VERSION: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    v: u32,
    settings: Fingerprint,
    topics: BTreeMap<String, Topic>,
}

/// What the task has written in its full phase. All lanes share it.
#[derive(Debug, Default)]
pub(crate) struct Evidence(Mutex<Option<Content>>);

impl Evidence {
    /// Reads the evidence of earlier processes, unless this process has done so before.
    pub(crate) fn load(&self, committed: &Receipt) -> Result<(), Error> {
        let mut content = self.lock();
        if content.is_none() {
            *content = Some(parse(committed)?);
        }
        Ok(())
    }

    /// Notes the settings with which records are written from now on. If records were written with settings that are in conflict with them,
    /// the error names a topic and the settings.
    pub(crate) fn begin(&self, now: Fingerprint) -> Result<(), Error> {
        let mut content = self.lock();
        let Some(Content { settings, topics, .. }) = content.as_mut() else { return Ok(()) };
        let written = topics.iter().find(|(_, topic)| topic.partitions.iter().any(Option::is_some));
        if let (Some((topic, _)), Some(changed)) = (written, now.conflict(settings)) {
            return Err(Error::SettingsChanged { topic: topic.clone(), changed });
        }
        *settings = now;
        Ok(())
    }

    /// Notes records that a broker has acknowledged, by their offsets; `split` and `seq` are those of the last one. `id` returns the id of the topic, if it is known.
    pub(crate) fn note(
        &self,
        partition: &TopicPartition,
        partitions: usize,
        offsets: RangeInclusive<i64>,
        (split, seq): (u32, Seq),
        id: impl FnOnce() -> Option<String>,
    ) {
        let mut content = self.lock();
        let Some(content) = content.as_mut() else { return };
        let topic = content.topics.entry(partition.topic.to_string()).or_default();
        if topic.id.is_none() {
            topic.id = id();
        }
        if topic.partitions.len() < partitions {
            topic.partitions.resize(partitions, None);
        }
        let Some(written) = topic.partitions.get_mut(partition.partition) else { return };
        let (first, next) = (*offsets.start(), offsets.end().saturating_add(1));
        match written {
            None => *written = Some(Written(first, next, split, seq.to_string())),
            Some(known) if known.1 < next => *known = Written(known.0.min(first), next, split, seq.to_string()),
            Some(known) => known.0 = known.0.min(first),
        }
    }

    /// The topics with records, each with its number of partitions.
    pub(crate) fn topics(&self) -> Vec<(String, usize)> {
        let content = self.lock();
        let topics = content.iter().flat_map(|content| &content.topics);
        topics.map(|(name, topic)| (name.clone(), topic.partitions.len())).collect()
    }

    /// The id that the topic had when it was written to, if it is known.
    pub(crate) fn id(&self, topic: &str) -> Option<String> {
        self.lock().as_ref()?.topics.get(topic)?.id.clone()
    }

    /// The records in each partition of these topics, where there are any.
    fn written(&self, topics: &[(String, usize)]) -> Vec<(TopicPartition, Written)> {
        let content = self.lock();
        let known = |name: &String| content.as_ref().and_then(|content| content.topics.get(name));
        let mut all = Vec::new();
        for (name, topic) in topics.iter().filter_map(|(name, _)| Some((name, known(name)?))) {
            let name = name.as_str().into();
            let written = topic.partitions.iter().enumerate().filter_map(|(number, written)| Some((number, written.clone()?)));
            all.extend(written.map(|(number, written)| (TopicPartition::new(&name, number), written)));
        }
        all
    }

    /// The evidence as text; `None` if nothing was written.
    pub(crate) fn text(&self) -> Option<Receipt> {
        let content = self.lock();
        let content = content.as_ref().filter(|content| !content.topics.is_empty())?;
        serde_json::to_string(content).ok().map(Receipt::new)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Content>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(committed: &Receipt) -> Result<Content, Error> {
    if committed.is_empty() {
        return Ok(Content { v: VERSION, settings: Fingerprint::default(), topics: BTreeMap::new() });
    }
    let unreadable = |problem: String| Error::Receipt { problem };
    super::check_version("what the full phase has written", committed, VERSION)?;
    serde_json::from_str(committed.as_str()).map_err(|error| unreadable(error.to_string()))
}

/// Proves that the last records of these topics are still where they were acknowledged.
///
/// As in a recovery, a log that does not hold them is read again for some time before this is an error. A record may be missing from its
/// place, because compaction and retention remove records; another record may not be there. Returns the partitions from whose beginning
/// records were removed.
pub(crate) async fn verify(session: &Session, run: u64, evidence: &Evidence, topics: &[(String, usize)]) -> Result<Vec<Removed>, Error> {
    let written = evidence.written(topics);
    let names: Vec<TopicPartition> = written.iter().map(|(partition, _)| partition.clone()).collect();
    let mut retry = Retry::new(session.timeouts().propagation, FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match verify_once(session, run, &names, &written).await {
            Err(error @ (Error::Regressed { .. } | Error::TopicChanged { .. })) => {
                tracing::warn!(%error, "looking again: the broker may be cut off from the others");
                retry.again(error).await?;
                session.look_again(&names).await?;
            }
            result => return result,
        }
    }
}

async fn verify_once(
    session: &Session,
    run: u64,
    names: &[TopicPartition],
    written: &[(TopicPartition, Written)],
) -> Result<Vec<Removed>, Error> {
    let ranges = log_ranges(session, names).await?;
    let mut parts = Vec::new();
    let mut expected = Vec::new();
    let mut removed = Vec::new();
    for ((partition, written), range) in written.iter().zip(ranges) {
        let Written(first, next, split, seq) = written;
        if range.end < *next {
            return Err(Error::Regressed { partition: partition.clone(), end: range.end, expected: *next });
        }
        if range.start > *first {
            removed.push(Removed { partition: partition.clone(), start: range.start });
        }
        if range.start < *next {
            parts.push(LogPart { partition: partition.clone(), from: next - 1, to: *next, first_only: false });
            expected.push((partition, *split, seq));
        }
    }
    scan(session, &parts, |index, offset, found| {
        let (Some(part), Some((partition, split, seq))) = (parts.get(index), expected.get(index)) else { return Ok(()) };
        let is_ours = match found {
            Found::Ours(position, _) => (position.run, position.split) == (run, *split) && position.seq.to_string() == **seq,
            Found::Foreign => false,
        };
        if offset != part.from || is_ours {
            return Ok(());
        }
        let problem = format!("offset {offset} of partition {} holds another record than the acknowledged one", partition.partition);
        Err(Error::TopicChanged { topic: partition.topic.to_string(), problem })
    })
    .await?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Evidence {
        let evidence = Evidence::default();
        evidence.load(&Receipt::new(text)).unwrap();
        evidence
    }

    #[test]
    fn the_text_is_the_documented_one() {
        let evidence = loaded("");
        evidence.begin(Fingerprint::new(false).with("topic", "shop")).unwrap();
        assert_eq!(evidence.text(), None);
        let partition = TopicPartition::new(&"shop".into(), 0);
        for (offsets, seq) in [(9..=9, 1), (100..=1041, 255), (7..=8, 3)] {
            evidence.note(&partition, 2, offsets, (3, Seq(seq)), || None);
        }
        let text = r#"{"v":2,"settings":{"topic":"b7af0651"},"topics":{"shop":{"partitions":[[7,1042,3,"000000000000000000000000000000ff"],null]}}}"#;
        assert_eq!(evidence.text().unwrap().as_str(), text);
        assert_eq!(loaded(text).text(), evidence.text());
        assert_eq!(evidence.topics(), [("shop".to_owned(), 2)]);
        let with_id = text.replace(r#"{"partitions""#, r#"{"id":"u","partitions""#);
        assert_eq!(loaded(&with_id).text().unwrap().as_str(), with_id);
    }

    #[test]
    fn settings_may_change_only_before_the_first_record() {
        let with = |topic: &str| Fingerprint::new(false).with("topic", topic);
        let evidence = loaded("");
        evidence.begin(with("a")).unwrap();
        evidence.begin(with("b")).unwrap();
        evidence.note(&TopicPartition::new(&"shop".into(), 0), 1, 0..=0, (1, Seq(1)), || None);
        let error = evidence.begin(with("a")).unwrap_err().to_string();
        assert!(error.contains("topic shop") && error.contains("`topic`"), "{error}");
        evidence.begin(with("b")).unwrap();
    }

    #[test]
    fn a_damaged_text_is_fatal() {
        for text in ["{", "[]", r#"{"v":2,"settings":"","topics":{}}"#, r#"{"v":2,"topics":{}}"#] {
            let error = runtime::Error::from(Evidence::default().load(&Receipt::new(text)).unwrap_err());
            assert_eq!((error.kind(), error.code()), (runtime::Kind::Fatal, Some("E_CKPT_CORRUPT")), "{text}");
            assert!(error.help().is_some_and(|help| help.contains("put back a copy")), "{error}");
        }
        for (v, code) in [(1, "E_CKPT_OLDER"), (3, "E_CKPT_NEWER")] {
            let text = format!(r#"{{"v":{v},"settings":"","topics":{{}}}}"#);
            let error = runtime::Error::from(Evidence::default().load(&Receipt::new(text)).unwrap_err());
            assert_eq!((error.kind(), error.code()), (runtime::Kind::Fatal, Some(code)));
        }
    }
}
