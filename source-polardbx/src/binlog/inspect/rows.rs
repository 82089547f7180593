//! The tables of a file as far as they are known, and the rows of its events.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::{CellBlock, Collation, Op, RowChange, TableSchema};

use super::event::{Content, InspectedEvent};
use crate::binlog::decode::{StatementText, StatementTexts};
use crate::binlog::error::StreamError;
use crate::binlog::event::{
    Gtid, MariaDbGroup, Query, RawEvent, SessionVariables, kind, read_format, read_incident, read_query, read_rotate,
};
use crate::binlog::profile::ServerProfile;
use crate::binlog::row::{RowImages, RowLayout, RowsKind, absent_columns};
use crate::binlog::table_map::{has_full_metadata, nameless_layout, read_table_id, read_table_map, rebuilt_schema, row_layout};
use crate::schema::{ExplicitTimestamps, History, Interest, Statement, StatementContext, read_statement};
use crate::selection::Selection;

/// How many TABLE_MAPs are remembered.
const REMEMBERED: usize = 1_024;
/// The default collation of a database of which it is not known.
const COLLATION: &str = "utf8mb4_general_ci";

/// The tables at one place of a binlog, as the statements before it and the TABLE_MAPs show them.
pub(super) struct KnownTables {
    profile: ServerProfile,
    history: History,
    maps: HashMap<u64, Mapped>,
}

/// A TABLE_MAP, and the layout of the rows of its table once it was needed, with the columns that are not in them.
struct Mapped {
    body: Vec<u8>,
    layout: Option<RowLayout>,
}

impl KnownTables {
    pub(super) fn new(profile: ServerProfile, schemas: Vec<Arc<TableSchema>>, databases: HashMap<String, Option<Collation>>) -> Self {
        let history = History::new(schemas, databases, profile.lower_case_names());
        Self { profile, history, maps: HashMap::new() }
    }

    pub(super) fn begin_file(&mut self, profile: ServerProfile) {
        self.profile = profile;
        self.maps.clear();
    }

    /// Shows an event; `None` if it is about the rows of tables that are not selected.
    pub(super) fn show(&mut self, event: &RawEvent<'_>, selection: &Selection, offset: u64, is_compressed: bool) -> Option<InspectedEvent> {
        let content = match self.content(event, selection) {
            Ok(content) => content?,
            Err(error) => Content::Unread(error.to_string()),
        };
        Some(InspectedEvent::new(&event.header, offset, is_compressed, content))
    }

    fn content(&mut self, event: &RawEvent<'_>, selection: &Selection) -> Result<Option<Content>, StreamError> {
        let text = |bytes: &[u8]| Content::Text(String::from_utf8_lossy(bytes).into_owned());
        Ok(Some(match event.header.kind {
            kind::FORMAT_DESCRIPTION => {
                let version = read_format(event.body)?.server;
                self.profile.set_writer(version);
                Content::Format(version.to_owned())
            }
            kind::ROTATE => Content::Next(read_rotate(event.body)?.1.to_owned()),
            kind::GTID => Content::Gtid(Gtid::read(event.body)?.to_string()),
            kind::MARIADB_GTID => Content::Gtid(MariaDbGroup::read(event.body, event.header.server_id)?.gtid.to_string()),
            kind::QUERY => self.statement(event, &read_query(event.body, false)?)?,
            kind::EXECUTE_LOAD_QUERY => self.statement(event, &read_query(event.body, true)?)?,
            // The first byte is a length, which says less than the length of the event.
            kind::ROWS_QUERY => text(event.body.get(1..).unwrap_or_default()),
            kind::ANNOTATE_ROWS => text(event.body),
            kind::INCIDENT => Content::Text(read_incident(event.body)),
            kind::TABLE_MAP => {
                let map = read_table_map(event.body)?;
                if self.maps.len() >= REMEMBERED {
                    self.maps.clear();
                }
                let (table, id) = (self.history.fold(&map.table), map.table_id);
                if self.maps.get(&id).is_none_or(|known| known.body != event.body) {
                    self.maps.insert(id, Mapped { body: event.body.to_vec(), layout: None });
                }
                if !selection.selects(&table) {
                    return Ok(None);
                }
                Content::Table { table: map.table, id }
            }
            other => match RowsKind::of(other) {
                Some(rows) => return self.rows(event, rows, selection),
                None => Content::None,
            },
        }))
    }

    /// Shows a statement, and applies it to the known tables.
    fn statement(&mut self, event: &RawEvent<'_>, query: &Query<'_>) -> Result<Content, StreamError> {
        let variables = SessionVariables::read(query.status)?;
        let bytes = if self.profile.is_polardbx() { StatementTexts::read(query.text).mysql } else { query.text };
        let applied = StatementText::read(bytes, &variables).text;
        let database = String::from_utf8_lossy(query.database).into_owned();
        // These are no statements for the parser.
        if matches!(query.text, b"BEGIN" | b"COMMIT" | b"ROLLBACK") {
            return Ok(Content::Statement { database, text: applied.into_owned() });
        }
        let read = {
            let collations = |name: &str| self.history.collation(name).or_else(|| Some(Collation::new(COLLATION)));
            let context = StatementContext {
                database: &database,
                collations: &collations,
                session: variables.collations(),
                dialect: self.profile.dialect().with_sql_mode(variables.sql_mode.unwrap_or(0)),
                explicit_timestamps: ExplicitTimestamps::Known(variables.explicit_timestamps.unwrap_or(false)),
            };
            read_statement(&applied, &context)
        };
        let is_followed = match &read {
            Statement::Change(change) => self.history.apply(change, event.header.timestamp, &|_| Interest::Followed).is_ok(),
            // Such a statement may have changed any table.
            Statement::Unreadable(..) => false,
            _ => true,
        };
        if !is_followed {
            self.history = History::new([], std::iter::empty::<(String, Collation)>(), self.profile.lower_case_names());
        }
        if matches!(read, Statement::Change(_)) || !is_followed {
            self.maps.clear();
        }
        Ok(Content::Statement { database, text: StatementText::read(query.text, &variables).text.into_owned() })
    }

    fn rows(&mut self, event: &RawEvent<'_>, kind: RowsKind, selection: &Selection) -> Result<Option<Content>, StreamError> {
        let Self { profile, history, maps } = self;
        let Some(mapped) = maps.get_mut(&read_table_id(event.body)?) else {
            return Ok(Some(Content::Unread("its TABLE_MAP is not there".to_owned())));
        };
        if !selection.selects(&history.fold(&read_table_map(&mapped.body)?.table)) {
            return Ok(None);
        }
        let absent = absent_columns(event.body, event.header.kind)?.1;
        let layout = match mapped.layout.take().filter(|layout| layout.absent == absent) {
            Some(layout) => layout,
            None => layout(&mapped.body, history, profile, &absent)?,
        };
        let rows = changes(event, kind, &layout);
        mapped.layout = Some(layout);
        rows.map(|rows| Some(Content::Rows(rows)))
    }
}

/// How the rows behind a TABLE_MAP are read: by the known schema if it matches, or else by what the TABLE_MAP says.
fn layout(body: &[u8], history: &History, profile: &ServerProfile, absent: &[usize]) -> Result<RowLayout, StreamError> {
    let map = read_table_map(body)?;
    let by = |schema: &Arc<TableSchema>| row_layout(&map, schema, profile, absent).ok();
    if let Some(layout) = history.table(&history.fold(&map.table)).and_then(by) {
        return Ok(layout);
    }
    if has_full_metadata(&map, profile)?
        && let Some(layout) = rebuilt_schema(&map, None, profile, absent).ok().and_then(|schema| by(&Arc::new(schema)))
    {
        return Ok(layout);
    }
    nameless_layout(&map, profile, absent)
}

fn changes(event: &RawEvent<'_>, kind: RowsKind, layout: &RowLayout) -> Result<Vec<RowChange>, StreamError> {
    let mut images = RowImages::open(event.body, event.header.kind, layout)?;
    let mut block = CellBlock::default();
    let mut changes = Vec::new();
    while !images.is_empty() {
        let first = images.decode(layout, &mut block)?;
        let (op, before, after) = match kind {
            RowsKind::Write => (Op::Insert, None, Some(first)),
            RowsKind::Delete => (Op::Delete, Some(first), None),
            RowsKind::Update => (Op::Update, Some(first), Some(images.decode(layout, &mut block)?)),
        };
        changes.push(RowChange::new(layout.schema.clone(), op, before, after));
    }
    block.seal();
    Ok(changes)
}
