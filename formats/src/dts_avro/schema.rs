//! The schema of the records, as a registry takes it.

use std::sync::OnceLock;

use apache_avro::Schema;
use serde_json::Value;

use crate::error::FormatError;

/// The named types of a record, in the order of their definition; the record itself is the last.
const TYPES: &str = include_str!("Record.avsc");

/// The self-contained schema `com.alibaba.dts.formats.avro.Record` as JSON text.
pub(super) fn text() -> Result<&'static str, FormatError> {
    static TEXT: OnceLock<String> = OnceLock::new();
    if let Some(text) = TEXT.get() {
        return Ok(text);
    }
    let schema = record().map_err(FormatError::Schema)?;
    let text = serde_json::to_string(&schema).map_err(|error| FormatError::Schema(error.into()))?;
    Ok(TEXT.get_or_init(|| text))
}

/// The record with every other type defined where it is first used.
fn record() -> Result<Schema, Box<dyn std::error::Error + Send + Sync>> {
    let types: Vec<Value> = serde_json::from_str(TYPES)?;
    let mut types = Schema::parse_list(types.iter().map(Value::to_string))?;
    let mut record = types.pop().ok_or("the list of types is empty")?;
    record.denormalize(&types)?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use apache_avro::rabin::Rabin;
    use sha2::Sha256;

    use super::*;

    /// The published identity of the schema: another one would make consumers read other values.
    #[test]
    fn it_is_the_schema_that_consumers_were_compiled_with() {
        let schema = Schema::parse_str(text().unwrap()).unwrap();
        assert_eq!(schema.canonical_form().len(), 3_987);
        let rabin = schema.fingerprint::<Rabin>().bytes;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&rabin), "78c4c4796716ebae");
        assert_eq!(hex(&schema.fingerprint::<Sha256>().bytes), "d57f6ce464e631aa7f6438633ce499bac5c59a91bda494dceef980d25663060d");
    }

    #[test]
    fn a_list_of_fourteen_types() {
        assert_eq!(serde_json::from_str::<Vec<Value>>(TYPES).unwrap().len(), 14);
    }
}
