//! Rows and changes as JSON, for sinks and formats that need no format of their own.

use serde_json::{Map, Value as Json, json};

use crate::{Column, ColumnKind, Error, Op, Result, Row, RowChange, TableSchema, Value, text};

impl Row {
    /// The row as a JSON object by column names: numbers as numbers, JSON columns as what they hold, ENUM and SET
    /// as labels, decimals, dates and times as text (TIMESTAMP in UTC), binary values as lower-case hexadecimal digits.
    ///
    /// An error of kind `Data` names the column whose value is not valid in its character set.
    pub fn to_json(&self, schema: &TableSchema) -> Result<Json> {
        let cell = |(column, value): (&Column, Value<'_>)| Ok((column.name.clone(), column.to_json(value)?));
        schema.columns.iter().zip(self.values()).map(cell).collect::<Result<Map<_, _>>>().map(Json::Object)
    }
}

impl RowChange {
    /// The newest value of a column by its exact name: of the row after the change, or of the deleted row. `None` without such a column.
    pub fn get(&self, column: &str) -> Option<Value<'_>> {
        Some(self.newest()?.get(self.schema.column(column)?))
    }

    /// The columns with their newest values.
    pub fn cells(&self) -> impl Iterator<Item = (&Column, Value<'_>)> {
        self.newest().into_iter().flat_map(|row| self.schema.columns.iter().zip(row.values()))
    }

    /// The change as `{"database", "table", "op", "before", "after"}`; `op` is `read`, `insert`, `update` or `delete`, and the images are as in
    /// [`Row::to_json`] or null.
    pub fn to_json(&self) -> Result<Json> {
        let image = |row: &Option<Row>| row.as_ref().map_or(Ok(Json::Null), |row| row.to_json(&self.schema));
        Ok(self.json_of(image(&self.before)?, image(&self.after)?))
    }

    /// Like [`RowChange::to_json`], but never fails: a value that has no JSON becomes `{"hex": "<its bytes>"}`.
    pub(crate) fn to_json_as_it_is(&self) -> Json {
        let cell = |(column, value): (&Column, Value<'_>)| (column.name.clone(), column.to_json(value).unwrap_or_else(|_| raw(value)));
        let image = |row: &Option<Row>| {
            row.as_ref().map_or(Json::Null, |row| Json::Object(self.schema.columns.iter().zip(row.values()).map(cell).collect()))
        };
        self.json_of(image(&self.before), image(&self.after))
    }

    fn json_of(&self, before: Json, after: Json) -> Json {
        let op = match self.op {
            Op::Read => "read",
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
        };
        let id = &self.schema.id;
        json!({"database": &*id.database, "table": &*id.table, "op": op, "before": before, "after": after})
    }
}

/// A value that has no JSON: its bytes, or what can be said of it.
fn raw(value: Value<'_>) -> Json {
    match value {
        Value::Text(bytes) | Value::Bytes(bytes) | Value::Json(bytes) | Value::Geometry(bytes) => {
            json!({"hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()})
        }
        value => json!({"value": format!("{value:?}")}),
    }
}

impl Column {
    /// A value of the column as JSON, in the form that [`Row::to_json`] gives it, and with the same error.
    pub fn to_json(&self, value: Value<'_>) -> Result<Json> {
        Ok(match (value, &self.kind) {
            (Value::Null, _) => Json::Null,
            (Value::Int(number), _) => number.into(),
            (Value::UInt(number) | Value::Bit(number), _) => number.into(),
            (Value::Year(year), _) => year.into(),
            // The shortest decimal of the single precision, not the digits that a conversion to double precision adds.
            (Value::Float(number), _) => number.to_string().parse().map_or(Json::Null, |number: f64| number.into()),
            (Value::Double(number), _) => number.into(),
            // 0 is the error value of an ENUM, and has no label.
            (Value::Enum(index), ColumnKind::Enum { labels }) => {
                usize::from(index).checked_sub(1).and_then(|index| labels.get(index)).map_or("", String::as_str).into()
            }
            (Value::Set(mask), ColumnKind::Set { labels }) => {
                let chosen = labels.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, label)| label.as_str());
                chosen.collect::<Vec<_>>().join(",").into()
            }
            (value, kind) => {
                let mut out = Vec::new();
                text::write_canonical(&mut out, value, self)?;
                let invalid = |error: &dyn std::error::Error| {
                    Error::data(format!("column {} is not valid text", self.name)).because(error.to_string())
                };
                let text = String::from_utf8(out).map_err(|error| invalid(&error))?;
                match kind {
                    ColumnKind::Json => serde_json::from_str(&text).map_err(|error| invalid(&error))?,
                    _ => text.into(),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Collation, TableId};

    #[test]
    fn a_change_is_json_in_one_call() {
        let labels = vec!["small".to_owned(), "large".to_owned()];
        let columns = vec![
            Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)"),
            Column {
                collation: Some(Collation::new("utf8mb4_bin")),
                ..Column::new("name", ColumnKind::Varchar { length: 20 }, "varchar(20)")
            },
            Column::new("size", ColumnKind::Enum { labels: labels.clone() }, "enum('small','large')"),
            Column::new("flags", ColumnKind::Set { labels }, "set('small','large')"),
            Column::new("ratio", ColumnKind::Float, "float"),
            Column::new("doc", ColumnKind::Json, "json"),
        ];
        let schema = Arc::new(TableSchema::new(TableId::new("shop", "items"), columns));
        let row =
            Row::from_values([Value::Int(7), Value::Text("ä".as_bytes()), Value::Enum(2), Value::Set(3), Value::Float(0.1), Value::Null]);
        let change = RowChange::new(schema, Op::Insert, None, Some(row));
        let after = json!({"id": 7, "name": "ä", "size": "large", "flags": "small,large", "ratio": 0.1, "doc": null});
        let expected = json!({"database": "shop", "table": "items", "op": "insert", "before": null, "after": after});
        assert_eq!(change.to_json().unwrap(), expected);
        assert_eq!(change.to_json_as_it_is(), expected);
        let invalid = Row::from_values([Value::Int(7), Value::Text(b"\xffa"), Value::Null, Value::Null, Value::Null, Value::Json(b"{")]);
        let invalid = RowChange::new(change.schema.clone(), Op::Delete, Some(invalid), None);
        assert!(invalid.to_json().is_err());
        let json = invalid.to_json_as_it_is();
        assert_eq!((&json["before"]["name"], &json["before"]["doc"]), (&json!({"hex": "ff61"}), &json!({"hex": "7b"})));
        assert_eq!((&json["before"]["id"], &json["after"]), (&json!(7), &Json::Null));
        assert_eq!(change.get("id"), Some(Value::Int(7)));
        assert_eq!(change.get("ID"), None);
        assert_eq!(
            change.cells().map(|(column, _)| column.name.as_str()).collect::<Vec<_>>(),
            ["id", "name", "size", "flags", "ratio", "doc"]
        );
    }
}
