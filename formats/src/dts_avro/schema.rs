//! The schema of the records, in the form that a schema registry accepts.

use std::sync::LazyLock;

use apache_avro::Schema;
use serde_json::Value;

/// The JSON of the named types of a record. Each is defined before it is used, so the record itself is the last.
const TYPES: &str = include_str!("Record.avsc");

/// The schema `com.alibaba.dts.formats.avro.Record`, with all types that it uses, as JSON text. `None` if it cannot be built from the
/// file; a test shows that it can.
pub(super) fn text() -> Option<&'static str> {
    static TEXT: LazyLock<Option<String>> = LazyLock::new(|| serde_json::to_string(&self_contained()?).ok());
    TEXT.as_deref()
}

/// The record's schema, in which every other type is defined where it is first used.
fn self_contained() -> Option<Schema> {
    let types: Vec<Value> = serde_json::from_str(TYPES).ok()?;
    let mut types = Schema::parse_list(types.iter().map(Value::to_string)).ok()?;
    let mut record = types.pop()?;
    record.denormalize(&types).ok()?;
    Some(record)
}

#[cfg(test)]
mod tests {
    use apache_avro::rabin::Rabin;
    use sha2::Sha256;

    use super::*;

    /// Compares the schema with its published fingerprints. With another schema, consumers would decode wrong values.
    #[test]
    fn it_is_the_schema_that_consumers_were_compiled_with() {
        assert_eq!(serde_json::from_str::<Vec<Value>>(TYPES).unwrap().len(), 14);
        let schema = Schema::parse_str(text().unwrap()).unwrap();
        assert_eq!(schema.canonical_form().len(), 3_987);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&schema.fingerprint::<Rabin>().bytes), "78c4c4796716ebae");
        assert_eq!(hex(&schema.fingerprint::<Sha256>().bytes), "d57f6ce464e631aa7f6438633ce499bac5c59a91bda494dceef980d25663060d");
    }
}
