//! The precheck. It tries what the task will do, without changing anything, and reports what would make the task fail.
//!
//! The planner repeats the checks that prevent loss of data, so a task that runs without a precheck is safe, too.

mod completeness;
mod encryption;
mod handover;
mod replication;
mod resume;
mod streams;
mod unused;

use runtime::{Charset, Column, ColumnKind, Finding, Level, TableId, TableSchema};

use crate::config::{ConfigError, Phase, SourceSettings, Start};
use crate::error::{Result, SourceError};
use crate::prepared::prepared_now;
use crate::selection::Selection;
use crate::server::{Listed, Needed, Server, database_collations, list_tables, parse_definition, read_ddl, retention};
use crate::session::{Endpoint, Session};
use crate::snapshot::barrier::Barrier;
use crate::snapshot::plan::table_name;
use crate::snapshot::range::chunk_key;
use crate::start::{prove_schemas, starts_now, stream_starts};
use crate::start_schema;
use crate::streams::Streams;
use completeness::cascades_of_polardbx;
pub(crate) use completeness::{cascades, completeness};
use encryption::encryption;
pub(crate) use handover::{handover, is_in_band};
use replication::replication;
pub(crate) use replication::{begins_transaction, may_dump};
pub(crate) use resume::{checkpoint, same_server, same_streams, same_task};
pub(crate) use streams::{stream_key, streams};
use unused::unused_keys;

/// Runs all checks, and returns their findings. `is_first` says whether the task has no checkpoint yet.
pub(crate) async fn findings(settings: &SourceSettings, endpoint: &Endpoint, task: &str, is_first: bool) -> Vec<Finding> {
    let mut session = match endpoint.connect().await {
        Ok(session) => session,
        Err(error) => return vec![Finding::from_error("connection", &error.into())],
    };
    let place = format!("connected to {}:{} as {}", settings.config.host, settings.config.port, settings.config.user);
    let mut found = vec![Finding::passed("connection", place)];
    found.extend(encryption(&settings.config, endpoint.is_unencrypted_fallback()));
    match Server::identify(&mut session).await {
        Ok(server) => {
            // All connections of the check must reach the same server.
            endpoint.expect(server.identity().ok());
            found.push(server.support());
            if found.iter().all(|finding| finding.level != Level::Failed) {
                supported(settings, task, endpoint, &server, &mut session, is_first, &mut found).await;
            }
        }
        Err(error) => found.push(Finding::from_error("server", &error.into())),
    }
    session.close().await;
    found
}

async fn supported(
    settings: &SourceSettings,
    task: &str,
    endpoint: &Endpoint,
    server: &Server,
    session: &mut Session,
    is_first: bool,
    found: &mut Vec<Finding>,
) {
    if settings.has(Phase::Incremental) {
        found.extend(server.stream_settings());
    }
    let chosen = match settings.has(Phase::Incremental) {
        true => Streams::choose(settings, session, server).await,
        false => Ok(Streams::global()),
    };
    let has_streams = chosen.as_ref().map_or(settings.config.stream_group.is_some(), |streams| streams.group.is_some());
    found.extend(unused_keys(&settings.config, server.is_polardbx(), has_streams));
    let streams = match chosen {
        Ok(streams) => streams,
        // The finding `replication_client` says so.
        Err(error) if error.code() == Some(1227) => Streams::global(),
        Err(error) => return found.push(Finding::from_error("streams", &error.into())),
    };
    let mut has_binlog = false;
    if settings.has(Phase::Incremental) {
        has_binlog = replication(settings, task, endpoint, server, session, &streams, found).await;
        found.extend(self::streams(&streams));
        found.extend(handover(settings, &streams));
    }
    if settings.has(Phase::Full) && settings.has(Phase::Incremental) {
        found.push(match Barrier::probe(session, server, settings.barrier_delay).await {
            Ok(barrier @ (Barrier::Marker | Barrier::Reported(_))) => Finding::passed("barrier", barrier.to_string()),
            Ok(delay @ Barrier::Delay(..)) => Finding::warning(
                "barrier",
                format!("{delay}: the snapshot relies on commits that take less"),
                "let the account write: GRANT CREATE, INSERT, UPDATE ON dts_health_check.* TO the account",
            ),
            Err(error) => Finding::from_error("barrier", &error.into()),
        });
    }
    // A data node of PolarDB-X would not know the statement. That there is no binlog is reported already.
    if settings.has(Phase::Incremental) && (has_binlog || !server.is_polardbx()) {
        // Where rows are merged into the stream, it is read from the beginning.
        let is_read_later = settings.has(Phase::Full) && !is_in_band(settings, &streams, true);
        let needed = if is_read_later { Needed::StreamAfterFullPhase } else { Needed::Stream };
        // All streams of a group are kept for the same time.
        match retention(session, server, &streams.names[0], needed).await {
            Ok(finding) => found.push(finding),
            // The finding `replication_client` has reported that the account may not ask.
            Err(error) if error.code() == Some(1227) => {}
            Err(error) => found.push(Finding::from_error("binlog_retention", &error.into())),
        }
    }
    let selection = settings.selection.clone().folded(server.lower_case());
    if settings.has(Phase::Incremental) {
        match completeness(session, server, &selection).await {
            Ok(mut of_binlog) => found.append(&mut of_binlog),
            // The finding `replication_client` has reported that the account may not ask.
            Err(error) if error.code() == Some(1227) => {}
            Err(error) => found.push(Finding::from_error("binlog_filters", &error.into())),
        }
    }
    if is_first && settings.has(Phase::Incremental) && !starts_now(settings) {
        found.push(match start(settings, endpoint, server, session, &streams, &selection).await {
            Ok(place) => Finding::passed("start", place),
            Err(error) => Finding::from_error("start", &error.into()),
        });
    }
    if is_first && starts_now(settings) && !server.is_polardbx() {
        found.push(prepared_now(session, settings.xa_wait).await);
    }
    match tables(session, server, &selection, settings, &streams, is_first).await {
        Ok(mut of_tables) => found.append(&mut of_tables),
        Err(error) => found.push(Finding::from_error("tables", &error.into())),
    }
}

/// Checks the start that the user chose, as the first plan does. Returns it.
async fn start(
    settings: &SourceSettings,
    endpoint: &Endpoint,
    server: &Server,
    session: &mut Session,
    streams: &Streams,
    selection: &Selection,
) -> Result<String> {
    let starts = stream_starts(settings, endpoint, session, server, streams).await?;
    let tables = list_tables(session, selection).await?.tables;
    let collations = database_collations(session).await?;
    let given = start_schema::given(settings, server, &collations)?;
    for start in &starts {
        if let Some(Start::Position { .. }) = settings.config.start {
            begins_transaction(endpoint, &start.at).await?;
        }
        prove_schemas(settings, endpoint, session, server, start, &tables, &given).await?;
    }
    let places = starts.iter().map(|start| start.at.location()).collect::<Vec<_>>().join(", ");
    Ok(format!("the stream starts at {places}"))
}

/// Checks the selected tables. If no table is selected, a task with the phase `schema` or `full` fails at its first start. Any other
/// task gets a warning, because its tables may be created later.
async fn tables(
    session: &mut Session,
    server: &Server,
    selection: &Selection,
    settings: &SourceSettings,
    streams: &Streams,
    is_first: bool,
) -> Result<Vec<Finding>> {
    let Listed { tables, views, followed, .. } = list_tables(session, selection).await?;
    let mut found = missing(selection, &tables, &views);
    if !is_first {
        // The task knows its tables, which may have been dropped since.
        found.iter_mut().for_each(|finding| finding.level = Level::Warning);
    }
    found.extend(shadows(selection, &followed));
    let (mut unreadable, mut ddls) = (0, Vec::new());
    for table in &tables {
        let readable = session.execute(format!("read table {table}"), format!("SELECT 1 FROM {} LIMIT 0", table_name(table))).await;
        let ddl = match readable {
            Ok(()) => read_ddl(session, table).await,
            Err(error) => Err(error),
        };
        match ddl.and_then(|ddl| Ok((parse_definition(table, &ddl)?, ddl))) {
            Ok((schema, ddl)) => {
                found.extend(columns(&schema));
                found.extend(key(&schema, is_in_band(settings, streams, true)));
                found.extend(local_key(&schema));
                if server.is_polardbx() {
                    match column_names(session, table).await {
                        Ok(listed) => found.extend(other_columns(&schema, &listed)),
                        Err(error) if error.code().is_some() => found.push(Finding::from_error("columns", &error.into())),
                        Err(error) => return Err(error),
                    }
                }
                found.extend(stream_key(settings, streams, &schema));
                ddls.push((table, ddl));
            }
            // An error of the connection says nothing about the table, so it ends the check.
            Err(error) if error.code().is_none() && !matches!(error, SourceError::Answer { .. } | SourceError::Requirement { .. }) => {
                return Err(error);
            }
            Err(error) => {
                unreadable += 1;
                found.push(Finding::from_error("select", &error.into()));
            }
        }
    }
    if settings.has(Phase::Incremental) {
        let ddls = ddls.iter().map(|(table, ddl)| (*table, ddl.as_str()));
        found.extend(if server.is_polardbx() { cascades_of_polardbx(ddls) } else { cascades(ddls) });
    }
    if tables.is_empty() {
        let what = format!("no table is selected by {}", settings.config.tables.join(", "));
        let help = "check `tables` and `exclude`, and that the account has SELECT on them";
        found.push(if is_first && (settings.has(Phase::Full) || settings.has(Phase::Schema)) {
            Finding::failed("tables", what, help)
        } else {
            Finding::warning("tables", what, help)
        });
    } else {
        let idle = selection.patterns_without_table(&tables);
        found.extend(idle.into_iter().map(|pattern| {
            let what = format!("the pattern {pattern:?} selects no table");
            Finding::warning("tables", what, "correct `tables`, unless these tables are created later or `exclude` names all of them")
        }));
    }
    if !tables.is_empty() && unreadable == 0 {
        found.push(Finding::passed("tables", format!("{} selected", tables.len())));
    }
    Ok(found)
}

/// A warning that names the tables which are left out only because of their names.
pub(crate) fn shadows(selection: &Selection, followed: &[TableId]) -> Option<Finding> {
    let names: Vec<String> = followed.iter().filter(|table| selection.leaves_out_as_shadow(table)).map(TableId::to_string).collect();
    let what = || format!("left out, because tools for online schema changes give such names: {}", names.join(", "));
    let help = "list a table that is no tool's by its full name in `tables`, or set exclude_shadow_tables = false";
    (!names.is_empty()).then(|| Finding::warning("shadow_tables", what(), help))
}

/// A failed finding for each table that `tables` lists by its full name, if the table is missing, is a view or is excluded.
pub(crate) fn missing(selection: &Selection, tables: &[TableId], views: &[TableId]) -> Vec<Finding> {
    let among = |list: &[TableId], literal: &TableId| list.iter().any(|table| selection.same(table, literal));
    let absent = selection.literals().filter(|literal| !among(tables, literal));
    let describe = |literal: TableId| {
        if among(views, &literal) {
            Finding::failed("tables", format!("{literal} is a view, which has no rows of its own"), "list the tables behind it")
        } else if selection.selects(&literal) {
            Finding::failed(
                "tables",
                format!("table {literal} does not exist, or the account may not see it"),
                "check the name in `tables`, and GRANT SELECT on it",
            )
        } else {
            Finding::failed("tables", format!("table {literal} is both listed and excluded"), "take it out of `tables` or of `exclude`")
        }
    };
    absent.map(describe).collect()
}

/// A finding for each column whose values are not supported.
pub(crate) fn columns(schema: &TableSchema) -> Vec<Finding> {
    let refuse = |column: &Column| {
        let what = unsupported(column)?;
        let what = format!("column {}.{} {}: {what}", schema.id, column.name, column.source_type);
        Some(Finding::failed("columns", what, "exclude the table, or change the column's type in the source"))
    };
    schema.columns.iter().filter_map(refuse).collect()
}

fn unsupported(column: &Column) -> Option<String> {
    use ColumnKind as K;
    match &column.kind {
        // A row holds the number of a label, not its text. The labels of a `binary` column are bytes, which must be valid UTF-8. U+FFFD
        // stands for bytes that are not valid.
        K::Enum { labels } | K::Set { labels } if column.charset() == Some("binary") => {
            labels.iter().any(|label| label.contains('\u{fffd}')).then(|| "a label has bytes that are not valid text".to_owned())
        }
        K::Char { .. } | K::Varchar { .. } | K::Text { .. } | K::Enum { .. } | K::Set { .. } => match column.charset() {
            Some(charset) if Charset::from_name(charset).is_some() => None,
            Some(charset) => Some(format!("character set {charset} is not supported yet")),
            None => Some("its character set is not known".to_owned()),
        },
        K::Int { .. } | K::Decimal { .. } | K::Float | K::Double | K::Bit { .. } => None,
        K::Year | K::Date | K::Time { .. } | K::DateTime { .. } | K::Timestamp { .. } => None,
        K::Binary { .. } | K::Varbinary { .. } | K::Blob { .. } | K::Json | K::Geometry => None,
        // A kind that is added to `ColumnKind` in the future counts as unsupported until it is listed above.
        _ => Some("its type is not supported yet".to_owned()),
    }
}

fn key(schema: &TableSchema, in_band: bool) -> Option<Finding> {
    if schema.effective_key().is_empty() {
        let how = if in_band {
            "it is read in one piece, as it is at a moment at which nothing changes it; after a failure it is read again from its first row"
        } else {
            "it is read in one piece, and rows may repeat after a failure"
        };
        let what = format!("table {} has no primary key and no unique key without NULLs: {how}", schema.id);
        return Some(Finding::warning("primary_key", what, "add a primary key"));
    }
    chunk_key(schema).is_empty().then(|| {
        let why = unordered_columns(schema);
        Finding::warning(
            "primary_key",
            format!("table {} is read in one piece, and again from the start after a failure, because of its key: {why}", schema.id),
            "nothing, if the table is small; otherwise a key of columns that are NOT NULL, and are numbers, dates, times or short texts",
        )
    })
}

/// Says of each column of the key by which the table cannot be read in ranges why not. Partition columns beside the key are no reason.
fn unordered_columns(schema: &TableSchema) -> String {
    let mut whole = schema.clone();
    whole.partition_columns.clear();
    let columns = whole.effective_key().into_iter().filter_map(|index| Some((index, schema.columns.get(index)?)));
    let unusable = columns.filter_map(|(index, column)| {
        let mut alone = schema.clone();
        (alone.primary_key, alone.partition_columns) = (vec![index], Vec::new());
        let is_usable = !chunk_key(&alone).is_empty();
        match (is_usable, column.nullable) {
            (true, _) => None,
            (false, true) => Some(format!("column {} may be NULL", column.name)),
            (false, false) => Some(format!("column {} is of type {}, which has no reliable order", column.name, column.source_type)),
        }
    });
    unusable.collect::<Vec<_>>().join(", ")
}

/// A warning for a key that is unique within a partition only. PolarDB-X takes such a key for a table that its user has partitioned by other
/// columns.
fn local_key(schema: &TableSchema) -> Option<Finding> {
    let mut whole = schema.clone();
    whole.partition_columns.clear();
    let (declared, key) = (whole.effective_key(), schema.effective_key());
    let names = |columns: &[usize]| {
        let names = columns.iter().filter_map(|&column| schema.columns.get(column)).map(|column| column.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    (declared.len() < key.len()).then(|| {
        Finding::warning(
            "primary_key",
            format!(
                "the key ({}) of table {} is unique within a partition only; rows are told apart by ({})",
                names(&declared),
                schema.id,
                names(&key)
            ),
            "let readers take all of these columns as the key, as sink.kafka.record_key = \"primary_key\" does",
        )
    })
}

/// The names of the columns that SHOW COLUMNS lists.
async fn column_names(session: &mut Session, table: &TableId) -> Result<Vec<String>> {
    let rows = session.rows(format!("list the columns of table {table}"), format!("SHOW COLUMNS FROM {}", table_name(table))).await?;
    Ok(rows.iter().filter_map(|row| row.text(0)).collect())
}

/// A failed finding if the columns of a table, as its definition was read, are not those that the server lists.
fn other_columns(schema: &TableSchema, listed: &[String]) -> Option<Finding> {
    let read: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    let is_same = read.len() == listed.len() && read.iter().zip(listed).all(|(one, other)| one.to_lowercase() == other.to_lowercase());
    (!is_same).then(|| {
        let (read, listed) = (read.join(", "), listed.join(", "));
        let what = format!("table {} was read with the columns ({read}), and SHOW COLUMNS lists ({listed})", schema.id);
        Finding::failed("columns", what, "leave the table out with `exclude`, and report its SHOW CREATE TABLE")
    })
}

/// Returns an error of kind `Config` if there are failed findings. Its message names all of them; its help is the help of the first.
/// Warnings are logged.
pub(crate) fn demand(findings: impl IntoIterator<Item = Finding>) -> Result<()> {
    match all_failed(findings) {
        Some((what, help)) => Err(SourceError::Requirement { what, help }),
        None => Ok(()),
    }
}

/// Like [`demand`], for findings that mean that the value of a key of the configuration is not valid.
pub(crate) fn demand_of_key(key: &'static str, findings: impl IntoIterator<Item = Finding>) -> Result<()> {
    match all_failed(findings) {
        Some((what, help)) => Err(ConfigError::new(key, what, help).into()),
        None => Ok(()),
    }
}

/// What all failed findings say, with the help of the first; `None` if no finding has failed. Warnings are logged.
fn all_failed(findings: impl IntoIterator<Item = Finding>) -> Option<(String, String)> {
    let logged = |Finding { level, what, .. }: &Finding| {
        if *level == Level::Warning {
            tracing::warn!("{what}");
        }
    };
    let findings = findings.into_iter().inspect(logged);
    let mut failed = findings.filter(|finding| finding.level == Level::Failed);
    let Finding { what, help, .. } = failed.next()?;
    Some((failed.fold(what, |all, finding| all + "; " + &finding.what), help))
}

#[cfg(test)]
mod tests {
    use runtime::Collation;

    use super::*;

    fn schema(columns: Vec<Column>) -> TableSchema {
        TableSchema::new(TableId::new("shop", "t"), columns)
    }

    #[test]
    fn columns_that_cannot_be_carried_are_named_one_by_one() {
        let mut text = Column::new("a", ColumnKind::Varchar { length: 9 }, "varchar(9)");
        text.collation = Some(Collation::new("klingon_bin"));
        let mut fine = text.clone();
        fine.collation = Some(Collation::new("latin1_bin"));
        let [mut bytes, mut garbled] =
            ["é", "\u{fffd}"].map(|label| Column::new("e", ColumnKind::Enum { labels: vec![label.into()] }, "enum"));
        (bytes.collation, garbled.collation) = (Some(Collation::new("binary")), Some(Collation::new("binary")));
        let mute = Column::new("m", ColumnKind::Text { prefix: 2 }, "text");
        let [json, point] = [Column::new("j", ColumnKind::Json, "json"), Column::new("g", ColumnKind::Geometry, "point")];
        let found = columns(&schema(vec![text, fine, mute, bytes, garbled, json, point]));
        let texts: Vec<_> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            texts,
            [
                "column shop.t.a varchar(9): character set klingon is not supported yet",
                "column shop.t.m text: its character set is not known",
                "column shop.t.e enum: a label has bytes that are not valid text",
            ]
        );
        let error: runtime::Error = demand(found).unwrap_err().into();
        assert_eq!((error.kind(), error.code()), (runtime::Kind::Config, Some("E_REQUIREMENT")));
        assert!(error.to_string().contains("klingon") && error.to_string().contains("shop.t.m"), "{error}");
    }

    #[test]
    fn a_literal_that_matches_nothing_fails() {
        let selection = Selection::new(&["d.a".into(), "d.b".into(), "d.v".into(), "d.x".into(), "e.*".into()], &["d.x".into()]).unwrap();
        let found = missing(&selection, &[TableId::new("d", "a")], &[TableId::new("d", "v")]);
        let texts: Vec<_> = found.iter().map(|finding| finding.what.clone()).collect();
        assert_eq!(texts.len(), 3);
        assert!(
            texts[0].contains("d.b does not exist") && texts[1].contains("d.v is a view") && texts[2].contains("d.x is both"),
            "{texts:?}"
        );
        let error: runtime::Error = demand_of_key("tables", found).unwrap_err().into();
        assert_eq!((error.kind(), error.code()), (runtime::Kind::Config, Some("E_CONFIG")));
        let text = error.to_string();
        assert!(
            text.contains("`source.polardbx.tables` is not valid: table d.b does not exist") && text.contains("d.v is a view"),
            "{text}"
        );
    }

    #[test]
    fn a_key_that_is_unique_within_a_partition_is_warned_of() {
        let int = |name: &str| Column::new(name, ColumnKind::Int { bytes: 4 }, "int");
        let mut schema = schema(vec![int("id"), int("region"), int("city")]);
        schema.primary_key = vec![0];
        assert!(local_key(&schema).is_none());
        schema.partition_columns = vec![0];
        assert!(local_key(&schema).is_none());
        schema.partition_columns = vec![0, 2, 1];
        let finding = local_key(&schema).unwrap();
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.what.contains("(id) of table shop.t") && finding.what.contains("by (id, city, region)"), "{}", finding.what);
        schema.primary_key.clear();
        assert!(local_key(&schema).is_none(), "without a key there is none to repeat");
    }

    #[test]
    fn columns_that_the_server_lists_otherwise_are_shown() {
        let column = |name: &str| Column::new(name, ColumnKind::Float, "float");
        let schema = schema(vec![column("a"), column("B")]);
        let found = |listed: &[&str]| other_columns(&schema, &listed.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert!(found(&["a", "b"]).is_none());
        for listed in [&["B", "a"][..], &["a"], &["a", "B", "c"]] {
            let finding = found(listed).unwrap();
            assert!(finding.level == Level::Failed && finding.what.contains("(a, B)") && finding.what.contains(&listed.join(", ")));
        }
    }

    #[test]
    fn tables_without_a_key_are_warned_of() {
        let mut schema = schema(vec![Column::new("a", ColumnKind::Float, "float")]);
        assert_eq!(key(&schema, false).unwrap().level, Level::Warning);
        schema.primary_key = vec![0];
        schema.columns[0].nullable = false;
        let what = key(&schema, false).unwrap().what;
        assert!(what.contains("one piece") && what.ends_with("column a is of type float, which has no reliable order"), "{what}");
        let mut region = Column::new("region", ColumnKind::Int { bytes: 4 }, "int");
        region.nullable = true;
        schema.columns = vec![Column::new("id", ColumnKind::Int { bytes: 4 }, "int"), region];
        schema.columns[0].nullable = false;
        schema.partition_columns = vec![1];
        assert!(key(&schema, false).is_none(), "the primary key alone is enough");
        schema.primary_key = vec![0, 1];
        let what = key(&schema, false).unwrap().what;
        assert!(what.ends_with("because of its key: column region may be NULL"), "{what}");
    }

    #[test]
    fn tables_that_are_left_out_for_their_names_are_named() {
        let ids = |names: &[&str]| names.iter().map(|name| TableId::new("db", *name)).collect::<Vec<_>>();
        let selection = |tables: &[&str]| {
            let tables: Vec<String> = tables.iter().map(|&table| table.to_owned()).collect();
            Selection::new(&tables, &["db.no".to_owned()]).unwrap().without_shadows(true)
        };
        let found = shadows(&selection(&["db.*"]), &ids(&["_config_old", "no", "_orders_gho"])).unwrap();
        assert!(found.level == Level::Warning && found.what.ends_with(": db._config_old, db._orders_gho"), "{}", found.what);
        assert_eq!(shadows(&selection(&["db.orders"]), &ids(&["_config_old", "x"])), None);
        assert!(selection(&["db.*", "db._config_old"]).selects(&TableId::new("db", "_config_old")));
    }
}
