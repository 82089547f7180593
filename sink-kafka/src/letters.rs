//! The sink as the one for dead letters ([`runtime::Sink::write_letters`]).

use std::sync::Arc;

use runtime::{Context, Encoder, Finding, Sink};

use crate::check;
use crate::client::{ClientError, ExpectedTopic, Session, topics};
use crate::delivery::{LetterWriter, Sender};
use crate::error::Error;
use crate::invalid_setting::InvalidSetting;
use crate::resume::record_header::LaneId;
use crate::routing::Router;
use crate::settings::Settings;
use crate::task::Task;

/// Checks that the settings can be those of a sink for dead letters, beside `main`, the sink of the task. Returns the topic.
pub(crate) fn topic(settings: &Settings, main: Option<&dyn Sink>) -> Result<Arc<str>, InvalidSetting> {
    let refuse = |key: &str, problem: String| Err(InvalidSetting::new(key, problem));
    let rules = &settings.rules;
    let Some(topic) = rules.topic.fixed() else {
        return refuse("topic", "is a template, and dead letters of all tables go to one topic: write its name".into());
    };
    if settings.schema_registry.is_some() {
        let why = "cannot be used for dead letters: their values may be JSON, which no schema describes";
        return refuse("schema_registry", why.into());
    }
    if rules.ddl_topic.is_some() {
        return refuse("ddl_topic", "has no effect: only rows become dead letters".into());
    }
    if settings.key_change.is_some() {
        return refuse("key_change", "has no effect: a dead letter holds both images of an update".into());
    }
    if settings.not_empty.is_some() {
        return refuse("not_empty", "has no effect: the topic may hold records, such as the dead letters of other tasks".into());
    }
    if settings.linger_ms.is_some() {
        return refuse("linger_ms", "has no effect: a dead letter is durable before anything behind it is written".into());
    }
    if rules.tombstones {
        return refuse("tombstones", "has no effect: dead letters delete nothing".into());
    }
    if main.is_some_and(|main| main.could_write_to(topic)) {
        return refuse("topic", format!("is `{topic}`, to which rows could go as well: dead letters need a topic of their own"));
    }
    Ok(topic.into())
}

/// Finds or creates the topic, and returns a writer to it.
pub(crate) async fn open(task: &Task, context: &Context, encoder: Box<dyn Encoder>) -> Result<LetterWriter, Error> {
    let settings = &task.settings;
    let name = topic(settings, None)?;
    let lane = context.lane().ok_or(Error::NotOpen)?;
    let producer = task.producer(context).await?;
    let count = find(task, producer.session(), &name).await?;
    let mut partitions = Vec::with_capacity(count);
    for number in 0..count {
        let partition = producer.partition(&name, number);
        // Other tasks may write to the topic as well.
        partition.note_log_end(0, true).await;
        partitions.push(partition);
    }
    let mut router = Router::new(settings.rules.clone(), task.owners.clone(), context.notices().clone(), &[]);
    router.add_topic(name, count);
    let repeats = context.metrics().counter("kafka_repeated_records", "Records that are in the log twice; readers can ignore them");
    let lane = LaneId { run: lane.run, epoch: lane.epoch, split: lane.number };
    let codec = settings.codec()?;
    Ok(LetterWriter::new(Sender { producer, lane, repeats }, partitions, router, encoder, codec, settings.record_batch_bytes))
}

/// The number of partitions of the topic. It is created if it is missing and the settings say so.
async fn find(task: &Task, session: &Session, name: &Arc<str>) -> Result<usize, ClientError> {
    let expected = [ExpectedTopic::new(name, 1)];
    let counts = match (session.refresh_topics(&expected).await, &task.settings.creation) {
        (Err(ClientError::NoTopic { .. }), Some(creation)) => {
            topics::create(session, std::slice::from_ref(name), creation).await?;
            session.refresh_topics(&expected).await?
        }
        (counts, _) => counts?,
    };
    Ok(counts.first().copied().unwrap_or_default())
}

/// Looks for problems that would make the writing of dead letters fail.
pub(crate) async fn check(task: &Task, context: &Context) -> Vec<Finding> {
    match topic(&task.settings, None) {
        Ok(name) => check::check_letters(task, context, name).await,
        Err(error) => vec![Finding::from_error("kafka_topic", &runtime::Error::from(Error::from(error)))],
    }
}
