//! A format of your own under the stock program: `cargo run --example custom_format -- run task.toml`, with `format.envelope = {}` in
//! `[sink.kafka]`. The shape is Debezium's: `before`, `after`, `source`, `op` and `ts_ms`; numbers are numbers, everything else is text.

use runtime::{Body, Control, Encoder, EncoderInfo, Error, Event, Message, Op, Result, Row, RowChange};
use serde_json::{Value, json};

/// `format.envelope = { server = "shop" }`
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The logical name of the source, as `source.name` of every message.
    #[serde(default = "default_server")]
    server: String,
}

fn default_server() -> String {
    "polardbx".into()
}

struct Envelope {
    config: Config,
}

impl Encoder for Envelope {
    fn info(&self) -> EncoderInfo {
        let mut info = EncoderInfo::default();
        (info.begin, info.commit, info.heartbeat) = (Control::Ignored, Control::Ignored, Control::Ignored);
        info
    }

    /// One event, one message. A body without a message leaves `out` empty: then nothing is sent.
    fn encode(&mut self, event: &Event, out: &mut Message) -> Result<()> {
        let message = match &event.body {
            Body::Row(change) => self.row(event, change)?,
            Body::Schema(change) => {
                json!({ "source": self.source(event, &change.database, ""), "ddl": change.statement, "ts_ms": event.origin.read_ms })
            }
            _ => return Ok(()),
        };
        serde_json::to_writer(&mut out.value, &message).map_err(|error| Error::data("the message cannot be written").because(error))
    }
}

impl Envelope {
    fn row(&self, event: &Event, change: &RowChange) -> Result<Value> {
        let image = |row: &Option<Row>| row.as_ref().map_or(Ok(Value::Null), |row| row.to_json(&change.schema));
        let op = match change.op {
            Op::Read => "r",
            Op::Insert => "c",
            Op::Update => "u",
            Op::Delete => "d",
        };
        Ok(json!({
            "before": image(&change.before)?,
            "after": image(&change.after)?,
            "source": self.source(event, &change.schema.id.database, &change.schema.id.table),
            "op": op,
            "ts_ms": event.origin.read_ms,
        }))
    }

    fn source(&self, event: &Event, database: &str, table: &str) -> Value {
        json!({
            "name": self.config.server, "db": database, "table": table, "ts_ms": event.timestamp_ms,
            "pos": event.position.as_str(), "server_id": event.origin.server_id, "gtid": event.origin.gtid.as_deref(),
        })
    }
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let mut registry = connector_cli::bundled();
    registry.encoder("envelope", |config: Config| Ok(Envelope { config }));
    connector_cli::run(registry, std::env::args_os()).await
}
