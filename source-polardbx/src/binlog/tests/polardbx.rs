//! Tests of what only PolarDB-X writes: commit marks, statements with comment lines, its hidden key, and the marks of archiving.

mod captured;
mod inserted;

use super::*;
use crate::config::{ArchivedDeletes, DdlText};

const VERSION: &str = "5.7.25-PXC-5.4.20";

/// The commit timestamp with this number.
fn tso(number: u64) -> String {
    format!("{:019}{:035}", (1_700_000_000_000 + number) << 22, 0)
}

impl Log {
    fn text(&mut self, text: &str) -> &mut Self {
        self.add(29, format!("\u{1}{text}").as_bytes())
    }

    fn mark(&mut self, number: u64) -> &mut Self {
        self.text(&format!("CTS::{}", tso(number)))
    }

    /// A transaction that announces its timestamp and inserts a row.
    fn marked(&mut self, number: u64, value: i64) -> &mut Self {
        let cells = [integer(value, 4, false)];
        self.query("BEGIN").text(&format!("/*DRDS /10.0.0.7/1-1/0// */\n# CTS::{}", tso(number)));
        self.table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit().mark(number)
    }
}

fn decoder_with(polardbx: PolarDbXOptions, schema: Arc<TableSchema>) -> Decoder {
    Decoder::new(DecoderOptions { profile: ServerProfile::new(VERSION), polardbx, ..options(start(), schema, 1 << 20) })
}

fn one_column() -> Arc<TableSchema> {
    schema(&[integer(1, 4, false)])
}

/// Reads the log. Returns the events with their transaction and time, and the error.
fn read_marked(log: &Log) -> (Vec<(String, i64, String)>, Option<runtime::Error>) {
    let (batches, failed) = read(&mut decoder_with(PolarDbXOptions::default(), one_column()), log);
    let events = batches.iter().flat_map(|batch| &batch.events);
    let shown = |body: &Body| match body {
        Body::Row(row) => format!("{:?}", row.after.as_ref().or(row.before.as_ref()).unwrap().get(0)),
        Body::Schema(change) => change.statement.to_string(),
        Body::Begin => "BEGIN".to_owned(),
        Body::Commit => "COMMIT".to_owned(),
        other => format!("{other:?}"),
    };
    let events = events.map(|event| (event.txid.as_deref().unwrap_or("none").to_owned(), event.timestamp_ms, shown(&event.body)));
    (events.collect(), failed)
}

#[test]
fn every_event_of_a_transaction_has_its_commit_timestamp() {
    let cells = [integer(7, 4, false)];
    let mut log = Log::new();
    log.marked(1, 6);
    // Without an announcement the timestamp is known only at the end.
    log.query("BEGIN").table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit().mark(2);
    let (events, failed) = read_marked(&log);
    assert!(failed.is_none(), "{failed:?}");
    let of = |number: u64, text: &str| (tso(number), 1_700_000_000_000 + number as i64, text.to_owned());
    let expected = [(1, "BEGIN"), (1, "Int(6)"), (1, "COMMIT"), (2, "BEGIN"), (2, "Int(7)"), (2, "COMMIT")];
    assert_eq!(events, expected.map(|(number, text)| of(number, text)));
}

#[test]
fn only_the_end_of_a_mark_is_a_resume_point() {
    let mut log = Log::new();
    log.marked(1, 6)
        .mark(1)
        .mark(2)
        .text(&format!("CTS::{}::FlushLog", tso(3)))
        .query("BEGIN")
        .text("# TSO HEARTBEAT TXN")
        .commit()
        .mark(4);
    log.query(&format!("# POLARX_ORIGIN_SQL=x\n# POLARX_TSO={}\nTRUNCATE TABLE t", tso(5))).mark(5).marked(6, 7);
    let mut decoder = decoder_with(PolarDbXOptions::default(), one_column());
    let mut ends = vec![start().at];
    for event in &log.events {
        decoder.event(event, 5).unwrap();
        let is_mark = event[4] == 29 && event[20..].starts_with(b"CTS::");
        if is_mark {
            ends.push(decoder.at());
        }
        let batches: Vec<Batch> = std::iter::from_fn(|| decoder.flush()).collect();
        for resume in
            batches.iter().filter_map(|batch| batch.resume.clone()).chain(decoder.position_update().and_then(|batch| batch.resume))
        {
            let position = StreamPosition::parse(resume.as_str()).unwrap();
            assert!(ends.contains(&position.at), "{position}");
            assert!(ends.len() == 1 || position.tso.is_some());
        }
    }
    assert_eq!(ends.len(), 8);
}

#[test]
fn a_transaction_that_is_not_whole_is_an_error() {
    let cells = [integer(7, 4, false)];
    let rows = |log: &mut Log| {
        log.query("BEGIN").table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]);
    };
    type Break = fn(&mut Log);
    let broken: [(&str, Break); 8] = [
        ("no XID", |log| _ = log.mark(2)),
        ("a timestamp that comes again", |log| _ = log.commit().mark(1)),
        ("no mark", |log| _ = log.commit().query("BEGIN")),
        ("a late announcement", |log| _ = log.text(&format!("# CTS::{}", tso(2)))),
        ("a statement", |log| _ = log.query("TRUNCATE TABLE t")),
        ("rows behind the end", |log| {
            let cells = [integer(8, 4, false)];
            log.commit().rows(30, 5, 1, &[image(&cells, &[])]);
        }),
        ("two ends", |log| _ = log.commit().commit()),
        ("no digits", |log| _ = log.commit().text("CTS::12")),
    ];
    for (what, break_it) in broken {
        let mut log = Log::new();
        log.marked(1, 6);
        rows(&mut log);
        break_it(&mut log);
        let (events, failed) = read_marked(&log);
        assert!(failed.is_some(), "{what}");
        // Nothing of the broken transaction is delivered.
        assert_eq!(events.len(), 3, "{what}: {events:?}");
    }
    let mut announced = Log::new();
    announced.query("BEGIN").text(&format!("# CTS::{}", tso(1))).commit().mark(2);
    assert!(read_marked(&announced).1.is_some());
}

/// Decodes a dump of the log that begins with its event `first`, as the first one of a task.
fn read_from(log: &Log, first: usize, is_behind: bool) -> (Vec<Batch>, Option<runtime::Error>) {
    // The first event is an artificial one.
    let at = 4 + log.events[1..first].iter().map(|event| event.len() as u64).sum::<u64>();
    let position = StreamPosition::start("id", "binlog.000001", at).unwrap();
    let options = DecoderOptions { profile: ServerProfile::new(VERSION), ..options(position, one_column(), 1 << 20) };
    let mut decoder = Decoder::new(options).behind_full_phase(is_behind);
    let mut events = vec![format_description(at)];
    events.extend_from_slice(&log.events[first..]);
    read(&mut decoder, &Log { events, ..Log::new() })
}

#[test]
fn a_transaction_that_began_before_the_stream_is_passed_over_or_refused() {
    let cells = [integer(7, 4, false)];
    let mut log = Log::new();
    log.marked(1, 6);
    let cut = log.events.len();
    log.query("BEGIN").text(&format!("/*DRDS /10.0.0.7/1-1/0// */\n# CTS::{}", tso(2))).table(5, "t", &cells);
    log.rows(30, 5, 1, &[image(&cells, &[])]).text("/*DRDS /10.0.0.7/1-1/1// */").table(5, "t", &cells);
    log.rows(30, 5, 1, &[image(&cells, &[])]).commit().mark(2);
    let end = log.events.len();
    log.marked(3, 8).query(&format!("# POLARX_ORIGIN_SQL=x\n# POLARX_TSO={}\nTRUNCATE TABLE t", tso(4))).mark(4);
    let seqs = |batches: &[Batch]| batches.iter().flat_map(|batch| &batch.events).map(|event| event.seq).collect::<Vec<_>>();
    let (all, _) = read_from(&log, cut, true);
    let all = seqs(&all);
    assert_eq!(all.len(), 4 + 3 + 1);
    for first in cut..=end {
        let (batches, failed) = read_from(&log, first, true);
        assert!(failed.is_none(), "{failed:?} from the event {first}");
        let found = seqs(&batches);
        let expected = if first == cut { &all[..] } else { &all[4..] };
        assert_eq!(found, expected, "from the event {first}");
        let resume = StreamPosition::parse(batches.last().unwrap().resume.as_ref().unwrap().as_str()).unwrap();
        assert!(resume.tso.is_some() && resume.previous.is_some());
        // Without a full phase only what begins between two transactions is delivered. A mark may be one of its own.
        let (batches, failed) = read_from(&log, first, false);
        if [cut, end - 1, end].contains(&first) {
            assert!(failed.is_none(), "{failed:?} from the event {first}");
            assert_eq!(seqs(&batches), expected);
        } else {
            assert_eq!(failed.and_then(|error| error.code().map(str::to_owned)).as_deref(), Some("E_START_IN_TRANSACTION"));
            assert!(batches.iter().all(|batch| batch.events.is_empty() && batch.resume.is_none()), "from the event {first}");
        }
    }
}

#[test]
fn a_transaction_that_began_before_a_start_behind_two_gib_is_passed_over_or_refused() {
    let from = (1 << 31) - 60;
    let mut log = Log { offset: from, events: vec![format_description(from)] };
    log.marked(1, 6).marked(2, 7);
    let at = from + log.events[1..4].iter().map(|event| event.len() as u64).sum::<u64>();
    assert!(at >= 1 << 31);
    // The dump begins before, where a position can be asked for.
    let position = StreamPosition { floor: Some(FileOffset::new(1, from)), ..StreamPosition::start("id", "binlog.000001", at).unwrap() };
    assert_eq!(Decoder::dump_from(&position).offset, from);
    for is_behind in [true, false] {
        let options = DecoderOptions { profile: ServerProfile::new(VERSION), ..options(position.clone(), one_column(), 1 << 20) };
        let (batches, failed) = read(&mut Decoder::new(options).behind_full_phase(is_behind), &log);
        let txids: Vec<_> = batches.iter().flat_map(|batch| &batch.events).map(|event| event.txid.clone().unwrap()).collect();
        let expected = if is_behind { vec![tso(2).into(); 3] } else { Vec::new() };
        assert_eq!(txids, expected);
        assert_eq!(failed.is_none(), is_behind, "{failed:?}");
    }
}

#[test]
fn nothing_is_committed_inside_a_transaction_that_began_before_the_stream() {
    let cells = [integer(7, 4, false)];
    let mut log = Log::new();
    log.query("BEGIN").table(5, "t", &cells);
    let rows = log.events.len();
    log.rows(30, 5, 1, &[image(&cells, &[])]);
    let (batches, failed) = read_from(&log, rows, true);
    assert!(failed.is_none() && batches.is_empty(), "{failed:?} {batches:?}");
}

#[test]
fn a_statement_is_applied_by_its_text_for_mysql() {
    let mut log = Log::new();
    let comments = |original: &str| format!("# POLARX_ORIGIN_SQL={original}\n# POLARX_TSO={}\n# POLARX_DDL_ID=0\n", tso(1));
    log.query(&format!("{}CREATE TABLE t2 (id INT PRIMARY KEY)", comments("CREATE TABLE t2 (id INT PRIMARY KEY) BROADCAST"))).mark(1);
    log.query(&comments("CREATE GLOBAL INDEX g ON t (c0) PARTITION BY KEY(c0)")).mark(2);
    log.query(&comments("ALTER TABLE other PARTITIONS 3")).mark(3);
    log.query(&comments("GRANT SELECT ON d.t TO u IDENTIFIED BY 'secret'")).mark(4);
    log.query(&format!("{}ALTER TABLE t ", comments("ALTER TABLE t SINGLE"))).mark(5);
    let texts = |ddl_text: DdlText| {
        let polardbx = PolarDbXOptions { ddl_text, ..PolarDbXOptions::default() };
        let (batches, failed) = read(&mut decoder_with(polardbx, one_column()), &log);
        assert!(failed.is_none(), "{failed:?}");
        let events = batches.iter().flat_map(|batch| &batch.events);
        events
            .filter_map(|event| if let Body::Schema(change) = &event.body { Some(change.statement.to_string()) } else { None })
            .collect::<Vec<_>>()
    };
    let mysql = texts(DdlText::Mysql);
    assert_eq!(mysql[0], "CREATE TABLE t2 (id INT PRIMARY KEY)");
    assert!(mysql.iter().all(|text| !text.contains("POLARX") && !text.contains("secret") && !text.contains("GLOBAL")), "{mysql:?}");
    let original = texts(DdlText::Original);
    assert_eq!(original[..2], ["CREATE TABLE t2 (id INT PRIMARY KEY) BROADCAST", "CREATE GLOBAL INDEX g ON t (c0) PARTITION BY KEY(c0)"]);
    assert!(original.iter().all(|text| !text.contains("secret") && !text.contains("other")), "{original:?}");
}

/// Tables with their schemas; `None` for a table that was dropped.
type Schemas = Vec<(String, Option<Arc<TableSchema>>)>;

/// The statements that a stream delivers, and the schemas of its tables that are committed.
fn followed(log: &Log, is_later_stream: bool) -> (Vec<String>, Schemas) {
    let polardbx = PolarDbXOptions { is_later_stream, ..PolarDbXOptions::default() };
    let mut decoder = decoder_with(polardbx, one_column());
    let (mut statements, mut schemas) = (Vec::new(), Vec::new());
    for event in &log.events {
        decoder.event(event, 5).unwrap();
        let mut batches: Vec<Batch> = std::iter::from_fn(|| decoder.flush()).collect();
        batches.extend(decoder.position_update());
        for batch in batches {
            assert!(batch.schemas.is_empty() || batch.resume.is_some());
            for event in &batch.events {
                if let Body::Schema(change) = &event.body {
                    statements.push(change.statement.to_string());
                    schemas.extend(change.tables.iter().map(|(table, schema)| (table.to_string(), schema.clone())));
                }
            }
            schemas.extend(batch.schemas.into_iter().map(|(table, schema)| (table.to_string(), schema)));
        }
    }
    (statements, schemas)
}

#[test]
fn a_statement_of_all_streams_is_delivered_by_the_first_and_followed_by_each() {
    let mut log = Log::new();
    let comments =
        |number: u64, original: &str| format!("# POLARX_ORIGIN_SQL={original}\n# POLARX_TSO={}\n# POLARX_DDL_ID=0\n", tso(number));
    let create = "CREATE TABLE t2 (id INT PRIMARY KEY)";
    log.query(&format!("{}{create}", comments(1, create))).mark(1);
    // This one is only in the stream of its database.
    log.query(&format!("# POLARX_DDL_ROUTE_MODE=SINGLE\n{}TRUNCATE TABLE t", comments(2, "TRUNCATE TABLE t"))).mark(2);
    log.query(&format!("{}DROP TABLE t2", comments(3, "DROP TABLE t2"))).mark(3).marked(4, 7);
    let (first, schemas_of_first) = followed(&log, false);
    assert_eq!(first, [create, "TRUNCATE TABLE t", "DROP TABLE t2"]);
    let (later, schemas_of_later) = followed(&log, true);
    assert_eq!(later, ["TRUNCATE TABLE t"]);
    assert_eq!(schemas_of_later, schemas_of_first);
    assert_eq!(
        schemas_of_later.iter().map(|(table, schema)| (table.as_str(), schema.is_some())).collect::<Vec<_>>(),
        [("d.t2", true), ("d.t", true), ("d.t2", false)]
    );
}

#[test]
fn a_table_whose_rows_are_not_in_the_streams_stops_them() {
    for (definition, is_lost) in [("id INT", true), ("id INT PRIMARY KEY", false), ("id INT NOT NULL, UNIQUE KEY (id)", true)] {
        for lacks_keyless in [true, false] {
            let mut log = Log::new();
            let create = format!("CREATE TABLE t2 ({definition})");
            log.query(&format!("# POLARX_ORIGIN_SQL={create}\n# POLARX_TSO={}\n{create}", tso(1))).mark(1);
            let polardbx = PolarDbXOptions { lacks_keyless, ..PolarDbXOptions::default() };
            let (batches, failed) = read(&mut decoder_with(polardbx, one_column()), &log);
            assert_eq!(
                failed.as_ref().and_then(runtime::Error::code),
                (is_lost && lacks_keyless).then_some("E_STREAM_KEYS"),
                "{definition}"
            );
            assert_eq!(batches.iter().any(|batch| !batch.events.is_empty()), failed.is_none());
        }
    }
}

#[test]
fn other_partition_columns_are_committed_although_no_event_tells_them() {
    let mut log = Log::new();
    log.query(&format!("# POLARX_ORIGIN_SQL=ALTER TABLE t PARTITION BY KEY(c0)\n# POLARX_TSO={}\n", tso(1))).mark(1);
    let (statements, schemas) = followed(&log, false);
    assert!(statements.is_empty());
    assert_eq!(schemas.len(), 1);
    assert_eq!(schemas[0].1.as_ref().map(|schema| schema.partition_columns.clone()), Some(vec![0]));
}

#[test]
fn a_statement_without_a_readable_text_stops_the_task() {
    for (mysql, is_fatal) in [("", true), ("TRUNCATE TABLE t", false)] {
        let mut log = Log::new();
        log.query(&format!("# POLARX_ORIGIN_SQL_ENCODE=BASE64\n# POLARX_ORIGIN_SQL=/w==\n# POLARX_TSO={}\n{mysql}", tso(1))).mark(1);
        let (batches, failed) = read(&mut decoder_with(PolarDbXOptions::default(), one_column()), &log);
        assert_eq!(failed.is_some(), is_fatal, "{failed:?}");
        assert_eq!(batches.iter().any(|batch| !batch.events.is_empty()), !is_fatal);
    }
}

#[test]
fn deletes_of_the_archiving_can_be_left_out() {
    let cells = [integer(7, 4, false)];
    for (archived_deletes, expected) in [(ArchivedDeletes::Deliver, 4), (ArchivedDeletes::Skip, 2)] {
        let mut log = Log::new();
        for (number, word) in [(1, "::ARCHIVE"), (2, "")] {
            log.query("BEGIN").text(&format!("# CTS::{}{word}", tso(number))).table(5, "t", &cells);
            log.rows(32, 5, 1, &[image(&cells, &[]), image(&cells, &[])]).commit().mark(number);
        }
        let polardbx = PolarDbXOptions { archived_deletes, ..PolarDbXOptions::default() };
        let (batches, failed) = read(&mut decoder_with(polardbx, one_column()), &log);
        assert!(failed.is_none(), "{failed:?}");
        let rows = batches.iter().flat_map(|batch| &batch.events).filter(|event| matches!(event.body, Body::Row(_)));
        assert_eq!(rows.count(), expected);
    }
}

#[test]
fn a_delete_that_may_be_of_the_archiving_is_not_guessed() {
    let cells = [integer(7, 4, false)];
    for (kind, is_refused) in [(32, true), (30, false)] {
        let mut log = Log::new();
        log.query("BEGIN").table(5, "t", &cells).rows(kind, 5, 1, &[image(&cells, &[])]).commit().mark(1);
        let polardbx = PolarDbXOptions { archived_deletes: ArchivedDeletes::Skip, ..PolarDbXOptions::default() };
        let (_, failed) = read(&mut decoder_with(polardbx, one_column()), &log);
        assert_eq!(failed.is_some_and(|error| error.to_string().contains("archiving")), is_refused);
        assert!(read_marked(&log).1.is_none(), "it matters only where they are left out");
    }
}

#[test]
fn a_table_whose_partitions_cannot_be_read_is_not_followed() {
    let table = "CREATE TABLE t2 (id INT PRIMARY KEY, a INT)";
    let followed = |original: &str| {
        let mut log = Log::new();
        log.query(&format!("# POLARX_ORIGIN_SQL={original}\n# POLARX_TSO={}\n# POLARX_DDL_ID=0\n{table}", tso(1))).mark(1);
        let (batches, failed) = read(&mut decoder_with(PolarDbXOptions::default(), one_column()), &log);
        let changes = batches.iter().flat_map(|batch| &batch.events).filter_map(|event| match &event.body {
            Body::Schema(change) => change.tables[0].1.as_ref().map(|schema| schema.partition_columns.clone()),
            _ => None,
        });
        (changes.collect::<Vec<_>>(), failed.and_then(|error| error.code()))
    };
    let tail = "PARTITION BY KEY (a) PARTITIONS 3 WITH TABLEGROUP = tgi2 IMPLICIT ";
    assert_eq!(followed(&format!("{table} {tail}")), (vec![vec![1]], None));
    assert_eq!(followed("CREATE TABLE t2 (id INT PRIMARY KEY, a INT, INDEX e ((lower(a)))) PARTITION BY KEY (a)"), (vec![vec![1]], None));
    assert_eq!(followed(&format!("CREATE GIZMO t2 (id INT PRIMARY KEY, a INT) {tail}")), (vec![], Some("E_DDL_UNREAD")));
}

#[test]
fn nothing_of_a_password_is_shown() {
    for text in [
        "/*POLARX_ORIGIN_SQL=CREATE USER u /*x*/ IDENTIFIED BY 'TopSecret'*/",
        "# POLARX_ORIGIN_SQL=x\nGIZMO USER u IDENTIFIED BY 'TopSecret'",
        "# POLARX_ORIGIN_SQL=ALTER USER u IDENTIFIED BY 'TopSecret'\nGIZMO",
    ] {
        let mut log = Log::new();
        log.query(text).mark(1);
        let (events, failed) = read_marked(&log);
        let shown = format!("{events:?} {failed:?} {}", failed.as_ref().map(ToString::to_string).unwrap_or_default());
        assert!(!shown.contains("TopSecret"), "{shown}");
    }
}

#[test]
fn events_keep_their_order_where_the_file_numbers_begin_again() {
    let cells = [integer(7, 4, false)];
    let mut log = Log::new();
    log.marked(1, 1);
    // The first event names another file.
    log.events.remove(0);
    let rotate = |end: u64| EventBytes::new(4).body(&[&4u64.to_le_bytes()[..], b"binlog.000001"].concat()).ending_at(end).finish();
    let mut events = log.events.clone();
    events.push(rotate(log.offset + rotate(0).len() as u64));
    let mut next = Log::new();
    next.marked(2, 2);
    events.extend(next.events);
    let begin = |position: StreamPosition| {
        Decoder::new(DecoderOptions { profile: ServerProfile::new(VERSION), ..options(position, schema(&cells), 1 << 20) })
    };
    let run = |mut decoder: Decoder, events: &[Vec<u8>]| {
        events.iter().for_each(|event| decoder.event(event, 5).unwrap());
        let mut batches: Vec<Batch> = std::iter::from_fn(|| decoder.flush()).collect();
        batches.extend(decoder.position_update());
        let seqs: Vec<u128> = batches.iter().flat_map(|batch| &batch.events).map(|event| event.seq.0).collect();
        let resume = batches.iter().rev().find_map(|batch| batch.resume.clone());
        (seqs, resume.map(|resume| StreamPosition::parse(resume.as_str()).unwrap()))
    };
    let start = StreamPosition::start("id", "binlog.999999", FileOffset::FIRST).unwrap();
    let (seqs, resume) = run(begin(start.clone()), &events);
    assert!(seqs.len() == 6 && seqs.is_sorted(), "{seqs:?}");
    assert_eq!(resume.as_ref().map(|position| (position.at.file, position.timeline)), Some((1, 1)));
    // A task that has stopped between the two files continues in the same order.
    let (first, between) = run(begin(start), &events[..log.events.len() + 1]);
    let between = between.unwrap();
    assert_eq!((between.at, between.timeline), (FileOffset::new(1, 4), 1));
    assert_eq!(Decoder::dump_from(&between).file, 999_999);
    let mut rest = vec![format_description(Decoder::dump_from(&between).offset)];
    rest.extend(events.into_iter().skip(1));
    let (second, _) = run(begin(between), &rest);
    assert_eq!([first, second].concat(), seqs);
}
