//! What a task must know that reads several streams of PolarDB-X: they have no order among one another.

use runtime::{Finding, TableSchema};

use crate::config::{SourceSettings, StreamSplit};
use crate::streams::Streams;

/// The finding `streams`: what does not hold if several streams are read. There is none for a single binlog.
pub(crate) fn streams(streams: &Streams) -> Option<Finding> {
    let group = streams.group.as_deref()?;
    let what = format!(
        "the streams of the group {group} ({}) are read: changes are in order within a stream only, so for each primary key; not over keys, \
         within a transaction, or between rows and DDL statements",
        streams.names.len()
    );
    Some(Finding::warning("streams", what, "read the global binlog if the order of all changes matters: leave `stream_group` out"))
}

/// The finding `stream_keys`: whether the streams have the rows of this table at all. A table without a primary key is in no stream that is
/// split by the record. Source: Alibaba Cloud, "Service modes" of the binlog of PolarDB-X.
pub(crate) fn stream_key(settings: &SourceSettings, streams: &Streams, schema: &TableSchema) -> Option<Finding> {
    let is_lost = streams.group.is_some() && settings.config.stream_split == StreamSplit::Record && schema.primary_key.is_empty();
    is_lost.then(|| {
        let what = format!("table {} has no primary key: streams that are split by the record do not have its rows", schema.id);
        let help = "add a primary key or exclude the table; if the group is split by table or database, set `stream_split`";
        Finding::failed("stream_keys", what, help)
    })
}

#[cfg(test)]
mod tests {
    use runtime::{Column, ColumnKind, Level, Settings, TableId};
    use serde_json::json;

    use super::*;
    use crate::splits::StreamName;

    #[test]
    fn several_streams_are_warned_of_and_need_keys() {
        let settings = |split: &str| {
            let keys = json!({"host": "db", "user": "dts", "password": "x", "tables": ["d.*"], "stream_group": "g", "stream_split": split});
            SourceSettings::new(Settings::from(keys).parse("source.polardbx").unwrap()).unwrap()
        };
        let of_group = Streams { group: Some("g".to_owned()), names: vec![StreamName::of_group("g_stream_0").unwrap()] };
        let mut schema = TableSchema::new(TableId::new("d", "t"), vec![Column::new("a", ColumnKind::Int { bytes: 4 }, "int")]);
        assert_eq!(streams(&of_group).map(|found| found.level), Some(Level::Warning));
        assert_eq!(streams(&Streams::global()), None);
        let found = stream_key(&settings("record"), &of_group, &schema).unwrap();
        assert!(found.level == Level::Failed && found.what.contains("d.t has no primary key"), "{found:?}");
        assert_eq!(stream_key(&settings("table"), &of_group, &schema), None);
        assert_eq!(stream_key(&settings("record"), &Streams::global(), &schema), None);
        schema.primary_key = vec![0];
        assert_eq!(stream_key(&settings("record"), &of_group, &schema), None);
    }
}
