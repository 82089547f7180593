//! Makes the topics of a lane ready. It finds or creates the topics, finds out up to where they were written, checks that they may be
//! written to, and gets the schema id for their records.
//!
//! With `not_empty = "fail"` a topic may be written to if each of its partitions is empty or begins with a record of this task's run. The
//! rule is the same for the first lane, for lanes after a restart, and for the parallel lanes of a snapshot. It does not depend on their
//! receipts.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use runtime::{Cancellation, Receipt, Renumbered, SplitKind, TableSchema};

use crate::client::{ClientError, ExpectedTopic, Session, TopicPartition, log_ranges, topics};
use crate::delivery::{Producer, TopicState, Writer};
use crate::error::Error;
use crate::resume::record_header::{LaneId, SCHEMA_ID};
use crate::resume::{self, Found, Known, Mark, Marks, PartitionTail, ReceiptContent, Recovered, Removed};
use crate::schema_registry::{self, RegistryError, WrittenSchemas};
use crate::task::Task;

/// Makes the topics of one lane ready.
pub(crate) struct LaneTopics {
    task: Arc<Task>,
    producer: Arc<Producer>,
    lane: LaneId,
    kind: SplitKind,
    cancellation: Cancellation,
    /// Since when the events of the lane have other numbers than before.
    renumbered: Option<Renumbered>,
    /// The fingerprint of the settings that decide where a row goes, as text.
    settings: String,
    /// The marks of the last receipt.
    marks: Marks,
    /// The schema ids of all records that this lane and earlier lanes wrote.
    written: WrittenSchemas,
}

/// Proves that what the full phase has written is still there and that its settings are those of now, before a lane writes anything. `last`
/// is the receipt of the lane.
///
/// While a session lasts, each write proves its own partition by the offset that the broker answers. So the logs are read once per session,
/// and again when the stream is opened, which ends the full phase.
pub(crate) async fn prove_full_phase(
    task: &Task,
    producer: &Producer,
    lane: LaneId,
    context: &runtime::Context,
    last: &ReceiptContent,
) -> Result<(), Error> {
    task.evidence.load(context.evidence())?;
    let streams = context.lane().is_some_and(|lane| lane.kind == SplitKind::Stream);
    if streams {
        check_settings(task, context, last)?;
    }
    let stream_wrote = last.is_written();
    if !stream_wrote {
        task.evidence.begin(task.settings.fingerprint(context.transforms()))?;
    }
    let prove = async || {
        let removed = prove_records(task, producer, lane.run).await?;
        // Later, retention may remove them: readers had the time of the full phase to read them.
        let removed = removed.iter().filter(|_| !stream_wrote);
        for Removed { partition, start } in removed.filter(|of| task.topics.is_first_warning("removed", &of.partition.to_string())) {
            tracing::warn!(%partition, start, "records of the full phase were removed before it was over: those before this offset are gone");
        }
        Ok(())
    };
    if streams { prove().await } else { producer.proven.get_or_try_init(prove).await.copied() }
}

/// Proves that the last records of the full phase are where they were acknowledged. Returns where records were removed.
pub(crate) async fn prove_records(task: &Task, producer: &Producer, run: u64) -> Result<Vec<Removed>, Error> {
    let topics = task.evidence.topics();
    // Partitions that were added while the task did not run are not used.
    topics.iter().for_each(|(name, count)| _ = task.topics.partitions(&name.as_str().into(), *count));
    let expected: Vec<ExpectedTopic> = topics.iter().map(|(name, count)| ExpectedTopic::new(&name.as_str().into(), *count)).collect();
    let counts = match producer.session().refresh_topics(&expected).await {
        Err(ClientError::NoTopic { topic, .. }) => return Err(ClientError::TopicGone { topic }.into()),
        counts => counts?,
    };
    for ((name, count), now) in topics.iter().zip(counts) {
        if now < *count {
            return Err(Error::TopicChanged { topic: name.clone(), problem: format!("it has {now} partitions, and had {count}") });
        }
    }
    let proven = resume::verify_evidence(producer.session(), run, &task.evidence, &topics).await;
    // The ids are known now, because the logs were looked for.
    for (name, _) in &topics {
        let now = producer.session().topic_id(name).map(|id| id.to_string());
        if let (Some(known), Some(now)) = (task.evidence.id(name), now)
            && known != now
        {
            return Err(Error::TopicChanged {
                topic: name.clone(),
                problem: format!("it was created again: its id is {now}, and was {known}"),
            });
        }
    }
    proven
}

/// Checks that rows go to the same partitions as before. The greatest seq in a partition says what was delivered to it. If other settings
/// sent rows elsewhere before, those rows would wrongly count as delivered. `last` is a receipt of the stream; one of a snapshot has no marks.
pub(crate) fn check_settings(task: &Task, context: &runtime::Context, last: &ReceiptContent) -> Result<(), Error> {
    let Some((topic, _)) = last.marks.iter().find(|(_, marks)| marks.iter().any(Mark::is_written)) else { return Ok(()) };
    match task.settings.fingerprint(context.transforms()).of_stream().conflict(&last.settings) {
        Some(changed) => Err(Error::SettingsChanged { topic: topic.clone(), changed }),
        None => Ok(()),
    }
}

/// Proves, for a check, that the topics still have the partitions and the records that the stream wrote. A lane that is opened proves more:
/// it reads its last record.
pub(crate) async fn prove_marks(task: &Task, session: &Session, marks: &Marks) -> Result<(), Error> {
    for (name, marks) in marks.iter().filter(|(_, marks)| marks.iter().any(Mark::is_written)) {
        let name = Arc::from(name.as_str());
        task.topics.partitions(&name, marks.len());
        let counts = match session.refresh_topics(&[ExpectedTopic::new(&name, marks.len())]).await {
            Err(ClientError::NoTopic { topic, .. }) => return Err(ClientError::TopicGone { topic }.into()),
            counts => counts?,
        };
        if let Some(now) = counts.first().filter(|now| **now < marks.len()) {
            let problem = format!("it has {now} partitions, and had {}", marks.len());
            return Err(Error::TopicChanged { topic: name.to_string(), problem });
        }
        let partitions: Vec<_> = (0..marks.len()).map(|number| TopicPartition::new(&name, number)).collect();
        let ranges = log_ranges(session, &partitions).await?;
        for ((partition, mark), range) in partitions.into_iter().zip(marks).zip(ranges) {
            if range.end < mark.next_offset {
                return Err(Error::Regressed { partition, end: range.end, expected: mark.next_offset });
            }
        }
    }
    Ok(())
}

impl LaneTopics {
    /// Makes all topics ready that are known before the first event. For a stream with a template, also finds out up to where the topics of
    /// its tables were written, and those that it has written to before. Whether they may be written to is checked when an event goes to
    /// them. `first` says that the split was never opened before.
    pub(crate) async fn open(
        task: Arc<Task>,
        producer: Arc<Producer>,
        lane: LaneId,
        context: &runtime::Context,
        last: ReceiptContent,
        first: bool,
        writer: &mut Writer,
    ) -> Result<Self, Error> {
        let kind = context.lane().map_or(SplitKind::Snapshot, |lane| lane.kind);
        let settings = task.settings.fingerprint(context.transforms()).of_stream();
        let settings = serde_json::to_string(&settings).map_err(|error| Error::Receipt { problem: error.to_string() })?;
        let ReceiptContent { marks, schemas: written, .. } = last;
        let (cancellation, renumbered) = (context.cancellation().clone(), context.renumbered().cloned());
        let mut topics = Self { task, producer, lane, kind, cancellation, renumbered, settings, marks, written };
        let fixed = topics.task.settings.rules.fixed_topics();
        let mut names = fixed.clone();
        if kind == SplitKind::Stream {
            topics.add_own(&mut names, context.tables()).await?;
        }
        topics.verify_schemas().await?;
        topics.add(writer, &names, first).await?;
        for name in &fixed {
            topics.make_ready(writer, name).await?;
        }
        Ok(topics)
    }

    /// Makes a topic ready because an event goes to it.
    pub(crate) async fn require(&mut self, writer: &mut Writer, name: &Arc<str>) -> Result<(), Error> {
        if writer.topic_mut(name).is_none() {
            // The topic was not known when the lane was opened. Earlier lanes may have written to it after the last receipt, so the whole
            // topic is read.
            self.add(writer, std::slice::from_ref(name), false).await?;
        }
        self.make_ready(writer, name).await
    }

    /// The receipt: up to where the split was delivered, and with which schema ids. The replay of a snapshot is not exact, so its receipt
    /// has no marks.
    pub(crate) fn receipt(&self, writer: &Writer) -> Receipt {
        let marks: Vec<_> = match self.kind {
            SplitKind::Snapshot if self.written.is_empty() => return Receipt::default(),
            SplitKind::Snapshot => Vec::new(),
            SplitKind::Stream => writer.marks().collect(),
        };
        resume::write_receipt(&self.settings, marks, &self.written)
    }

    fn session(&self) -> &Session {
        self.producer.session()
    }

    /// Adds to `names` the topics of a template that are this split's: those that it has written to, and those of its tables that exist.
    /// Other topics of the cluster may match the template too. They are somebody else's, and nothing is asked about them.
    async fn add_own(&self, names: &mut Vec<Arc<str>>, tables: &[Arc<TableSchema>]) -> Result<(), Error> {
        let Some(template) = self.task.settings.rules.template() else { return Ok(()) };
        let written = self.marks.iter().filter(|(_, marks)| marks.iter().any(Mark::is_written)).map(|(name, _)| name);
        names.extend(written.filter(|name| template.could_be(name)).map(|name| Arc::from(name.as_str())));
        if !tables.is_empty() {
            let rendered: HashSet<String> = tables.iter().filter_map(|table| template.render(&table.id).ok()).collect();
            let existing = self.session().topic_names(|name| rendered.contains(name)).await?;
            names.extend(existing.into_iter().map(Arc::from));
        }
        names.sort();
        names.dedup();
        Ok(())
    }

    /// Checks that the registry still has the schemas of the topics that are in use.
    async fn verify_schemas(&self) -> Result<(), Error> {
        let Some(schemas) = &self.task.schemas else { return Ok(()) };
        schemas.reload_certificates();
        let mut in_use = self.written.clone();
        in_use.retain(|_, (_, topics)| {
            topics.retain(|topic| self.task.settings.rules.could_lead_to(topic));
            !topics.is_empty()
        });
        self.unless_cancelled(schemas.verify(&in_use)).await
    }

    /// Waits for a request to the registry, until the lane is cancelled. Such a request can be dropped and sent again later.
    async fn unless_cancelled<T>(&self, request: impl Future<Output = Result<T, RegistryError>>) -> Result<T, Error> {
        tokio::select! {
            answer = request => Ok(answer?),
            () = self.cancellation.cancelled() => Err(RegistryError::Stopping.into()),
        }
    }

    /// Finds topics, finds out up to where they were written, and adds them to the writer. `at_end` says that they cannot contain records
    /// of the split.
    async fn add(&self, writer: &mut Writer, names: &[Arc<str>], at_end: bool) -> Result<(), Error> {
        let counts = self.find(names).await?;
        let mut known: Vec<Known> = Vec::new();
        let mut lengths = Vec::with_capacity(names.len());
        for (name, now) in names.iter().zip(counts) {
            let marks = self.marks.get(&**name);
            let count = marks.map_or_else(|| self.task.topics.partitions(name, now), Vec::len);
            if now < count {
                let problem = format!("it has {now} partitions, and had {count}");
                return Err(Error::TopicChanged { topic: name.to_string(), problem });
            }
            if now > count && self.task.topics.is_first_warning("partitions", name) {
                tracing::warn!(
                    topic = &**name,
                    now,
                    before = count,
                    "partitions were added; this task keeps to those that it started with"
                );
            }
            known.extend((0..count).map(|number| Known {
                partition: TopicPartition::new(name, number),
                mark: marks.and_then(|marks| marks.get(number)).copied(),
            }));
            lengths.push(count);
        }
        let delivered = match self.kind {
            SplitKind::Snapshot => vec![(Mark::UNKNOWN, None); known.len()],
            SplitKind::Stream => self.recover(&known, at_end).await?,
        };
        let mut partitions = known.into_iter().zip(delivered);
        for (name, count) in names.iter().zip(lengths) {
            let mut tails = Vec::new();
            let partitions = partitions.by_ref().take(count).map(|(known, (mark, tail))| {
                let (kept, tail) = tail.unzip();
                tails.push(tail);
                (self.producer.partition(&known.partition.topic, known.partition.partition), mark, kept)
            });
            let topic = TopicState::new(name.clone(), partitions.collect());
            writer.add_topic(topic, tails);
        }
        Ok(())
    }

    async fn recover(&self, known: &[Known], at_end: bool) -> Result<Vec<(Mark, Option<(Mark, PartitionTail)>)>, Error> {
        let recovered = resume::recover(self.session(), self.lane, known, at_end, self.renumbered.as_ref()).await?;
        for (Known { partition, .. }, recovered) in known.iter().zip(&recovered) {
            self.producer.partition(&partition.topic, partition.partition).note_log_end(recovered.end, recovered.shared).await;
        }
        let transactions: BTreeSet<&str> =
            recovered.iter().flat_map(|of| &of.tail).flat_map(|(_, tail)| tail.keys().map(|id| &**id)).collect();
        if !transactions.is_empty() {
            tracing::info!(
                transactions = transactions.len(),
                "the log holds transactions that are read once more, under other numbers; what was delivered of them is passed over"
            );
        }
        Ok(recovered.into_iter().map(|Recovered { mark, tail, .. }| (mark, tail)).collect())
    }

    /// The number of partitions that a topic had when it was last seen; 0 if it was not seen before.
    fn partitions_before(&self, topic: &Arc<str>) -> usize {
        self.marks.get(&**topic).map_or_else(|| self.task.topics.seen(topic).unwrap_or(0), Vec::len)
    }

    /// Finds topics and returns their numbers of partitions. A missing topic is created if the settings say so. It is an error if this task
    /// has written to the missing topic or has seen it before.
    async fn find(&self, names: &[Arc<str>]) -> Result<Vec<usize>, Error> {
        let expected: Vec<ExpectedTopic> = names.iter().map(|name| ExpectedTopic::new(name, self.partitions_before(name))).collect();
        let mut created: Option<Arc<str>> = None;
        loop {
            let (topic, broker) = match self.session().refresh_topics(&expected).await {
                Err(ClientError::NoTopic { topic, broker }) => (topic, broker),
                counts => return Ok(counts?),
            };
            let written = self.marks.get(&*topic).is_some_and(|marks| marks.iter().any(Mark::is_written));
            if written || self.task.topics.seen(&topic).is_some() {
                return Err(ClientError::TopicGone { topic }.into());
            }
            match &self.task.settings.creation {
                Some(creation) if created.as_ref() != Some(&topic) => {
                    topics::create(self.session(), std::slice::from_ref(&topic), creation).await?;
                }
                _ => return Err(ClientError::NoTopic { topic, broker }.into()),
            }
            created = Some(topic);
        }
    }

    /// Checks that a topic may be written to, and gets the schema id for its records.
    async fn make_ready(&mut self, writer: &mut Writer, name: &Arc<str>) -> Result<(), Error> {
        let Some(topic) = writer.topic_mut(name) else { return Ok(()) };
        if topic.is_ready() {
            return Ok(());
        }
        let owned = topic.is_written() || self.task.settings.appends() || self.task.topics.is_owned(name);
        let id_known = match &self.task.schemas {
            Some(schemas) => self.unless_cancelled(async { Ok(schemas.knows(name, &self.written).await) }).await?,
            None => true,
        };
        let mut found = None;
        if !owned || !id_known {
            found = self.check_first_records(name, topic.partition_count(), owned).await?.filter(|_| !id_known);
            self.task.topics.note_owned(name.clone());
        }
        let prefix = match &self.task.schemas {
            Some(schemas) => {
                let id = self.unless_cancelled(schemas.id(name, &self.written, found)).await?;
                let (_, topics) = self.written.entry(id).or_insert_with(|| (schemas.hash().to_owned(), Vec::new()));
                if !topics.iter().any(|topic| **topic == **name) {
                    topics.push(name.to_string());
                }
                Some(schema_registry::prefix_of(id))
            }
            None => None,
        };
        topic.set_ready(prefix);
        Ok(())
    }

    /// Checks the first record of each partition of a topic. Returns the schema id in a record of this task; `None` if there is none.
    async fn check_first_records(&self, name: &Arc<str>, partitions: usize, owned: bool) -> Result<Option<u32>, Error> {
        let partitions: Vec<TopicPartition> = (0..partitions).map(|number| TopicPartition::new(name, number)).collect();
        let first = resume::first_records(self.session(), &partitions).await?;
        if let Some(foreign) = first.iter().find(|first| !owned && !first.is_of(self.lane.run)) {
            return Err(Error::NotEmpty { partition: foreign.partition.clone() });
        }
        let mut found_id = None;
        for first in first.iter().filter(|first| first.is_of(self.lane.run)) {
            let Some(Found::Ours(position, id)) = first.found else { continue };
            let with_id = position.flags & SCHEMA_ID != 0;
            if with_id != self.task.schemas.is_some() {
                return Err(Error::SchemaIdsChanged { topic: name.to_string(), with_id });
            }
            found_id = found_id.or(id);
        }
        Ok(found_id)
    }
}
