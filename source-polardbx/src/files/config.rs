//! The keys of `[source.binlog_files]`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::{
    ArchivedDeletes, Config, ConfigError, DdlText, OnRowsWithoutEvents, PolarDbXOptions, Start, StreamSplit, default_exclude_shadow_tables,
};
use crate::selection::Selection;
use crate::splits::StreamName;

/// The name of the source, and so of its section.
pub(crate) const SECTION: &str = "binlog_files";

/// The keys of `[source.binlog_files]`. Unknown keys are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BinlogFilesConfig {
    /// The paths of the files of one binlog, in any order. The last part of a path may hold `*` and `?`, and then stands for the names of binlog
    /// files that it matches. Paths are relative to the working directory.
    pub files: Vec<String>,
    /// The tables to deliver; see [`Config::tables`].
    pub tables: Vec<String>,
    /// Tables to leave out although `tables` includes them, as patterns of the same form.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Whether the tables that tools for online schema changes make for themselves are left out; see [`Config::exclude_shadow_tables`].
    #[serde(default = "default_exclude_shadow_tables")]
    pub exclude_shadow_tables: bool,
    /// Where reading begins: at a position, or at the beginning of the first file, which is the default.
    pub start: Option<Start>,
    /// A file with the CREATE TABLE statements of the tables as they were where reading begins, such as the output of `mysqldump --no-data`, and
    /// with CREATE DATABASE statements, which give the default character sets of databases.
    pub start_schema: Option<PathBuf>,
    /// The answer to `SELECT VERSION()` of the server that wrote the files. By default it is taken from the last file.
    pub server_version: Option<String>,
    /// Whether the server compared the names of databases and tables in lower case (`lower_case_table_names = 1`); false by default. PolarDB-X
    /// always does.
    #[serde(default)]
    pub lower_case_names: bool,
    /// The server's value of `explicit_defaults_for_timestamp`, which counts for statements that do not log it. By default that of the version.
    pub explicit_timestamps: Option<bool>,
    /// What becomes of a DDL statement that changes rows of a selected table without row events; by default the task stops before it.
    #[serde(default)]
    pub on_rows_without_events: OnRowsWithoutEvents,
    /// By what the streams of the group are split, if the files are those of one stream of a group of PolarDB-X; by the record by default.
    #[serde(default)]
    pub stream_split: StreamSplit,
    /// What becomes of the rows that PolarDB-X archives and so deletes; delivered by default.
    #[serde(default)]
    pub archived_deletes: ArchivedDeletes,
    /// Which text of a DDL statement of PolarDB-X is delivered; the one for MySQL by default.
    #[serde(default)]
    pub ddl_text: DdlText,
}

/// The validated configuration.
#[derive(Clone, Debug)]
pub(super) struct FilesSettings {
    pub(super) config: BinlogFilesConfig,
    pub(super) selection: Selection,
}

impl FilesSettings {
    /// Validates every key. The error names the first key that is not valid.
    pub(super) fn new(config: BinlogFilesConfig) -> Result<Self, ConfigError> {
        let wrong = |key, why: &str, help: &str| ConfigError::new(key, why, help).in_section(SECTION);
        if config.files.is_empty() {
            return Err(wrong("files", "it is empty", "list binlog files, such as files = [\"backup/binlog.*\"]"));
        }
        match &config.start {
            None | Some(Start::Earliest {} | Start::Position { offset: 4.., .. }) => {}
            Some(Start::Position { .. }) => {
                return Err(wrong("start", "position.offset is before the first event", "the first event of a file begins at 4"));
            }
            Some(Start::Latest {} | Start::Gtid { .. } | Start::Timestamp { .. }) => {
                let help = "use start.position, or leave `start` out to begin with the first file";
                return Err(wrong("start", "files are read from a position on", help));
            }
        }
        let selection = Selection::new(&config.tables, &config.exclude).map_err(|error| error.in_section(SECTION))?;
        let selection = selection.without_shadows(config.exclude_shadow_tables);
        Ok(Self { config, selection })
    }

    /// The keys by which tables are selected, as those of a server.
    pub(super) fn as_server(&self) -> Config {
        let BinlogFilesConfig { tables, exclude, exclude_shadow_tables, .. } = self.config.clone();
        Config { tables, exclude, exclude_shadow_tables, ..Config::default() }
    }

    /// How the events of PolarDB-X are delivered. `base` is the name of the files, by which those of a stream of a group are known.
    pub(super) fn polardbx(&self, base: &str) -> PolarDbXOptions {
        let BinlogFilesConfig { archived_deletes, ddl_text, stream_split, .. } = self.config;
        let is_of_group = base.rsplit_once('_').is_some_and(|(stream, _)| StreamName::of_group(stream).is_some());
        let lacks_keyless = is_of_group && stream_split == StreamSplit::Record;
        PolarDbXOptions { archived_deletes, ddl_text, lacks_keyless, ..PolarDbXOptions::default() }
    }
}

#[cfg(test)]
mod tests {
    use runtime::{Error, Settings};
    use serde_json::json;

    use super::*;

    fn settings(keys: serde_json::Value) -> Result<FilesSettings, Error> {
        Ok(FilesSettings::new(Settings::from(keys).parse("source.binlog_files")?)?)
    }

    #[test]
    fn the_stream_of_a_group_is_known_by_the_names_of_its_files() {
        let lacks = |base: &str, split: &str| {
            let keys = json!({"files": ["x"], "tables": ["shop.*"], "stream_split": split});
            settings(keys).unwrap().polardbx(base).lacks_keyless
        };
        assert!(lacks("group1_stream_0_binlog", "record"));
        assert!(!lacks("group1_stream_0_binlog", "table") && !lacks("binlog", "record") && !lacks("my_binlog", "record"));
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        assert!(settings(json!({"files": ["a.000001"], "tables": ["shop.*"], "start": {"earliest": {}}})).is_ok());
        for (key, value, said) in [
            ("files", json!([]), "is empty"),
            ("tables", json!([]), "is empty"),
            ("exclude", json!(["shop"]), "shop"),
            ("start", json!({"latest": {}}), "from a position on"),
            ("start", json!({"position": {"file": "a.000001", "offset": 3}}), "before the first event"),
        ] {
            let mut keys = json!({"files": ["a.000001"], "tables": ["shop.*"]});
            keys[key] = value;
            let error = settings(keys).unwrap_err().to_string();
            assert!(error.contains(&format!("source.binlog_files.{key}")) && error.contains(said), "{error}");
        }
        assert!(settings(json!({"files": ["a.000001"], "tables": ["shop.*"], "host": "db"})).unwrap_err().to_string().contains("host"));
    }
}
