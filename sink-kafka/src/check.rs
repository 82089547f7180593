//! The precheck of a task: tests the brokers, the topics and the registry before the task starts, and warns about weaker guarantees.

use std::sync::Arc;

use runtime::{Context, Finding, Level, TableId};

use crate::client::{ClientError, Connection, ErrorCode, ExpectedTopic, Permission, Server, Session, TopicPartition, topics};
use crate::delivery::Producer;
use crate::error::Error;
use crate::resume::{self, FirstRecord, Found, ReceiptContent, Removed, first_records};
use crate::routing::RecordKey;
use crate::schema_registry::Schemas;
use crate::task::Task;
use crate::topics as topics_of_lanes;

/// If the topic is a template, at most this many existing topics that match it are checked for compaction.
const MAX_MATCHING: usize = 100;

/// Runs the precheck: looks for problems that would make the task fail, and returns the findings.
pub(crate) async fn check(task: &Task, context: &Context) -> Vec<Finding> {
    let (mut findings, producer) = connections(task, context).await;
    let Some(producer) = producer else { return findings };
    findings.extend(continuation(task, &producer, context).await);
    let session = producer.session();
    findings.extend(template(task, session).await);
    for name in task.settings.rules.fixed_topics() {
        findings.extend(topic(task, session, name, context.run()).await);
    }
    if let Some(schemas) = &task.schemas {
        findings.extend(registry(task, schemas).await);
    }
    findings
}

/// Runs the precheck of a sink for dead letters. Its topic may hold the letters of other tasks.
pub(crate) async fn check_letters(task: &Task, context: &Context, name: Arc<str>) -> Vec<Finding> {
    let (mut findings, producer) = connections(task, context).await;
    if let Some(producer) = producer {
        findings.extend(existence(task, producer.session(), &name).await.1);
        findings.extend(compaction(task, producer.session(), &name).await);
    }
    findings
}

/// The findings about the brokers, and the producer if they can be used.
async fn connections(task: &Task, context: &Context) -> (Vec<Finding>, Option<Arc<Producer>>) {
    let mut findings = vec![brokers(task).await];
    if findings.iter().any(|finding| finding.level == Level::Failed) {
        return (findings, None);
    }
    if task.reload_security().sends_plain_password() {
        findings.push(Finding::warning(
            "kafka_password",
            "sasl.mechanism = \"plain\" without `tls`: the password can be read by anybody on the network to the brokers",
            "set `tls`, or use scram_sha_256 or scram_sha_512",
        ));
    }
    if let Some(ineffective) = task.ineffective_heartbeats(context) {
        findings.push(Finding::warning("kafka_heartbeats", ineffective.what, ineffective.help));
    }
    let producer = match task.producer(context).await {
        Ok(producer) => producer,
        Err(error) => {
            findings.push(failed("kafka_brokers", error));
            return (findings, None);
        }
    };
    findings.push(if producer.is_idempotent() {
        Finding::passed("kafka_idempotence", "the brokers recognise batches that are sent again")
    } else {
        Finding::warning(
            "kafka_idempotence",
            "the brokers give no producer id: after a failure the log may hold repeats, which readers can ignore by the position header",
            "allow IdempotentWrite on the cluster, or Write on the topic since Kafka 2.8",
        )
    });
    (findings, Some(producer))
}

/// The findings about what the task has delivered before; none at its first start.
async fn continuation(task: &Task, producer: &Producer, context: &Context) -> Vec<Finding> {
    const SETTINGS: &str = "kafka_settings";
    const DELIVERED: &str = "kafka_delivered";
    let mut findings = Vec::new();
    let receipts: Result<Vec<ReceiptContent>, Error> = context.receipts().iter().map(resume::parse_receipt).collect();
    let receipts = match receipts.and_then(|receipts| task.evidence.load(context.evidence()).map(|()| receipts)) {
        Ok(receipts) => receipts,
        Err(error) => return vec![failed(DELIVERED, error)],
    };
    let streams = receipts.iter().any(ReceiptContent::is_written);
    if !streams && context.evidence().is_empty() {
        return findings;
    }
    let in_full_phase = || if streams { Ok(()) } else { task.evidence.begin(task.settings.fingerprint(context.transforms())) };
    let settings =
        receipts.iter().try_for_each(|receipt| topics_of_lanes::check_settings(task, context, receipt)).and_then(|()| in_full_phase());
    findings.push(match settings {
        Ok(()) => Finding::passed(SETTINGS, "records go where they went before"),
        Err(error) => failed(SETTINGS, error),
    });
    let mut delivered = topics_of_lanes::prove_records(task, producer, context.run().unwrap_or_default()).await;
    for receipt in receipts.iter().filter(|receipt| receipt.is_written()) {
        if delivered.is_ok()
            && let Err(error) = topics_of_lanes::prove_marks(task, producer.session(), &receipt.marks).await
        {
            delivered = Err(error);
        }
    }
    match delivered {
        Ok(removed) => {
            findings.push(Finding::passed(DELIVERED, "no topic has lost its end, and no other records stand where this task wrote"));
            let removed = removed.into_iter().filter(|_| !streams);
            findings.extend(removed.map(|Removed { partition, start }| {
                Finding::warning(
                    DELIVERED,
                    format!("partition {partition} begins at offset {start}: records of the full phase before it were removed"),
                    "let the topic keep its records for longer than the full phase; start the task from scratch if readers have missed them",
                )
            }));
        }
        Err(error) => findings.push(failed(DELIVERED, error)),
    }
    findings
}

/// An example of a topic name that the template produces; `None` if the topic is fixed.
fn example(task: &Task) -> Option<Arc<str>> {
    let template = task.settings.rules.template()?;
    template.render(&TableId::new("database", "table")).ok().map(Arc::from)
}

/// The findings about a topic template; none if the topic is fixed.
async fn template(task: &Task, session: &Session) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(template) = task.settings.rules.template() else { return findings };
    if task.settings.rules.ddl_topic.is_none() {
        findings.push(Finding::warning(
            "kafka_ddl_topic",
            "`topic` is a template and `ddl_topic` is not set: a DDL statement about no table, such as CREATE DATABASE, stops the task",
            "set `ddl_topic`",
        ));
    }
    if let (Some(example), Some(creation)) = (example(task), &task.settings.creation)
        && let Err(error) = topics::validate_creation(session, &[example], creation).await
    {
        findings.push(failed("kafka_create_topics", error));
    }
    let fixed = task.settings.rules.fixed_topics();
    let mut left = MAX_MATCHING;
    let matching = session.topic_names(|name| {
        let matches = left > 0 && template.could_be(name) && fixed.iter().all(|fixed| **fixed != *name);
        left -= usize::from(matches);
        matches
    });
    for name in matching.await.unwrap_or_default() {
        findings.extend(compaction(task, session, &name).await.filter(|finding| finding.level != Level::Passed));
    }
    findings
}

/// Checks whether the schema registry answers and would accept the schema. Nothing is registered.
async fn registry(task: &Task, schemas: &Schemas) -> Vec<Finding> {
    const ITEM: &str = "schema_registry";
    let mut findings = Vec::new();
    if schemas.sends_plain_password() {
        findings.push(Finding::warning(
            "schema_registry_password",
            "schema_registry.url begins with `http://`: the password can be read by anybody on the network to the registry",
            "use the registry's port with TLS and write `https://`",
        ));
    }
    // The topics of a template are not known yet. A request about an example topic at least shows whether the registry answers.
    for topic in task.settings.rules.fixed_topics().into_iter().chain(example(task)) {
        match schemas.could_register(&topic).await {
            Ok(found) => findings.push(Finding::passed(ITEM, found)),
            Err(error) => {
                findings.push(failed(ITEM, error));
                break;
            }
        }
    }
    findings
}

async fn brokers(task: &Task) -> Finding {
    let (mut problems, mut help) = (Vec::new(), None);
    let security = task.reload_security();
    for broker in &task.settings.brokers {
        if let Err(error) = Connection::open(broker, &security, &task.timeouts).await {
            help = help.or(match &error {
                ClientError::Refused { reason, .. } => Some(reason.help(Server::Broker)),
                _ => None,
            });
            problems.push(Finding::from_error("", &runtime::Error::from(Error::from(error))).what);
        }
    }
    let all = task.settings.brokers.len();
    let help = help.unwrap_or("check the addresses, the network, and that the brokers run");
    match problems.len() {
        0 => Finding::passed("kafka_brokers", format!("{all} of {all} brokers answer")),
        down if down == all => Finding::failed("kafka_brokers", problems.join("; "), help),
        down => Finding::warning("kafka_brokers", format!("{down} of {all} brokers cannot be used: {}", problems.join("; ")), help),
    }
}

async fn topic(task: &Task, session: &Session, name: Arc<str>, run: Option<u64>) -> Vec<Finding> {
    let (count, mut findings) = existence(task, session, &name).await;
    if let Some(count) = count {
        findings.extend(compaction(task, session, &name).await);
        findings.push(emptiness(task, session, &name, count, run).await);
    }
    findings
}

/// The findings about whether the topic exists, or can be created, and may be used; and its number of partitions if it can be written to now.
async fn existence(task: &Task, session: &Session, name: &Arc<str>) -> (Option<usize>, Vec<Finding>) {
    let count = match (session.refresh_topics(&[ExpectedTopic::new(name, 0)]).await, &task.settings.creation) {
        (Ok(counts), _) => counts.first().copied().unwrap_or_default(),
        // The finding about what was delivered names a topic that does not exist any more. It is not created again.
        (Err(ClientError::NoTopic { .. }), _) if task.topics.seen(name).is_some() => return (None, Vec::new()),
        (Err(ClientError::NoTopic { .. }), Some(creation)) => {
            let finding = match topics::validate_creation(session, std::slice::from_ref(name), creation).await {
                Ok(()) => Finding::passed("kafka_topic", format!("topic {name} does not exist and will be created")),
                Err(error) => failed("kafka_topic", error),
            };
            return (None, vec![finding]);
        }
        (Err(error), _) => return (None, vec![failed("kafka_topic", error)]),
    };
    let missing = topics::missing_rights(session, name).await;
    if !missing.is_empty() {
        let operation = format!("{} on topic {name}", missing.join(", "));
        let error = session.denied(operation, ErrorCode::TOPIC_AUTHORIZATION_FAILED, Permission::UseTopic(name));
        return (None, vec![failed("kafka_topic", error)]);
    }
    let finding = match task.topics.seen(name).filter(|before| *before < count) {
        None => Finding::passed("kafka_topic", format!("topic {name} has {count} partitions")),
        Some(before) => Finding::warning(
            "kafka_topic",
            format!("topic {name} has {count} partitions; the task began with {before} and uses only those"),
            "start the task from scratch, with an empty topic, to use all of them",
        ),
    };
    (Some(count), vec![finding])
}

/// The finding about a compacted topic; `None` if the topic is not compacted or the broker does not say. Such a topic keeps only the last
/// record of each key and refuses records without a key.
async fn compaction(task: &Task, session: &Session, name: &str) -> Option<Finding> {
    const ITEM: &str = "kafka_compaction";
    if topics::is_compacted(session, name).await != Some(true) {
        return None;
    }
    let rules = &task.settings.rules;
    let delete = format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config cleanup.policy=delete",
        session.first_broker()
    );
    let only_ddl = rules.ddl_topic.as_deref() == Some(name) && rules.topic.fixed() != Some(name);
    Some(match rules.record_key {
        RecordKey::None if task.settings.format.info.keys => {
            Finding::passed(ITEM, format!("topic {name} is compacted, and the format gives every record a key"))
        }
        RecordKey::None => Finding::failed(
            ITEM,
            format!("topic {name} is compacted and refuses records without a key, and record_key is \"none\""),
            if only_ddl {
                format!("let it keep all DDL statements: {delete}")
            } else {
                format!("set record_key = \"primary_key\", or let the topic keep all records: {delete}")
            },
        ),
        _ if only_ddl => Finding::warning(
            ITEM,
            format!("topic {name} is compacted: of the DDL statements about a table only the last one is kept"),
            format!("let the topic keep all of them: {delete}"),
        ),
        RecordKey::Table => Finding::warning(
            ITEM,
            format!("topic {name} is compacted and record_key is \"table\": of each table only the last record is kept"),
            format!("set record_key = \"primary_key\", or let the topic keep all records: {delete}"),
        ),
        RecordKey::PrimaryKey if !rules.tombstones => Finding::warning(
            ITEM,
            format!("topic {name} is compacted and `tombstones` is not set: the last records of deleted rows and of changed keys are kept"),
            "set tombstones = true",
        ),
        RecordKey::PrimaryKey => Finding::passed(
            ITEM,
            format!(
                "topic {name} is compacted: every row needs a primary key or a unique key without nullable columns; other records have keys of their own"
            ),
        ),
    })
}

/// The finding about records that the topic already holds. `run` is that of the task's checkpoint, 0 without one; `None` if it is not known.
async fn emptiness(task: &Task, session: &Session, name: &Arc<str>, count: usize, run: Option<u64>) -> Finding {
    const ITEM: &str = "kafka_topic_empty";
    let partitions: Vec<TopicPartition> = (0..count).map(|number| TopicPartition::new(name, number)).collect();
    let help = "choose an empty topic, or write behind its records with not_empty = \"append\"";
    let first = first_records(session, &partitions).await;
    let foreign = |first: Vec<FirstRecord>| first.into_iter().find(|first| run.is_none_or(|run| !first.is_of(run)));
    let is_empty = first.as_ref().is_ok_and(Vec::is_empty);
    match first.map(foreign) {
        Ok(None) if !is_empty => Finding::passed(ITEM, format!("topic {name} holds records of this task, which continues behind them")),
        Ok(None) => Finding::passed(ITEM, format!("topic {name} is empty")),
        Ok(Some(_)) if task.settings.appends() => {
            Finding::passed(ITEM, format!("topic {name} is not empty; new records go behind those that are there"))
        }
        // These records may be the task's own, from before a restart. The start of the task checks it again.
        Ok(Some(FirstRecord { partition, found: Some(Found::Ours(position, _)) })) if run.is_none() => Finding::warning(
            ITEM,
            format!(
                "topic {name} is not empty: partition {} begins with records of run {:016x} of this program",
                partition.partition, position.run
            ),
            format!("nothing if this task continues; else {help}"),
        ),
        Ok(Some(FirstRecord { partition, .. })) => Finding::failed(
            ITEM,
            format!("topic {name} is not empty: partition {} begins with a record that is not of this task", partition.partition),
            help,
        ),
        Err(error) => failed(ITEM, error),
    }
}

fn failed(item: &'static str, error: impl Into<Error>) -> Finding {
    Finding::from_error(item, &runtime::Error::from(error.into()))
}
