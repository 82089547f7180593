//! `Sink::open`: looks at what earlier runs delivered, so that nothing is sent twice and nothing is left out.
//!
//! Per partition of a stream split: the log must still end where the receipt says, or behind it; the split's last record must stand where
//! the receipt says; what came after the receipt is read, and its greatest seq is where the split goes on. Snapshot splits are not
//! replayed exactly, so nothing of them is looked for, and nothing is skipped.
//!
//! A topic may be written to, with `not_empty = "fail"`, if each of its partitions is empty or begins with a record of this task's run.
//! That holds for the first lane and for later ones, after restarts, and for the parallel lanes of a snapshot, whatever their receipts say.

use std::sync::Arc;

use runtime::{Seq, SplitKind, Stop};

use crate::client::Seen;
use crate::client::session::Session;
use crate::config::NotEmpty;
use crate::delivery::send::Tag;
use crate::delivery::writer::{Lane, LanePartition, LaneTopic, UNKNOWN};
use crate::error::Error;
use crate::resume::receipt::{Known, Mark, Marks};
use crate::resume::record_header::FRAMED;
use crate::resume::scan::{self, Extent, Part, Place};
use crate::schema_registry::{self, Written};
use crate::task::Cluster;

/// Finds and looks at the topics of a lane.
pub(crate) struct Opening {
    cluster: Arc<Cluster>,
    /// What the last receipt said.
    marks: Marks,
    /// Fingerprint of the settings at that time.
    routing: Option<String>,
    /// What was written under ids of a schema registry.
    schemas: Written,
    /// Whether there was no receipt: the split was never opened.
    first: bool,
    stop: Stop,
}

impl Opening {
    pub(crate) fn new(cluster: Arc<Cluster>, known: Known, stop: Stop) -> Self {
        Self { cluster, first: known.marks.is_empty(), marks: known.marks, routing: known.routing, schemas: known.schemas, stop }
    }

    /// Adopts all topics that can be known before any event. Those that only match the template are not judged until they are used.
    pub(crate) async fn prepare(&self, lane: &mut Lane) -> Result<(), Error> {
        let fixed = lane.router.fixed_topics();
        let mut names = fixed.clone();
        if lane.kind == SplitKind::Stream {
            if let Some(template) = lane.router.template() {
                let existing = lane.session.topic_names().await?;
                names.extend(existing.iter().filter(|name| template.could_be(name)).map(|name| Arc::from(name.as_str())));
                names.sort();
                names.dedup();
            }
            self.same_routing(lane)?;
            for (topic, marks) in self.marks.iter().filter(|(topic, _)| !names.iter().any(|name| **name == ***topic)) {
                let written = marks.iter().any(|mark| mark.last_seq > Seq(0));
                if written && lane.router.template().is_some_and(|template| template.could_be(topic)) {
                    return Err(Error::TopicChanged { topic: topic.clone(), problem: "it does not exist any more".into() });
                }
                if written {
                    tracing::warn!(topic, "this task wrote to a topic that its settings do not name any more");
                }
            }
        }
        if let Some(schemas) = &self.cluster.schemas {
            schemas.renew();
            let mut in_use = self.schemas.clone();
            in_use.retain(|_, (_, topics)| {
                topics.retain(|topic| goes_on(lane, topic));
                !topics.is_empty()
            });
            self.unless_stopped(schemas.verify(&in_use, &self.cluster.memory)).await?;
            lane.schemas = self.schemas.clone();
        }
        self.adopt(lane, &names, self.first).await?;
        for name in &fixed {
            self.judge(lane, name).await?;
        }
        Ok(())
    }

    /// Waits for the registry, but not for one that hangs when the task is to end: a question to it may be given up and asked again.
    async fn unless_stopped<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            answer = asked => answer,
            () = self.stop.requested() => Err(Error::Stopped),
        }
    }

    /// Whether rows go where they went before. What was delivered to a partition is told by the greatest seq in it, which says nothing of rows
    /// that other settings sent elsewhere: they would be taken for delivered.
    fn same_routing(&self, lane: &Lane) -> Result<(), Error> {
        let fits = |before: &str| before == &*self.cluster.routing || Some(before) == self.cluster.routing_before.as_deref();
        if self.routing.as_deref().is_none_or(fits) {
            return Ok(());
        }
        match self.marks.iter().find(|(topic, marks)| goes_on(lane, topic) && marks.iter().any(|mark| mark.last_seq > Seq(0))) {
            Some((topic, _)) => Err(Error::RoutingChanged { topic: topic.clone() }),
            None => Ok(()),
        }
    }

    /// Makes a topic usable that an event goes to.
    pub(crate) async fn need(&self, lane: &mut Lane, name: &Arc<str>) -> Result<(), Error> {
        if lane.router.place(name).is_none() {
            // It was made after the lane was opened. Earlier lanes may have written to it after the last receipt, so all of it is looked at.
            self.adopt(lane, std::slice::from_ref(name), false).await?;
        }
        self.judge(lane, name).await
    }

    /// Learns topics, looks at them, and adds them to the lane. `at_end`: nothing of the split can be there.
    async fn adopt(&self, lane: &mut Lane, names: &[Arc<str>], at_end: bool) -> Result<(), Error> {
        let counts = self.learn(&lane.session, names).await?;
        let mut topics: Vec<(Arc<str>, Vec<Option<Mark>>)> = Vec::new();
        for (name, now) in names.iter().zip(counts) {
            let marks = self.marks.get(&**name);
            let count = match marks {
                Some(marks) => marks.len(),
                None => self.cluster.memory.partitions(name, now),
            };
            if now < count {
                let problem = format!("it has {now} partitions, and had {count}");
                return Err(Error::TopicChanged { topic: name.to_string(), problem });
            }
            if now > count {
                tracing::warn!(
                    topic = &**name,
                    now,
                    before = count,
                    "partitions were added; this task keeps to those that were there before"
                );
            }
            topics.push((name.clone(), (0..count).map(|number| marks.and_then(|marks| marks.get(number)).copied()).collect()));
        }
        let looked = match lane.kind {
            SplitKind::Snapshot => topics.iter().map(|(_, marks)| vec![UNKNOWN; marks.len()]).collect(),
            SplitKind::Stream => look_at(&lane.session, lane.tag, &topics, at_end).await?,
        };
        for ((name, known), marks) in topics.into_iter().zip(looked) {
            let written = known.iter().flatten().any(|mark| mark.last_seq > Seq(0));
            let judged = written || self.cluster.config.not_empty == NotEmpty::Append || self.cluster.memory.is_judged(&name);
            let partitions: Vec<LanePartition> = marks
                .into_iter()
                .enumerate()
                .map(|(number, mark)| LanePartition::new(lane.session.partition(&name, number), mark))
                .collect();
            lane.router.learn(name.clone(), partitions.len());
            lane.topics.push(LaneTopic { name, judged, frame: None, partitions });
        }
        Ok(())
    }

    /// Learns topics; those that are missing are made if the settings say so, unless records of ours went with them.
    async fn learn(&self, session: &Session, names: &[Arc<str>]) -> Result<Vec<usize>, Error> {
        let mut made: Option<String> = None;
        loop {
            let (topic, broker) = match session.learn(names).await {
                Err(Error::NoTopic { topic, broker }) => (topic, broker),
                counts => return counts,
            };
            let written = self.marks.get(&topic).is_some_and(|marks| marks.iter().any(|mark| mark.last_seq > Seq(0)));
            if written || self.cluster.memory.knows(&topic) {
                return Err(Error::TopicChanged { topic, problem: "it does not exist any more".into() });
            }
            match self.cluster.config.creation() {
                Some(how) if made.as_ref() != Some(&topic) => session.create(&[topic.as_str().into()], how).await?,
                _ => return Err(Error::NoTopic { topic, broker }),
            }
            made = Some(topic);
        }
    }

    /// Checks that a topic may be written to, and learns the id of its records' schema.
    async fn judge(&self, lane: &mut Lane, name: &Arc<str>) -> Result<(), Error> {
        let Some(topic) = lane.router.place(name).and_then(|place| lane.topics.get_mut(place)) else { return Ok(()) };
        let schemas = self.cluster.schemas.as_ref().filter(|_| topic.frame.is_none());
        let id_known = match schemas {
            Some(schemas) => self.unless_stopped(async { Ok(schemas.knows(name, &lane.schemas).await) }).await?,
            None => true,
        };
        let mut found = None;
        if !topic.judged || !id_known {
            let places: Vec<Place> = (0..topic.partitions.len()).map(|partition| Place { topic: name.clone(), partition }).collect();
            let first = first_records(&lane.session, &places).await?;
            let ours = |seen: &Option<Seen>| matches!(seen, Some(Seen::Positioned(position, _)) if position.run == lane.tag.run);
            if let Some((place, _)) = first.iter().find(|(_, seen)| !topic.judged && !ours(seen)) {
                return Err(Error::NotEmpty { topic: name.to_string(), partition: place.partition });
            }
            for (_, seen) in &first {
                let Some(Seen::Positioned(position, id)) = seen else { continue };
                let framed = position.flags & FRAMED != 0;
                if position.run == lane.tag.run && framed != self.cluster.schemas.is_some() {
                    return Err(Error::FramesChanged { topic: name.to_string(), framed });
                }
                found = found.or(id.filter(|_| position.run == lane.tag.run && !id_known));
            }
            topic.judged = true;
            self.cluster.memory.note_judged(name.clone());
        }
        if let Some(schemas) = schemas {
            let id = self.unless_stopped(schemas.id(name, &lane.schemas, found, &self.cluster.memory)).await?;
            topic.frame = Some(schema_registry::frame(id));
            let (_, topics) = lane.schemas.entry(id).or_insert_with(|| (schemas.hash().to_owned(), Vec::new()));
            if !topics.iter().any(|topic| **topic == **name) {
                topics.push(name.to_string());
            }
        }
        Ok(())
    }
}

/// Whether the settings still lead to a topic.
fn goes_on(lane: &Lane, topic: &str) -> bool {
    lane.router.fixed_topics().iter().any(|name| **name == *topic)
        || lane.router.template().is_some_and(|template| template.could_be(topic))
}

/// What partitions begin with, those that are not empty (`None`: something that is no record).
pub(crate) async fn first_records(session: &Session, places: &[Place]) -> Result<Vec<(Place, Option<Seen>)>, Error> {
    let extents = scan::extents(session, places).await?;
    let parts: Vec<Part> = places
        .iter()
        .zip(extents)
        .filter(|(_, extent)| extent.start < extent.end)
        .map(|(place, extent)| Part { place: place.clone(), from: extent.start, to: extent.start + 1 })
        .collect();
    let mut first: Vec<Option<Seen>> = vec![None; parts.len()];
    scan::scan(session, &parts, |index, _, seen| {
        if let Some(slot) = first.get_mut(index) {
            slot.get_or_insert(seen);
        }
        Ok(())
    })
    .await?;
    Ok(parts.into_iter().map(|part| part.place).zip(first).collect())
}

/// What is to be read of a partition, and what is known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    mark: Mark,
    from: i64,
    /// The record at this offset must be the one with the mark's seq.
    anchor: Option<i64>,
    /// Records after the receipt were deleted before we could look at them.
    evidence_deleted: bool,
}

/// Decides from where a partition is read. `Err` holds the offset at which it should end at least.
fn plan(known: Option<Mark>, extent: Extent, at_end: bool) -> Result<Plan, i64> {
    let whole =
        Plan { mark: Mark { next_offset: extent.start, last_seq: Seq(0) }, from: extent.start, anchor: None, evidence_deleted: false };
    match known {
        None if at_end => Ok(Plan { mark: Mark { next_offset: extent.end, last_seq: Seq(0) }, from: extent.end, ..whole }),
        None => Ok(whole),
        // We had not written to it. If it is shorter now, it is another log, and whatever it holds is new to us.
        Some(mark) if mark.last_seq == Seq(0) && extent.end < mark.next_offset => Ok(whole),
        Some(mark) if mark.last_seq == Seq(0) => {
            let from = mark.next_offset.max(extent.start);
            let evidence_deleted = extent.start > mark.next_offset;
            Ok(Plan { mark: Mark { next_offset: from, ..mark }, from, anchor: None, evidence_deleted })
        }
        Some(mark) if extent.end < mark.next_offset => Err(mark.next_offset),
        Some(mark) => {
            let last = mark.next_offset - 1;
            let anchor = (last >= extent.start).then_some(last);
            Ok(Plan { mark, from: last.max(extent.start), anchor, evidence_deleted: extent.start > mark.next_offset })
        }
    }
}

/// Looks at all partitions of some topics at once.
async fn look_at(session: &Session, tag: Tag, topics: &[(Arc<str>, Vec<Option<Mark>>)], at_end: bool) -> Result<Vec<Vec<Mark>>, Error> {
    let places: Vec<Place> =
        topics.iter().flat_map(|(name, marks)| (0..marks.len()).map(|partition| Place { topic: name.clone(), partition })).collect();
    let extents = scan::extents(session, &places).await?;
    let known = topics.iter().flat_map(|(_, marks)| marks);
    let mut plans = Vec::with_capacity(places.len());
    for ((place, extent), known) in places.iter().zip(&extents).zip(known) {
        let plan = plan(*known, *extent, at_end).map_err(|expected| Error::Regressed {
            topic: place.topic.to_string(),
            partition: place.partition,
            end: extent.end,
            expected,
        })?;
        if plan.evidence_deleted {
            tracing::warn!(
                topic = &*place.topic,
                partition = place.partition,
                "records were deleted before this task could look at them: until the next checkpoint the guarantee is at_least_once"
            );
        }
        plans.push(plan);
    }
    let parts: Vec<Part> = places
        .iter()
        .zip(&extents)
        .zip(&plans)
        .map(|((place, extent), plan)| Part { place: place.clone(), from: plan.from, to: extent.end })
        .collect();
    let mut shared = vec![false; parts.len()];
    scan::scan(session, &parts, |index, offset, seen| {
        let (Some(place), Some(plan), Some(shared)) = (places.get(index), plans.get_mut(index), shared.get_mut(index)) else {
            return Ok(());
        };
        read(place, plan, tag, offset, seen, shared)
    })
    .await?;
    for ((place, extent), shared) in places.iter().zip(&extents).zip(shared) {
        let partition = session.partition(&place.topic, place.partition);
        let mut writer = partition.writer.lock().await;
        // Another lane may have written since.
        writer.expected.get_or_insert(extent.end);
        writer.shared |= shared;
    }
    let mut plans = plans.into_iter();
    Ok(topics.iter().map(|(_, marks)| plans.by_ref().take(marks.len()).map(|plan| plan.mark).collect()).collect())
}

/// Takes note of one record.
fn read(place: &Place, plan: &mut Plan, tag: Tag, offset: i64, seen: Seen, shared: &mut bool) -> Result<(), Error> {
    let (topic, partition) = (|| place.topic.to_string(), place.partition);
    let position = match seen {
        Seen::Positioned(position, _) if position.run == tag.run => Some(position),
        Seen::Positioned(_, _) | Seen::Foreign => None,
    };
    if plan.anchor == Some(offset) && position.is_none_or(|position| (position.split, position.seq) != (tag.split, plan.mark.last_seq)) {
        let problem = format!("at offset {offset} of partition {partition} there is another record than the one that was acknowledged");
        return Err(Error::TopicChanged { topic: topic(), problem });
    }
    match position {
        None => *shared = true,
        Some(position) if position.epoch > tag.epoch => {
            return Err(Error::Fenced { topic: topic(), partition, theirs: position.epoch, ours: tag.epoch });
        }
        Some(position) if position.split == tag.split => plan.mark.advance(offset, position.seq),
        Some(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(next_offset: i64, last_seq: u128) -> Mark {
        Mark { next_offset, last_seq: Seq(last_seq) }
    }

    fn planned(known: Option<Mark>, start: i64, end: i64, at_end: bool) -> Result<(i64, Option<i64>, bool), i64> {
        plan(known, Extent { start, end }, at_end).map(|plan| (plan.from, plan.anchor, plan.evidence_deleted))
    }

    #[test]
    fn where_a_look_begins() {
        // Never opened: the end. Not in the receipt: everything.
        assert_eq!(planned(None, 3, 10, true), Ok((10, None, false)));
        assert_eq!(planned(None, 3, 10, false), Ok((3, None, false)));
        // Known but never written to.
        assert_eq!(planned(Some(mark(5, 0)), 3, 10, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 0)), 7, 10, false), Ok((7, None, true)));
        assert_eq!(planned(Some(mark(50, 0)), 0, 10, false), Ok((0, None, false)));
        // Written to: the last record is checked too.
        assert_eq!(planned(Some(mark(5, 9)), 3, 10, false), Ok((4, Some(4), false)));
        assert_eq!(planned(Some(mark(5, 9)), 5, 10, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 9)), 6, 10, false), Ok((6, None, true)));
        assert_eq!(planned(Some(mark(5, 9)), 5, 5, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 9)), 0, 4, false), Err(5));
    }
}
