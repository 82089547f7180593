//! Helpers that create tables, events and encoders for the tests.

use std::sync::Arc;

use formats::canal_json::{self, CanalJson};
use formats::dts_avro::DtsAvro;
use runtime::{
    Body, Collation, Column, ColumnKind, Encoder, Event, Message, Op, Origin, Position, Row, RowChange, SchemaChange, Seq, TableId,
    TableSchema, Value,
};

/// A column whose kind is parsed from `source_type`; only the types that these tests use are supported.
pub(crate) fn column(name: &str, source_type: &str) -> Column {
    let lower = source_type.to_lowercase();
    let (base, rest) = lower.split_once(['(', ' ']).unwrap_or((&lower, ""));
    let arguments = rest.split(')').next().unwrap_or_default();
    let number = |index: usize| arguments.split(',').nth(index).and_then(|text| text.trim().parse().ok());
    let length = number(0).unwrap_or(1u32);
    let fsp = number(0).unwrap_or(0) as u8;
    let labels = || arguments.split(',').map(|label| label.trim_matches('\'').to_owned()).collect();
    let kind = match base {
        "tinyint" => ColumnKind::Int { bytes: 1 },
        "smallint" => ColumnKind::Int { bytes: 2 },
        "mediumint" => ColumnKind::Int { bytes: 3 },
        "int" => ColumnKind::Int { bytes: 4 },
        "bigint" => ColumnKind::Int { bytes: 8 },
        "decimal" => ColumnKind::Decimal { precision: length as u8, scale: number(1).unwrap_or(0) as u8 },
        "float" => ColumnKind::Float,
        "double" => ColumnKind::Double,
        "bit" => ColumnKind::Bit { bits: length as u8 },
        "year" => ColumnKind::Year,
        "date" => ColumnKind::Date,
        "time" => ColumnKind::Time { fsp },
        "datetime" => ColumnKind::DateTime { fsp },
        "timestamp" => ColumnKind::Timestamp { fsp },
        "char" => ColumnKind::Char { length },
        "varchar" => ColumnKind::Varchar { length },
        "tinytext" => ColumnKind::Text { prefix: 1 },
        "text" => ColumnKind::Text { prefix: 2 },
        "mediumtext" => ColumnKind::Text { prefix: 3 },
        "longtext" => ColumnKind::Text { prefix: 4 },
        "binary" => ColumnKind::Binary { length },
        "varbinary" => ColumnKind::Varbinary { length },
        "tinyblob" => ColumnKind::Blob { prefix: 1 },
        "blob" => ColumnKind::Blob { prefix: 2 },
        "mediumblob" => ColumnKind::Blob { prefix: 3 },
        "longblob" => ColumnKind::Blob { prefix: 4 },
        "enum" => ColumnKind::Enum { labels: labels() },
        "set" => ColumnKind::Set { labels: labels() },
        "json" => ColumnKind::Json,
        "point" | "geometry" => ColumnKind::Geometry,
        other => panic!("type {other}"),
    };
    let mut column = Column::new(name, kind, source_type);
    column.unsigned = lower.contains("unsigned");
    column
}

/// The same column with a different character set.
pub(crate) fn in_charset(mut column: Column, charset: &str) -> Column {
    column.collation = Some(Collation::new(format!("{charset}_bin")));
    column
}

/// The table `shop.orders` with these columns; the first is the primary key.
pub(crate) fn table(columns: Vec<Column>) -> Arc<TableSchema> {
    let mut schema = TableSchema::new(TableId::new("shop", "orders"), columns);
    schema.primary_key = vec![0];
    Arc::new(schema)
}

/// An origin with fields as a source would set them.
pub(crate) fn origin() -> Arc<Origin> {
    let mut origin = Origin::default();
    origin.server_id = 57;
    origin.server_version = "5.7.22-log".into();
    origin.thread_id = 9;
    origin.offset = "72469@78".into();
    origin.safe_offset = "72347@78".into();
    origin.read_ms = 1_748_737_800_412;
    Arc::new(origin)
}

/// An event with a fixed time and position.
pub(crate) fn event(body: Body) -> Event {
    Event {
        seq: Seq(1),
        position: Position::from("binlog.000078:72469"),
        timestamp_ms: 1_748_737_800_000,
        txid: None,
        origin: origin(),
        body,
    }
}

/// An event with a row change in a table of this schema.
pub(crate) fn change(schema: &Arc<TableSchema>, op: Op, before: Option<Row>, after: Option<Row>) -> Event {
    event(Body::Row(RowChange::new(schema.clone(), op, before, after)))
}

/// An event with an inserted row.
pub(crate) fn insert<'a>(schema: &Arc<TableSchema>, values: impl IntoIterator<Item = Value<'a>>) -> Event {
    change(schema, Op::Insert, None, Some(Row::from_values(values)))
}

/// An event with a schema change.
pub(crate) fn schema_change(change: SchemaChange) -> Event {
    event(Body::Schema(change))
}

/// Encodes one event and returns the bytes of the message.
pub(crate) fn encode(encoder: &mut dyn Encoder, event: &Event) -> runtime::Result<Vec<u8>> {
    let mut message = Message::default();
    encoder.encode(event, &mut message)?;
    Ok(message.value)
}

/// Encodes one event as Canal JSON; `settings` is JSON.
pub(crate) fn canal_with(settings: &str, event: &Event) -> String {
    let config: canal_json::Config = serde_json::from_str(settings).unwrap();
    String::from_utf8(encode(&mut CanalJson::new(config), event).unwrap()).unwrap()
}

/// Encodes one event as Canal JSON with the default settings.
pub(crate) fn canal(event: &Event) -> String {
    canal_with("{}", event)
}

/// Encodes one event as DTS Avro with the default settings.
pub(crate) fn avro(event: &Event) -> Vec<u8> {
    encode(&mut DtsAvro::default(), event).unwrap()
}
