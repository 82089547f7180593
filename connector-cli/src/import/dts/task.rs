//! The parameters of a DTS task, from the request that configures it or from its description.
//!
//! The command line, the API, its older version and Terraform spell them `DestinationEndpointIP`, `DestinationEndpoint.IP` or
//! `destination_endpoint_ip`. They are compared in small letters without what stands between.

use runtime::{Error, Result};
use serde_json::{Map, Value};

use super::super::draft::Draft;
use super::super::draft::Plugin;
use super::super::input::json;
use super::super::kafka;
use super::super::options::{Options, item, parse_bool};
use super::super::toml::Item;
use super::objects::Objects;
use super::values::text;

/// The names under which the list of objects stands.
const LISTS: [&str; 5] = ["dblist", "dbobject", "migrationobject", "synchronizationobjects", "objects"];

/// Why parameters have no counterpart.
const REASONS: &[(&str, &str)] = &[
    ("jobtype", ""),
    ("dtsjobid", ""),
    ("dtsinstanceid", ""),
    ("regionid", ""),
    ("clienttoken", ""),
    ("accountid", ""),
    ("ownerid", ""),
    ("resourcegroupid", ""),
    ("status", ""),
    ("sourceendpointregion", ""),
    ("destinationendpointregion", ""),
    ("sourceendpointinstancetype", ""),
    ("destinationendpointinstancetype", ""),
    ("destinationendpointenginename", ""),
    ("synchronizationdirection", ""),
    ("delay*", "alerts are for the monitoring that reads this program's metrics"),
    ("error*", "alerts are for the monitoring that reads this program's metrics"),
    ("datacheckconfigure", "the topic is not compared with the source"),
    ("dtsbislabel", ""),
    ("maxdu", "there are no instance classes: the task uses what the machine gives it"),
    ("mindu", "there are no instance classes: the task uses what the machine gives it"),
    ("instanceclass", "there are no instance classes: the task uses what the machine gives it"),
    ("jobinstanceclass", "there are no instance classes: the task uses what the machine gives it"),
    ("dedicatedclusterid", "the task runs where this program is started"),
    ("disasterrecoveryjob", ""),
    ("fileossurl", ""),
    ("sourceendpointdatabasename", "the object list names the databases"),
    ("destinationendpointdatabasename", "a Kafka cluster has no databases"),
    ("sourceendpointvswitchid", "the source is reached by its host and port"),
    ("sourceendpointrole", "the source is reached by its host and port"),
    ("sourceendpointowner*", "the source is reached by its host and port"),
];

const NETWORK: &str = "how DTS reaches the two ends; this program connects to their addresses";
const TARGETS: &str = "for targets other than Kafka";

/// Why entries of `Reserve` have no counterpart.
const RESERVED: &[(&str, &str)] = &[
    ("destVersion", "the versions of the protocol are agreed on with the brokers"),
    ("srcHostPorts", NETWORK),
    ("srcNetType", NETWORK),
    ("destNetType", NETWORK),
    ("srcVpc*", NETWORK),
    ("destVpc*", NETWORK),
    ("srcRegion", NETWORK),
    ("destRegion", NETWORK),
    ("srcInstanceId", NETWORK),
    ("destInstanceId", NETWORK),
    ("a2aFlag", ""),
    ("autoStartModulesAfterConfig", ""),
    ("useJobTask", ""),
    ("isAnalyzer", ""),
    ("tableAnalyze", ""),
    ("SourceEngineVersion", ""),
    ("srcMySQLType", ""),
    ("srcOracleType", ""),
    ("destOracleType", ""),
    ("eventMove", TARGETS),
    ("privilegeMigration", TARGETS),
    ("privilegeDbList", TARGETS),
    ("definer", TARGETS),
    ("retry.blind.seconds", "one window, `retry.window_minutes`, holds for failures of either end"),
    ("retry.sleep.seconds", "pauses between attempts grow by themselves"),
    ("dts.datamove.*", "this version has no limits of rows or bytes per second"),
    ("fullDynamicConfig", "this version has no limits of rows or bytes per second"),
    ("incDynamicConfig", "this version has no limits of rows or bytes per second"),
    ("sqlparser.*", "statements of online schema changes are delivered when the tool renames its table"),
    ("online.ddl.*", "the names of the shadow tables of gh-ost, pt-online-schema-change and Facebook's OSC are known"),
    ("etlOperatorColumnReference", "for the daily tables (T+1) of data warehouses"),
];

/// Whether an object is a task and not a list of databases.
pub(super) fn is_task(root: &Map<String, Value>) -> bool {
    root.iter().any(|(key, value)| {
        let key = plain(key);
        let names_job = (key == "dtsjobname" || key == "migrationjobname" || key == "reserve" || key == "reserved") && value.is_string();
        (LISTS.contains(&key.as_str()) && (value.is_string() || value.is_array())) || names_job || is_inner_list(&key, value)
    })
}

/// Whether this is the list itself, written as an object in the task; a database of that name has `all`, `name` or `Table`.
fn is_inner_list(key: &str, value: &Value) -> bool {
    LISTS.contains(&key)
        && value.as_object().is_some_and(|list| !list.is_empty() && list.values().all(Value::is_object) && !list.contains_key("Table"))
}

fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

pub(super) fn import(file: &str, root: Map<String, Value>) -> Result<Draft> {
    let mut options = Options::default();
    let (mut objects, mut reserved) = (None, None);
    for (key, value) in &root {
        let name = plain(key);
        let place = format!("{file}: {key}");
        match value {
            Value::String(text) if LISTS.contains(&name.as_str()) => objects = Some((place.clone(), json(&place, text)?)),
            value if LISTS.contains(&name.as_str()) => objects = Some((place, value.clone())),
            Value::String(text) if is_reserve(&name) && !text.trim().is_empty() => reserved = Some(json(&place, text)?),
            value if is_reserve(&name) => reserved = Some(value.clone()),
            // The description of a task has its endpoints as objects.
            Value::Object(inner) => {
                for (inner, value) in inner {
                    let (name, spelled) = (format!("{name}{}", plain(inner)), format!("{key}.{inner}"));
                    options.insert_spelled(&name, &spelled, text(value).unwrap_or_default());
                }
            }
            value => options.insert_spelled(&name, key, text(value).unwrap_or_default()),
        }
    }
    let Some((place, list)) = objects else {
        return Err(Error::config(format!("{file} has no list of objects")).with_help("add DbList, or give the list alone"));
    };
    let name = options.take_any(&["dtsjobname", "migrationjobname", "synchronizationjobname"]).unwrap_or_else(|| "dts".to_owned());
    let mut draft = Draft::new(format!("Made from the DTS task in {file}."), &name);
    let mut parameters = Options::default();
    if let Some(Value::Object(map)) = &reserved {
        for (key, value) in map {
            parameters.insert(key.as_str(), text(value).unwrap_or_default());
        }
    }
    source(&mut options, &mut parameters, &mut draft);
    Objects::read(&place, &list)?.write(&mut draft);
    phases(&mut options, &mut draft);
    shaping(&mut options, &mut parameters, &mut draft);
    sink(&mut options, &mut parameters, &mut draft);
    retry(&mut parameters, &mut draft);
    options.leave_rest(&mut draft, REASONS);
    parameters.leave_rest(&mut draft, RESERVED);
    Ok(draft)
}

fn is_reserve(name: &str) -> bool {
    ["reserve", "reserved", "migrationreserved", "synchronizationreserved"].contains(&name)
}

/// What an object list alone does not say.
pub(super) fn without_parameters(draft: &mut Draft) {
    let mut none = Options::default();
    let mut objects = std::mem::take(&mut draft.source);
    source(&mut none, &mut Options::default(), draft);
    draft.source.append(&mut objects);
    sink(&mut none, &mut Options::default(), draft);
}

fn source(options: &mut Options, parameters: &mut Options, draft: &mut Draft) {
    let source = &mut draft.source;
    let engine = options.take("sourceendpointenginename").unwrap_or_default().to_ascii_lowercase();
    let engines = ["", "mysql", "mariadb", "polardb-x 2.0", "polardb-x", "polardb_x", "polardb", "polardbx", "polardbx20", "drds"];
    if !engines.contains(&engine.as_str()) {
        source.missing("the source of the task is not MySQL, MariaDB or PolarDB-X, which are all that this program reads");
    }
    let instance = options.take("sourceendpointinstanceid");
    match options.take("sourceendpointip") {
        Some(host) => {
            let host = item(source, "SourceEndpointIP", &host, "DB_HOST");
            source.set("host", host);
        }
        None => {
            let what = if instance.is_some() { "DTS knows the source by the id of its instance" } else { "the file names no source" };
            source.missing(format!("{what}: set DB_HOST to the address of its primary endpoint, or write it here"));
            source.set("host", Item::env("DB_HOST"));
        }
    }
    if let Some(port) = options.take_int("sourceendpointport").filter(|port| (1..=65535).contains(port)) {
        source.set("port", Item::Int(port));
    }
    let user = match options.take("sourceendpointusername") {
        Some(user) => item(source, "SourceEndpointUserName", &user, "DB_USER"),
        None => Item::env("DB_USER"),
    };
    source.set("user", user);
    options.take_secret("sourceendpointpassword");
    source.note("set DB_PASSWORD in the environment; the password itself is not copied");
    source.set("password", Item::env("DB_PASSWORD"));
    if parameters.take("srcSSL").is_some_and(|ssl| ssl != "0") {
        source.note("for an authority of your own write ca = \"ca.pem\" as well");
        source.set("tls", Item::map([("mode", Item::text("verify_identity"))]));
    }
    let shadow = [parameters.take_bool("whitelist.ghost.online.ddl.enable"), parameters.take_bool("whitelist.dms.online.ddl.enable")];
    if shadow.contains(&Some(true)) {
        source.note("the task carried the shadow tables of online schema changes");
        source.set("exclude_shadow_tables", Item::Bool(false));
    }
}

fn phases(options: &mut Options, draft: &mut Draft) {
    let names = [
        ("schema", ["structureinitialization", "migrationmodestructureintialization", "migrationmodestructureinitialization"]),
        ("full", ["datainitialization", "migrationmodedataintialization", "migrationmodedatainitialization"]),
        ("incremental", ["datasynchronization", "migrationmodedatasynchronization", ""]),
    ];
    let chosen = names.map(|(phase, names)| (phase, options.take_any(&names).and_then(|text| parse_bool(&text))));
    let checkpoint = options.take_any(&["checkpoint"]);
    if chosen.iter().all(|(_, on)| on.is_none()) {
        return;
    }
    let phases: Vec<_> = chosen.iter().filter(|(_, on)| *on == Some(true)).map(|(phase, _)| *phase).collect();
    if phases.is_empty() {
        draft.source.missing("the task has no phase: write those that you want");
    }
    draft.source.set("phases", Item::texts(phases.iter().copied()));
    if phases != ["incremental"] {
        return;
    }
    match checkpoint.and_then(|text| text.parse().ok()) {
        Some(seconds) if seconds > 0 => {
            let at = super::super::time::rfc3339(seconds);
            draft.source.set("start.timestamp", Item::map([("at", Item::text(at))]));
        }
        _ => draft.source.note("the stream begins at the end of the binlog when the task is first started"),
    }
}

fn shaping(options: &mut Options, parameters: &mut Options, draft: &mut Draft) {
    let script = parameters.take("etlOperatorSetting").or_else(|| options.take("etloperatorsetting"));
    let is_on = parameters.take("etlOperatorCtl").or_else(|| options.take("etloperatorctl")).is_none_or(|on| parse_bool(&on) == Some(true));
    if let Some(script) = script {
        if is_on {
            let script = script.strip_prefix("script:").unwrap_or(&script).trim();
            draft.transform(Plugin::Etl, [("script", Item::text(script))]);
        } else {
            draft.leave("etlOperatorSetting", "ETL was switched off");
        }
    }
    if let Some(case) = parameters.take("dbListCaseChangeMode") {
        match case.as_str() {
            "dest_upper" => draft.only(Plugin::Rename).set("case", Item::text("upper")),
            "dest_lower" => draft.only(Plugin::Rename).set("case", Item::text("lower")),
            // For Kafka, DTS's own policy changes no names.
            "default" | "source" => {}
            _ => draft.leave("dbListCaseChangeMode", "this policy is not known, so names stay as they are"),
        }
    }
}

fn sink(options: &mut Options, parameters: &mut Options, draft: &mut Draft) {
    let instance = options.take("destinationendpointinstanceid");
    let port = options.take_int("destinationendpointport").unwrap_or(9092);
    let address = options.take("destinationendpointip").or_else(|| parameters.take("destHostPorts"));
    let sink = &mut draft.sink;
    match address {
        Some(hosts) => {
            let with_port = |host: &str| if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
            let hosts: Vec<_> = hosts.split(',').map(|host| with_port(host.trim())).collect();
            kafka::brokers(sink, "DestinationEndpointIP", &hosts.join(","));
        }
        None => {
            if instance.is_some() {
                sink.note("DTS knows the cluster by the id of its instance, which is no address");
            }
            kafka::no_brokers(sink);
        }
    }
    let user = options.take("destinationendpointusername");
    options.take_secret("destinationendpointpassword");
    match (parameters.take("destSSL").as_deref(), user) {
        (Some("3"), user) => kafka::sasl(sink, "SCRAM-SHA-256", user),
        (Some("1"), user) => {
            kafka::tls(sink);
            if user.is_some() {
                kafka::sasl(sink, "PLAIN", user);
            }
        }
        (_, Some(user)) => {
            sink.note("the task had an account without encryption: plain sends the password readable, scram_sha_256 does not");
            kafka::sasl(sink, "PLAIN", Some(user));
        }
        (_, None) => {}
    }
    let topic = match parameters.take("destTopic") {
        Some(topic) => item(sink, "destTopic", &topic, "KAFKA_TOPIC"),
        None => {
            sink.missing("the file names no topic: set KAFKA_TOPIC, or write the topic here");
            Item::env("KAFKA_TOPIC")
        }
    };
    sink.set("topic", topic);
    if let Some(topic) = parameters.take("sink.kafka.ddl.topic") {
        let topic = item(sink, "sink.kafka.ddl.topic", &topic, "KAFKA_DDL_TOPIC");
        sink.set("ddl_topic", topic);
    }
    partition(parameters, draft);
    let sink = &mut draft.sink;
    match parameters.take("targetTableMode").as_deref() {
        Some("2") => sink.set("not_empty", Item::text("append")),
        Some(_) => sink.set("not_empty", Item::text("fail")),
        None => {}
    }
    if let Some(codec) = parameters.take("destKafka.compression.type") {
        kafka::compression(sink, &codec);
    }
    kafka::acks(sink, parameters.take("destKafka.acks"));
    format(parameters, draft);
}

fn partition(parameters: &mut Options, draft: &mut Draft) {
    let columns = draft.sink.get("partition_columns").is_some();
    let policy = match parameters.take("destKafkaPartitionKey").as_deref() {
        None if columns => "primary_key",
        None => return,
        Some("none") => "zero",
        Some("database_table" | "table") => "table",
        Some("columns" | "primary_key" | "table_pk") => "primary_key",
        Some(_) => {
            draft.sink.missing("`destKafkaPartitionKey` is not known: choose \"zero\", \"table\" or \"primary_key\"");
            return;
        }
    };
    if policy != "zero" {
        draft.sink.note("DTS does not publish how it computes the hash, so a row may come into another partition than before");
    }
    draft.sink.set("partition", Item::text(policy));
}

fn format(parameters: &mut Options, draft: &mut Draft) {
    let registry = parameters.take_any(&["dest.kafka.schema.registry.url", "destKafkaSchemaRegistryUrl"]);
    let wanted = parameters.take_bool("destSchemaRegistry");
    let sink = &mut draft.sink;
    match parameters.take("kafkaRecordFormat").map(|format| plain(&format)).as_deref() {
        Some("canaljson") => sink.set("format.canal_json", Item::map([("profile", Item::text("dts"))])),
        Some("shareplexjson") => {
            sink.missing("there is no Shareplex JSON; this is Canal JSON, so change the readers");
            sink.set("format.canal_json", Item::map([("profile", Item::text("dts"))]));
        }
        format => {
            if !matches!(format, None | Some("default" | "avro" | "dtsavro")) {
                sink.missing("the format of the task is not known; this is DTS's default");
            }
            match (wanted, registry) {
                (Some(false), _) | (None, None) => {}
                (_, Some(url)) => kafka::registry(sink, "dest.kafka.schema.registry.url", &url, false),
                (_, None) => {
                    sink.missing("the file names no address of the schema registry: set REGISTRY_URL, or write it here");
                    sink.set("schema_registry", Item::map([("url", Item::env("REGISTRY_URL"))]));
                }
            }
            sink.set("format.dts_avro", Item::map::<String>([]));
            return;
        }
    }
    if registry.is_some() || wanted == Some(true) {
        draft.leave("destSchemaRegistry", "only formats with a schema use a registry, and JSON is none");
    }
}

fn retry(parameters: &mut Options, draft: &mut Draft) {
    let Some(seconds) = parameters.take_int("maxRetryTime") else { return };
    let minutes = (seconds / 60).clamp(10, 1440);
    if minutes.checked_mul(60) != Some(seconds) {
        draft.retry.note("the task had a window that is not a whole number of minutes from 10 to 1440");
    }
    draft.retry.set("window_minutes", Item::Int(minutes));
}
