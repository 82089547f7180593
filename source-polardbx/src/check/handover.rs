//! Whether the rows of tables can be merged into the stream.

use runtime::Finding;

use crate::config::{Handover, Phase, SourceSettings};
use crate::streams::Streams;

/// Whether the rows are to be merged into the stream: by the configuration, or because the task has both phases and one stream, and
/// `has_folder` for files.
pub(crate) fn is_in_band(settings: &SourceSettings, streams: &Streams, has_folder: bool) -> bool {
    let has_both = settings.has(Phase::Full) && settings.has(Phase::Incremental);
    let by_default = has_both && streams.names.len() == 1 && has_folder;
    settings.config.handover.map_or(by_default, |handover| handover == Handover::InBand)
}

/// The finding `handover`: whether there is one stream into which rows can be merged.
pub(crate) fn handover(settings: &SourceSettings, streams: &Streams) -> Option<Finding> {
    (settings.config.handover == Some(Handover::InBand) && streams.names.len() > 1).then(|| {
        let what = format!("the task reads {} streams, which have no common order into which rows could be merged", streams.names.len());
        Finding::failed("handover", what, "leave `handover` out for \"sequential\", or read the global binlog: leave `stream_group` out")
    })
}

#[cfg(test)]
mod tests {
    use runtime::{Level, Settings};
    use serde_json::json;

    use super::*;
    use crate::splits::StreamName;

    #[test]
    fn rows_are_merged_into_one_stream() {
        let settings = |handover: Option<&str>| {
            let mut keys = json!({"host": "db", "user": "dts", "password": "x", "tables": ["d.*"]});
            if let Some(handover) = handover {
                keys["handover"] = handover.into();
            }
            SourceSettings::new(Settings::from(keys).parse("source.polardbx").unwrap()).unwrap()
        };
        let (default, in_band, sequential) = (settings(None), settings(Some("in_band")), settings(Some("sequential")));
        let names = (0..2).map(|number| StreamName::of_group(&format!("g_stream_{number}")).unwrap()).collect();
        let (one, several) = (Streams::global(), Streams { group: Some("g".to_owned()), names });
        assert_eq!(handover(&in_band, &several).map(|found| found.level), Some(Level::Failed));
        for (settings, streams) in [(&in_band, &one), (&default, &several), (&sequential, &several)] {
            assert_eq!(handover(settings, streams), None);
        }
        assert!(is_in_band(&default, &one, true) && is_in_band(&in_band, &one, false));
        assert!(!is_in_band(&default, &one, false) && !is_in_band(&default, &several, true) && !is_in_band(&sequential, &one, true));
    }
}
