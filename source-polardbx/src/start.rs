//! Where the stream starts, and whether the schemas of the tables there are known.

use std::collections::BTreeSet;
use std::sync::Arc;

use runtime::{Position, TableId, TableSchema};

use crate::binlog::gtid::{CatchUp, GtidSet};
use crate::binlog::{
    Baseline, BinlogCoordinates, ChangedSchema, FileOffset, ScanError, ShownTable, ShownTables, Tso, Upstream, first_schema_change,
};
use crate::config::{ConfigError, Phase, SourceSettings, Start, moment};
use crate::error::{Result, SourceError};
use crate::facts::{PassedFact, StartFact, StreamStart};
use crate::server::{Server, binlog_end, binlog_files, parse_definition, read_ddl};
use crate::session::{Endpoint, Session};
use crate::snapshot::difference::{difference, have_same_schema};
use crate::splits::StreamName;
use crate::start_search::{start_by_gtid, start_by_time};
use crate::streams::Streams;
use crate::wire::Row;

/// Where a stream starts.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    pub(crate) stream: StreamName,
    pub(crate) at: BinlogCoordinates,
    /// The transactions that are not wanted, and those of them that are passed over behind the start.
    pub(crate) passed: Option<(GtidSet, CatchUp)>,
}

impl Begin {
    /// What the checkpoint stores of it.
    pub(crate) fn fact(&self) -> StreamStart {
        let passed = self.passed.as_ref().map(|(delivered, catch_up)| PassedFact::new(&self.at.base, delivered, catch_up));
        StreamStart { name: self.stream.clone(), start: StartFact::new(&self.at), passed }
    }
}

/// Where each of the streams starts, in their order. Empty for a task without an incremental phase, if the server does not tell the end of its
/// binlog.
pub(crate) async fn stream_starts(
    settings: &SourceSettings,
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    streams: &Streams,
) -> Result<Vec<Begin>> {
    if let (Some(Start::Position { .. }), Some(group)) = (&settings.config.start, &streams.group) {
        let why = format!("position names one file, and the group {group} has {} streams", streams.names.len());
        return Err(ConfigError::new("start", why, "use start.latest, start.earliest or start.timestamp").into());
    }
    let mut starts = Vec::new();
    for stream in &streams.names {
        if let Some(Start::Gtid { set }) = &settings.config.start {
            let (at, delivered, catch_up) = start_by_gtid(endpoint, session, server, set).await?;
            starts.push(Begin { stream: stream.clone(), at, passed: Some((delivered, catch_up)) });
            continue;
        }
        let at = stream_start(settings, endpoint, session, server, stream).await?;
        starts.extend(at.map(|at| Begin { stream: stream.clone(), at, passed: None }));
    }
    Ok(starts)
}

async fn stream_start(
    settings: &SourceSettings,
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    stream: &StreamName,
) -> Result<Option<BinlogCoordinates>> {
    const DOING: &str = "find the start of the stream";
    let coordinates = |file: &str, offset| {
        let made = BinlogCoordinates::new(file, offset);
        made.ok_or_else(|| SourceError::answer(DOING, format!("{file} is not the name of a binlog file")))
    };
    if !settings.has(Phase::Incremental) {
        return Ok(binlog_end(session, server, stream).await.ok().flatten());
    }
    let start = match &settings.config.start {
        Some(Start::Earliest {}) => {
            let files = binlog_files(session, stream).await?;
            files.oldest().map(|file| coordinates(file, FileOffset::FIRST)).transpose()?
        }
        Some(Start::Position { file, offset }) => {
            let refuse = |why: String| ConfigError::new("start", why, "choose a file and an offset that SHOW BINLOG EVENTS lists");
            match binlog_files(session, stream).await?.size(file) {
                Some(size) if *offset <= size => Some(coordinates(file, *offset)?),
                Some(size) => return Err(refuse(format!("position.offset = {offset} is beyond the {size} bytes of {file}")).into()),
                None => return Err(refuse(format!("the server has no binlog file {file:?}")).into()),
            }
        }
        Some(Start::Timestamp { at }) => Some(start_by_time(endpoint, session, server, stream, moment(at)?).await?),
        // The caller searches for a start by its GTIDs.
        Some(Start::Latest {} | Start::Gtid { .. }) | None => binlog_end(session, server, stream).await?,
    };
    start.map(Some).ok_or_else(|| SourceError::answer(DOING, "the server writes no binlog"))
}

/// A number of the timestamps of PolarDB-X that is greater than those of all commits before.
pub(crate) async fn timestamp(session: &mut Session) -> Result<i64> {
    const DOING: &str = "ask for the present timestamp (TSO_TIMESTAMP)";
    let number = |rows: &[Row]| rows.first().and_then(|row| row.text(0)?.parse::<i64>().ok());
    let found = match session.rows(DOING, "SELECT TSO_TIMESTAMP()").await {
        Ok(rows) => number(&rows),
        // Some versions do not let every account ask.
        Err(error) if error.code().is_some() => {
            let rows = session.rows(DOING, "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)").await?;
            number(&rows).map(Tso::number_at)
        }
        Err(error) => return Err(error),
    };
    found.ok_or_else(|| SourceError::answer(DOING, "the server's answer is not a number"))
}

/// Whether the start of the stream is a moment of the first plan. Then XA transactions that are prepared at this moment are waited for.
pub(crate) fn starts_now(settings: &SourceSettings) -> bool {
    settings.has(Phase::Incremental) && matches!(settings.config.start, Some(Start::Latest {}) | None)
}

/// What is known of the schemas at the start of a stream, besides those that the server shows now.
#[derive(Debug, Default)]
pub(crate) struct AtStart {
    /// The followed tables whose schemas are not known.
    pub(crate) unknown: BTreeSet<TableId>,
    /// The selected tables that had other schemas than now.
    pub(crate) shown: Vec<ShownTable>,
}

/// Proves that the selected tables among `tables` had the same schemas at the start of a stream as now, apart from the `given` ones. Fails if a
/// statement since then has changed one, unless the binlog shows the schema before (`binlog_row_metadata=FULL`).
pub(crate) async fn prove_schemas(
    settings: &SourceSettings,
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    Begin { stream, at: start, .. }: &Begin,
    tables: &[TableId],
    given: &[Arc<TableSchema>],
) -> Result<AtStart> {
    const DOING: &str = "read the statements since the start of the stream";
    let end = binlog_end(session, server, stream).await?.ok_or_else(|| SourceError::answer(DOING, "the server writes no binlog"))?;
    // The tables were read before this.
    let until = if server.is_polardbx() { Some(timestamp(session).await?) } else { None };
    let selection = settings.selection.clone().folded(server.lower_case());
    let profile = server.profile();
    let mut baseline = Baseline::new(&selection, server.lower_case(), tables.iter().cloned());
    given.iter().for_each(|schema| baseline.give(&schema.id));
    if !starts_now(settings) {
        // PolarDB-X writes no full metadata.
        if !server.is_polardbx() {
            baseline.look_at_rows(&profile);
        }
        tracing::info!(from = start.file_name(), to = end.file_name(), "looking for changes of tables since the start of the stream");
    }
    let found = match first_schema_change(&Upstream::Server(endpoint.clone()), &profile, start, &end, until, &mut baseline).await {
        Ok(found) => found,
        Err(ScanError::Wire(error)) => return Err(SourceError::wire(DOING, error)),
        Err(ScanError::Stream(error, at)) => {
            let at = Position::from(BinlogCoordinates { base: start.base.clone(), at }.location());
            return Err(runtime::Error::from(error).at(&at).into());
        }
    };
    let Some(ChangedSchema { location, statement, what }) = found else {
        for schema in given.iter().filter(|schema| baseline.has_unchanged(&schema.id)) {
            let now = parse_definition(&schema.id, &read_ddl(session, &schema.id).await?)?;
            if !have_same_schema(schema, &now) {
                let what = difference(schema, &now).unwrap_or_else(|| "its columns differ".to_owned());
                let why = format!(
                    "it gives table {} another schema than the server has, and no statement since the start changes the table: {what}",
                    schema.id
                );
                return Err(
                    ConfigError::new("start_schema", why, "give the schemas at the start, or leave this table out of the file").into()
                );
            }
        }
        let (unknown, shown) = baseline.into_parts();
        let shown = shown.map(ShownTables::into_changed).unwrap_or_default();
        for table in &shown {
            tracing::warn!(
                table = %table.id(),
                "the schema of a table at the start of the stream was read from the binlog: its columns, their types and its primary key; display \
                 widths, ZEROFILL and other keys may be wrong"
            );
        }
        return Ok(AtStart { unknown, shown });
    };
    if starts_now(settings) {
        let error = runtime::Error::retryable(format!("a statement at {location} {what} while the task began, and it begins again"));
        return Err(error.because(statement).into());
    }
    let why = format!("the statement at {location} {what}, and the schema before it is not known: {statement}");
    Err(ConfigError::new(
        "start",
        why,
        "choose a start behind this statement, give the schemas at the start with `start_schema`, or read the tables with a full phase",
    )
    .into())
}
