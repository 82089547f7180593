//! The precheck: brokers, topics, and what will be promised.

use std::sync::Arc;

use runtime::{Finding, Level, TableId};

use crate::client::session::{Missing, Session};
use crate::client::{self, Connection, RightsRequest, Seen, WireError};
use crate::config::NotEmpty;
use crate::error::Error;
use crate::resume::recovery::first_records;
use crate::resume::scan::Place;
use crate::routing::router::Router;
use crate::schema_registry::Schemas;
use crate::task::Cluster;

/// Looks for what would make the task fail.
pub(crate) async fn check(cluster: &Cluster) -> Vec<Finding> {
    let mut findings = vec![brokers(cluster).await];
    if findings.iter().any(|finding| finding.level == Level::Failed) {
        return findings;
    }
    if cluster.sends_plain_password() {
        findings.push(Finding::warning(
            "kafka_password",
            "sasl.mechanism = \"plain\" without `tls`: the password can be read by anybody between here and the brokers",
            "set `tls`, or use scram_sha_256 or scram_sha_512",
        ));
    }
    if let Some(idle) = &cluster.idle {
        findings.push(Finding::warning("kafka_signs_of_life", idle.what.clone(), idle.help.clone()));
    }
    let session = match cluster.session().await {
        Ok(session) => session,
        Err(error) => {
            findings.push(failed("kafka_brokers", error));
            return findings;
        }
    };
    findings.push(if session.producer.is_idempotent() {
        Finding::passed("kafka_idempotence", "the brokers recognise batches that are sent again")
    } else {
        Finding::warning(
            "kafka_idempotence",
            "the brokers give no producer id: after a failure the log may hold repeats, which readers can ignore by the position header",
            "allow IdempotentWrite on the cluster, or Write on the topic since Kafka 2.8",
        )
    });
    let router = match Router::new(&cluster.config, cluster.memory.owners.clone()) {
        Ok(router) => router,
        Err(error) => {
            findings.push(failed("kafka_topic", error));
            return findings;
        }
    };
    if router.template().is_some() && cluster.config.ddl_topic.is_none() {
        findings.push(Finding::warning(
            "kafka_ddl_topic",
            "`topic` is a template and there is no `ddl_topic`: a schema change that belongs to no table, such as CREATE DATABASE, stops the task",
            "set `ddl_topic`",
        ));
    }
    if let (Some(template), Some(how)) = (router.template(), cluster.config.creation())
        && let Ok(example) = template.render(&TableId::new("database", "table"))
        && let Err(error) = session.could_create(&[example.as_str().into()], how).await
    {
        findings.push(failed("kafka_create_topics", error));
    }
    for name in router.fixed_topics() {
        findings.extend(topic(cluster, &session, name).await);
    }
    if let Some(schemas) = &cluster.schemas {
        findings.extend(registry(cluster, schemas, &router).await);
    }
    findings
}

/// The schema registry: whether it answers, and whether it would take the schema. Nothing is registered.
async fn registry(cluster: &Cluster, schemas: &Schemas, router: &Router) -> Vec<Finding> {
    const ITEM: &str = "schema_registry";
    let mut findings = Vec::new();
    if schemas.sends_plain_password() {
        findings.push(Finding::warning(
            "schema_registry_password",
            "schema_registry.url begins with `http://`: the password can be read by anybody between here and the registry",
            "use the registry's port with TLS and write `https://`",
        ));
    }
    let mut topics = router.fixed_topics();
    // The topics of a template are not known yet; asking for one of them shows at least who answers.
    let example = router.template().and_then(|template| template.render(&TableId::new("database", "table")).ok());
    topics.extend(example.map(Arc::from));
    for topic in topics {
        match schemas.could_register(&topic, &cluster.memory).await {
            Ok(found) => findings.push(Finding::passed(ITEM, found)),
            Err(error) => {
                findings.push(failed(ITEM, error));
                break;
            }
        }
    }
    findings
}

async fn brokers(cluster: &Cluster) -> Finding {
    let (mut problems, mut verdict) = (Vec::new(), None);
    let security = cluster.renewed_security();
    for broker in &cluster.config.brokers {
        if let Err(error) = Connection::open(broker, &security, &cluster.timeouts).await {
            problems.push(error.to_string());
            verdict = verdict.or(match &error {
                WireError::Door { problem, .. } => Some(problem.help()),
                _ => None,
            });
        }
    }
    let all = cluster.config.brokers.len();
    let help = verdict.unwrap_or("check the addresses, the network, and that the brokers run");
    match problems.len() {
        0 => Finding::passed("kafka_brokers", format!("{all} of {all} brokers answer")),
        down if down == all => Finding::failed("kafka_brokers", problems.join("; "), help),
        down => Finding::warning("kafka_brokers", format!("{down} of {all} brokers cannot be used: {}", problems.join("; ")), help),
    }
}

async fn topic(cluster: &Cluster, session: &Session, name: Arc<str>) -> Vec<Finding> {
    let count = match (session.learn(std::slice::from_ref(&name)).await, cluster.config.creation()) {
        (Ok(counts), _) => counts.first().copied().unwrap_or_default(),
        (Err(Error::NoTopic { .. }), Some(how)) => {
            return vec![match session.could_create(std::slice::from_ref(&name), how).await {
                Ok(()) => Finding::passed("kafka_topic", format!("topic {name} is not there and will be made")),
                Err(error) => failed("kafka_topic", error),
            }];
        }
        (Err(error), _) => return vec![failed("kafka_topic", error)],
    };
    if let Some(refused) = rights(session, &name).await {
        return vec![refused];
    }
    let mut findings = vec![Finding::passed("kafka_topic", format!("topic {name} has {count} partitions"))];
    let places: Vec<Place> = (0..count).map(|partition| Place { topic: name.clone(), partition }).collect();
    let help = "choose an empty topic, or write behind what is there with not_empty = \"append\"";
    findings.push(match first_records(session, &places).await.map(|first| first.into_iter().next()) {
        Ok(None) => Finding::passed("kafka_topic_empty", format!("topic {name} is empty")),
        Ok(Some(_)) if cluster.config.not_empty == NotEmpty::Append => {
            Finding::passed("kafka_topic_empty", format!("topic {name} is not empty; new records go behind those that are there"))
        }
        // A task that goes on finds its own records; whether they are its own is known when it starts, which checks it again.
        Ok(Some((place, Some(Seen::Positioned(position, _))))) => Finding::warning(
            "kafka_topic_empty",
            format!(
                "topic {name} is not empty: partition {} begins with records of run {:016x} of this program",
                place.partition, position.run
            ),
            format!("nothing if this task goes on; else {help}"),
        ),
        Ok(Some((place, _))) => Finding::failed(
            "kafka_topic_empty",
            format!("topic {name} is not empty: partition {} holds records of another program", place.partition),
            help,
        ),
        Err(error) => failed("kafka_topic_empty", error),
    });
    findings
}

/// What is not allowed to us on a topic. Brokers before Kafka 2.3 do not tell.
async fn rights(session: &Session, name: &str) -> Option<Finding> {
    let answer = session.ask_any(&RightsRequest { topics: vec![name] }).await.ok()?;
    let (_, _, rights) = answer.topics.into_iter().find(|(topic, code, _)| topic == name && *code == 0)?;
    let missing = client::missing(rights);
    let code = 29;
    let doing = format!("{} on topic {name}", missing.join(", "));
    (!missing.is_empty()).then(|| failed("kafka_topic", session.denied(doing, code, Missing::Topic(name))))
}

fn failed(item: &'static str, error: Error) -> Finding {
    Finding::from_error(item, &runtime::Error::from(error))
}
