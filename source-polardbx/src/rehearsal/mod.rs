//! Plays statements on tables that are only in memory, and tells the events that a stream of them would have. With it a configuration is tested
//! without a server.
//!
//! DDL is read as in a binlog. Of the statements that change rows, INSERT … VALUES, UPDATE and DELETE are played, with values written out and
//! with conditions on the equality of columns. Anything else is refused with its place: also what a server would compute, such as a DEFAULT.

mod dml;
mod effects;
mod literal;
mod tables;

use std::sync::Arc;

use runtime::{Body, Collation, Error, Event, Op, Origin, Played, Result, Row, RowChange, SchemaChange, Seq, TableId, TestInput};

use self::dml::Dml;
use self::effects::Computed;
use self::tables::Tables;
use crate::schema::{
    Cursor, Dialect, ExplicitTimestamps, History, Interest, Statement, StatementContext, read_statement, statements, used_database,
};
use crate::selection::Selection;

/// The collation of the databases of a test.
const COLLATION: &str = "utf8mb4_general_ci";

/// When everything in a test happens: 2026-01-01 00:00:00 UTC, in milliseconds.
const MOMENT_MS: i64 = 1_767_225_600_000;

/// What a test can play, for errors.
const HELP: &str = "a test plays CREATE TABLE and other DDL, INSERT … VALUES, UPDATE … SET a = 1 WHERE b = 2 AND c IS NULL, and DELETE FROM … WHERE \
                    b = 2, with numbers, texts in quotes, X'00ff', TRUE, FALSE and NULL as values";

/// Plays the input of a test on the selected tables.
pub(crate) fn rehearse(selection: &Selection, input: &[TestInput]) -> Result<Played> {
    let mut origin = Origin::default();
    (origin.offset, origin.safe_offset, origin.read_ms) = ("4@1".into(), "4@1".into(), MOMENT_MS);
    let mut rehearsal = Rehearsal {
        selection,
        history: History::new([], std::iter::empty::<(String, Collation)>(), false),
        tables: Tables::default(),
        database: String::new(),
        origin: Arc::new(origin),
        played: Played::default(),
    };
    for (number, input) in (1..).zip(input) {
        match input {
            TestInput::Statements(script) => rehearsal.script(number, script)?,
            TestInput::Row { table, before, after } => {
                rehearsal.row(table, before.as_ref(), after.as_ref()).map_err(|why| {
                    Error::config(format!("the row in entry {number} of `input` cannot be played")).of_table(table).because(why).with_help(
                        "create the table first, and give a row with `before`, `after` or both: its columns by name, with their values",
                    )
                })?;
            }
            _ => return Err(Error::config("this input of a test is not known to the source")),
        }
    }
    Ok(rehearsal.played)
}

struct Rehearsal<'a> {
    selection: &'a Selection,
    history: History,
    tables: Tables,
    /// The default database: that of the last USE.
    database: String,
    origin: Arc<Origin>,
    played: Played,
}

impl Rehearsal<'_> {
    /// Plays the statements of the entry of the input with this number.
    fn script(&mut self, number: usize, script: &str) -> Result<()> {
        for statement in statements(script, Dialect::default().backslash_escapes) {
            let statement = statement.trim();
            let line = 1 + script.get(..statement.as_ptr() as usize - script.as_ptr() as usize).unwrap_or_default().matches('\n').count();
            self.statement(statement).map_err(|why| {
                Error::config(format!("the statement in line {line} of entry {number} of `input` cannot be played"))
                    .because(why)
                    .with_help(HELP)
            })?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &str) -> Result<(), String> {
        if let Some(database) = used_database(statement) {
            self.database = database;
            return Ok(());
        }
        let mut cursor = Cursor::new(statement, Dialect::default()).map_err(|error| error.to_string())?;
        if let Some(dml) = dml::read(&mut cursor, &self.database).map_err(|error| error.to_string())? {
            return self.play(dml);
        }
        let read = {
            // The database of a table need not be created in a test.
            let collations = |name: &str| self.history.collation(name).or_else(|| Some(Collation::new(COLLATION)));
            let context = StatementContext {
                explicit_timestamps: ExplicitTimestamps::Known(true),
                ..StatementContext::new(&self.database, &collations)
            };
            read_statement(statement, &context)
        };
        match read {
            Statement::Change(change) => {
                // Tables that are not selected are kept too: a statement may rename them into the selection.
                let selection = self.selection;
                let interest = |table: &TableId| if selection.selects(table) { Interest::Selected } else { Interest::Followed };
                change.effects.iter().flat_map(effects::tables).try_for_each(with_database)?;
                let applied = self.history.apply(&change, 0, &interest).map_err(|error| error.to_string())?;
                self.tables.follow(&self.history, &change.effects, &applied.touched, Computed::by(statement))?;
                let Some(kind) = change.kind.filter(|_| !applied.touched.is_empty()) else { return Ok(()) };
                let database = applied.touched.first().map_or(&*self.database, |(table, _)| &*table.database);
                let mut change = SchemaChange::new(kind, database, statement);
                change.tables = applied.touched;
                self.push(Body::Schema(change));
                Ok(())
            }
            Statement::Nothing => Ok(()),
            Statement::Unreadable(error, _) => Err(error.to_string()),
            _ => Err("it is of a kind that a test does not play".to_owned()),
        }
    }

    fn play(&mut self, dml: Dml) -> Result<(), String> {
        let (Dml::Insert { table, .. } | Dml::Update { table, .. } | Dml::Delete { table, .. }) = &dml;
        with_database(table)?;
        let (table, changes) = match dml {
            Dml::Insert { table, columns, rows } => {
                let changes = rows.iter().map(|row| self.tables.insert(&table, &columns, row).map(|row| (Op::Insert, None, Some(row))));
                let changes = changes.collect::<Result<Vec<_>, String>>()?;
                (table, changes)
            }
            Dml::Update { table, set, with } => {
                let changes = self.tables.update(&table, &set, &with)?;
                (table, changes.into_iter().map(|(before, after)| (Op::Update, Some(before), Some(after))).collect())
            }
            Dml::Delete { table, with } => {
                let changes = self.tables.delete(&table, &with)?;
                (table, changes.into_iter().map(|before| (Op::Delete, Some(before), None)).collect())
            }
        };
        changes.into_iter().try_for_each(|(op, before, after)| self.change(&table, op, before, after))
    }

    fn row(&mut self, table: &TableId, before: Option<&Json>, after: Option<&Json>) -> Result<(), String> {
        let op = match (before, after) {
            (None, None) => return Err("it has neither `before` nor `after`".to_owned()),
            (None, Some(_)) => Op::Insert,
            (Some(_), Some(_)) => Op::Update,
            (Some(_), None) => Op::Delete,
        };
        let before = before.map(|row| self.tables.row_of(table, row)).transpose()?;
        let after = after.map(|row| self.tables.row_of(table, row)).transpose()?;
        self.change(table, op, before, after)
    }

    fn change(&mut self, table: &TableId, op: Op, before: Option<Row>, after: Option<Row>) -> Result<(), String> {
        if self.selection.selects(table) {
            let schema = self.tables.schema(table)?.clone();
            self.push(Body::Row(RowChange::new(schema, op, before, after)));
        } else if !self.played.not_selected.contains(table) {
            self.played.not_selected.push(table.clone());
        }
        Ok(())
    }

    fn push(&mut self, body: Body) {
        let number = self.played.events.len() as u128 + 1;
        self.played.events.push(Event {
            seq: Seq(number),
            position: format!("test:{number}").into(),
            timestamp_ms: MOMENT_MS,
            txid: None,
            origin: self.origin.clone(),
            body,
        });
    }
}

type Json = serde_json::Map<String, serde_json::Value>;

/// Fails if the name of a table has no database.
fn with_database(table: &TableId) -> Result<(), String> {
    match table.database.is_empty() {
        true => Err(format!("table {} has no database: write database.{0}, or USE database; in front", &*table.table)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(script: &str) -> Result<Vec<String>> {
        let selection = Selection::new(&["shop.*".to_owned()], &["shop.no".to_owned()]).unwrap();
        let events = rehearse(&selection, &[TestInput::Statements(script.to_owned())])?.events;
        let shown = |event: &Event| match &event.body {
            Body::Row(change) => change.to_json().unwrap().to_string(),
            Body::Schema(change) => {
                format!("{:?} {}", change.kind, change.tables.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" "))
            }
            body => format!("{body:?}"),
        };
        Ok(events.iter().map(shown).collect())
    }

    #[test]
    fn statements_become_the_events_of_a_stream() {
        let events = played(
            "USE shop;\nCREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(9));\nCREATE TABLE no (id INT PRIMARY KEY);\n\
             INSERT INTO t VALUES (1, 'a'), (2, NULL); INSERT INTO no VALUES (1);\nUPDATE t SET name = 'b' WHERE id = 2;\n\
             ALTER TABLE t ADD c INT;\nDELETE FROM t WHERE name IS NULL;\nDELETE FROM t WHERE id = 1;\nTRUNCATE t;",
        );
        let row = |op: &str, before: &str, after: &str| {
            format!(r#"{{"after":{after},"before":{before},"database":"shop","op":"{op}","table":"t"}}"#)
        };
        let sorted = |text: &String| text.starts_with('{').then(|| serde_json::from_str::<serde_json::Value>(text).unwrap());
        let events = events.unwrap();
        let expected = [
            "CreateTable shop.t".to_owned(),
            row("insert", "null", r#"{"id":1,"name":"a"}"#),
            row("insert", "null", r#"{"id":2,"name":null}"#),
            row("update", r#"{"id":2,"name":null}"#, r#"{"id":2,"name":"b"}"#),
            "AlterTable shop.t".to_owned(),
            row("delete", r#"{"id":1,"name":"a","c":null}"#, "null"),
            "TruncateTable shop.t".to_owned(),
        ];
        assert_eq!(events.len(), expected.len(), "{events:?}");
        for (found, expected) in events.iter().zip(&expected) {
            match (sorted(found), sorted(expected)) {
                (Some(found), Some(expected)) => assert_eq!(found, expected),
                _ => assert_eq!(found, expected),
            }
        }
    }

    #[test]
    fn rows_are_given_by_their_columns() {
        let selection = Selection::new(&["shop.*".to_owned()], &[]).unwrap();
        let map = |value: serde_json::Value| value.as_object().cloned();
        let row = |before, after| TestInput::Row { table: TableId::new("shop", "t"), before: map(before), after: map(after) };
        let create = TestInput::Statements("CREATE TABLE shop.t (id INT PRIMARY KEY, at DATETIME)".to_owned());
        let input = [
            create.clone(),
            row(serde_json::json!(null), serde_json::json!({"id": 1, "AT": "2026-01-31 10:00:00"})),
            row(serde_json::json!({"id": 1}), serde_json::json!({"id": 2})),
            row(serde_json::json!({"id": 2}), serde_json::json!(null)),
        ];
        let ops: Vec<Op> = rehearse(&selection, &input)
            .unwrap()
            .events
            .into_iter()
            .filter_map(|event| if let Body::Row(change) = event.body { Some(change.op) } else { None })
            .collect();
        assert_eq!(ops, [Op::Insert, Op::Update, Op::Delete]);
        let null = || serde_json::json!(null);
        for (wrong, why) in
            [(serde_json::json!({"id": 1, "b": 2}), "no column b"), (serde_json::json!({"at": null}), "NOT NULL"), (null(), "neither")]
        {
            let error = rehearse(&selection, &[create.clone(), row(null(), wrong)]).unwrap_err();
            assert!(error.help().is_some_and(|help| help.contains("create the table first")));
            let error = error.to_string();
            assert!(error.contains(why) && error.contains("entry 2 of `input`") && error.contains("table shop.t"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_played_is_named_with_its_line() {
        for (script, line, why) in [
            ("USE shop;\nCREATE TABLE t (id GIZMO);", 2, "GIZMO"),
            ("INSERT INTO shop.t VALUES (1)", 1, "no table shop.t"),
            ("CREATE TABLE shop.t (id INT);\n\nINSERT INTO shop.t VALUES (1, 2)", 3, "1 column"),
            ("CREATE TABLE shop.t (id INT);\nINSERT INTO shop.t VALUES ('x')", 2, "an integer"),
            ("CREATE TABLE shop.t (id INT PRIMARY KEY);\nINSERT INTO shop.t VALUES (1), (1)", 2, "the key"),
            ("CALL shop.p()", 1, "does not play"),
            ("CREATE TABLE shop.t (id INT);INSERT INTO shop.t VALUES (1);\nALTER TABLE shop.t MODIFY id VARCHAR(9)", 2, "rows"),
            ("CREATE TABLE t (id INT)", 1, "table t has no database"),
            ("ALTER TABLE t ADD b INT", 1, "table t has no database"),
            ("CREATE TABLE shop.t (id INT);\nUPDATE t SET id = 1", 2, "table t has no database"),
        ] {
            let error = played(script).unwrap_err();
            assert!(error.help().is_some_and(|help| help.contains("INSERT … VALUES")), "{error}");
            let error = error.to_string();
            assert!(error.contains(&format!("line {line} of entry 1 of `input`")) && error.contains(why), "{script}: {error}");
        }
    }

    #[test]
    fn what_a_server_would_compute_is_refused() {
        let after = |columns: &str, statement: &str| played(&format!("USE shop; CREATE TABLE t ({columns}); {statement}"));
        let omitted = "INSERT INTO t (a) VALUES (1)";
        for columns in [
            "a INT, b INT DEFAULT 5",
            "a INT, b INT AUTO_INCREMENT, KEY (b)",
            "a INT, b SERIAL",
            "a INT, b INT AS (a + 1)",
            "a INT, b INT GENERATED ALWAYS AS (a + 1) STORED",
        ] {
            let error = after(columns, omitted).unwrap_err().to_string();
            assert!(error.contains("does not name column b") && error.contains("computes"), "{columns}: {error}");
        }
        assert_eq!(after("a INT, b INT", omitted).unwrap().len(), 2, "b is NULL");
        assert_eq!(after("a INT, b INT DEFAULT 5", "INSERT INTO t (b, a) VALUES (5, 1)").unwrap().len(), 2);
        let altered = "CREATE TABLE u LIKE t; ALTER TABLE u ADD c INT DEFAULT 1; RENAME TABLE u TO v; INSERT INTO v (a) VALUES (1)";
        assert!(after("a INT", altered).unwrap_err().to_string().contains("does not name column c"));
        let copied = "CREATE TABLE u LIKE t; INSERT INTO u (a) VALUES (1)";
        assert!(after("a INT, b INT DEFAULT 1", copied).unwrap_err().to_string().contains("does not name column b"));
        let stamped = "a INT, at TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP";
        assert!(after(stamped, "UPDATE t SET a = 1").unwrap_err().to_string().contains("ON UPDATE"));
        assert!(after("a INT, b INT AS (a + 1)", "UPDATE t SET a = 1").unwrap_err().to_string().contains("computes"));
        assert_eq!(after(stamped, "INSERT INTO t VALUES (1, NULL); DELETE FROM t").unwrap().len(), 3);
    }

    #[test]
    fn rows_go_with_a_table_that_is_renamed() {
        let events = played(
            "USE shop; CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY); CREATE TABLE no (id INT PRIMARY KEY); \
             INSERT INTO a VALUES (1); INSERT INTO b VALUES (2); INSERT INTO no VALUES (3); \
             RENAME TABLE a TO c, b TO a; RENAME TABLE no TO b; DELETE FROM c; DELETE FROM a; DELETE FROM b",
        );
        let deleted: Vec<_> =
            events.unwrap().into_iter().filter_map(|event| Some(event.split_once(r#""before":{"id":"#)?.1[..1].to_owned())).collect();
        assert_eq!(deleted, ["1", "2", "3"]);
    }

    #[test]
    fn tables_that_are_not_selected_are_named() {
        let selection = Selection::new(&["shop.*".to_owned()], &["shop.no".to_owned()]).unwrap();
        let script =
            "USE shop; CREATE TABLE no (id INT); CREATE TABLE crm.t (id INT); INSERT INTO no VALUES (1), (2); INSERT INTO crm.t VALUES (1)";
        let played = rehearse(&selection, &[TestInput::Statements(script.to_owned())]).unwrap();
        assert_eq!((played.events.len(), played.not_selected), (0, vec![TableId::new("shop", "no"), TableId::new("crm", "t")]));
    }
}
