//! The values of rows as JSON.

use runtime::{Column, Value};

use crate::object::{Object, json_or_text, text};

/// The JSON text of a cell. A value that has no JSON, such as text that is not valid in its character set, is `{"hex": "<its bytes>"}`.
pub(crate) fn cell_json(column: &Column, value: Value<'_>) -> String {
    match (value, column.to_json(value)) {
        (Value::Json(bytes), Ok(_)) => json_or_text(&String::from_utf8_lossy(bytes)),
        (_, Ok(json)) => json.to_string(),
        (Value::Text(bytes) | Value::Json(bytes), Err(_)) => Object::new().with("hex", text(&hex(bytes))).end(),
        (_, Err(_)) => "null".to_owned(),
    }
}

/// The bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use runtime::ColumnKind;

    use super::*;

    #[test]
    fn cells_of_any_kind_are_json() {
        let column = |kind| Column::new("c", kind, "c");
        let text = || column(ColumnKind::Varchar { length: 9 });
        for (column, value, expected) in [
            (column(ColumnKind::Json), Value::Json(b"{\"b\": 1, \"a\": 2}"), r#"{"b": 1, "a": 2}"#),
            (column(ColumnKind::Json), Value::Json(b"{"), r#"{"hex":"7b"}"#),
            (text(), Value::Text(b"\xff"), r#"{"hex":"ff"}"#),
            (text(), Value::Text(b"null"), r#""null""#),
            (text(), Value::Null, "null"),
        ] {
            assert_eq!(cell_json(&column, value), expected);
        }
    }
}
