//! Implements the sink interface of the runtime.

use std::sync::Arc;
use std::time::Duration;

use runtime::{Batch, Context, Encoder, Event, Finding, Letter, PreviewRecord, Receipt, Result, Sink, async_trait};

use crate::builder::KafkaSinkBuilder;
use crate::check;
use crate::delivery::{LetterWriter, Sender, Writer, WriterOptions};
use crate::error::Error;
use crate::letters;
use crate::preview;
use crate::resume;
use crate::resume::record_header::LaneId;
use crate::routing::Router;
use crate::task::Task;
use crate::topics::{self, LaneTopics};

/// Writes the events of one lane to Kafka.
///
/// `write` returns when all in-sync replicas have every record. The lanes of a task share the connections and the state of the partitions.
pub struct KafkaSink {
    task: Arc<Task>,
    encoder: Option<Box<dyn Encoder>>,
    lane: Option<(LaneTopics, Writer)>,
    letters: Option<LetterWriter>,
}

impl KafkaSink {
    /// Returns a builder for a sink that writes to these brokers, for programs that use neither a registry of sinks nor a settings file.
    pub fn builder(brokers: impl IntoIterator<Item = impl Into<String>>) -> KafkaSinkBuilder {
        KafkaSinkBuilder::new(brokers)
    }

    /// A sink for one lane of a task.
    pub(crate) fn new(task: Arc<Task>, encoder: Box<dyn Encoder>) -> Self {
        Self { task, encoder: Some(encoder), lane: None, letters: None }
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn open(&mut self, context: &Context, last: &Receipt) -> Result<()> {
        if context.is_for_letters() {
            let encoder = self.encoder.take().ok_or(Error::NotOpen)?;
            self.letters = Some(letters::open(&self.task, context, encoder).await?);
            return Ok(());
        }
        let (first, last) = (last.is_empty(), resume::parse_receipt(last)?);
        let lane = context.lane().ok_or(Error::NotOpen)?;
        let id = LaneId { run: lane.run, epoch: lane.epoch, split: lane.number };
        let producer = self.task.producer(context).await?;
        // The encoder can be taken only once, because one instance of the sink serves one lane.
        let encoder = self.encoder.take().ok_or(Error::NotOpen)?;
        let settings = &self.task.settings;
        let repeats = context.metrics().counter("kafka_repeated_records", "Records that are in the log twice; readers can ignore them");
        topics::prove_full_phase(&self.task, &producer, id, context, &last).await?;
        let mut writer = Writer::new(WriterOptions {
            sender: Sender { producer: producer.clone(), lane: id, repeats },
            kind: lane.kind,
            attempt: self.task.next_attempt(),
            evidence: self.task.evidence.clone(),
            router: Router::new(settings.rules.clone(), self.task.owners.clone(), context.notices().clone(), context.tables()),
            encoder,
            codec: settings.codec()?,
            record_batch_bytes: settings.record_batch_bytes,
            schema_ids: self.task.schemas.is_some(),
        });
        let lane_topics = LaneTopics::open(self.task.clone(), producer, id, context, last, first, &mut writer).await?;
        self.lane = Some((lane_topics, writer));
        Ok(())
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        let (topics, writer) = self.lane.as_mut().ok_or(Error::NotOpen)?;
        writer.forget_refused_topics();
        loop {
            let missing = writer.route(&batch.events)?;
            if missing.is_empty() {
                break;
            }
            for topic in missing {
                match topics.require(writer, &topic).await {
                    // Only the rows that go there cannot be delivered.
                    Err(Error::Registry(error)) if error.is_refusal() => writer.refuse_topic(topic, error),
                    required => required?,
                }
            }
        }
        writer.write(batch).await?;
        // A batch with a resume point ends between two transactions.
        if batch.resume.is_some() && !batch.has_postponed() {
            writer.end_transactions()?;
        }
        Ok(())
    }

    fn linger(&self) -> Duration {
        self.task.settings.linger()
    }

    fn could_write_to(&self, destination: &str) -> bool {
        self.task.settings.rules.could_lead_to(destination)
    }

    fn accepts_letters(&self, main: &dyn Sink) -> Result<()> {
        letters::topic(&self.task.settings, Some(main)).map(drop).map_err(|error| Error::from(error).into())
    }

    async fn write_letters(&mut self, letters: &[Letter]) -> Result<()> {
        self.letters.as_mut().ok_or(Error::NotOpen)?.write(letters).await
    }

    fn receipt(&self) -> Receipt {
        self.lane.as_ref().map_or_else(Receipt::default, |(topics, writer)| topics.receipt(writer))
    }

    fn evidence(&self) -> Option<Receipt> {
        self.lane.as_ref().filter(|(_, writer)| writer.is_snapshot()).and_then(|_| self.task.evidence.text())
    }

    async fn close(&mut self) -> Result<()> {
        (self.lane, self.letters) = (None, None);
        Ok(())
    }

    async fn check(&mut self, context: &Context) -> Vec<Finding> {
        if context.is_for_letters() { letters::check(&self.task, context).await } else { check::check(&self.task, context).await }
    }

    fn preview(&mut self, context: &Context, event: &Event) -> Result<Vec<PreviewRecord>> {
        // An open sink has handed its encoder on.
        let encoder = self.encoder.as_deref_mut().ok_or(Error::NotOpen)?;
        preview::preview(&self.task, encoder, context, event)
    }
}
