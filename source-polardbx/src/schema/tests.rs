//! Tests that parse statements of MySQL, MariaDB and PolarDB-X, and compare the results.

use runtime::{Collation, ColumnKind, KeyPart, SchemaChangeKind, TableId, TableSchema};

use super::{
    Dialect, Effect, ExplicitTimestamps, KeyChange, KeyDefinition, PartDefinition, SessionCollations, Statement, StatementContext,
    read_create_table, read_statement,
};

fn read(sql: &str) -> Statement {
    let collations = |_: &str| Some(Collation::new("utf8mb4_general_ci"));
    let (dialect, explicit_timestamps) = (Dialect::of_version("5.7.22-log"), ExplicitTimestamps::Known(false));
    read_statement(sql, &StatementContext { explicit_timestamps, dialect, session: latin1(), ..StatementContext::new("d", &collations) })
}

/// The collations of a session of a server for latin1.
fn latin1() -> SessionCollations<'static> {
    SessionCollations { server: Some(8), ..SessionCollations::default() }
}

fn create(sql: &str) -> TableSchema {
    read_create_table(sql, "d", &|_| Some(Collation::new("utf8mb4_general_ci"))).unwrap().schema
}

fn types(schema: &TableSchema) -> Vec<String> {
    schema
        .columns
        .iter()
        .map(|column| format!("{} {}{}", column.name, column.source_type, if column.nullable { "" } else { " not null" }))
        .collect()
}

fn effects(sql: &str) -> Vec<Effect> {
    match read(sql) {
        Statement::Change(change) => change.effects,
        other => panic!("{sql}: {other:?}"),
    }
}

fn t() -> TableId {
    TableId::new("d", "t")
}

#[test]
fn polardbx_prints_a_partitioned_table() {
    let schema = create(
        "CREATE TABLE `orders` (\n\t`id` bigint(20) NOT NULL AUTO_INCREMENT,\n\t`buyer` bigint(20) NOT NULL,\n\t`amount` decimal(12, 2) DEFAULT NULL,\n\
         \t`note` varchar(64) CHARACTER SET latin1 DEFAULT 'x',\n\tPRIMARY KEY (`id`),\n\tGLOBAL INDEX `g_buyer` (`buyer`) COVERING (`amount`)\n\
         \t\tPARTITION BY KEY(`buyer`,`id`)\n\t\tPARTITIONS 3,\n\tUNIQUE LOCAL KEY `u_note` USING BTREE (`note`(10)),\n\
         \tUNIQUE GLOBAL INDEX `u_b` (`buyer`) DBPARTITION BY HASH(`buyer`),\n\tLOCAL KEY `k_amount` (`amount`),\n\
         \tCLUSTERED COLUMNAR INDEX `cci` (`id`) PARTITION BY HASH(`id`)\n\
         ) ENGINE = InnoDB AUTO_INCREMENT = 100001 DEFAULT CHARSET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci\n\
         PARTITION BY KEY(`id`,`buyer`)\nPARTITIONS 16\ntablegroup = `tg5` /* LOCALITY='dn=1' */",
    );
    assert_eq!(types(&schema), ["id bigint(20) not null", "buyer bigint(20) not null", "amount decimal(12,2)", "note varchar(64)"]);
    assert_eq!((schema.columns[3].charset(), &schema.primary_key[..]), (Some("latin1"), &[0][..]));
    assert_eq!(schema.unique_keys.iter().map(|key| (key.name.as_str(), &key.columns[..])).collect::<Vec<_>>(), [("u_b", &[1][..])]);
    assert_eq!(schema.partition_columns, [0, 1]);
    assert_eq!(schema.effective_key(), [0, 1]);
}

#[test]
fn drds_and_ttl_clauses_do_not_disturb() {
    for tail in [
        "dbpartition by hash(`a`) tbpartition by hash(`b`) tbpartitions 4",
        "DBPARTITION BY RANGE_HASH(a,b,8) tbpartition by YYYYMM(d) tbpartitions 12 STARTWITH 202401 ENDWITH 202512",
        "TTL = TTL_DEFINITION ( TTL_ENABLE = 'OFF', TTL_EXPR = `d` EXPIRE AFTER 2 MONTH TIMEZONE '+08:00' ) broadcast",
        "LOCAL PARTITION BY RANGE(d) INTERVAL 1 MONTH EXPIRE AFTER 12 PRE ALLOCATE 3 PIVOTDATE NOW()",
        "PARTITION BY LIST(a) SUBPARTITION BY KEY(b) SUBPARTITIONS 4 (PARTITION p1 VALUES IN(1,2) LOCALITY='x', PARTITION pd VALUES IN(DEFAULT))",
        "/*!50100 PARTITION BY RANGE COLUMNS(a,b) (PARTITION p0 VALUES LESS THAN (10,'2025-01-01') ENGINE = InnoDB) */",
        "ENGINE = Columnar single",
    ] {
        let schema =
            create(&format!("CREATE TABLE t (a int, b varchar(9), d date, KEY k (b)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 {tail}"));
        assert_eq!(types(&schema), ["a int", "b varchar(9)", "d date"], "{tail}");
    }
}

#[test]
fn types_are_printed_as_the_server_prints_them() {
    let sql = "create table t (a integer, b int unsigned, c bool, d numeric, e dec(5) unsigned, f float(30), g real, h double precision(8,2), i bit, \
               j character varying(9), k nchar(4), l char(3) character set binary, m text(100), n blob(70000), o enum('a','b''c ', \"d\\\\\") charset latin1, \
               p year, q timestamp(3) null, r timestamp, s long varchar, u serial, v mediumint zerofill, w varbinary(3), x json, y point, \
               z int default null comment 'primary key' unique, aa time(6) as (now(6)) virtual, ab set('x','y'))";
    let Some(Effect::Create { definition: Ok(table), .. }) = effects(sql).into_iter().next() else { panic!() };
    let schema = table.schema;
    assert_eq!(
        types(&schema),
        [
            "a int(11)",
            "b int(10) unsigned",
            "c tinyint(1)",
            "d decimal(10,0)",
            "e decimal(5,0) unsigned",
            "f double",
            "g double",
            "h double(8,2)",
            "i bit(1)",
            "j varchar(9)",
            "k char(4)",
            "l binary(3)",
            "m text",
            "n mediumblob",
            "o enum('a','b''c','d\\\\')",
            "p year(4)",
            "q timestamp(3)",
            "r timestamp not null",
            "s mediumtext",
            "u bigint(20) unsigned not null",
            "v mediumint(8) unsigned zerofill",
            "w varbinary(3)",
            "x json",
            "y point",
            "z int(11)",
            "aa time(6)",
            "ab set('x','y')",
        ]
    );
    assert_eq!(schema.columns[14].kind, ColumnKind::Enum { labels: vec!["a".into(), "b'c".into(), "d\\".into()] });
    assert!(schema.columns[20].unsigned);
    let names: Vec<_> = schema.unique_keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["u", "z"], "keys without nullable columns come first");
}

#[test]
fn the_dialect_of_mariadb() {
    let schema = create(
        "CREATE TABLE `t1` (\n  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,\n  `a` int(10) unsigned NOT NULL DEFAULT 5,\n  \
         `b` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT 'x,y',\n  `y` year(4) DEFAULT NULL,\n  \
         `ts` timestamp(3) NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),\n  `g` int(11) GENERATED ALWAYS AS (`a` + 1) VIRTUAL,\n  \
         `d1` varchar(40) DEFAULT uuid(),\n  `j` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`j`)),\n  \
         `inv` int(11) INVISIBLE DEFAULT NULL,\n  `de` decimal(20,5) unsigned DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  KEY `ign` (`inv`) IGNORED,\n  \
         UNIQUE KEY `u` (`a`),\n  CONSTRAINT `CONSTRAINT_1` CHECK (`a` > 0)\n) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci COMMENT='c'",
    );
    assert_eq!(
        types(&schema),
        [
            "id bigint(20) unsigned not null",
            "a int(10) unsigned not null",
            "b varchar(20)",
            "y year(4)",
            "ts timestamp(3)",
            "g int(11)",
            "d1 varchar(40)",
            "j longtext",
            "inv int(11)",
            "de decimal(20,5) unsigned",
        ]
    );
    let charset = |column: usize| schema.columns[column].charset();
    assert_eq!((charset(2), charset(6), charset(7)), (Some("utf8mb4"), Some("latin1"), Some("utf8mb4")));
    assert_eq!((schema.primary_key, schema.unique_keys.len()), (vec![0], 1));
    for (sql, said) in [
        ("CREATE TABLE t (a xmltype)", "column `a`: the type xmltype is not supported"),
        ("CREATE TABLE t (a int) ENGINE=InnoDB WITH SYSTEM VERSIONING", "system versioning"),
        ("CREATE TABLE t (a int, s date, e date, PERIOD FOR p (s, e), PRIMARY KEY (a, p WITHOUT OVERLAPS))", "WITHOUT OVERLAPS"),
    ] {
        let error = read_create_table(sql, "d", &|_| Some(Collation::new("latin1_swedish_ci"))).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let shown = create("CREATE TABLE t (a uuid NOT NULL, b inet4, c inet6, d vector(3), PRIMARY KEY (a))");
    assert_eq!(types(&shown), ["a uuid not null", "b inet4", "c inet6", "d vector(3)"]);
    assert_eq!((shown.columns[0].charset(), &shown.columns[3].kind), (Some("ascii"), &ColumnKind::Blob { prefix: 4 }));
    // MariaDB's COMPRESSED says how values are stored, which is not part of the column's type.
    let compressed = create(
        "CREATE TABLE t (a text /*M!100301 COMPRESSED*/ CHARACTER SET ucs2 COLLATE ucs2_general_ci NOT NULL DEFAULT '', \
         b varbinary(9) COMPRESSED=zlib COMMENT 'COMPRESSED', c varchar(20) /*M!100301 COMPRESSED*/ GENERATED ALWAYS AS (`a`) STORED, PRIMARY KEY (b))",
    );
    assert_eq!(types(&compressed), ["a text not null", "b varbinary(9) not null", "c varchar(20)"]);
    assert_eq!(compressed.columns[0].charset(), Some("ucs2"));
    // JSON is an alias of LONGTEXT also in a statement from MariaDB's binlog.
    let collations = |_: &str| Some(Collation::new("latin1_swedish_ci"));
    let context = StatementContext { dialect: Dialect::of_version("10.11.19-MariaDB-log"), ..StatementContext::new("d", &collations) };
    let Statement::Change(change) = read_statement("CREATE TABLE t (a JSON, b int, c text COLLATE uca1400_ai_ci)", &context) else {
        panic!()
    };
    let [Effect::Create { definition: Ok(made), .. }] = &change.effects[..] else { panic!() };
    assert_eq!(types(&made.schema), ["a longtext", "b int(11)", "c text"]);
    assert_eq!((made.schema.columns[0].charset(), made.schema.columns[2].charset()), (Some("utf8mb4"), Some("latin1")));
}

#[test]
fn the_dialect_of_mysql_8() {
    let schema = create(
        "CREATE TABLE `t1` (\n  `my_row_id` bigint unsigned NOT NULL AUTO_INCREMENT /*!80023 INVISIBLE */,\n  `a` int NOT NULL DEFAULT '5',\n  \
         `c` varchar(10) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci DEFAULT NULL,\n  \
         `b` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs DEFAULT (uuid()),\n  `tx` text DEFAULT (_utf8mb3'abc)'),\n  \
         `z` int(5) unsigned zerofill DEFAULT NULL,\n  `t` tinyint(1) DEFAULT NULL,\n  `y` year DEFAULT NULL,\n  \
         `gs` int GENERATED ALWAYS AS ((`a` * 2)) STORED NOT NULL,\n  `p` point NOT NULL /*!80003 SRID 4326 */,\n  \
         PRIMARY KEY (`my_row_id`),\n  UNIQUE KEY `uk` (`a` DESC),\n  KEY `inv` (`b`) /*!80000 INVISIBLE */,\n  \
         CONSTRAINT `t1_chk_1` CHECK ((`a` > 0)) /*!80016 NOT ENFORCED */\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci",
    );
    assert_eq!(
        types(&schema),
        [
            "my_row_id bigint unsigned not null",
            "a int not null",
            "c varchar(10)",
            "b varchar(20)",
            "tx text",
            "z int(5) unsigned zerofill",
            "t tinyint(1)",
            "y year",
            "gs int not null",
            "p point not null",
        ]
    );
    assert_eq!(schema.columns[2].charset(), Some("utf8"));
    assert_eq!(schema.unique_keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["uk"]);
    for (key, unique) in [("KEY `f` (((`a` + 1)))", false), ("UNIQUE KEY `f` (`a`,(lower(`b`)))", true)] {
        let schema = create(&format!("CREATE TABLE t (a int, b varchar(9), {key})"));
        assert!(schema.unique_keys.is_empty() && schema.other_keys[0].unique == unique, "{schema:?}");
        assert!(schema.other_keys[0].parts.contains(&KeyPart::Expression), "{schema:?}");
    }
    for sql in [
        "CREATE INDEX i ON t ((a + 1))",
        "ALTER TABLE t ADD INDEX ((a + 1))",
        "ALTER TABLE t ADD UNIQUE KEY u (b, (a * 2))",
        "CREATE UNIQUE INDEX i ON t (b, (a+1) DESC)",
    ] {
        let effects = effects(sql);
        let [Effect::Keys { changes, .. }] = &effects[..] else { panic!("{sql}: {effects:?}") };
        assert!(matches!(&changes[..], [KeyChange::Add(key)] if key.parts.contains(&PartDefinition::Expression)), "{sql}: {changes:?}");
    }
    // The types are printed as the server would print them, not as the user typed them.
    let collations = |_: &str| Some(Collation::new("utf8mb4_general_ci"));
    let context = StatementContext { dialect: Dialect::of_version("8.0.33"), ..StatementContext::new("d", &collations) };
    let Statement::Change(change) =
        read_statement("CREATE TABLE t (a int(11), b bool, c bigint zerofill, d year(4), e tinyint(4))", &context)
    else {
        panic!()
    };
    let [Effect::Create { definition: Ok(made), .. }] = &change.effects[..] else { panic!() };
    assert_eq!(types(&made.schema), ["a int", "b tinyint(1)", "c bigint(20) unsigned zerofill", "d year", "e tinyint"]);
}

#[test]
fn a_character_set_that_nobody_says_is_an_error() {
    assert!(read_create_table("CREATE TABLE t (a varchar(3))", "d", &|_| None).is_err());
    assert!(read_create_table("CREATE TABLE t (a int)", "d", &|_| None).is_ok());
    let table =
        read_create_table("CREATE TABLE t (a varchar(3), b text collate latin1_bin) COMMENT='CHARSET=x' COLLATE=gbk_bin", "d", &|_| None)
            .unwrap();
    let charsets: Vec<_> = table.schema.columns.iter().map(|column| column.charset()).collect();
    assert_eq!(charsets, [Some("gbk"), Some("latin1")]);
}

#[test]
fn what_is_not_a_table_is_an_error() {
    for sql in [
        "CREATE TABLE t (",
        "CREATE TABLE t ()",
        "CREATE TABLE t (a)",
        "CREATE TABLE t (a foo)",
        "CREATE TABLE t (a decimal(70))",
        "SELECT 1",
        "",
    ] {
        assert!(read_create_table(sql, "d", &|_| Some(Collation::new("utf8_bin"))).is_err(), "{sql}");
    }
}

#[test]
fn statements_that_leave_columns_alone() {
    for sql in [
        "ALTER TABLE t ",
        "alter table `t` engine = innodb comment 'x, DROP COLUMN a'",
        "ALTER TABLE t AUTO_INCREMENT=5",
        "ALTER TABLE t SPLIT PARTITION p1 INTO (PARTITION p2 VALUES IN (1))",
        "ALTER TABLE t MERGE PARTITIONS p1,p2 TO p12",
        "ALTER TABLE t REORGANIZE PARTITION a, b INTO (PARTITION c VALUES IN (1))",
        "ALTER TABLE t DROP FOREIGN KEY f",
        "ALTER TABLE t MODIFY PARTITION p1 ADD VALUES(9)",
        "ALTER TABLE t MODIFY TTL SET TTL_ENABLE='OFF', TTL_PART_INTERVAL=INTERVAL(1, MONTH)",
        "ALTER TABLE t SET TABLEGROUP=tg2 FORCE",
        "ALTER TABLE t REMOVE TTL",
        "ALTER TABLE t CLEANUP EXPIRED DATA",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT 5",
        "ALTER TABLE t RENAME PARTITION p1 TO q1",
        "ALTER TABLE t ADD PARTITION (PARTITION p3 VALUES LESS THAN (9))",
        "ALTER TABLE t DISABLE KEYS",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES x (b) ON DELETE SET NULL",
        "ALTER TABLE t ORDER BY a, b DESC",
    ] {
        assert_eq!(effects(sql), [Effect::Keep { table: t() }], "{sql}");
    }
}

#[test]
fn statements_that_add_keys() {
    let column = |name: &str, prefix| PartDefinition::Column(name.to_owned(), prefix);
    for (sql, name, parts) in [
        ("ALTER TABLE t ADD INDEX i (a), ALGORITHM=OMC;", Some("i"), vec![column("a", None)]),
        ("CREATE INDEX i ON t (a(5))", Some("i"), vec![column("a", Some(5))]),
        ("CREATE FULLTEXT INDEX i ON t (a)", Some("i"), vec![column("a", None)]),
        ("ALTER TABLE t ADD SPATIAL KEY (p)", None, vec![column("p", None)]),
        ("ALTER ONLINE TABLE IF EXISTS t NOWAIT ADD INDEX (a DESC, b)", None, vec![column("a", None), column("b", None)]),
        ("/* h */ ALTER TABLE t ADD GLOBAL INDEX g(a) COVERING(b,c) PARTITION BY KEY(a) PARTITIONS 4", Some("g"), vec![column("a", None)]),
    ] {
        let key = KeyDefinition { name: name.map(str::to_owned), unique: false, parts };
        assert_eq!(effects(sql), [Effect::Keys { table: t(), changes: vec![KeyChange::Add(key)] }], "{sql}");
    }
}

#[test]
fn statements_that_change_columns() {
    for sql in [
        "ALTER TABLE t ADD c int",
        "ALTER TABLE t ADD COLUMN (c int, d int)",
        "ALTER TABLE t ADD INDEX i (a), DROP b",
        "ALTER TABLE t MODIFY a bigint, ALGORITHM=OMC",
        "ALTER TABLE t CHANGE a b int first",
        "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4",
        "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (b)",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "# POLARX_TSO=1\nALTER TABLE t ADD COLUMN `index` int",
        "ALTER IGNORE TABLE d.t MODIFY ttl int",
    ] {
        assert!(matches!(&effects(sql)[0], Effect::Alter { table, .. } if *table == t()), "{sql}");
    }
}

#[test]
fn exchanged_partitions_concern_both_tables() {
    let both = [t(), TableId::new("e", "u")].map(|table| Effect::Exchange { table });
    for sql in [
        "ALTER TABLE t EXCHANGE PARTITION p1 WITH TABLE e.u WITHOUT VALIDATION",
        "ALTER TABLE t NOWAIT CONVERT TABLE e.u TO PARTITION p1 VALUES LESS THAN (5)",
    ] {
        assert_eq!(effects(sql)[..2], both, "{sql}");
    }
    let convert = effects("ALTER TABLE t CONVERT PARTITION p1 TO TABLE e.u");
    assert_eq!([&convert[0], &convert[3]], [&both[0], &both[1]]);
    for sql in ["ALTER TABLE t DISCARD TABLESPACE", "ALTER TABLE t IMPORT PARTITION p1, p2 TABLESPACE"] {
        assert_eq!(effects(sql), both[..1], "{sql}");
    }
}

#[test]
fn the_lock_wait_of_mariadb_is_not_part_of_the_ddl() {
    for sql in ["ALTER TABLE t WAIT 3 COMMENT 'x'", "ALTER ONLINE TABLE IF EXISTS t NOWAIT COMMENT 'x'", "ALTER TABLE t WAIT 3"] {
        assert_eq!(effects(sql), [Effect::Keep { table: t() }], "{sql}");
    }
    let rename = |from: &str, to: &str| Effect::Rename { from: TableId::new("d", from), to: TableId::new("d", to) };
    assert_eq!(effects("RENAME TABLE IF EXISTS t WAIT 3 TO u, v NOWAIT TO w"), [rename("t", "u"), rename("v", "w")]);
}

#[test]
fn other_statements() {
    assert_eq!(effects("DROP TABLE IF EXISTS `t`,`x`.`y` /* generated by server */").len(), 2);
    assert_eq!(effects("truncate t"), [Effect::Truncate { table: t() }]);
    let rename = Effect::Rename { from: t(), to: TableId::new("e", "u") };
    assert_eq!(effects("RENAME TABLE t TO e.u"), std::slice::from_ref(&rename));
    assert_eq!(effects("ALTER TABLE t RENAME AS e.u"), [rename]);
    assert_eq!(effects("DROP DATABASE IF EXISTS `x y`"), [Effect::DropDatabase { database: "x y".into() }]);
    let made = Effect::DatabaseCollation { database: "x".into(), collation: Some(Collation::new("gbk_chinese_ci")), if_not_exists: false };
    assert_eq!(effects("CREATE DATABASE x MODE='auto' CHARSET = `gbk`"), [made]);
    assert!(matches!(effects("create table t like d.u")[0], Effect::CreateLike { .. }));
    assert!(matches!(effects("create table t engine=federated connection='x'")[0], Effect::CreateUnlisted { .. }));
    for sql in [
        "GRANT ALL ON *.* TO a",
        "CREATE ALGORITHM=UNDEFINED DEFINER=`a`@`b` SQL SECURITY DEFINER VIEW v AS SELECT 1",
        "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `t`",
        "CREATE TEMPORARY TABLE t (a int)",
        "ANALYZE TABLE t",
        "CREATE SEQUENCE s START WITH 1",
        "DROP VIEW t",
        "SET PASSWORD = 'x'",
        "CREATE USER u",
        "FLUSH TABLES",
        "CREATE DEFINER=`root`@`%` PROCEDURE p() BEGIN UPDATE t SET a = 1; END",
        "ALTER TABLEGROUP tg1 SPLIT PARTITION p",
        "CREATE MATERIALIZED VIEW m AS SELECT 1",
        "CREATE OR REPLACE DEFINER=CURRENT_USER() TRIGGER tr AFTER INSERT ON t FOR EACH ROW SET @a = 1",
        "ALTER ALGORITHM=UNDEFINED DEFINER=`a`@`b` SQL SECURITY DEFINER VIEW `v` AS select `t`.`a` from `t`",
        "ALTER DEFINER = root@127.0.0.1 EVENT ev ON SCHEDULE EVERY 2 YEAR",
        "ALTER DEFINER=`a`@`b` PROCEDURE p COMMENT 'x'",
        "CREATE OR REPLACE SPATIAL REFERENCE SYSTEM 990001 NAME 'x' DEFINITION 'y'",
        "DROP SPATIAL REFERENCE SYSTEM IF EXISTS 990001",
        "CREATE JSON RELATIONAL DUALITY VIEW v AS SELECT 1",
        "ANALYZE LOCAL TABLE t",
        "REFRESH x",
    ] {
        assert!(matches!(read(sql), Statement::Unrelated | Statement::Others { .. }), "{sql}");
    }
    for sql in ["", " ; ", "# POLARX_ORIGIN_SQL=CREATE VIEW v\n# POLARX_TSO=1\n", "/*+TDDL:cmd_extra()*/ -- x", "/* x */"] {
        assert_eq!(read(sql), Statement::Nothing, "{sql}");
    }
    assert_eq!(read("ROLLBACK TO `savepoint`"), Statement::RollbackTo("savepoint".into()));
    assert_eq!(read("SAVEPOINT `a``b`"), Statement::Savepoint("a`b".into()));
    assert_eq!(read("RELEASE SAVEPOINT `a`"), Statement::Unrelated);
}

fn read_maria(sql: &str) -> Statement {
    let collations = |_: &str| Some(Collation::new("utf8mb4_general_ci"));
    let dialect = Dialect::of_version("10.11.19-MariaDB-log");
    read_statement(sql, &StatementContext { dialect, ..StatementContext::new("d", &collations) })
}

#[test]
fn set_statement_of_mariadb_comes_before_any_statement() {
    for (prefix, tail) in [
        ("SET STATEMENT lock_wait_timeout = 5 FOR", ""),
        ("set statement max_statement_time=substring('60' for 2), a=DEFAULT for SET STATEMENT b='x FOR y' FOR", ""),
        ("/*M!100100 SET STATEMENT a=1 FOR */", ";"),
    ] {
        for sql in ["TRUNCATE t", "DROP TABLE t", "INSERT INTO t VALUES (1)", "SET PASSWORD = 'x'", "ALTER TABLE t CHANGE a b int"] {
            assert_eq!(read_maria(&format!("{prefix} {sql}{tail}")), read_maria(sql), "{prefix} {sql}");
        }
        assert!(matches!(read_maria(&format!("{prefix} ALTER TABLE t GIZMO")), Statement::Unreadable(_, tables) if tables == [t()]));
    }
    for sql in ["SET STATEMENT a=1", "SET STATEMENT sql_mode='ANSI' FOR TRUNCATE t"] {
        assert!(matches!(read_maria(sql), Statement::Unreadable(_, tables) if tables.is_empty()), "{sql}");
    }
}

#[test]
fn statements_that_call_functions_may_change_any_table() {
    for sql in ["SELECT d.f()", "(select f())", "DO f()", "CALL p(1)", "ANALYZE UPDATE t SET a = 1"] {
        assert_eq!(read(sql), Statement::Rows(Vec::new()), "{sql}");
    }
    assert!(matches!(read("WITH x AS (SELECT 1) DELETE FROM t"), Statement::Rows(tables) if tables.contains(&t())));
}

#[test]
fn statements_of_rows_name_what_they_write() {
    let other = TableId::new("m", "x");
    for (sql, expected) in [
        ("INSERT INTO t (a, b) SELECT u.a FROM u", vec![t()]),
        ("create table t (primary key (a)) select f() a", vec![t()]),
        ("create temporary table t as select f()", vec![t()]),
        ("replace low_priority m.x values (1)", vec![other.clone()]),
        ("DELETE FROM t WHERE a IN (SELECT b FROM u)", vec![t()]),
        ("DELETE m.x FROM m.x JOIN t USING (a)", vec![other.clone(), other.clone(), t(), TableId::new("d", "a")]),
        ("UPDATE t JOIN m.x ON t.a = x.a SET t.a = 1, b = 2", vec![t(), other]),
        ("LOAD DATA LOCAL INFILE '/tmp/f' IGNORE INTO TABLE `t` FIELDS TERMINATED BY ','", vec![t()]),
    ] {
        assert_eq!(read(sql), Statement::Rows(expected), "{sql}");
    }
}

#[test]
fn what_is_not_understood_names_what_it_may_touch() {
    for sql in ["ALTER TABLE t FROBNICATE", "ALTER TABLE t ADD INDEX (a", "CREATE GIZMO t"] {
        let Statement::Unreadable(_, tables) = read(sql) else { panic!("{sql}: {:?}", read(sql)) };
        assert!(tables.contains(&t()), "{sql}: {tables:?}");
    }
    let named = |sql: &str| match read(sql) {
        Statement::Unreadable(_, tables) => tables,
        other => panic!("{sql}: {other:?}"),
    };
    assert_eq!(named("ALTER TABLE e.u FROBNICATE 3, ADD x INT"), [TableId::new("e", "u")]);
    let three = [t(), TableId::new("e", "u"), TableId::new("d", "v")];
    assert_eq!(named("ALTER IGNORE TABLE IF EXISTS t FROBNICATE e.u, RENAME TO v"), three);
    assert_eq!(named("DROP GIZMO 3 TO e.u"), [TableId::new("d", "GIZMO"), TableId::new("e", "u")]);
    for sql in ["FLASHBACK TABLE t TO BEFORE DROP", "IMPORT TABLE FROM '/tmp/x.sdi'"] {
        assert!(named(sql).is_empty(), "an unknown first word may concern every table: {sql}");
    }
    assert!(matches!(read_maria("REFRESH x"), Statement::Unreadable(..)));
    assert!(matches!(read("ALTER TABLE t COMMENT 'x"), Statement::Unreadable(_, tables) if tables.is_empty()));
}

#[test]
fn labels_may_be_bytes_and_long_texts_become_large() {
    let sql = "CREATE TABLE t (a ENUM(x'c3a9 ','z ',0x61), b SET(b'1100010',0B11) CHARSET latin1, c ENUM(X'e9') CHARSET latin1, \
               d ENUM('é ', x'c3a9') CHARACTER SET binary, e VARCHAR(70000), f VARBINARY(70000), g VARCHAR(70000) CHARSET latin1, \
               h VARBINARY(65535), i VARCHAR(16384), j VARCHAR(16383), k VARCHAR(5000000))";
    let sql = sql.replace("c3a9 '", "c3a9'");
    let made = create(&sql);
    assert_eq!(
        types(&made),
        [
            "a enum('é','z','a')",
            "b set('b','\u{3}')",
            "c enum('é')",
            "d enum('é ','é')",
            "e mediumtext",
            "f mediumblob",
            "g mediumtext",
            "h varbinary(65535)",
            "i mediumtext",
            "j varchar(16383)",
            "k longtext",
        ]
    );
    for sql in ["CREATE TABLE t (a ENUM(x'ff'))", "CREATE TABLE t (a ENUM(x'fg'))", "CREATE TABLE t (a ENUM(5))"] {
        assert!(read_create_table(sql, "d", &|_| Some(Collation::new("utf8mb4_general_ci"))).is_err(), "{sql}");
    }
}

#[test]
fn default_is_not_a_character_set_and_periods_are_never_null() {
    for tail in ["CHARSET=DEFAULT", "DEFAULT CHARACTER SET DEFAULT", "COLLATE DEFAULT", "CHARACTER SET DEFAULT COLLATE = DEFAULT"] {
        let made = create(&format!("CREATE TABLE t (a TEXT) {tail}"));
        assert_eq!(made.columns[0].charset(), Some("utf8mb4"), "{tail}");
    }
    let made = create("CREATE TABLE t (s DATE, e DATE, x DATE, PERIOD FOR p (s, `e`))");
    assert_eq!(types(&made), ["s date not null", "e date not null", "x date"]);
}

mod collations;
mod history;
mod kinds;
mod limits;
mod sql_modes;

proptest::proptest! {
    #[test]
    fn no_statement_panics(words in proptest::collection::vec(proptest::sample::select(vec![
        "CREATE", "TABLE", "ALTER", "DROP", "t", "`a`", "(", ")", ",", "int", "'x'", "ADD", "UNIQUE", "KEY", "PARTITION", "BY", ".", "RENAME", "TO", "INDEX",
        "ON", "enum", "PRIMARY", "DEFAULT", "CHARSET", "=", "DATABASE", "5", ";", "LIKE", "SELECT", "COLUMN", "MODIFY", "/*", "*/", "UPDATE", "SET", "varchar",
    ]), 0..14)) {
        let _ = read(&words.join(" "));
    }
}
