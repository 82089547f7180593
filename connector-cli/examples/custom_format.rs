//! A format of your own under the stock program: `cargo run --example custom_format -- run task.toml`, with `format.envelope = {}` in
//! `[sink.kafka]`. The shape is Debezium's: `before`, `after`, `source`, `op` and `ts_ms`; numbers are numbers, all else is text.

use runtime::{Body, Column, ColumnKind, Encoder, Error, Event, Message, Op, Registry, Result, Row, RowChange, Value, text};
use serde_json::{Map, Value as Json, json};

/// `format.envelope = { server = "shop" }`
#[derive(serde::Deserialize)]
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
    /// One event, one message. A body without a message leaves `out` empty: then nothing is sent.
    fn encode(&mut self, events: &[Event], out: &mut Message) -> Result<usize> {
        let Some(event) = events.first() else { return Err(Error::fatal("encode nothing")) };
        let message = match &event.body {
            Body::Row(change) => self.row(event, change)?,
            Body::Schema(change) => {
                json!({ "source": self.source(event, &change.database, ""), "ddl": change.statement, "ts_ms": event.origin.read_ms })
            }
            _ => return Ok(1),
        };
        serde_json::to_writer(&mut out.value, &message).map_err(|error| Error::data("write the message").because(error))?;
        Ok(1)
    }
}

impl Envelope {
    fn row(&self, event: &Event, change: &RowChange) -> Result<Json> {
        let image = |row: &Option<Row>| row.as_ref().map_or(Ok(Json::Null), |row| image(row, &change.schema.columns));
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

    fn source(&self, event: &Event, database: &str, table: &str) -> Json {
        json!({
            "name": self.config.server, "db": database, "table": table, "ts_ms": event.timestamp_ms,
            "pos": event.position.as_str(), "server_id": event.origin.server_id, "gtid": event.origin.gtid.as_deref(),
        })
    }
}

fn image(row: &Row, columns: &[Column]) -> Result<Json> {
    let cells = columns.iter().zip(row.values()).map(|(column, value)| Ok((column.name.clone(), cell(value, column)?)));
    Ok(Json::Object(cells.collect::<Result<Map<_, _>>>()?))
}

fn cell(value: Value<'_>, column: &Column) -> Result<Json> {
    Ok(match (value, &column.kind) {
        (Value::Null, _) => Json::Null,
        (Value::Int(number), _) => number.into(),
        (Value::UInt(number) | Value::Bit(number), _) => number.into(),
        (Value::Year(year), _) => year.into(),
        (Value::Float(number), _) => f64::from(number).into(),
        (Value::Double(number), _) => number.into(),
        // 0 is the error value of an ENUM, and has no label.
        (Value::Enum(index), ColumnKind::Enum { labels }) => {
            usize::from(index).checked_sub(1).and_then(|index| labels.get(index)).map_or("", String::as_str).into()
        }
        (Value::Set(mask), ColumnKind::Set { labels }) => {
            let chosen = labels.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, label)| label.as_str());
            chosen.collect::<Vec<_>>().join(",").into()
        }
        // Decimals, dates and times as MySQL prints them (timestamps in UTC), texts in Unicode, bytes in hexadecimal digits.
        (value, _) => {
            let mut out = Vec::new();
            text::write_canonical(&mut out, value, column)?;
            String::from_utf8(out).map_err(|error| Error::data(format!("read column {}", column.name)).because(error))?.into()
        }
    })
}

fn register(registry: &mut Registry) {
    registry.encoder("envelope", |config: Config, _| Ok(Envelope { config }));
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let mut registry = connector_cli::bundled();
    register(&mut registry);
    connector_cli::run(registry, std::env::args_os()).await
}
