//! From MySQL's own binlog events to the transactions and DDL statements of the global binlog.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ddl::{Catalog, Shown, carried};
use super::events::{DELETE_ROWS, Event, QUERY, TABLE_MAP, UPDATE_ROWS, WRITE_ROWS, XA_PREPARE, XID};
use super::parts::Row;
use super::rows::{Image, Rows, TableMap};
use super::wire::{take, take_number};
use crate::{Failure, Result};

/// The databases that never appear in the global binlog.
const INTERNAL: [&str; 6] = ["mysql", "sys", "information_schema", "performance_schema", "__cdc__", "polardbx_meta_db"];

/// Foreign keys are not checked when the event is applied; every row event of PolarDB-X has this flag.
const NO_FOREIGN_KEYS: u16 = 2;
/// The row event contains the hidden key.
const WITH_HIDDEN_KEY: u16 = 0x80;

/// A transaction as it appears in the global binlog, without its frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Transaction {
    /// The TABLE_MAP and row events of each statement.
    pub(super) statements: Vec<Vec<Event>>,
    /// The tables from which rows were deleted, such as `d.t`.
    pub(super) deleted: BTreeSet<String>,
    /// The rows of each statement, if there are streams.
    pub(super) rows: Vec<Vec<Row>>,
}

/// What the events of MySQL's binlog add up to.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Transaction(Transaction),
    /// DDL statements, with the SQL mode of their session.
    Ddl(Vec<Shown>, u64),
}

/// A table of the current statement.
struct Open {
    id: u64,
    map: TableMap,
    is_hidden: bool,
    partition: Vec<usize>,
    key: Vec<usize>,
}

/// Collects the events of MySQL's binlog.
pub(super) struct Collector {
    catalog: Catalog,
    /// The tables of the current statement, by MySQL's table ids; `None` for those that do not appear.
    open: HashMap<u64, Option<Open>>,
    /// The table ids in the global binlog, by MySQL's ids.
    ids: HashMap<u64, (u64, TableMap)>,
    pub(super) next_id: u64,
    current: Option<Transaction>,
    statement: Vec<Event>,
    /// Whether the rows of the statements are collected, too.
    with_rows: bool,
    statement_rows: Vec<Row>,
    xa: Option<String>,
    prepared: BTreeMap<String, Transaction>,
    /// The number of row events so far: every other one is written as the real server writes rebuilt events.
    events: u64,
}

impl Collector {
    pub(super) fn new(next_id: u64, with_rows: bool) -> Self {
        Self {
            catalog: Catalog::default(),
            open: HashMap::new(),
            ids: HashMap::new(),
            next_id,
            current: None,
            statement: Vec::new(),
            with_rows,
            statement_rows: Vec::new(),
            xa: None,
            prepared: BTreeMap::new(),
            events: 0,
        }
    }

    /// Whether no transaction is open, so that a new connection can continue behind the last event.
    pub(super) fn is_between(&self) -> bool {
        self.current.is_none()
    }

    /// Forgets an unfinished transaction; its events come again.
    pub(super) fn restart(&mut self) {
        (self.current, self.xa) = (None, None);
        self.statement.clear();
        self.statement_rows.clear();
        self.open.clear();
    }

    /// Takes an event. `body` has neither a header nor a checksum.
    pub(super) fn take(&mut self, kind: u8, body: &[u8], with_hidden_key: bool) -> Result<Option<Change>> {
        match kind {
            QUERY => self.query(body),
            TABLE_MAP => self.table_map(body).map(|()| None),
            WRITE_ROWS | UPDATE_ROWS | DELETE_ROWS => self.rows(kind, body, with_hidden_key).map(|()| None),
            XID => Ok(self.end()),
            XA_PREPARE => {
                if body.first() == Some(&1) {
                    return Ok(self.end());
                }
                if let (Some(key), Some(transaction)) = (self.xa.take(), self.current.take()) {
                    self.prepared.insert(key, transaction);
                }
                Ok(None)
            }
            23..=25 => Failure::err("MySQL writes row events of version 1, which the stand-in does not know"),
            _ => Ok(None),
        }
    }

    fn end(&mut self) -> Option<Change> {
        self.end_statement();
        self.xa = None;
        let transaction = self.current.take()?;
        (!transaction.statements.is_empty()).then_some(Change::Transaction(transaction))
    }

    fn query(&mut self, body: &[u8]) -> Result<Option<Change>> {
        let mut rest = body;
        take(&mut rest, 8)?;
        let schema = take_number(&mut rest, 1)? as usize;
        take(&mut rest, 2)?;
        let status = take_number(&mut rest, 2)? as usize;
        let status = take(&mut rest, status)?;
        let schema = String::from_utf8_lossy(take(&mut rest, schema)?).into_owned();
        take(&mut rest, 1)?;
        let text = String::from_utf8_lossy(rest).into_owned();
        if let Some(key) = text.strip_prefix("XA START ") {
            (self.xa, self.current) = (Some(key.to_owned()), Some(Transaction::default()));
            return Ok(None);
        }
        if let Some(key) = text.strip_prefix("XA COMMIT ") {
            self.current = self.prepared.remove(key);
            return Ok(self.end());
        }
        if let Some(key) = text.strip_prefix("XA ROLLBACK ") {
            self.prepared.remove(key);
            self.restart();
            return Ok(None);
        }
        match text.as_str() {
            "BEGIN" => self.current = Some(Transaction::default()),
            "COMMIT" => return Ok(self.end()),
            "ROLLBACK" => self.restart(),
            _ if self.current.is_some() => {
                let is_mark = ["SAVEPOINT", "ROLLBACK TO", "XA END"].iter().any(|word| text.starts_with(word));
                if !is_mark {
                    return Failure::err(format!("MySQL wrote a statement within a transaction: {text}"));
                }
            }
            _ => {
                let (schema, statement) = carried(&text).unwrap_or((schema, text));
                let mode = match status {
                    [0, _, _, _, _, 1, mode @ ..] => mode.iter().take(8).rev().fold(0, |mode, byte| mode << 8 | u64::from(*byte)),
                    _ => 0,
                };
                let mut shown = self.catalog.apply(&schema, &statement).map_err(|error| error.context(&statement))?;
                shown.retain(|shown| !INTERNAL.contains(&shown.schema.as_str()));
                return Ok((!shown.is_empty()).then_some(Change::Ddl(shown, mode)));
            }
        }
        Ok(None)
    }

    fn table_map(&mut self, body: &[u8]) -> Result<()> {
        let (upstream, map) = TableMap::read(body)?;
        if INTERNAL.contains(&map.database.to_lowercase().as_str()) {
            self.open.insert(upstream, None);
            return Ok(());
        }
        let known = self.ids.get(&upstream).filter(|(_, known)| *known == map).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id
        });
        self.ids.insert(upstream, (id, map.clone()));
        let table = self.catalog.table(&map.database, &map.table).cloned().unwrap_or_default();
        let is_hidden = table.is_hidden && map.ends_in_bigint();
        if table.is_hidden && map.width() != table.columns.len() + 1 {
            return Failure::err(format!("{}.{} has {} columns, which does not fit its DDL", map.database, map.table, map.width()));
        }
        let places = |names: &[String]| -> Vec<usize> {
            let place = |name: &String| table.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
            names.iter().filter_map(place).collect()
        };
        let (partition, key) = (places(&table.partition), places(&table.key));
        self.open.insert(upstream, Some(Open { id, map, is_hidden, partition, key }));
        Ok(())
    }

    fn rows(&mut self, kind: u8, body: &[u8], with_hidden_key: bool) -> Result<()> {
        self.events += 1;
        let upstream = Rows::table_id(body)?;
        let table = self.open.get(&upstream).ok_or_else(|| Failure::new("a row event without a TABLE_MAP event"))?;
        if let (Some(table), Some(transaction)) = (table, self.current.as_mut()) {
            if kind == DELETE_ROWS {
                transaction.deleted.insert(format!("{}.{}", table.map.database, table.map.table));
            }
            let is_cut = table.is_hidden && !with_hidden_key;
            let shown = if is_cut { table.map.without_last() } else { table.map.clone() };
            let flags = NO_FOREIGN_KEYS | if table.is_hidden && with_hidden_key { WITH_HIDDEN_KEY } else { 0 };
            let (types, metadata, nullable) = shown.parts();
            let names = [shown.database.to_lowercase(), shown.table.to_lowercase()];
            let map = || Event::table_map(table.id, &names[0], &names[1], &types, &metadata, nullable);
            let set_unused_bits = self.events.is_multiple_of(2);
            let mut rows = Rows::read(body, &table.map, kind == UPDATE_ROWS)?;
            if is_cut {
                rows.images = rows.images.iter().map(|image| image.without(shown.width())).collect();
            }
            let moves = |pair: &[Image]| match pair {
                [before, after] if kind == UPDATE_ROWS => {
                    let changes = |column: &usize| matches!((before.cell(*column), after.cell(*column)), (Some(a), Some(b)) if a != b);
                    table.partition.iter().any(changes)
                }
                _ => false,
            };
            if self.with_rows {
                let step = if kind == UPDATE_ROWS { 2 } else { 1 };
                let key = |image: &Image| -> Option<Vec<Option<Vec<u8>>>> {
                    let cells = table.key.iter().map(|column| image.cell(*column).cloned().unwrap_or_default());
                    (!table.key.is_empty()).then(|| cells.collect())
                };
                let mut note = |kind: u8, images: &[Image]| {
                    let one = Rows { is_last: false, images: images.to_vec() };
                    let body = one.body(table.id, shown.width(), kind == UPDATE_ROWS, flags, set_unused_bits);
                    let [database, table] = names.clone();
                    let key = images.first().and_then(key);
                    self.statement_rows.push(Row { database, table, key, map: map(), event: Event::new(kind, 0, body) });
                };
                for images in rows.images.chunks(step) {
                    match images {
                        // A row whose primary key changes may belong to another stream.
                        [before, after] if kind == UPDATE_ROWS && (moves(images) || key(before) != key(after)) => {
                            note(DELETE_ROWS, std::slice::from_ref(before));
                            note(WRITE_ROWS, std::slice::from_ref(after));
                        }
                        _ => note(kind, images),
                    }
                }
            }
            let statement = &mut self.statement;
            let mut add = |kind: u8, rows: &Rows, is_alone: bool| {
                let body = rows.body(table.id, shown.width(), kind == UPDATE_ROWS, flags, set_unused_bits);
                let map = map();
                // One TABLE_MAP event is enough for all row events of a table in a statement.
                let known = statement.iter().rev().find(|event| event.kind == TABLE_MAP);
                if is_alone || known.is_none_or(|known| known.body != map.body) {
                    statement.push(map);
                }
                statement.push(Event::new(kind, 0, body));
            };
            if kind == UPDATE_ROWS && rows.images.chunks(2).any(moves) {
                // A row that moves to another partition is deleted there and inserted here.
                let pairs: Vec<&[Image]> = rows.images.chunks(2).collect();
                for group in pairs.chunk_by(|a, b| !moves(a) && !moves(b)) {
                    match group {
                        [[before, after]] if moves(&[before.clone(), after.clone()]) => {
                            for (kind, image) in [(DELETE_ROWS, before), (WRITE_ROWS, after)] {
                                add(kind, &Rows { is_last: true, images: vec![image.clone()] }, true);
                            }
                        }
                        _ => add(UPDATE_ROWS, &Rows { is_last: true, images: group.concat() }, true),
                    }
                }
            } else {
                add(kind, &rows, false);
            }
        }
        if Rows::ends_statement(body) {
            self.end_statement();
        }
        Ok(())
    }

    /// Ends a statement. Its last row event says so, also if MySQL's last one was of a table that does not appear.
    fn end_statement(&mut self) {
        self.open.clear();
        let mut statement = std::mem::take(&mut self.statement);
        if let Some(last) = statement.iter_mut().rev().find(|event| event.kind != TABLE_MAP)
            && let Some(flags) = last.body.get_mut(6)
        {
            *flags |= 1;
        }
        let rows = std::mem::take(&mut self.statement_rows);
        if let Some(transaction) = self.current.as_mut().filter(|_| !statement.is_empty()) {
            transaction.statements.push(statement);
            transaction.rows.push(rows);
        }
    }
}
