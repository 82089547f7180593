//! The settings of a Debezium connector for MySQL or MariaDB, as Kafka Connect takes them.

mod columns;
mod failures;
mod routing;
mod source;

use runtime::{Error, Result};
use serde_json::Value;

use super::draft::{Draft, Plugin};
use super::input::Input;
use super::kafka;
use super::options::{Options, item};
use super::toml::Item;

const READER: &str = "how Debezium reads and buffers; this program has its own ways, see docs/performance.md";
const CONNECT: &str = "of Kafka Connect; one process of this program runs one task";
const VALUES: &str = "how values are written is decided by the format, see docs/formats";
const HISTORY: &str = "schemas are kept in the task's checkpoint, so no topic for their history is needed";
const SNAPSHOT: &str = "existing rows are read in chunks without locks; see `parallelism` and `chunk_rows`";
const STOPS: &str = "what cannot be read stops the task with an error; it is not passed over";

/// Why options have no counterpart.
const REASONS: &[(&str, &str)] = &[
    ("connector.class", ""),
    ("name", ""),
    ("tasks.max", ""),
    ("key.converter*", "the record's key is set with `record_key` under [sink.kafka]"),
    ("value.converter*", VALUES),
    ("header.converter*", CONNECT),
    ("config.action.reload", CONNECT),
    ("exactly.once.support", CONNECT),
    ("transaction.boundary*", CONNECT),
    ("offset*", "positions are kept in the task's checkpoint"),
    ("errors.retry.*", "the pauses between attempts are not set; `retry.window_minutes` says how long failures are retried"),
    ("errors.log.*", "each table and cause is logged, without values of rows"),
    ("errors.*", CONNECT),
    ("schema.history.internal*", HISTORY),
    ("database.history*", HISTORY),
    ("snapshot.select.statement.overrides*", "existing rows are read whole; a `filter` transform drops rows in both phases"),
    ("snapshot.include.collection.list", "all selected tables are read; make a task of its own for the others"),
    ("snapshot.*", SNAPSHOT),
    ("incremental.snapshot.*", SNAPSHOT),
    ("min.row.count.to.stream.results", SNAPSHOT),
    ("signal.*", "there are no signals: a task is stopped, its file changed, and it is started again"),
    ("notification.*", "what the task does is in its log and status"),
    ("heartbeat.action.query", "nothing is written to the source"),
    ("heartbeat.topics.prefix", "heartbeats go to the topic of the task"),
    ("topic.heartbeat.prefix", "heartbeats go to the topic of the task"),
    ("topic.transaction", "formats with records for transactions have a key for it, such as `transactions` of dts_avro"),
    ("transaction.topic", "formats with records for transactions have a key for it, such as `transactions` of dts_avro"),
    ("provide.transaction.metadata*", "formats with records for transactions have a key for it, such as `transactions` of dts_avro"),
    ("topic.*", "the name of the topic is `topic` under [sink.kafka]"),
    ("time.precision.mode", VALUES),
    ("bigint.unsigned.handling.mode", VALUES),
    ("decimal.handling.mode", "decimals are exact; `decimal` of canal_json writes them in another form"),
    ("enable.time.adjuster", VALUES),
    ("converters", VALUES),
    ("sanitize.field.names", VALUES),
    ("field.name.adjustment.mode", VALUES),
    ("schema.name.adjustment.mode", VALUES),
    ("schema.refresh.mode", VALUES),
    ("source.struct.version", VALUES),
    ("column.propagate.source.type", "formats carry the types of columns anyway"),
    ("datatype.propagate.source.type", "formats carry the types of columns anyway"),
    ("include.schema.comments", VALUES),
    ("include.query", "the text of statements that change rows is not delivered"),
    ("event.processing.failure.handling.mode", STOPS),
    ("event.deserialization.failure.handling.mode", STOPS),
    ("inconsistent.schema.handling.mode", STOPS),
    ("gtid.source.*", "transactions are not chosen by their GTID"),
    ("skip.messages.without.change", "an update that changes no delivered column is delivered"),
    ("max.*", READER),
    ("min.*", READER),
    ("poll.interval.ms", READER),
    ("binlog.buffer.size", READER),
    ("connect.*", READER),
    ("connection.*", READER),
    ("database.connectionTimeZone", "TIMESTAMP is read in UTC; `time_zone` of canal_json writes it in another zone"),
    ("database.serverTimezone", "TIMESTAMP is read in UTC; `time_zone` of canal_json writes it in another zone"),
    ("database.initial.statements", "sessions are set up by this program"),
    ("database.protocol", ""),
    ("database.jdbc.*", "the server is reached without a JDBC driver"),
    ("database.query.timeout.ms", READER),
    ("database.*", READER),
    ("driver.*", "the server is reached without a JDBC driver"),
    ("read.only", "nothing is written to the source"),
    ("query.fetch.size", SNAPSHOT),
    ("retriable.restart.connector.wait.ms", "`retry.window_minutes` says how long failures are retried"),
    ("custom.*", CONNECT),
    ("table.ignore.builtin", "the databases of the server itself are never delivered"),
    ("include.schema.changes", ""),
    ("predicates*", "conditions of Kafka Connect's transforms are not taken over"),
    ("post.processors*", "row values are not looked up again"),
    ("openlineage.*", CONNECT),
    ("extended.headers.enabled", CONNECT),
];

/// Reads the request that creates a connector, `{"name": …, "config": {…}}`, or the settings alone.
pub(super) fn import(input: &Input) -> Result<Draft> {
    let help = "give the JSON that creates the connector: {\"name\": …, \"config\": {…}}, or what stands in \"config\"";
    let wrong = |place: &str| Error::config(format!("{}: {place} is not an object", input.name)).with_help(help);
    let Value::Object(root) = input.json()? else { return Err(wrong("the document")) };
    let config = match root.get("config") {
        Some(Value::Object(config)) => config,
        Some(_) => return Err(wrong("config")),
        None => &root,
    };
    let mut options = Options::default();
    for (name, value) in config {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        options.insert(name.as_str(), text);
    }
    match options.take("connector.class") {
        Some(class) if !(class.contains("MySql") || class.contains("MariaDb")) => {
            return Err(Error::config(format!("{}: `connector.class` is not Debezium's connector for MySQL or MariaDB", input.name))
                .with_help("this program reads MySQL, MariaDB and PolarDB-X only"));
        }
        None if !options.has("database.hostname") => {
            return Err(Error::config(format!("{} is not the configuration of a connector", input.name))
                .because("it has neither `connector.class` nor `database.hostname`")
                .with_help(help));
        }
        _ => {}
    }
    let inner_name = options.take("name");
    let prefix = options.take_any(&["topic.prefix", "database.server.name"]);
    let name = root.get("name").and_then(Value::as_str).map(str::to_owned).or(inner_name).or_else(|| prefix.clone());
    let mut draft = Draft::new(format!("Made from the Debezium connector in {}.", input.name), name.as_deref().unwrap_or("debezium"));
    source::import(&mut options, &mut draft);
    operations(&mut options, &mut draft);
    columns::import(&mut options, &mut draft);
    sink(&mut options, prefix.as_deref(), &mut draft);
    failures::import(&mut options, &mut draft);
    options.leave_rest(&mut draft, REASONS);
    Ok(draft)
}

fn operations(options: &mut Options, draft: &mut Draft) {
    let skipped = options.take("skipped.operations").unwrap_or_default();
    let skipped: Vec<_> = skipped.split(',').map(str::trim).collect();
    let mut kept: Vec<_> = [("c", "insert"), ("u", "update"), ("d", "delete")]
        .into_iter()
        .filter(|(short, _)| !skipped.contains(short))
        .map(|(_, name)| name)
        .collect();
    let all_rows = kept.len() == 3;
    let ddl = options.take_bool("include.schema.changes") != Some(false);
    if ddl && all_rows {
        return;
    }
    if ddl {
        kept.push("ddl");
    }
    let operations = draft.transform(Plugin::Operations, [("tables", Item::texts(["*.*"])), ("keep", Item::texts(kept))]);
    if !ddl {
        operations.note("the connector wrote no schema changes; Canal JSON and DTS Avro readers use them, so consider to keep \"ddl\"");
    }
}

fn sink(options: &mut Options, prefix: Option<&str>, draft: &mut Draft) {
    brokers(options, draft);
    let prefix = match prefix {
        Some(prefix) if !prefix.contains("${") => prefix.to_owned(),
        _ => {
            draft.sink.missing("the file gives no `topic.prefix` that could be read: replace \"debezium\" in the names of topics");
            "debezium".to_owned()
        }
    };
    let unwrapped = routing::import(options, &prefix, draft);
    draft.sink.note("Debezium chooses the partition by a hash of the record's key that is not the one used here");
    draft.sink.set("partition", Item::text("primary_key"));
    draft.sink.set("record_key", Item::text("primary_key"));
    let tombstones = options.take_bool("tombstones.on.delete") != Some(false) && unwrapped.tombstones;
    draft.sink.set("tombstones", Item::Bool(tombstones));
    format(options, draft);
    topics(options, draft);
    let heartbeat = options.take_int("heartbeat.interval.ms").filter(|interval| *interval > 0);
    if let Some(interval) = heartbeat {
        draft.source.note(format!(
            "heartbeats need a format with a record for them and one fixed topic: then write heartbeat = {{ enabled = true, interval_ms = {} }}",
            interval.clamp(100, 3_600_000)
        ));
    }
}

fn brokers(options: &mut Options, draft: &mut Draft) {
    let history = options.take_any(&["schema.history.internal.kafka.bootstrap.servers", "database.history.kafka.bootstrap.servers"]);
    match options.take("producer.override.bootstrap.servers") {
        Some(servers) => kafka::brokers(&mut draft.sink, "producer.override.bootstrap.servers", &servers),
        None => {
            if let Some(servers) = history {
                draft
                    .sink
                    .note("the brokers are those of the connector's schema history; the records went where Kafka Connect's worker wrote");
                kafka::brokers(&mut draft.sink, "schema.history.internal.kafka.bootstrap.servers", &servers);
            }
        }
    }
    kafka::no_brokers(&mut draft.sink);
    let prefixes = ["producer.override.", "producer.", "schema.history.internal.producer.", "database.history.producer."];
    options.take_prefix("schema.history.internal.consumer.");
    options.take_prefix("database.history.consumer.");
    kafka::producer(options, &prefixes, draft);
}

fn format(options: &mut Options, draft: &mut Draft) {
    let converter = options.take("value.converter").unwrap_or_default();
    let url = options.take("value.converter.schema.registry.url");
    let has_user = options.take_secret("value.converter.basic.auth.user.info")
        | options.take_secret("value.converter.schema.registry.basic.auth.user.info");
    options.take_secret("key.converter.basic.auth.user.info");
    options.take_secret("key.converter.schema.registry.basic.auth.user.info");
    let sink = &mut draft.sink;
    let binary = options.take("binary.handling.mode");
    if converter.to_ascii_lowercase().contains("avro") {
        sink.missing("there is no Avro in Debezium's layout; this is the Avro of DTS, so change the readers, or use canal_json");
        match url {
            Some(url) => kafka::registry(sink, "value.converter.schema.registry.url", &url, has_user),
            None => sink.note("the registry is set with schema_registry = { url = \"…\" }"),
        }
        sink.set("format.dts_avro", Item::map::<String>([]));
        return;
    }
    sink.missing(
        "there is no JSON in Debezium's layout; this is the JSON of Canal, so change the readers, many of which have a setting for it",
    );
    let settings = match binary.as_deref() {
        Some("base64" | "base64-url-safe") => vec![("binary", Item::text("base64"))],
        Some("hex") => vec![("binary", Item::text("hex"))],
        _ => Vec::new(),
    };
    sink.set("format.canal_json", Item::map(settings));
}

/// Topics that Kafka Connect would create.
fn topics(options: &mut Options, draft: &mut Draft) {
    let enabled = options.take_bool("topic.creation.enable") != Some(false);
    let mut settings = vec![("enabled", Item::Bool(true))];
    let numbers = [("topic.creation.default.partitions", "partitions"), ("topic.creation.default.replication.factor", "replication")];
    for (option, key) in numbers {
        if let Some(number) = options.take_int(option).filter(|number| *number > 0) {
            settings.push((key, Item::Int(number)));
        }
    }
    let configs = options.take_prefix("topic.creation.default.");
    let configs: Vec<_> = configs.into_iter().filter(|(name, _)| name != "include" && name != "exclude").collect();
    if !configs.is_empty() {
        settings.push(("configs", Item::map(configs.into_iter().map(|(name, text)| (name, Item::text(text))))));
    }
    for (name, _) in options.take_prefix("topic.creation.") {
        draft.leave(format!("topic.creation.{name}"), "all topics that the task creates have the same settings");
    }
    if enabled && settings.len() > 1 {
        draft.sink.set("create_topics", Item::map(settings));
    }
}

/// A text of the connector, for keys of the source.
fn reference(options: &mut Options, draft: &mut Draft, option: &str, env: &str) -> Item {
    match options.take(option) {
        Some(text) => item(&mut draft.source, option, &text, env),
        None => {
            draft.source.missing(format!("the file has no `{option}`: set {env} in the environment, or write it here"));
            Item::env(env)
        }
    }
}
