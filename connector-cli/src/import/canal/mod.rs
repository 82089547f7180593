//! The settings of a Canal instance (`instance.properties`) and of its server (`canal.properties`).

mod properties;
mod routing;
mod source;

use runtime::Result;

use super::draft::Draft;
use super::input::Input;
use super::kafka;
use super::options::Options;
use super::toml::Item;

const META: &str = "schemas and positions are kept in the task's checkpoint, so no other store is needed";
const SERVER: &str = "of Canal's server, its cluster and its console; one process of this program runs one task";
const PARSER: &str = "how Canal reads and buffers; this program has its own ways, see docs/performance.md";
const BROKER: &str = "of another message queue; this program writes to Kafka";

/// Why options have no counterpart.
const REASONS: &[(&str, &str)] = &[
    ("canal.instance.tsdb.*", META),
    ("canal.instance.tsdb", META),
    ("canal.instance.global.*", SERVER),
    ("canal.instance.rds.*", "binlog files that Alibaba Cloud RDS moved to OSS are not read; keep enough of them on the server"),
    ("canal.aliyun.*", "binlog files that Alibaba Cloud RDS moved to OSS are not read; keep enough of them on the server"),
    ("canal.instance.standby.*", "a task follows one address; see docs/failover.md for a change of the server behind it"),
    ("canal.instance.detecting.*", "the connection is watched by the server's own heartbeats; see docs/failover.md"),
    ("canal.instance.connectionCharset", "texts are read in the character set of their column"),
    ("canal.instance.memory.*", PARSER),
    ("canal.instance.parser.*", PARSER),
    ("canal.instance.transaction.*", PARSER),
    ("canal.instance.network.*", PARSER),
    ("canal.instance.fallbackIntervalInSeconds", "a changed server is followed by GTID or refused; see docs/failover.md"),
    ("canal.instance.binlog.*", "row images must be complete; `check` says so if they are not"),
    ("canal.instance.get.ddl.isolation", "a DDL statement always travels alone"),
    ("canal.instance.multi.stream.on", "PolarDB-X: `stream_group` reads several binlog streams"),
    ("canal.mq.canalBatchSize", PARSER),
    ("canal.mq.canalGetTimeout", PARSER),
    ("canal.mq.canalFetchTimeout", PARSER),
    ("canal.mq.build.*", PARSER),
    ("canal.mq.send.*", PARSER),
    ("canal.mq.properties.*", BROKER),
    ("canal.mq.producerGroup", BROKER),
    ("canal.mq.accessChannel", BROKER),
    ("canal.mq.namespace", BROKER),
    ("canal.mq.vhost", BROKER),
    ("canal.mq.exchange", BROKER),
    ("canal.mq.username", BROKER),
    ("canal.mq.password", BROKER),
    ("canal.mq.aliyunuid", BROKER),
    ("canal.mq.tag", BROKER),
    ("canal.mq.dynamicTag", BROKER),
    ("canal.mq.transaction", "after a failure records are found in the topic and not written again; Kafka's transactions are not used"),
    ("rocketmq.*", BROKER),
    ("rabbitmq.*", BROKER),
    ("pulsarmq.*", BROKER),
    ("canal.mq.*", kafka::TUNING),
    ("canal.*", SERVER),
];

/// Reads one file or both; where both have an option, the first file counts.
pub(super) fn import(inputs: &[Input]) -> Result<Draft> {
    let mut options = Options::default();
    for input in inputs.iter().rev() {
        properties::read(&input.name, &input.text, &mut options)?;
    }
    let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
    let name = options.take("canal.destinations");
    let topic = options.take("canal.mq.topic");
    let task = name.as_deref().and_then(|names| names.split(',').next()).or(topic.as_deref()).unwrap_or("canal");
    let mut draft = Draft::new(format!("Made from Canal's {}.", names.join(" and ")), task);
    if name.is_some_and(|names| names.contains(',')) {
        draft.source.missing("the server runs several instances: each is a task with a file of its own");
    }
    source::import(&mut options, &mut draft);
    sink(&mut options, &mut draft);
    routing::import(&mut options, topic, &mut draft);
    options.leave_rest(&mut draft, REASONS);
    Ok(draft)
}

fn sink(options: &mut Options, draft: &mut Draft) {
    let sink = &mut draft.sink;
    match options.take("canal.serverMode").map(|mode| mode.to_ascii_lowercase()).as_deref() {
        None | Some("kafka") => {}
        Some("tcp") => sink.missing("the server handed its records to clients over TCP; here they read them from Kafka"),
        Some(_) => sink.missing("the server wrote to another message queue; this program writes to Kafka"),
    }
    if let Some(servers) = options.take_any(&["kafka.bootstrap.servers", "canal.mq.servers"]) {
        kafka::brokers(sink, "kafka.bootstrap.servers", &servers);
    }
    kafka::no_brokers(sink);
    for name in ["kafka.kerberos.enable", "canal.mq.kafka.kerberos.enable"] {
        if options.take_bool(name) == Some(true) {
            sink.missing("Kerberos is not supported: use SCRAM or PLAIN, or client certificates");
        }
    }
    for (name, _) in options.take_prefix("kafka.kerberos.").into_iter().chain(options.take_prefix("canal.mq.kafka.kerberos.")) {
        draft.leave(format!("kafka.kerberos.{name}"), "Kerberos is not supported");
    }
    for (old, new) in [("canal.mq.compressionType", "kafka.compression.type"), ("canal.mq.acks", "kafka.acks")] {
        if let Some(text) = options.take(old)
            && !options.has(new)
        {
            options.insert(new, text);
        }
    }
    kafka::producer(options, &["kafka.", "canal.mq.kafka."], draft);
    let sink = &mut draft.sink;
    if options.take_bool("canal.mq.flatMessage") == Some(false) {
        sink.missing("the records were Canal's protobuf messages; this is its JSON (flatMessage = true), so change the readers");
    }
    sink.note("numbers and JSON documents are written as Canal writes them; without these two keys they are exact");
    sink.set("format.canal_json", Item::map([("decimal", Item::text("canal")), ("json", Item::text("canal"))]));
}
