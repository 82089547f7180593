//! Where the stream starts, and whether the schemas of the tables there are known.

use mysql_async::Row;
use runtime::{Position, TableId};

use crate::binlog::{Baseline, BinlogCoordinates, ChangedSchema, FileOffset, ScanError, Tso, first_schema_change};
use crate::config::{ConfigError, Phase, SourceSettings, Start};
use crate::error::{Result, SourceError};
use crate::server::{Server, binlog_end, binlog_files};
use crate::session::{Endpoint, Session, nth};
use crate::splits::StreamName;
use crate::streams::Streams;

/// Where each of the streams starts, in their order. Empty for a task without an incremental phase, if the server does not tell the end of its
/// binlog.
pub(crate) async fn stream_starts(
    settings: &SourceSettings,
    session: &mut Session,
    server: &Server,
    streams: &Streams,
) -> Result<Vec<(StreamName, BinlogCoordinates)>> {
    if let (Some(Start::Position { .. }), Some(group)) = (&settings.config.start, &streams.group) {
        let why = format!("position names one file, and the group {group} has {} streams", streams.names.len());
        return Err(ConfigError::new("start", why, "use start.latest or start.earliest").into());
    }
    let mut starts = Vec::new();
    for stream in &streams.names {
        starts.extend(stream_start(settings, session, server, stream).await?.map(|start| (stream.clone(), start)));
    }
    Ok(starts)
}

async fn stream_start(
    settings: &SourceSettings,
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
        // `Gtid` and `Timestamp` do not occur here: the validation of the configuration refuses them.
        Some(Start::Latest {} | Start::Gtid { .. } | Start::Timestamp { .. }) | None => binlog_end(session, server, stream).await?,
    };
    start.map(Some).ok_or_else(|| SourceError::answer(DOING, "the server writes no binlog"))
}

/// A number of the timestamps of PolarDB-X that is greater than those of all commits before.
pub(crate) async fn timestamp(session: &mut Session) -> Result<i64> {
    const DOING: &str = "ask for the present timestamp (TSO_TIMESTAMP)";
    let number = |rows: &[Row]| rows.first().and_then(|row| nth(row, 0)?.parse::<i64>().ok());
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

/// Proves that the tables had the same schemas at the start of a stream as now. Fails if a statement since then has changed one.
pub(crate) async fn prove_schemas<'a>(
    settings: &SourceSettings,
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    (stream, start): &(StreamName, BinlogCoordinates),
    tables: impl IntoIterator<Item = &'a TableId>,
) -> Result<()> {
    const DOING: &str = "read the statements since the start of the stream";
    let end = binlog_end(session, server, stream).await?.ok_or_else(|| SourceError::answer(DOING, "the server writes no binlog"))?;
    // The tables were read before this.
    let until = if server.is_polardbx() { Some(timestamp(session).await?) } else { None };
    let selection = settings.selection.clone().folded(server.lower_case());
    let mut baseline = Baseline::new(&selection, server.lower_case(), tables.into_iter().cloned());
    if !starts_now(settings) {
        tracing::info!(from = start.file_name(), to = end.file_name(), "looking for changes of tables since the start of the stream");
    }
    let found = match first_schema_change(endpoint, &server.profile(), start, &end, until, &mut baseline).await {
        Ok(found) => found,
        Err(ScanError::Wire(error)) => return Err(SourceError::wire(DOING, error)),
        Err(ScanError::Stream(error, at)) => {
            let at = Position::from(BinlogCoordinates { base: start.base.clone(), at }.location());
            return Err(runtime::Error::from(error).at(&at).into());
        }
    };
    let Some(ChangedSchema { location, statement, what }) = found else { return Ok(()) };
    if starts_now(settings) {
        let error = runtime::Error::retryable(format!("a statement at {location} {what} while the task began, and it begins again"));
        return Err(error.because(statement).into());
    }
    let why = format!("the statement at {location} {what}, and the schema before it is not known: {statement}");
    Err(ConfigError::new("start", why, "choose a start behind this statement, or read the tables with a full phase").into())
}
