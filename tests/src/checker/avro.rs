//! Reads DTS Avro with the library apache-avro. Its schema was written from the published description, not from the encoder.

use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use serde_json::Value as Json;

use super::{Change, Decoded, Image, Op, Table};
use crate::{Failure, Result};

/// The names of the union branches of a column's value, in the order of the union.
pub const BRANCHES: [&str; 13] = [
    "null",
    "Integer",
    "Character",
    "Decimal",
    "Float",
    "Timestamp",
    "DateTime",
    "TimestampWithTimeZone",
    "BinaryGeometry",
    "TextGeometry",
    "BinaryObject",
    "TextObject",
    "EmptyObject",
];

fn reader() -> Result<&'static GenericDatumReader<'static>> {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    static READER: OnceLock<GenericDatumReader<'static>> = OnceLock::new();
    if let Some(reader) = READER.get() {
        return Ok(reader);
    }
    let schema = Schema::parse_str(include_str!("record.avsc"))?;
    let reader = GenericDatumReader::builder(SCHEMA.get_or_init(|| schema)).build()?;
    Ok(READER.get_or_init(|| reader))
}

/// Reads the fields of a record, each with its name, in the order of the schema. Bytes after the record are an error.
pub fn fields(mut value: &[u8]) -> Result<Vec<(String, Value)>> {
    let Value::Record(fields) = reader()?.read_value(&mut value)? else { return Failure::err("an Avro value that is not a record") };
    if value.is_empty() { Ok(fields) } else { Failure::err(format!("{} bytes after the Avro record", value.len())) }
}

pub(super) fn decode(value: &[u8]) -> Result<Decoded> {
    let fields = fields(value)?;
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| inner(value)).unwrap_or(&Value::Null);
    let Value::Enum(_, operation) = field("operation") else { return Failure::err("an Avro record without operation") };
    let op = match operation.as_str() {
        "INIT" => Op::Read,
        "INSERT" => Op::Insert,
        "UPDATE" => Op::Update,
        "DELETE" => Op::Delete,
        "BEGIN" | "COMMIT" | "HEARTBEAT" | "CHECKPOINT" => return Ok(Decoded::Control),
        "DDL" => return Ok(Decoded::Schema { database: text(field("objectName"))?, sql: text(field("afterImages"))? }),
        other => return Failure::err(format!("an Avro record with operation {other}")),
    };
    let (name, key) = (text(field("objectName"))?, primary_key(field("tags"))?);
    let (database, table) = name.split_once('.').ok_or_else(|| Failure::new(format!("objectName {name} has no table")))?;
    let unescape = |part: &str| part.replace("\\u002E", ".");
    let columns = columns(field("fields"))?;
    let (before, after) = (image(&columns, field("beforeImages"))?, image(&columns, field("afterImages"))?);
    let wanted = (matches!(op, Op::Update | Op::Delete), op != Op::Delete);
    if (before.is_some(), after.is_some()) != wanted {
        return Failure::err(format!("{name}: {operation} with images before {} and after {}", before.is_some(), after.is_some()));
    }
    Ok(Decoded::Rows(vec![Change { table: Table::new(unescape(database), unescape(table)), op, key, before, after }]))
}

/// The value inside a union; any value that is not a union is returned unchanged.
pub fn inner(value: &Value) -> &Value {
    if let Value::Union(_, inner) = value { inner } else { value }
}

fn text(value: &Value) -> Result<String> {
    if let Value::String(text) = value { Ok(text.clone()) } else { Failure::err(format!("text expected, found {value:?}")) }
}

/// The columns of the primary key, from the tag `pk_uk_info`: a JSON object whose keys are key names and whose values are lists of
/// columns. Empty if the table has no primary key.
fn primary_key(tags: &Value) -> Result<Vec<String>> {
    let Value::Map(tags) = tags else { return Failure::err("an Avro record without tags") };
    let Some(keys) = tags.get("pk_uk_info") else { return Ok(Vec::new()) };
    let keys: Json = serde_json::from_str(&text(keys)?)?;
    let columns = keys.get("PRIMARY").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(columns.iter().filter_map(|column| column.as_str().map(str::to_owned)).collect())
}

fn columns(fields: &Value) -> Result<Vec<(String, i32)>> {
    let Value::Array(fields) = fields else { return Failure::err("a row whose fields are not an array") };
    let column = |field: &Value| match field {
        Value::Record(parts) => match parts.as_slice() {
            [(_, Value::String(name)), (_, Value::Int(number))] => Ok((name.clone(), *number)),
            _ => Failure::err(format!("not a Field: {field:?}")),
        },
        _ => Failure::err(format!("a field that is not a record: {field:?}")),
    };
    fields.iter().map(column).collect()
}

fn image(columns: &[(String, i32)], images: &Value) -> Result<Option<Image>> {
    let values = match images {
        Value::Null => return Ok(None),
        Value::Array(values) if values.len() == columns.len() => values,
        _ => return Failure::err("an image that does not fit its fields"),
    };
    let pairs = columns.iter().zip(values);
    let cell = |((name, number), value): (&(String, i32), &Value)| match value {
        Value::Union(0, _) => Ok((name.clone(), None)),
        Value::Union(branch, value) => {
            let branch = BRANCHES.get(*branch as usize).ok_or_else(|| Failure::new(format!("{name}: unknown branch {branch}")))?;
            Ok((name.clone(), Some(format!("{number} {branch}{}", show(value)))))
        }
        other => Failure::err(format!("{name}: {other:?} is not a union")),
    };
    pairs.map(cell).collect::<Result<Image>>().map(Some)
}

/// A value as text, such as `{precision:4,value:-7}`. Bytes that are valid UTF-8 are shown as text.
fn show(value: &Value) -> String {
    match value {
        Value::Record(fields) => {
            let parts: Vec<String> = fields.iter().map(|(name, value)| format!("{name}:{}", show(value))).collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Union(_, inner) => show(inner),
        Value::Null => "null".into(),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::String(text) => text.clone(),
        Value::Bytes(bytes) => super::render::show_bytes(bytes),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::rabin::Rabin;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_schema_is_the_published_one() {
        let schema = Schema::parse_str(include_str!("record.avsc")).unwrap();
        assert_eq!(schema.canonical_form().len(), 3987);
        let fingerprint = schema.fingerprint::<Rabin>().bytes;
        let big_endian = u64::from_le_bytes(fingerprint.try_into().unwrap());
        assert!(big_endian == 0x78c4_c479_6716_ebae || big_endian.swap_bytes() == 0x78c4_c479_6716_ebae, "{big_endian:x}");
    }

    #[test]
    fn a_published_record_is_read() {
        let record = "000480c49fd50c1037323436394037381037323334374037380230000c382e302e333202020e73686f702e7431000214706b5f756b5f696e666f247b\
                      225052494d415259223a5b226964225d7d000406046964060264ec03026e180004060208042d370608312e35300604000004060208042d370608312e35300604\
                      0c02d01f0202020402060208020a020c0080c49fd50c"
            .replace(' ', "");
        let Decoded::Rows(changes) = decode(&bytes(&record)).unwrap() else { panic!("no rows") };
        let change = &changes[0];
        assert_eq!(
            (change.op, &change.table, change.key.as_slice()),
            (Op::Update, &Table::new("shop", "t1"), ["id".to_owned()].as_slice())
        );
        let (before, after) = (change.before.as_ref().unwrap(), change.after.as_ref().unwrap());
        assert_eq!(before["n"], None);
        assert_eq!(after["id"].as_deref(), Some("3 Integer{precision:4,value:-7}"));
        assert_eq!(after["d"].as_deref(), Some("246 Decimal{value:1.50,precision:3,scale:2}"));
        assert_eq!(after["n"].as_deref(), Some("12 DateTime{year:2024,month:1,day:2,hour:3,minute:4,second:5,millis:6}"));
    }
}
