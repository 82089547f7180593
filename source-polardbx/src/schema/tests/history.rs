//! Tests of the history: what statements do to the known schemas.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::{Collation, TableId};

use super::super::history::ChangeError;
use super::super::{Applied, FollowedRows, History, Interest, OtherObjects, Statement, WithoutEvents};
use super::{create, read, t, types};

pub(super) fn history() -> History {
    let mut schema = create("CREATE TABLE t (a int NOT NULL, b int NOT NULL, c varchar(9), PRIMARY KEY (a), UNIQUE KEY u (b))");
    schema.version = 3;
    History::new([Arc::new(schema)], HashMap::from([("d".to_owned(), Collation::new("utf8mb4_general_ci"))]), false)
}

/// The tables of the database `d` are known. All but those whose names begin with `no` are selected.
fn interest(table: &TableId) -> Interest {
    match (&*table.database, table.table.starts_with("no")) {
        ("d", false) => Interest::Selected,
        ("d", true) => Interest::Followed,
        _ => Interest::None,
    }
}

pub(super) fn apply(history: &mut History, sql: &str) -> Result<Vec<(String, Option<u32>)>, ChangeError> {
    let statement = read(sql);
    let Statement::Change(change) = statement else { panic!("{sql}: {statement:?}") };
    let Applied { touched, without_events } = history.apply(&change, 1_000, &interest)?;
    if let Some(WithoutEvents { table, what, .. }) = without_events.into_iter().next() {
        return Err(ChangeError::WithoutEvents { table, what });
    }
    Ok(touched.into_iter().map(|(table, schema)| (table.to_string(), schema.map(|schema| schema.version))).collect())
}

#[test]
fn a_table_that_comes_in_is_new_unless_it_takes_the_place_of_another_one() {
    let comes_in = |before: &[&str], sql: &str| {
        let mut known = history();
        for before in before {
            apply(&mut known, before).unwrap();
        }
        let Statement::Change(change) = read(sql) else { panic!("{sql}") };
        let Applied { without_events, .. } = known.apply(&change, 1_000, &interest).unwrap();
        without_events.into_iter().map(|WithoutEvents { table, is_new, .. }| (table.table.to_string(), is_new)).collect::<Vec<_>>()
    };
    assert_eq!(comes_in(&["RENAME TABLE t TO no"], "RENAME TABLE no TO v"), [("v".to_owned(), true)]);
    assert_eq!(
        comes_in(&["RENAME TABLE t TO no", "CREATE TABLE t (a int PRIMARY KEY)"], "RENAME TABLE t TO no_old, no TO t"),
        [("t".to_owned(), false)]
    );
}

#[test]
fn the_history_follows_what_it_can() {
    let mut known = history();
    for (sql, expected) in [
        ("TRUNCATE t", vec![("d.t", Some(3))]),
        ("ALTER TABLE t ADD INDEX (c), ADD UNIQUE v (b, a)", vec![("d.t", Some(4))]),
        ("DROP INDEX no_such ON t", vec![("d.t", Some(4))]),
        ("CREATE TABLE IF NOT EXISTS t (z int)", vec![("d.t", Some(4))]),
        ("CREATE TABLE n LIKE t", vec![("d.n", Some(1000))]),
        ("DROP TABLE t, unknown", vec![("d.t", None), ("d.unknown", None)]),
        ("CREATE TABLE t (z int)", vec![("d.t", Some(1000))]),
        ("CREATE TABLE e.x (z int)", vec![]),
        ("CREATE TABLE no (z frob)", vec![]),
        ("ALTER TABLE no ADD c int", vec![]),
        ("ALTER DATABASE d CHARACTER SET gbk", vec![]),
        ("DROP DATABASE d", vec![("d.n", None), ("d.t", None)]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(table, version)| (table.to_owned(), version)).collect();
        assert_eq!(apply(&mut known, sql).unwrap(), expected, "{sql}");
    }
    apply(&mut known, "CREATE DATABASE d").unwrap();
    assert_eq!(known.collation("d"), Some(Collation::new("latin1_swedish_ci")), "a new database has the server's collation");
}

#[test]
fn a_partition_becomes_a_table_and_a_table_a_partition() {
    let partitioned =
        "CREATE TABLE t (a int, KEY k (a)) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (9), PARTITION p1 VALUES LESS THAN (99))";
    let mut known =
        History::new([Arc::new(create(partitioned))], HashMap::from([("d".to_owned(), Collation::new("utf8mb4_general_ci"))]), false);
    let mut apply = |sql: &str| {
        let Statement::Change(change) = read(sql) else { panic!("{sql}") };
        let Applied { touched, without_events } = known.apply(&change, 1_000, &interest).unwrap();
        let touched: Vec<_> = touched.into_iter().map(|(table, schema)| (table.table.to_string(), schema)).collect();
        (touched, without_events.into_iter().map(|without| without.table.table.to_string()).collect::<Vec<_>>())
    };
    let (touched, without_events) = apply("ALTER TABLE t CONVERT PARTITION p0 TO TABLE c0");
    assert_eq!(without_events, ["t", "c0"]);
    let (made, of) = (touched[1].1.as_ref().unwrap(), touched[0].1.as_ref().unwrap());
    assert_eq!((&*touched[1].0, &made.columns, &made.other_keys), ("c0", &of.columns, &of.other_keys));
    assert_eq!((&of.partition_columns[..], &made.partition_columns[..]), (&[0][..], &[][..]));
    let (touched, without_events) = apply("ALTER TABLE t CONVERT TABLE c0 TO PARTITION p0 VALUES LESS THAN (9)");
    assert_eq!((without_events, touched[1].clone()), (vec!["t".to_owned(), "c0".to_owned()], ("c0".to_owned(), None)));
    // A table that is only followed has rows then.
    apply("ALTER TABLE t CONVERT PARTITION p1 TO TABLE no");
    assert_eq!(apply("RENAME TABLE no TO x").1, ["x"]);
}

/// The schema after an ALTER TABLE of `t` with these clauses, as a SHOW CREATE TABLE would print it.
fn altered(clauses: &str) -> String {
    let table = "CREATE TABLE t (a int(11) NOT NULL, b int(11) NOT NULL, c varchar(9), PRIMARY KEY (a), UNIQUE KEY u (b)) CHARSET latin1";
    let mut history =
        History::new([Arc::new(create(table))], HashMap::from([("d".to_owned(), Collation::new("utf8mb4_general_ci"))]), false);
    if let Err(error) = apply(&mut history, &format!("ALTER TABLE t {clauses}")) {
        return error.to_string();
    }
    let schema = history.table(&t()).unwrap();
    let names = |columns: &[usize]| columns.iter().map(|&column| schema.columns[column].name.as_str()).collect::<Vec<_>>().join(",");
    let mut parts = types(schema);
    for (part, column) in parts.iter_mut().zip(&schema.columns) {
        part.extend(column.charset().iter().map(|charset| format!(" {charset}")));
    }
    parts.push(format!("primary {}", names(&schema.primary_key)));
    parts.extend(schema.unique_keys.iter().map(|key| format!("{} {}", key.name, names(&key.columns))));
    parts.join("; ")
}

#[test]
fn the_clauses_of_an_alter_are_applied_together() {
    for (clauses, expected) in [
        (
            "ADD d INT AFTER a, ADD e INT FIRST",
            "e int(11); a int(11) not null; d int(11); b int(11) not null; c varchar(9) latin1; primary a; u b",
        ),
        ("DROP a, DROP COLUMN c", "b int(11) not null; primary ; u b"),
        ("CHANGE a b INT, CHANGE b a INT NOT NULL", "b int(11) not null; a int(11) not null; c varchar(9) latin1; primary b; u a"),
        ("RENAME COLUMN a TO b, RENAME COLUMN b TO a", "b int(11) not null; a int(11) not null; c varchar(9) latin1; primary b; u a"),
        ("MODIFY c TEXT CHARACTER SET gbk FIRST", "c text gbk; a int(11) not null; b int(11) not null; primary a; u b"),
        (
            "MODIFY b BIGINT AFTER c, DEFAULT CHARSET gbk, ADD d CHAR(3)",
            "a int(11) not null; c varchar(9) latin1; b bigint(20); d char(3) gbk; primary a; u b",
        ),
        (
            "CONVERT TO CHARACTER SET utf8mb4, ADD d TEXT",
            "a int(11) not null; b int(11) not null; c varchar(9) utf8mb4; d text utf8mb4; primary a; u b",
        ),
        (
            "DROP PRIMARY KEY, ADD PRIMARY KEY (c, b), ADD (d INT UNIQUE, e YEAR)",
            "a int(11) not null; b int(11) not null; c varchar(9) not null latin1; d int(11); e year(4); primary c,b; u b; d d",
        ),
        (
            "ADD d INT UNSIGNED NOT NULL DEFAULT 7 COMMENT 'FIRST' PARTITION BY HASH (a) PARTITIONS 3",
            "a int(11) not null; b int(11) not null; c varchar(9) latin1; d int(10) unsigned not null; primary a; u b",
        ),
        ("ADD PERIOD FOR p (c, b), DROP CHECK k", "a int(11) not null; b int(11) not null; c varchar(9) not null latin1; primary a; u b"),
        (
            "DROP PERIOD FOR p, ADD period INT",
            "a int(11) not null; b int(11) not null; c varchar(9) latin1; period int(11); primary a; u b",
        ),
        ("DROP nope", "the table has no column `nope`"),
        ("ADD A INT", "two columns called `A`"),
        ("ADD d INT AFTER nope", "there is no column `nope` for AFTER"),
        ("DROP a, DROP b, DROP c", "the statement leaves no column"),
    ] {
        assert_eq!(altered(clauses), expected, "{clauses}");
    }
}

#[test]
fn the_labels_of_a_converted_table_are_followed() {
    let created = "CREATE TABLE t (e ENUM('男','女'), s SET('ä')) CHARSET utf8";
    let mut known =
        History::new([Arc::new(create(created))], HashMap::from([("d".to_owned(), Collation::new("utf8mb4_general_ci"))]), false);
    let mut convert =
        |to: &str| apply(&mut known, &format!("ALTER TABLE t CONVERT TO CHARACTER SET {to}")).map(|_| types(known.table(&t()).unwrap()));
    assert_eq!(convert("utf8mb4").unwrap(), ["e enum('男','女')", "s set('ä')"]);
    assert_eq!(convert("latin1").unwrap(), ["e enum('ç”·','å¥³')", "s set('Ã¤')"]);
    let refused = convert("utf8mb4").unwrap_err();
    assert!(refused.to_string().contains("column `e`: servers differ in what they make of its labels in utf8mb4"), "{refused}");
}

#[test]
fn views_and_sequences_are_known_by_name() {
    let mut known = history();
    let execute = |known: &mut History, sql: &str| match read(sql) {
        Statement::Others { names, exist } => {
            known.note_others(&names, exist, &interest);
            Ok(Vec::new())
        }
        _ => apply(known, sql),
    };
    let nothing = |sql: &str, known: &mut History| assert_eq!(execute(known, sql), Ok(Vec::new()), "{sql}");
    for sql in [
        "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS SELECT 1",
        "CREATE OR REPLACE VIEW IF NOT EXISTS v AS SELECT 1",
        "CREATE SEQUENCE IF NOT EXISTS s",
        "RENAME TABLE v TO w, s TO r",
        "ALTER TABLE r RENAME TO no",
        "ALTER TABLE no RENAME s",
        "ALTER TABLE s COMMENT 'x'",
        "CREATE TABLE IF NOT EXISTS w (a INT)",
        "CREATE TABLE r LIKE s",
        "DROP TABLE r",
        "DROP VIEW IF EXISTS no_such, w",
        "CREATE JSON DUALITY VIEW j AS SELECT 1",
    ] {
        nothing(sql, &mut known);
    }
    // What is taken is what comes back.
    let taken = known.take_others().unwrap();
    assert_eq!((taken.clone(), known.take_others()), (OtherObjects::new(["j", "s"].map(|name| TableId::new("d", name))), None));
    let mut restored = history();
    restored.restore_others(taken);
    nothing("RENAME TABLE j TO k", &mut restored);
    // Names that are not known stay an error: tables of other databases, tables that cannot be read, and views that are gone.
    for sql in ["RENAME TABLE w TO x", "RENAME TABLE v TO x", "RENAME TABLE e.t TO x", "ALTER TABLE w RENAME x"] {
        assert!(matches!(execute(&mut known, sql), Err(ChangeError::Renamed { .. })), "{sql}");
    }
    nothing("CREATE VIEW no AS SELECT 1", &mut known);
    nothing("CREATE TABLE no (a frob)", &mut known);
    assert!(execute(&mut known, "RENAME TABLE no TO x").is_err(), "a table has the name of the view");
    nothing("CREATE VIEW n AS SELECT 1", &mut known);
    known.lose(&TableId::new("d", "n"));
    assert!(execute(&mut known, "RENAME TABLE n TO x").is_err(), "a statement that cannot be read names it");
    assert_eq!(execute(&mut known, "CREATE TABLE s (a INT)").unwrap().len(), 1);
    assert_eq!(execute(&mut known, "RENAME TABLE s TO x").unwrap().len(), 2);
    execute(&mut known, "DROP DATABASE d").unwrap();
    assert!(execute(&mut known, "RENAME TABLE j TO x").is_err());
}

#[test]
fn tables_are_renamed_within_the_selection() {
    let mut known = history();
    apply(&mut known, "CREATE TABLE u (z int)").unwrap();
    let names =
        |known: &History| ["t", "u", "v"].map(|name| known.table(&TableId::new("d", name)).map(|schema| schema.columns[0].name.clone()));
    assert_eq!(
        apply(&mut known, "RENAME TABLE t TO no, u TO t, no TO u").unwrap(),
        [("d.t".to_owned(), Some(1001)), ("d.u".to_owned(), Some(1001))]
    );
    assert_eq!(names(&known), [Some("z".to_owned()), Some("a".to_owned()), None]);
    assert_eq!(
        apply(&mut known, "ALTER TABLE u ADD y int FIRST, RENAME v").unwrap(),
        [("d.u".to_owned(), None), ("d.v".to_owned(), Some(1003))]
    );
    assert_eq!(names(&known), [Some("z".to_owned()), None, Some("y".to_owned())]);
    // A table that leaves the selection may change its rows unseen.
    assert_eq!(apply(&mut known, "RENAME TABLE v TO no").unwrap(), [("d.v".to_owned(), None)]);
    assert!(matches!(apply(&mut known, "RENAME TABLE no TO v"), Err(ChangeError::WithoutEvents { .. })));
    apply(&mut known, "RENAME TABLE v TO e.v").unwrap();
    assert!(matches!(apply(&mut known, "RENAME TABLE e.v TO v"), Err(ChangeError::Renamed { .. })));
    assert_eq!(apply(&mut known, "RENAME TABLE e.a TO e.b").unwrap(), []);
}

#[test]
fn tables_that_are_not_selected_are_followed() {
    let columns = |known: &History, table: &str| known.table(&TableId::new("d", table)).map(|schema| types(schema).join(", "));
    let mut known = history();
    for sql in [
        "CREATE TABLE no_new LIKE t",
        "ALTER TABLE no_new ADD x int FIRST, DROP c",
        "CREATE TABLE no_like LIKE no_new",
        // A table whose change cannot be read is not known any more.
        "ALTER TABLE no_like DROP gone",
        "CREATE TABLE no_odd (a frob)",
    ] {
        assert_eq!(apply(&mut known, sql).unwrap(), [], "{sql}");
    }
    let taken: Vec<_> = known.take_followed();
    let names: Vec<_> = taken.iter().map(|(table, followed)| (&*table.table, followed.as_ref().map(|followed| followed.rows))).collect();
    assert_eq!(names, [("no_like", None), ("no_new", Some(FollowedRows::None))]);
    assert!(known.take_followed().is_empty());
    // What is stored is restored.
    let mut other = history();
    other.restore_followed(taken.into_iter().filter_map(|(_, followed)| followed));
    for known in [&mut known, &mut other] {
        let mut swapped = known.clone();
        assert_eq!(
            apply(&mut swapped, "RENAME TABLE t TO no_old, no_new TO t").unwrap(),
            [("d.t".to_owned(), Some(1002))],
            "an empty table brings no rows"
        );
        assert_eq!(columns(&swapped, "t").as_deref(), Some("x int(11), a int not null, b int not null"));
        assert_eq!(columns(&swapped, "no_old").as_deref(), Some("a int not null, b int not null, c varchar(9)"));
        assert_eq!(columns(&swapped, "no_new"), None);
        known.saw_rows(&TableId::new("d", "no_new"));
        assert_eq!(known.take_followed().len(), 1);
        let error = apply(&mut known.clone(), "RENAME TABLE t TO no_old, no_new TO t").unwrap_err();
        assert!(
            matches!(&error, ChangeError::WithoutEvents { table, .. } if *table == t()) && error.to_string().contains("d.no_new"),
            "{error}"
        );
        // A table that is emptied has no rows.
        apply(known, "TRUNCATE no_new").unwrap();
        apply(known, "RENAME TABLE no_new TO t2").unwrap();
        assert!(columns(known, "t2").is_some());
    }
    // A statement that cannot be read may have changed it.
    let mut lost = other.clone();
    apply(&mut lost, "CREATE TABLE no_new LIKE t2").unwrap();
    lost.lose(&TableId::new("d", "no_new"));
    assert!(matches!(apply(&mut lost, "RENAME TABLE no_new TO t3"), Err(ChangeError::Renamed { .. })));
    assert_eq!(lost.take_followed().pop(), Some((TableId::new("d", "no_new"), None)));
    // The copy that a tool for online schema changes has made has the rows of the table.
    let interest = |table: &TableId| if &*table.table == "t" { Interest::Selected } else { Interest::Followed };
    for (copy, swap) in [
        ("_t_gho", "RENAME TABLE t TO _t_del, _t_gho TO t"),
        ("_t_new", "RENAME TABLE t TO _t_old, _t_new TO t"),
        ("__osc_new_t", "RENAME TABLE t TO __osc_old_t, __osc_new_t TO t"),
    ] {
        let mut known = history();
        for sql in [format!("CREATE TABLE {copy} LIKE t"), format!("ALTER TABLE {copy} ADD x int"), swap.to_owned()] {
            let Statement::Change(change) = read(&sql) else { panic!("{sql}") };
            known.saw_rows(&TableId::new("d", copy));
            let applied = known.apply(&change, 5, &interest).unwrap();
            assert!(applied.without_events.is_empty(), "{sql}");
            assert_eq!(applied.touched.len(), usize::from(sql == swap), "{sql}");
        }
        assert!(columns(&known, "t").is_some_and(|columns| columns.ends_with("x int(11)")));
    }
}

#[test]
fn a_table_that_a_copy_has_replaced_is_no_copy() {
    let interest = |table: &TableId| if matches!(&*table.table, "t" | "_t") { Interest::Selected } else { Interest::Followed };
    let run = |known: &mut History, sql: &str| {
        let Statement::Change(change) = read(sql) else { panic!("{sql}") };
        known.apply(&change, 5, &interest).unwrap().without_events.len()
    };
    for (copy, old, roll_back) in [
        ("_t_gho", "_t_del", "RENAME TABLE t TO _t_gho, _t_del TO t"),
        ("_t_new", "_t_old", "RENAME TABLE t TO _t_x, _t_old TO t"),
        ("__osc_new_t", "__osc_old_t", "RENAME TABLE t TO _x, __osc_old_t TO t"),
        // Not by the detour over the name of a copy either.
        ("_t_gho", "_t_del", "RENAME TABLE t TO x, _t_del TO _t_gho, _t_gho TO t"),
    ] {
        let mut known = history();
        for sql in [format!("CREATE TABLE {copy} LIKE t"), format!("RENAME TABLE t TO {old}, {copy} TO t")] {
            assert_eq!(run(&mut known, &sql), 0, "{sql}");
            known.saw_rows(&TableId::new("d", copy));
        }
        // Between two starts, nothing is forgotten.
        let stored = known.take_followed();
        let mut other = history();
        other.restore_followed(stored.into_iter().filter_map(|(_, followed)| followed));
        for known in [&mut known, &mut other] {
            assert_eq!(run(known, roll_back), 1, "{roll_back}");
        }
    }
    // A copy keeps its right only while it has the name of a copy.
    let mut known = history();
    run(&mut known, "CREATE TABLE _t_gho LIKE t");
    known.saw_rows(&TableId::new("d", "_t_gho"));
    for sql in ["RENAME TABLE _t_gho TO x", "RENAME TABLE x TO _t_gho"] {
        assert_eq!(run(&mut known, sql), 0, "{sql}");
    }
    assert_eq!(run(&mut known, "RENAME TABLE t TO y, _t_gho TO t"), 1);
}

#[test]
fn rows_that_go_with_their_partitions_are_no_events() {
    for sql in ["ALTER TABLE t DROP PARTITION p1, `p2`", "ALTER TABLE t TRUNCATE PARTITION ALL", "ALTER TABLE t DISCARD TABLESPACE"] {
        assert!(matches!(apply(&mut history(), sql), Err(ChangeError::WithoutEvents { .. })), "{sql}");
        assert_eq!(apply(&mut history(), &sql.replace("TABLE t", "TABLE no")).unwrap(), [], "{sql}");
    }
}

#[test]
fn a_change_of_the_effective_key_is_followed() {
    let without_primary_key = |keys: &str| {
        let schema = create(&format!("CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int{keys})"));
        History::new([Arc::new(schema)], HashMap::from([("d".to_owned(), Collation::new("utf8mb4_general_ci"))]), false)
    };
    for (keys, sql, changes) in [
        (", UNIQUE u (a)", "DROP INDEX u ON t", true),
        (", UNIQUE u (a)", "ALTER TABLE t DROP KEY u, ADD UNIQUE v (b)", true),
        (", UNIQUE u (a)", "ALTER TABLE t DROP KEY u, ADD UNIQUE v (a)", false),
        (", UNIQUE u (a), UNIQUE v (b)", "DROP INDEX v ON t", false),
        (", UNIQUE u (a)", "CREATE UNIQUE INDEX v ON t (b)", false),
        (", UNIQUE u (c)", "ALTER TABLE t DROP KEY u, ADD UNIQUE w (c, a)", false),
        ("", "ALTER TABLE t ADD UNIQUE (a)", true),
        ("", "CREATE UNIQUE INDEX u ON t (a, b)", true),
        ("", "CREATE UNIQUE INDEX u ON t (c)", false),
    ] {
        let mut history = without_primary_key(keys);
        let before = history.table(&t()).unwrap().effective_key();
        apply(&mut history, sql).unwrap();
        assert_eq!(history.table(&t()).unwrap().effective_key() != before, changes, "{keys} {sql}");
    }
}

#[test]
fn a_database_that_exists_keeps_its_collation() {
    let mut known = history();
    for (sql, collation) in [
        ("CREATE DATABASE IF NOT EXISTS d CHARACTER SET gbk", Some("utf8mb4_general_ci")),
        ("CREATE DATABASE IF NOT EXISTS d", Some("utf8mb4_general_ci")),
        ("ALTER DATABASE d COLLATE gbk_bin", Some("gbk_bin")),
        ("ALTER DATABASE d UPGRADE DATA DIRECTORY NAME", Some("gbk_bin")),
        ("ALTER DATABASE d CHARACTER SET DEFAULT", Some("latin1_swedish_ci")),
        ("CREATE OR REPLACE DATABASE d CHARSET utf8", Some("utf8_general_ci")),
        ("DROP DATABASE d", None),
        ("CREATE DATABASE IF NOT EXISTS d CHARACTER SET gbk", Some("gbk_chinese_ci")),
        ("CREATE SCHEMA IF NOT EXISTS d CHARACTER SET big5", Some("gbk_chinese_ci")),
    ] {
        apply(&mut known, sql).unwrap();
        assert_eq!(known.collation("d"), collation.map(Collation::new), "{sql}");
    }
    assert!(known.table(&t()).is_none(), "OR REPLACE drops the tables");
    // A known table proves that its database exists, even if its collation is unknown.
    let mut known = History::new([Arc::new(create("CREATE TABLE t (a int)"))], HashMap::<String, Collation>::new(), false);
    apply(&mut known, "CREATE DATABASE IF NOT EXISTS d CHARACTER SET gbk").unwrap();
    assert_eq!(known.collation("d"), None);
}

#[test]
fn the_history_stops_where_it_must() {
    for sql in ["ALTER TABLE t EXCHANGE PARTITION p WITH TABLE e.u", "ALTER TABLE e.u EXCHANGE PARTITION p WITH TABLE t"] {
        assert!(matches!(apply(&mut history(), sql), Err(ChangeError::WithoutEvents { .. })), "{sql}");
    }
    assert!(matches!(apply(&mut history(), "RENAME TABLE e.u TO t2"), Err(ChangeError::Renamed { .. })));
    assert!(matches!(apply(&mut history(), "CREATE TABLE n LIKE e.x"), Err(ChangeError::LikeUnknown { .. })));
    for sql in ["CREATE TABLE n (a frob)", "CREATE TABLE n ENGINE=x", "ALTER TABLE t ADD UNIQUE (nope)"] {
        assert!(matches!(apply(&mut history(), sql), Err(ChangeError::Unread { .. })), "{sql}");
    }
    assert!(matches!(apply(&mut history(), "TRUNCATE unknown"), Err(ChangeError::Unknown { .. })));
    let mut known = history();
    assert!(apply(&mut known, "DROP TABLE t, u").is_ok() && known.table(&t()).is_none());
}
