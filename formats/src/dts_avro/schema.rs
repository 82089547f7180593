//! The schema that the encoder gives out is the published one, made from the readable list of types.

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use serde_json::Value;
use sha2::Sha256;

use super::SCHEMA;

/// The named types of a record, in the order of their definition; the record itself is the last.
const TYPES: &str = include_str!("Record.avsc");

/// The record with every other type defined where it is first used.
fn self_contained() -> Schema {
    let types: Vec<Value> = serde_json::from_str(TYPES).unwrap();
    assert_eq!(types.len(), 14);
    let mut types = Schema::parse_list(types.iter().map(Value::to_string)).unwrap();
    let mut record = types.pop().unwrap();
    record.denormalize(&types).unwrap();
    record
}

#[test]
fn it_is_made_of_the_listed_types() {
    let text = serde_json::to_string(&self_contained()).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/dts_avro/schema.json"), format!("{text}\n")).unwrap();
    } else {
        assert_eq!(SCHEMA, text);
    }
}

/// The published identity of the schema. With another schema consumers would read other values.
#[test]
fn it_is_the_schema_that_consumers_were_compiled_with() {
    let schema = Schema::parse_str(SCHEMA).unwrap();
    assert_eq!(schema.canonical_form().len(), 3_987);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&schema.fingerprint::<Rabin>().bytes), "78c4c4796716ebae");
    assert_eq!(hex(&schema.fingerprint::<Sha256>().bytes), "d57f6ce464e631aa7f6438633ce499bac5c59a91bda494dceef980d25663060d");
}
