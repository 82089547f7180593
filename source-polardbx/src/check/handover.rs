//! Whether the rows of tables can be merged into the stream.

use runtime::{Finding, TableSchema};

use crate::config::{Handover, SourceSettings};
use crate::streams::Streams;

/// Whether the rows are to be merged into the stream.
pub(crate) fn is_in_band(settings: &SourceSettings) -> bool {
    settings.config.handover == Some(Handover::InBand)
}

/// The finding `handover`: whether there is one stream into which rows can be merged.
pub(crate) fn handover(settings: &SourceSettings, streams: &Streams) -> Option<Finding> {
    (is_in_band(settings) && streams.names.len() > 1).then(|| {
        let what = format!("the task reads {} streams, which have no common order into which rows could be merged", streams.names.len());
        Finding::failed("handover", what, "leave `handover` out for \"sequential\", or read the global binlog: leave `stream_group` out")
    })
}

/// The finding `handover`: whether the rows of a table can be compared with the changes of the stream.
pub(crate) fn handover_key(settings: &SourceSettings, schema: &TableSchema) -> Option<Finding> {
    (is_in_band(settings) && schema.effective_key().is_empty()).then(|| {
        let what = format!("table {} has no key that identifies its rows, so they cannot be merged into the stream", schema.id);
        Finding::failed("handover", what, "leave `handover` out for \"sequential\", give the table a primary key, or exclude it")
    })
}

#[cfg(test)]
mod tests {
    use runtime::{Column, ColumnKind, Level, Settings, TableId};
    use serde_json::json;

    use super::*;
    use crate::splits::StreamName;

    #[test]
    fn rows_are_merged_into_one_stream_and_need_a_key() {
        let settings = |handover: &str| {
            let keys = json!({"host": "db", "user": "dts", "password": "x", "tables": ["d.*"], "handover": handover});
            SourceSettings::new(Settings::from(keys).parse("source.polardbx").unwrap()).unwrap()
        };
        let names = (0..2).map(|number| StreamName::of_group(&format!("g_stream_{number}")).unwrap()).collect();
        let several = Streams { group: Some("g".to_owned()), names };
        let mut schema = TableSchema::new(TableId::new("d", "t"), vec![Column::new("a", ColumnKind::Int { bytes: 4 }, "int")]);
        assert_eq!(handover(&settings("in_band"), &several).map(|found| found.level), Some(Level::Failed));
        assert_eq!(handover(&settings("in_band"), &Streams::global()), None);
        assert_eq!(handover(&settings("sequential"), &several), None);
        assert!(handover_key(&settings("in_band"), &schema).unwrap().what.contains("d.t has no key"));
        assert_eq!(handover_key(&settings("sequential"), &schema), None);
        schema.primary_key = vec![0];
        assert_eq!(handover_key(&settings("in_band"), &schema), None);
    }
}
