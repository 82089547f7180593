//! Binlog files on disk as a source: they give the records that the live stream of the server gave.

use std::path::{Path, PathBuf};
use std::time::Duration;

use apache_avro::types::Value;
use mysql_async::prelude::Queryable;
use runtime::{
    Body, Checkpoint, Collation, Commit, Committed, Context, Facts, Position, Progress, Receipt, SchemaChanges, Settings, Source,
};
use serde_json::{Value as Json, json};
use source_polardbx::binlog::{Decoder, DecoderOptions, PreparedTransactions, RowsWithoutEvents, ServerProfile, StreamPosition};
use source_polardbx::config::PolarDbXOptions;
use source_polardbx::schema::{History, read_create_table};
use source_polardbx::{BinlogFilesSource, Selection};
use tests::checker::{Format, Header, Table, avro};
use tests::harness::{Database, Entry, Flavor};
use tests::workload::every_type;
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::report::assert_error;
use super::servers::with_source;

const LIMIT: Duration = Duration::from_secs(120);

/// A configuration like that of `case`, which reads `files` and has these lines besides.
fn configuration(case: &Case, files: &str, lines: &str) -> String {
    let settings = &case.settings;
    let (format, tables) = (settings.format.name(), &settings.tables);
    let state = case.task.file().with_file_name("state");
    format!(
        "name = {:?}\n\n[source.binlog_files]\nfiles = [{files:?}]\ntables = {tables:?}\n{lines}\n\n[sink.kafka]\nbrokers = {:?}\ntopic = {:?}\n\
         format.{format} = {{{}}}\n\n[store.local]\npath = {state:?}\n",
        settings.name, settings.brokers, settings.topic, settings.options,
    )
}

/// A record: its partition, its key, its number in the stream, and its value.
type Content = (i32, Option<Vec<u8>>, u128, String);

/// What a record says, without what differs from run to run: the field `id`, and when it was read.
fn content(format: Format, entry: &Entry) -> Result<Content> {
    let seq = Header::parse(entry.header.as_deref().unwrap_or_default())?.seq;
    let value = match format {
        Format::CanalJson => {
            let mut value: Json = serde_json::from_slice(&entry.value)?;
            let Some(keys) = value.as_object_mut() else { return Failure::err("no object") };
            keys.remove("id");
            keys.remove("ts");
            value.to_string()
        }
        Format::DtsAvro => {
            let mut fields = avro::fields(&entry.value)?;
            fields.retain(|(name, _)| name != "id");
            for (name, value) in &mut fields {
                if let ("tags", Value::Map(tags)) = (name.as_str(), value) {
                    tags.remove("readerThroughoutTime");
                    let mut sorted: Vec<_> = tags.drain().map(|(name, value)| format!("{name} {value:?}")).collect();
                    sorted.sort();
                    *tags = [(sorted.join(" "), Value::Null)].into();
                }
            }
            format!("{fields:?}")
        }
    };
    Ok((entry.partition, entry.key.clone(), seq, value))
}

fn contents(case: &Case) -> Result<Vec<Content>> {
    let mut contents = case.entries.iter().map(|entry| content(case.settings.format, entry)).collect::<Result<Vec<_>>>()?;
    // The order within a partition counts, and partitions have none among one another.
    contents.sort_by_key(|(partition, ..)| *partition);
    Ok(contents)
}

/// Replays `files` into the topic of `case`, and compares it with that of `live`.
async fn replay(case: &mut Case, live: &Case, files: &str, lines: &str) -> Result<()> {
    case.task.write(&configuration(case, files, lines))?;
    case.task.start()?;
    assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
    case.read().await?;
    same(case, live)
}

fn same(case: &Case, live: &Case) -> Result<()> {
    let (found, expected) = (contents(case)?, contents(live)?);
    assert!(!expected.is_empty());
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "record {number} of {}", case.topic);
    }
    assert_eq!(found.len(), expected.len(), "{}", case.topic);
    Ok(())
}

fn all_files(database: &Database) -> String {
    let folder = if database.flavor() == Flavor::PolarDbX { database.global_binlog() } else { database.data() };
    folder.join("binlog.*").display().to_string()
}

/// Changes rows and schemas, in several binlog files.
async fn work(source: &Database, name: &str) -> Result<()> {
    let mut connection = source.connect().await?;
    for id in 0..every_type::variants() {
        connection.query_drop(every_type::insert_variant(&format!("{name}.every"), id)).await?;
    }
    connection.query_drop("FLUSH BINARY LOGS").await?;
    let statements = [
        "INSERT INTO t VALUES (1, 'one', 1), (2, 'two', NULL)",
        "ALTER TABLE t ADD COLUMN more VARCHAR(30) CHARACTER SET latin1 DEFAULT 'é' AFTER id",
        "BEGIN",
        "UPDATE t SET a = 'changed', more = 'ö' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "SAVEPOINT s",
        "INSERT INTO t VALUES (7, 'x', 'y', 7)",
        "ROLLBACK TO s",
        "COMMIT",
        "FLUSH BINARY LOGS",
        "RENAME TABLE t TO u",
        "INSERT INTO u VALUES (3, 'c', 'd', 3)",
        "CREATE TABLE later LIKE u",
        "INSERT INTO later SELECT * FROM u",
        "TRUNCATE TABLE later",
        "ALTER TABLE u DROP COLUMN n, MODIFY a TEXT",
        "INSERT INTO u VALUES (4, 'c', 'd')",
        "DROP TABLE later",
        "UPDATE every SET i8 = 1, tx = 'x'",
    ];
    connection.query_drop(format!("USE {name}")).await?;
    for statement in statements {
        connection.query_drop(statement).await.map_err(|error| Failure::from(error).context(statement))?;
    }
    Ok(connection.disconnect().await?)
}

/// A task that streams a new database `name` from the beginning of the binlog.
async fn live(servers: Servers, name: &str, format: Format) -> Result<Case> {
    servers
        .source
        .execute(&[
            &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            &every_type::create(&format!("{name}.every")),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20), n INT(7) UNSIGNED)"),
        ])
        .await?;
    let mut case = Case::new(servers, name, format, 3, vec![Table::new(name, "every"), Table::new(name, "u")]).await?;
    case.settings.source = "phases = [\"incremental\"]\nstart.earliest = {}".to_owned();
    case.task.configure(&case.settings)?;
    Ok(case)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_give_the_records_of_the_live_stream() -> Result<()> {
    for (flavor, format, options) in [
        (Flavor::MySql57, Format::CanalJson, &["--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-slave-updates=ON"][..]),
        (Flavor::MySql80, Format::DtsAvro, &[]),
        (Flavor::MariaDb, Format::CanalJson, &[]),
    ] {
        let name = format!("disk_{}", flavor.name());
        let servers = with_source(flavor, options).await?;
        let mut live = live(servers, &name, format).await?;
        live.task.start()?;
        work(&live.servers.source, &name).await?;
        live.catch_up(LIMIT).await?;
        // A server that stops ends its file in another way than FLUSH BINARY LOGS.
        live.task.stop().await?;
        live.source_mut()?.stop().await?;
        live.source_mut()?.resume().await?;
        live.servers.source.execute(&[&format!("INSERT INTO {name}.u VALUES (5, 'e', 'f')")]).await?;
        live.task.start()?;
        live.catch_up(LIMIT).await?;
        live.task.stop().await?;
        let files = all_files(&live.servers.source);
        let mut case = live.sibling(&format!("{name}_again"), format, 3).await?;
        replay(&mut case, &live, &files, "").await?;
        // A task whose files are read is over.
        case.task.start()?;
        assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
        let count = case.entries.len();
        assert_eq!(case.read().await?, count);
        let output = program().command(&["check", &case.task.file().display().to_string()]).output()?;
        let console = String::from_utf8_lossy(&output.stdout);
        assert!(console.contains("ok") && console.contains("binlog_files"), "{console}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binlog_of_polardbx_gives_the_records_of_the_live_stream() -> Result<()> {
    let servers = with_source(Flavor::PolarDbX, &["--standin-set=rotate_every=6"]).await?;
    let name = "disk_polardbx";
    let mut live = live(servers, name, Format::CanalJson).await?;
    live.task.start()?;
    let source = live.servers.source.clone();
    for id in 0..every_type::variants() {
        source.execute(&[&every_type::insert_variant(&format!("{name}.every"), id)]).await?;
    }
    source
        .execute(&[
            &format!("INSERT INTO {name}.t VALUES (1, 'one', 1), (2, 'two', NULL)"),
            &format!("ALTER TABLE {name}.t ADD COLUMN more VARCHAR(30)"),
            &format!("UPDATE {name}.t SET more = 'x'"),
            &format!("CREATE TABLE {name}.u (id INT PRIMARY KEY, a VARCHAR(20))"),
            &format!("INSERT INTO {name}.u VALUES (1, 'one')"),
        ])
        .await?;
    live.catch_up(LIMIT).await?;
    live.task.stop().await?;
    let mut case = live.sibling(&format!("{name}_again"), Format::CanalJson, 3).await?;
    replay(&mut case, &live, &all_files(&source), "").await
}

/// What mysqldump --no-data would write.
async fn dump(source: &Database, name: &str, tables: &[&str]) -> Result<String> {
    let mut connection = source.connect().await?;
    let mut text = format!("CREATE DATABASE /*!32312 IF NOT EXISTS*/ `{name}` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;\nUSE `{name}`;\n");
    for table in tables {
        let row: Option<(String, String)> = connection.query_first(format!("SHOW CREATE TABLE {name}.{table}")).await?;
        let row = row.ok_or_else(|| Failure::new("no table"))?;
        text += &format!("DROP TABLE IF EXISTS `{table}`;\n{};\n", row.1);
    }
    connection.disconnect().await?;
    Ok(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_from_the_middle_need_the_schemas_of_their_beginning() -> Result<()> {
    let name = "disk_middle";
    let servers = with_source(Flavor::MySql57, &[]).await?;
    let mut live = live(servers, name, Format::CanalJson).await?;
    let source = live.servers.source.clone();
    source.execute(&[&format!("INSERT INTO {name}.t VALUES (9, 'before', 9)"), "FLUSH BINARY LOGS"]).await?;
    let (file, offset) = source.position().await?;
    let schemas = dump(&source, name, &["t", "every", "fence"]).await?;
    live.settings.source = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
    live.task.configure(&live.settings)?;
    work(&source, name).await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("schemas.sql");
    std::fs::write(&path, schemas)?;
    live.settings.source += &format!("\nstart_schema = {path:?}");
    live.task.configure(&live.settings)?;
    live.task.start()?;
    live.catch_up(LIMIT).await?;
    live.task.stop().await?;

    let first: u32 = file.rsplit('.').next().and_then(|number| number.parse().ok()).ok_or_else(|| Failure::new("no number"))?;
    let files: Vec<PathBuf> = (first..first + 3).map(|number| source.data().join(format!("binlog.{number:06}"))).collect();
    let copies = folder.path().join("copies");
    std::fs::create_dir(&copies)?;
    for file in &files {
        std::fs::copy(file, copies.join(file.file_name().unwrap_or_default()))?;
    }
    let files = copies.join("*").display().to_string();
    let mut case = live.sibling("disk_middle_again", Format::CanalJson, 3).await?;
    refuses(&mut case, &files, "", 2, &["the schema before it is not known", "ALTER TABLE", "start_schema"]).await?;
    replay(&mut case, &live, &files, &format!("start_schema = {path:?}\nstart.position = {{ file = {file:?}, offset = {offset} }}")).await
}

/// Runs the task, which must end with this exit code and an error with these texts.
async fn refuses(case: &mut Case, files: &str, lines: &str, code: i32, texts: &[&str]) -> Result<()> {
    case.task.write(&configuration(case, files, lines))?;
    case.task.start()?;
    let ended = case.task.wait(LIMIT).await?;
    assert_eq!(ended, code, "{}", case.task.output());
    assert_error(&case.task.output(), texts)
}

fn copy(from: &str, to: &Path) -> Result<()> {
    let folder = Path::new(from).parent().unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("binlog.0") {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_killed_continues_where_it_was() -> Result<()> {
    let name = "disk_killed";
    let servers = with_source(Flavor::MySql80, &["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"]).await?;
    let mut live = live(servers, name, Format::CanalJson).await?;
    let source = live.servers.source.clone();
    live.task.start()?;
    let mut connection = source.connect().await?;
    for id in 0..6_000 {
        connection.query_drop(format!("INSERT INTO {name}.t VALUES ({id}, 'row {id}', {id})")).await?;
        if id % 2_000 == 1_000 {
            connection.query_drop("FLUSH BINARY LOGS").await?;
        }
    }
    connection.disconnect().await?;
    live.catch_up(LIMIT).await?;
    live.task.stop().await?;
    let mut case = live.sibling("disk_killed_again", Format::CanalJson, 3).await?;
    let copies = tempfile::tempdir()?;
    copy(&all_files(&source), copies.path())?;
    case.task.write(&configuration(&case, &copies.path().join("*").display().to_string(), ""))?;
    for _ in 0..3 {
        case.task.start()?;
        let (wanted, started) = (case.entries.len() + 400, std::time::Instant::now());
        while case.read().await? < wanted && !case.task.ended()? && started.elapsed() < LIMIT {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        case.task.kill()?;
    }
    case.task.start()?;
    assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
    case.read().await?;
    // Requests of a killed process may reach the log late, as readers are told. There are none if no run has said so.
    if case.task.late_records()? == 0 { same(&case, &live) } else { Ok(()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_files_are_named_with_the_place() -> Result<()> {
    let name = "disk_damaged";
    let servers = with_source(Flavor::MySql57, &[]).await?;
    let live = live(servers, name, Format::CanalJson).await?;
    let source = live.servers.source.clone();
    work(&source, name).await?;
    source.execute(&["FLUSH BINARY LOGS"]).await?;
    let mut case = live.sibling("disk_damaged_again", Format::CanalJson, 1).await?;
    let files = |folder: &Path| folder.join("binlog.0*").display().to_string();
    let change = |change: &dyn Fn(&Path) -> std::io::Result<()>| -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        copy(&all_files(&source), folder.path())?;
        change(folder.path())?;
        Ok(folder)
    };
    let edit = |path: &Path, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(path)?;
        edit(&mut bytes);
        std::fs::write(path, bytes)
    };
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(change(&|_| Ok(()))?.path())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let [.., one, two, three, last] = names.as_slice() else { return Failure::err(format!("few files: {names:?}")) };

    let gap = change(&|folder| std::fs::remove_file(folder.join(two)))?;
    refuses(&mut case, &files(gap.path()), "", 2, &["E_BINLOG_FILES", three, "does not follow", one]).await?;
    let damaged = change(&|folder| edit(&folder.join(two), &|bytes| bytes[300] ^= 1))?;
    refuses(&mut case, &files(damaged.path()), "", 1, &["E_BINLOG_CORRUPT", &format!("{two}:"), "checksum"]).await?;
    let cut = change(&|folder| edit(&folder.join(two), &|bytes| bytes.truncate(bytes.len() - 5)))?;
    refuses(&mut case, &files(cut.path()), "", 1, &["E_BINLOG_CUT", two, "inside the event at"]).await?;
    // The ROTATE has 8 bytes before the name of the next file.
    let rotate = 19 + 8 + three.len() + 4;
    let unclosed = change(&|folder| edit(&folder.join(two), &|bytes| bytes.truncate(bytes.len() - rotate)))?;
    refuses(&mut case, &files(unclosed.path()), "", 1, &["E_BINLOG_CUT", two, three, "without the event that ends a file"]).await?;
    // And an XID has 8 bytes.
    let open = change(&|folder| {
        std::fs::remove_file(folder.join(three))?;
        std::fs::remove_file(folder.join(last))?;
        edit(&folder.join(two), &|bytes| bytes.truncate(bytes.len() - rotate - 31))
    })?;
    refuses(&mut case, &files(open.path()), "", 1, &["E_BINLOG_CUT", two, "inside the transaction that begins at"]).await?;
    let zipped = change(&|folder| edit(&folder.join(two), &|bytes| bytes.insert(0, 0x1f)))?;
    refuses(&mut case, &files(zipped.path()), "", 2, &["E_BINLOG_FILES", two, "is not a binlog file"]).await?;
    let encrypted = change(&|folder| edit(&folder.join(two), &|bytes| bytes[0] = 0xfd))?;
    refuses(&mut case, &files(encrypted.path()), "", 2, &["E_BINLOG_FILES", two, "is encrypted"]).await?;
    // Without the last file, the set ends with a ROTATE, and is complete.
    let shorter = change(&|folder| std::fs::remove_file(folder.join(last)))?;
    case.task.write(&configuration(&case, &files(shorter.path()), ""))?;
    case.task.start()?;
    assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
    Ok(())
}

const BASE: &str = "CREATE TABLE base_t (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(32))";

/// Reads the captured files through the source, from `position` on, with what is known there. Returns the events as text, and the positions at
/// which reading could continue, each with the count of events before it and what is known.
async fn read(source: &BinlogFilesSource, from: &Committed) -> Result<(Vec<String>, Vec<(usize, Committed)>)> {
    let context = Context::testing("captured");
    let plan = source.plan(&context, from).await?;
    let split = plan.splits.first().ok_or_else(|| Failure::new("nothing to read"))?;
    let mut committed = from.clone();
    committed.apply(&Commit { facts: plan.facts, schemas: plan.schemas, ..Commit::default() });
    let advance = |committed: &mut Committed, position: &Position, schemas: SchemaChanges, facts: Facts| {
        let checkpoint = Checkpoint { position: position.clone(), receipt: Receipt::default(), done: false };
        let progress = Progress { split: split.id.clone(), number: 1, checkpoint, schemas };
        committed.apply(&Commit { splits: vec![progress], facts, ..Commit::default() });
    };
    advance(&mut committed, &split.start, Vec::new(), Facts::new());
    let mut reader = source.open(&context, split, &committed).await?;
    let (mut events, mut resumes, mut schemas, mut facts) = (Vec::new(), Vec::new(), Vec::new(), Facts::new());
    while let Some(mut batch) = reader.next().await? {
        for event in &batch.events {
            events.push(format!("{:?} {:?} {:?}", event.seq, event.txid, event.body));
            if let Body::Schema(change) = &event.body {
                schemas.extend(change.tables.clone());
            }
        }
        facts.append(&mut batch.facts);
        if let Some(resume) = &batch.resume {
            advance(&mut committed, resume, std::mem::take(&mut schemas), std::mem::take(&mut facts));
            resumes.push((events.len(), committed.clone()));
        }
    }
    Ok((events, resumes))
}

/// The events of the captured files, as a decoder gives them that gets the events one by one.
fn decoded(folder: &Path) -> Result<Vec<String>> {
    let collation = || Collation::new("utf8mb4_general_ci");
    let base = read_create_table(BASE, "shop", &|_| Some(collation())).map_err(|error| Failure::new(error.to_string()))?;
    let mut decoder = Decoder::new(DecoderOptions {
        stream: "global".to_owned(),
        position: StreamPosition::start("", "binlog.000001", 4).map_err(|error| Failure::new(error.to_string()))?,
        history: History::new([base.schema.into()], [("shop".to_owned(), collation())], true),
        selection: Selection::new(&["shop.*".to_owned()], &[]).map_err(|error| Failure::new(error.to_string()))?,
        profile: ServerProfile::new("5.7.25-TDDL-5.4.19-20241126"),
        prepared: PreparedTransactions::default(),
        polardbx: PolarDbXOptions::default(),
        rows_without_events: RowsWithoutEvents::default(),
        batch_max_bytes: 1 << 20,
    });
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    names.retain(|path| path.extension().is_some_and(|extension| extension != "sql"));
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let bytes = std::fs::read(name)?;
        let mut rest = &bytes[4..];
        while let Some(size) = rest.get(9..13) {
            let (event, behind) = rest.split_at(u32::from_le_bytes(size.try_into()?) as usize);
            decoder.event(event, 1)?;
            rest = behind;
        }
    }
    while let Some(batch) = decoder.drain() {
        found.extend(batch.events.iter().map(|event| format!("{:?} {:?} {:?}", event.seq, event.txid, event.body)));
    }
    Ok(found)
}

#[tokio::test]
async fn captured_files_of_polardbx_are_read_as_they_came() -> Result<()> {
    for set in ["small", "plain"] {
        let folder = tempfile::tempdir()?;
        copy(concat!(env!("CARGO_MANIFEST_DIR"), "/captured/polardbx/SET/x").replace("SET", set).as_str(), folder.path())?;
        let schema = folder.path().join("schema.sql");
        std::fs::write(&schema, format!("CREATE DATABASE shop DEFAULT CHARACTER SET utf8mb4;\nUSE shop;\n{BASE};\n"))?;
        let keys = json!({"files": [folder.path().join("binlog.*")], "tables": ["shop.*"], "start_schema": schema});
        let source = BinlogFilesSource::new(Settings::from(keys).parse("source.binlog_files")?)?;
        let (whole, resumes) = read(&source, &Committed::new(1, 1, 0)).await?;
        let expected = decoded(folder.path())?;
        assert!(!expected.is_empty());
        for (found, expected) in whole.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
        assert_eq!(whole.len(), expected.len());
        assert!(!resumes.is_empty());
        for (seen, committed) in resumes {
            assert_eq!(read(&source, &committed).await?.0, whole[seen..]);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_metadata_shows_the_schemas() -> Result<()> {
    let name = "disk_metadata";
    let servers = with_source(Flavor::MySql80, &["--binlog-row-metadata=FULL"]).await?;
    let source = servers.source.clone();
    source
        .execute(&[
            &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20), n BIGINT UNSIGNED, e ENUM('x', 'y'))"),
        ])
        .await?;
    let mut live = Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await?;
    source.execute(&["FLUSH BINARY LOGS"]).await?;
    let (file, offset) = source.position().await?;
    live.settings.source = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
    live.task.configure(&live.settings)?;
    source
        .execute(&[
            &format!("INSERT INTO {name}.t VALUES (1, 'one', 18446744073709551615, 'y')"),
            &format!("ALTER TABLE {name}.t DROP COLUMN e, ADD COLUMN more VARCHAR(9) CHARACTER SET latin1"),
            &format!("UPDATE {name}.t SET more = 'é', n = 7"),
        ])
        .await?;
    live.task.start()?;
    live.catch_up(LIMIT).await?;
    live.task.stop().await?;
    let mut case = live.sibling("disk_metadata_again", Format::CanalJson, 1).await?;
    let file = source.data().join(&file).display().to_string();
    case.task.write(&configuration(&case, &file, ""))?;
    case.task.start()?;
    assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
    case.read().await?;
    for column in ["a", "n", "e", "more"] {
        assert_eq!(case.rows_of("t", column)?, live.rows_of("t", column)?, "{column}");
    }
    assert_eq!(case.entries.len(), live.entries.len());
    Ok(())
}
