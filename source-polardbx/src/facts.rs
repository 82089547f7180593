//! The facts about a task that the source stores in the checkpoint.

use std::collections::{BTreeMap, HashMap};

use runtime::{Collation, Committed, Fact, Origin, Position, TableId};
use serde::{Deserialize, Serialize};

use crate::binlog::gtid::{CatchUp, GtidSet};
use crate::binlog::position::{BinlogCoordinates, FileOffset, StreamPosition};
use crate::binlog::profile::is_polardbx;
use crate::config::{Config, NewTables, Phase, SourceSettings};
use crate::error::{Result, SourceError};
use crate::schema::{FollowedTable, OtherObjects, Unstated, Xid};
use crate::selection::Selection;
use crate::server::Server;
use crate::splits::StreamName;

/// The facts about what the task reads, and from which server. The first plan commits these facts; later plans compare them with the server
/// and the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskFacts {
    /// The server's identity, by which a later connection recognizes the same server.
    pub(crate) identity: String,
    /// The server's `server_id`. Formats print `server_id` and `version` with the rows of the snapshot.
    pub(crate) server_id: u32,
    pub(crate) version: String,
    /// The patterns by which the user selected tables.
    pub(crate) selection: SelectionFact,
    /// The phases of the task, in the order in which they run.
    pub(crate) phases: Vec<Phase>,
    /// The group of streams that the task reads; `None` if it reads the only binlog of a server, or the global binlog of PolarDB-X.
    pub(crate) group: Option<String>,
    /// The group that the configuration named when the task began; `None` if the server left no choice.
    pub(crate) stream_group: Option<String>,
    /// The streams that the task reads, and where they start, ordered by their numbers. If there is a full phase, they start at the end of the
    /// binlog before the first SELECT. Empty for a task without a stream, if the server did not tell the end of its binlog.
    pub(crate) streams: Vec<StreamStart>,
    /// Whether the rows of tables are merged into the stream.
    pub(crate) in_band: bool,
    /// The end of the binlog when no XA transaction was left that was prepared before the start. Outcomes before it may belong to such
    /// transactions. `None` if such an outcome is an error: for a task without a stream, and if the start was chosen by the user.
    pub(crate) settled: Option<StartFact>,
}

/// The patterns of `tables` and `exclude`, sorted and without duplicates: their order in the configuration does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SelectionFact {
    tables: Vec<String>,
    exclude: Vec<String>,
    exclude_shadow_tables: bool,
    #[serde(default, skip_serializing_if = "NewTables::are_selected")]
    new_tables: NewTables,
}

/// The selected tables with which the task began. The fact is there if new tables are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TablesAtStart(Vec<TableId>);

/// A position in the binlog: the base name of its files, the number of the file, and the offset in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartFact {
    base: String,
    file: u32,
    offset: u64,
}

/// A stream, and where it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamStart {
    pub(crate) name: StreamName,
    pub(crate) start: StartFact,
    /// What is passed over behind the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passed: Option<PassedFact>,
}

/// The transactions that are passed over behind the start of a stream: `delivered` are all that are not wanted, `passed` those of them that
/// come between the start and `until`. The texts are those in a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassedFact {
    delivered: String,
    passed: String,
    until: StartFact,
}

/// How far the snapshot is planned. Chunks that are planned but not read yet are in the checkpoint as splits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotPlan {
    /// Where the next chunk begins; `None` once all chunks are planned.
    pub(crate) next: Option<Cursor>,
    /// Where the next chunk of each table begins that is read again although `next` has passed it. These chunks come first.
    pub(crate) again: Vec<Cursor>,
}

/// A table whose schema changed before all its rows were read, or which was not there any more. Chunks note it, and the next plan has the
/// table read again. The key of the fact is the name of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedTable {
    pub(crate) table: TableId,
}

/// Up to where the binlog is read before tables are read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CatchUpEnds {
    /// A position for each stream.
    pub(crate) streams: Vec<StreamStart>,
    /// The number of a timestamp of PolarDB-X, which each stream must have reached as well: its binlog may lag behind what the tables show.
    pub(crate) timestamp: Option<i64>,
}

/// Where the first chunk that is not planned yet begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The table of the chunk. All tables before it, in the order of the task's schemas, are planned completely.
    pub(crate) table: TableId,
    /// The number of the chunk within its table, counted from 1.
    pub(crate) chunk: u32,
    /// The greatest key of the previous chunk, as text; `None` for the first chunk of a table.
    pub(crate) after: Option<String>,
}

/// The CREATE TABLE of a table. The fact is removed once the schema phase has delivered it. The key of the fact is a number, which keeps
/// the tables in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableDefinition {
    pub(crate) table: TableId,
    pub(crate) ddl: String,
    /// Whether the table was delivered before, with another definition, so that a DROP TABLE comes first.
    pub(crate) is_again: bool,
}

/// The databases that exist at the resume point of a stream. Maps each database to its default collation, or to `None` if that is not
/// known. There is one such fact for each stream, stored under the stream's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatabaseCollations(BTreeMap<String, Option<Collation>>);

/// An XA transaction whose first half was read, and whose outcome was not. There is one such fact for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PreparedXa {
    pub(crate) xid: Xid,
    /// Where its first half begins.
    file: u32,
    offset: u64,
    /// The length of its spool file in bytes; `None` if it has no rows of selected tables, and so no file.
    pub(crate) spool_bytes: Option<u64>,
    /// The tables of its rows, and what has become of the rows.
    pub(crate) tables: Vec<(TableId, PreparedRows)>,
}

/// What DDL statements have done to the rows of a prepared XA transaction in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PreparedRows {
    /// Nothing.
    Kept,
    /// The table was dropped or emptied, and the server has removed the rows with it.
    Removed,
    /// This statement may have removed or changed some of them.
    InDoubt(String),
}

impl Fact for TaskFacts {
    const NAME: &'static str = "task";
    const VERSION: u32 = 7;
}

impl Fact for TablesAtStart {
    const NAME: &'static str = "tables_at_start";
    const VERSION: u32 = 1;
}

impl Fact for PreparedXa {
    const NAME: &'static str = "prepared_xa";
    const VERSION: u32 = 2;
}

impl Fact for SnapshotPlan {
    const NAME: &'static str = "snapshot_plan";
    const VERSION: u32 = 2;
}

impl Fact for ChangedTable {
    const NAME: &'static str = "changed_table";
    const VERSION: u32 = 1;
}

impl Fact for CatchUpEnds {
    const NAME: &'static str = "catch_up_ends";
    const VERSION: u32 = 1;
}

impl Fact for TableDefinition {
    const NAME: &'static str = "table_definition";
    const VERSION: u32 = 2;
}

/// There is one such fact for each table, stored under the names of the stream and the table.
impl Fact for FollowedTable {
    const NAME: &'static str = "followed_table";
    const VERSION: u32 = 2;
}

/// There is one such fact for each stream, stored under its name.
impl Fact for OtherObjects {
    const NAME: &'static str = "other_objects";
    const VERSION: u32 = 1;
}

/// There is one such fact for each table, stored under the names of the stream and the table.
impl Fact for Unstated {
    const NAME: &'static str = "unstated_nulls";
    const VERSION: u32 = 1;
}

impl Fact for DatabaseCollations {
    const NAME: &'static str = "database_collations";
    const VERSION: u32 = 1;
}

impl TaskFacts {
    /// Reads the facts of a task from its checkpoint. Fails if the checkpoint has none.
    pub(crate) fn read(committed: &Committed) -> Result<Self> {
        committed.fact()?.ok_or_else(|| SourceError::Checkpoint { what: "it holds splits, but not what the task reads".into() })
    }

    /// The same task, which continues at another server. No position of the server before means anything there.
    pub(crate) fn on(self, server: &Server) -> Result<Self> {
        let (identity, server_id, version) = (server.identity()?, server.server_id(), server.version.clone());
        Ok(Self { identity, server_id, version, settled: None, ..self })
    }

    pub(crate) fn is_polardbx(&self) -> bool {
        is_polardbx(&self.version)
    }

    pub(crate) fn has(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// The origin that the events of the snapshot carry. Its offset is the start of the first stream; `0@0` if that start is not known.
    pub(crate) fn origin(&self) -> Origin {
        let mut origin = Origin::default();
        origin.server_id = self.server_id;
        origin.server_version = self.version.as_str().into();
        let offset = self.streams.first().map_or_else(|| "0@0".to_owned(), |stream| stream.start.coordinates().offset_text());
        origin.offset = offset.into();
        origin.safe_offset = origin.offset.clone();
        origin
    }

    /// The streams to read, each with the position where it starts. Fails if the checkpoint does not hold any.
    pub(crate) fn stream_starts(&self) -> Result<Vec<(StreamName, Position)>> {
        let position = |StreamStart { name, start, passed }: &StreamStart| {
            let start = start.coordinates();
            let mut position = StreamPosition::start(self.identity.as_str(), &start.file_name(), start.at.offset)?;
            if let Some(passed) = passed {
                let (delivered, catch_up) = passed.read()?;
                (position.gtid, position.catch_up) = (Some(delivered), Some(catch_up));
            }
            Ok((name.clone(), position.to_position()))
        };
        if self.streams.is_empty() {
            return Err(SourceError::Checkpoint { what: "it does not hold where the stream starts".into() });
        }
        self.streams.iter().map(position).collect()
    }

    /// Whether the configuration names the same group of streams as when the task began. A group that was left out may be named later, if it is
    /// the one that the task reads.
    pub(crate) fn has_stream_group(&self, configured: Option<&str>) -> bool {
        self.stream_group.as_deref() == configured || (configured.is_some() && self.group.as_deref() == configured)
    }

    /// Whether another stream before this one delivers the statements that all streams of the group have.
    pub(crate) fn is_later_stream(&self, name: &StreamName) -> bool {
        self.streams.first().is_some_and(|first| first.name != *name)
    }
}

impl SelectionFact {
    pub(crate) fn new(config: &Config) -> Self {
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list.dedup();
            list
        };
        Self {
            tables: sorted(&config.tables),
            exclude: sorted(&config.exclude),
            exclude_shadow_tables: config.exclude_shadow_tables,
            new_tables: if config.new_tables.are_selected() { NewTables::default() } else { NewTables::Ignore },
        }
    }
}

impl TablesAtStart {
    /// The tables of a task that ignores new ones; `None` if it does not.
    pub(crate) fn new<'t>(settings: &SourceSettings, tables: impl Iterator<Item = &'t TableId>) -> Option<Self> {
        let ignores = settings.config.new_tables == NewTables::Ignore && settings.has(Phase::Incremental);
        ignores.then(|| Self(tables.cloned().collect()))
    }
}

/// The tables that a task which has begun selects on this server.
pub(crate) fn selection_of_task(settings: &SourceSettings, server: &Server, committed: &Committed) -> Result<Selection> {
    let selection = settings.selection.clone().folded(server.lower_case());
    Ok(match committed.fact::<TablesAtStart>()? {
        Some(TablesAtStart(tables)) => selection.without_new(tables),
        None => selection,
    })
}

/// The facts that are stored for the tables of a stream.
pub(crate) fn facts_of_stream<F: Fact>(committed: &Committed, stream: &StreamName) -> Result<Vec<F>, runtime::Error> {
    let prefix = format!("{stream}/");
    let of_stream = committed.facts::<F>().filter(|fact| fact.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
    of_stream.map(|fact| fact.map(|(_, fact)| fact)).collect()
}

impl PassedFact {
    pub(crate) fn new(base: &str, delivered: &GtidSet, catch_up: &CatchUp) -> Self {
        let until = StartFact::new(&BinlogCoordinates { base: base.to_owned(), at: catch_up.until });
        Self { delivered: delivered.stored(), passed: catch_up.passed.stored(), until }
    }

    fn read(&self) -> Result<(GtidSet, CatchUp)> {
        let set = |text: &str| {
            GtidSet::read_stored(text).ok_or_else(|| SourceError::Checkpoint { what: format!("{text:?} is not a set of GTIDs") })
        };
        Ok((set(&self.delivered)?, CatchUp { until: self.until.coordinates().at, passed: set(&self.passed)? }))
    }
}

impl StartFact {
    pub(crate) fn new(start: &BinlogCoordinates) -> Self {
        Self { base: start.base.clone(), file: start.at.file, offset: start.at.offset }
    }

    pub(crate) fn coordinates(&self) -> BinlogCoordinates {
        BinlogCoordinates { base: self.base.clone(), at: FileOffset::new(self.file, self.offset) }
    }
}

impl PreparedXa {
    pub(crate) fn new(xid: Xid, at: FileOffset, spool_bytes: Option<u64>, tables: impl IntoIterator<Item = TableId>) -> Self {
        let tables = tables.into_iter().map(|table| (table, PreparedRows::Kept)).collect();
        Self { xid, file: at.file, offset: at.offset, spool_bytes, tables }
    }

    /// The same transaction after its rows were delivered or dropped.
    pub(crate) fn without_rows(&self) -> Self {
        Self { spool_bytes: None, tables: Vec::new(), ..self.clone() }
    }

    /// Where the first half begins.
    pub(crate) fn at(&self) -> FileOffset {
        FileOffset::new(self.file, self.offset)
    }

    /// The key of the transaction of a stream whose first half begins at `at`; without `at`, the beginning of all keys of the stream.
    pub(crate) fn key(stream: &str, at: Option<FileOffset>) -> String {
        at.map_or_else(|| format!("{stream}/"), |at| format!("{stream}/{at}"))
    }
}

impl DatabaseCollations {
    pub(crate) fn new<'a>(collations: impl IntoIterator<Item = (&'a String, &'a Option<Collation>)>) -> Self {
        Self(collations.into_iter().map(|(name, collation)| (name.clone(), collation.clone())).collect())
    }

    pub(crate) fn into_map(self) -> HashMap<String, Option<Collation>> {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use runtime::Facts;

    use super::*;

    fn selecting(tables: &[&str]) -> Config {
        Config { tables: tables.iter().map(|&table| table.to_owned()).collect(), ..Config::default() }
    }

    fn task() -> TaskFacts {
        let start = BinlogCoordinates::new("mysql-bin.000014", 8_273_883).unwrap();
        TaskFacts {
            identity: "3e11".into(),
            server_id: 7,
            version: "8.0.15".into(),
            selection: SelectionFact::new(&selecting(&["b.*", "a.*", "b.*"])),
            phases: vec![Phase::Schema, Phase::Full, Phase::Incremental],
            group: None,
            stream_group: None,
            streams: vec![StreamStart { name: StreamName::global(), start: StartFact::new(&start), passed: None }],
            in_band: false,
            settled: Some(StartFact::new(&start)),
        }
    }

    #[test]
    fn the_start_is_the_streams_and_the_origin_of_rows() {
        let mut facts = task();
        let starts = facts.stream_starts().unwrap();
        assert_eq!(starts[0].0, StreamName::global());
        assert_eq!(starts[0].1.as_str(), "v1;id=3e11;base=mysql-bin;at=000014:8273883");
        let second = StreamName::of_group("g_stream_1").unwrap();
        assert!(!facts.is_later_stream(&StreamName::global()) && facts.is_later_stream(&second));
        assert_eq!(&*facts.origin().safe_offset, "8273883@14");
        assert_eq!(facts.selection, SelectionFact::new(&selecting(&["a.*", "b.*"])));
        facts.streams.clear();
        assert_eq!(&*facts.origin().offset, "0@0");
        assert!(facts.stream_starts().is_err());
    }

    #[test]
    fn what_becomes_of_new_tables_is_part_of_the_selection() {
        let [full, stream, ignore] = [NewTables::Full, NewTables::Stream, NewTables::Ignore]
            .map(|new_tables| SelectionFact::new(&Config { new_tables, ..selecting(&["a.*"]) }));
        let text = |fact: &SelectionFact| serde_json::to_string(fact).unwrap();
        assert_ne!(stream, ignore);
        assert_eq!(full, stream, "what is read of tables that come later may change");
        assert!(!text(&stream).contains("new_tables") && text(&ignore).contains(r#""new_tables":"ignore""#));
        assert_eq!(serde_json::from_str::<SelectionFact>(&text(&ignore)).unwrap(), ignore);
        assert_eq!(serde_json::from_str::<SelectionFact>(&text(&stream)).unwrap(), stream);
    }

    #[test]
    fn the_group_of_streams_is_that_of_the_first_start() {
        let of = |named: Option<&str>, read: Option<&str>| TaskFacts {
            stream_group: named.map(str::to_owned),
            group: read.map(str::to_owned),
            ..task()
        };
        assert!(of(None, None).has_stream_group(None) && !of(None, None).has_stream_group(Some("g")));
        let named = of(Some("g"), Some("g"));
        assert!(named.has_stream_group(Some("g")) && !named.has_stream_group(None) && !named.has_stream_group(Some("h")));
        // The only group of an instance without a global binlog need not be named.
        let only = of(None, Some("g"));
        assert!(only.has_stream_group(None) && only.has_stream_group(Some("g")) && !only.has_stream_group(Some("h")));
    }

    /// Pins the text of each fact in the checkpoint. If the text of a fact changes, raise its `VERSION`.
    #[test]
    fn the_stored_form_of_each_fact() {
        let table = TableId::new("shop", "orders");
        let mut facts = Facts::new();
        facts.set(&task()).unwrap();
        let cursor = Cursor { table: table.clone(), chunk: 3, after: Some("7,x6162".into()) };
        facts.set(&SnapshotPlan { next: Some(cursor.clone()), again: vec![Cursor { after: None, ..cursor }] }).unwrap();
        facts.set_at("00000001", &TableDefinition { table: table.clone(), ddl: "CREATE TABLE …".into(), is_again: true }).unwrap();
        facts.set_at("shop.orders", &ChangedTable { table: table.clone() }).unwrap();
        facts.set(&CatchUpEnds { streams: task().streams, timestamp: Some(7) }).unwrap();
        let xid = Xid { global: b"a".to_vec(), branch: Vec::new(), format: 1 };
        let at = FileOffset::new(14, 99);
        let mut prepared = PreparedXa::new(xid, at, Some(40), [table.clone(), table.clone(), table]);
        prepared.tables[1].1 = PreparedRows::Removed;
        prepared.tables[2].1 = PreparedRows::InDoubt("ALTER TABLE …".into());
        facts.set_at(&PreparedXa::key("global", Some(at)), &prepared).unwrap();
        facts.set_at("global", &DatabaseCollations([("shop".into(), Some(Collation::new("gbk_bin"))), ("x".into(), None)].into())).unwrap();
        facts.set_at("global", &OtherObjects::new([TableId::new("shop", "v")])).unwrap();
        facts.set(&TablesAtStart(vec![TableId::new("shop", "orders")])).unwrap();
        let stored: Vec<_> = facts.stored().map(|(name, text)| (name, text.unwrap())).collect();
        let expected = [
            (
                "task",
                r#"7 {"identity":"3e11","server_id":7,"version":"8.0.15","selection":{"tables":["a.*","b.*"],"exclude":[],"exclude_shadow_tables":true},"phases":["schema","full","incremental"],"group":null,"stream_group":null,"streams":[{"name":"global","start":{"base":"mysql-bin","file":14,"offset":8273883}}],"in_band":false,"settled":{"base":"mysql-bin","file":14,"offset":8273883}}"#,
            ),
            (
                "snapshot_plan",
                r#"2 {"next":{"table":{"database":"shop","table":"orders"},"chunk":3,"after":"7,x6162"},"again":[{"table":{"database":"shop","table":"orders"},"chunk":3,"after":null}]}"#,
            ),
            ("table_definition/00000001", r#"2 {"table":{"database":"shop","table":"orders"},"ddl":"CREATE TABLE …","is_again":true}"#),
            ("changed_table/shop.orders", r#"1 {"table":{"database":"shop","table":"orders"}}"#),
            ("catch_up_ends", r#"1 {"streams":[{"name":"global","start":{"base":"mysql-bin","file":14,"offset":8273883}}],"timestamp":7}"#),
            (
                "prepared_xa/global/000014:99",
                r#"2 {"xid":{"global":[97],"branch":[],"format":1},"file":14,"offset":99,"spool_bytes":40,"tables":[[{"database":"shop","table":"orders"},"kept"],[{"database":"shop","table":"orders"},"removed"],[{"database":"shop","table":"orders"},{"in_doubt":"ALTER TABLE …"}]]}"#,
            ),
            ("database_collations/global", r#"1 {"shop":"gbk_bin","x":null}"#),
            ("other_objects/global", r#"1 [{"database":"shop","table":"v"}]"#),
            ("tables_at_start", r#"1 [{"database":"shop","table":"orders"}]"#),
        ];
        assert_eq!(stored, expected);
    }
}
