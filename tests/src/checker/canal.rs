//! Reads Canal JSON with serde_json.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Change, Decoded, Image, Op, Table};
use crate::{Failure, Result};

/// A message, with every key that Canal writes. Any other key is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    data: Option<Vec<Image>>,
    database: String,
    es: i64,
    #[serde(default)]
    #[expect(dead_code, reason = "must be text or null if it is there")]
    gtid: Option<String>,
    #[expect(dead_code, reason = "must be a number")]
    id: i64,
    is_ddl: bool,
    #[serde(default)]
    mysql_type: Option<BTreeMap<String, String>>,
    #[serde(default)]
    old: Option<Vec<Image>>,
    #[serde(default)]
    pk_names: Option<Vec<String>>,
    sql: Option<String>,
    #[serde(default)]
    sql_type: Option<BTreeMap<String, i32>>,
    table: String,
    ts: i64,
    #[serde(rename = "type")]
    kind: String,
}

pub(super) fn decode(value: &[u8]) -> Result<Decoded> {
    let message: Message = serde_json::from_slice(value).map_err(|error| Failure::from(error).context("read Canal JSON"))?;
    if message.es <= 0 || message.ts <= 0 {
        return Failure::err(format!("Canal JSON with es {} and ts {}", message.es, message.ts));
    }
    if message.is_ddl {
        return Ok(Decoded::Schema { database: message.database, sql: message.sql.unwrap_or_default() });
    }
    let op = match message.kind.as_str() {
        "INIT" => Op::Read,
        "INSERT" => Op::Insert,
        "UPDATE" => Op::Update,
        "DELETE" => Op::Delete,
        other => return Failure::err(format!("Canal JSON of type {other} that is not a DDL")),
    };
    let table = Table::new(message.database, message.table);
    // A table without a primary key has none.
    let key = message.pk_names.unwrap_or_default();
    let data = message.data.ok_or_else(|| Failure::new(format!("{table}: {} without data", message.kind)))?;
    let types = message.mysql_type.zip(message.sql_type);
    let (names, codes) = types.ok_or_else(|| Failure::new(format!("{table}: no mysqlType or sqlType")))?;
    let mut old = message.old.unwrap_or_default().into_iter();
    let mut changes = Vec::with_capacity(data.len());
    for row in data {
        if !row.keys().eq(names.keys()) || !row.keys().eq(codes.keys()) {
            return Failure::err(format!("{table}: data, mysqlType and sqlType name different columns"));
        }
        let (before, after) = match op {
            Op::Read | Op::Insert => (None, Some(row)),
            Op::Delete => (Some(row), None),
            Op::Update => {
                let changed = old.next().ok_or_else(|| Failure::new(format!("{table}: an updated row without `old`")))?;
                let mut before = row.clone();
                before.extend(changed);
                (Some(before), Some(row))
            }
        };
        changes.push(Change { table: table.clone(), op, key: key.clone(), before, after });
    }
    Ok(Decoded::Rows(changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_gives_the_whole_row_before_and_after() {
        let text = r#"{"data":[{"id":"2","a":null}],"database":"d","es":1,"gtid":"","id":1,"isDdl":false,"mysqlType":{"id":"int(11)","a":"text"},
            "old":[{"id":"1"}],"pkNames":["id"],"sql":"","sqlType":{"id":4,"a":2005},"table":"t","ts":1,"type":"UPDATE"}"#;
        let Decoded::Rows(changes) = decode(text.as_bytes()).unwrap() else { panic!("no rows") };
        let image = |id: &str| Image::from([("a".into(), None), ("id".into(), Some(id.into()))]);
        assert_eq!((&changes[0].before, &changes[0].after), (&Some(image("1")), &Some(image("2"))));
        assert!(decode(text.replace("\"ts\":1", "\"ts\":1,\"x\":1").as_bytes()).is_err(), "an unknown key");
    }
}
