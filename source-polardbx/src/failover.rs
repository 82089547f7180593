//! Continues at another server of the same replication, which took over from the server of the task. File names and offsets differ from server to
//! server, so the GTIDs of the transactions say what was delivered.
//!
//! The binlog of the other server is read by file and offset, too. A dump by GTIDs would leave out what was delivered, and then it could not be
//! checked whether an event is missing. So the stream begins at a file before which everything was delivered, and passes over the rest.

use runtime::{Committed, Error, Renumbered, SplitId};

use crate::binlog::gtid::{CatchUp, GtidSet};
use crate::binlog::position::first_seq;
use crate::binlog::{BinlogCoordinates, FileGtids, FileHead, FileOffset, StreamPosition, last_early, read_head};
use crate::error::{Result, SourceError};
use crate::facts::PreparedXa;
use crate::failover_error::FailoverError;
use crate::server::{Server, ServerGtids, binlog_end, binlog_files};
use crate::session::{Endpoint, Session};
use crate::splits::{SplitName, StreamName};

/// The greatest timeline for which a sequence number has room.
const LAST_TIMELINE: u16 = (1 << 12) - 1;

/// Where a server's binlog has the transactions that come behind a set of others.
pub(crate) enum Located {
    /// Reading begins here, and passes over what is in the set.
    At(BinlogCoordinates, CatchUp),
    /// The server has purged these transactions, which are not in the set.
    Purged(String),
}

/// Finds the newest binlog file before which the server has only transactions of `set`. It must have all of them.
pub(crate) async fn locate(
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    gtids: &ServerGtids,
    set: &GtidSet,
) -> Result<Located> {
    const DOING: &str = "find the transactions by their GTIDs";
    if let Some(gap) = gtids.purged_behind(set) {
        return Ok(Located::Purged(gap));
    }
    let stream = StreamName::global();
    // What the server has of the set comes before this end.
    let end = binlog_end(session, server, &stream).await?.ok_or_else(|| SourceError::answer(DOING, "the server writes no binlog"))?;
    let files = binlog_files(session, &stream).await?;
    let Some((base, numbers)) = files.numbers().filter(|(base, _)| *base == end.base) else {
        return Err(SourceError::answer(DOING, "the binlog files of the server have other names than its end"));
    };
    let is_early = |head: &FileHead| matches!(outside(head, set), Ok(None));
    let failed = |error: crate::binlog::ScanError| error.into_source(base, DOING);
    let Some((file, head)) = last_early(endpoint, base, &numbers, is_early).await.map_err(failed)? else {
        let oldest = numbers.first().copied().unwrap_or_default();
        let head = read_head(endpoint, base, oldest).await.map_err(failed)?;
        let gap = outside(&head, set).map_err(|what| SourceError::answer(DOING, what))?;
        return Ok(Located::Purged(gap.unwrap_or_default()));
    };
    let passed = match (set, &head.gtids) {
        (GtidSet::MariaDb(domains), FileGtids::MariaDb(state)) => GtidSet::MariaDb(domains.not_reached_in(state)),
        _ => set.clone(),
    };
    let at = BinlogCoordinates { base: base.to_owned(), at: FileOffset::new(file, FileOffset::FIRST) };
    Ok(Located::At(at, CatchUp { until: end.at, passed }))
}

/// The transactions before a file that are not in `set`, as a text for people; `None` if there are none. The error says why it is not known.
fn outside(head: &FileHead, set: &GtidSet) -> Result<Option<String>, &'static str> {
    match (&head.gtids, set) {
        (FileGtids::MySql(before), GtidSet::MySql(set)) => {
            let gap = before.minus(set);
            Ok((!gap.is_empty()).then(|| gap.to_string()))
        }
        (FileGtids::MariaDb(state), GtidSet::MariaDb(domains)) => Ok(domains.passed_by(state)),
        (FileGtids::Unknown, _) => {
            Err("a binlog file does not say in a known form which GTIDs come before it (GTIDs with tags are not read)")
        }
        _ => Err("the GTIDs are not of the kind of this server"),
    }
}

/// Whether the task may go on at another server: its stream must be the only thing that is left to read, and know its GTIDs.
pub(crate) fn may_move(committed: &Committed) -> Result<bool> {
    Ok(!committed.is_new() && stream_to_move(committed)?.is_some_and(|(_, position)| position.gtid.is_some()))
}

/// The stream of a task that reads nothing else any more, and its position.
fn stream_to_move(committed: &Committed) -> Result<Option<(SplitId, StreamPosition)>> {
    let mut stream = None;
    for (id, state) in committed.splits() {
        match SplitName::parse(id)? {
            SplitName::Stream(name) if name.is_global() => {
                stream = Some((id.clone(), StreamPosition::parse(state.checkpoint.position.as_str())?));
            }
            _ if state.checkpoint.done => {}
            _ => return Ok(None),
        }
    }
    Ok(stream)
}

/// Finds where the stream continues at this server, which took over from the server of the task. `was_reached` says whether this process has
/// read from that server.
pub(crate) async fn take_over(
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    committed: &Committed,
    was_reached: bool,
) -> Result<(SplitId, StreamPosition)> {
    let (split, position) = stream_to_move(committed)?.ok_or_else(|| SourceError::Checkpoint { what: "it holds no stream".into() })?;
    let moved = relocate(endpoint, session, server, &position, was_reached).await?;
    if let Some((_, PreparedXa { xid, .. })) = committed.facts::<PreparedXa>().next().transpose()? {
        let what = format!("the XA transaction {xid} is prepared, and its rows are kept by their position on the server before");
        return Err(FailoverError::Bound { what }.into());
    }
    Ok((split, moved))
}

/// The position on this server that stands for the same place as `position` on the server of the task.
async fn relocate(
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    position: &StreamPosition,
    was_reached: bool,
) -> Result<StreamPosition> {
    let (known, found) = (position.identity.clone(), server.identity()?);
    let gtids = ServerGtids::ask(session, server).await?;
    let (Some(delivered), Some(gtids)) = (&position.gtid, gtids) else {
        return Err(if was_reached { SourceError::OtherServer { known, found } } else { SourceError::IdentityChanged { known, found } });
    };
    if let Some(missing) = gtids.missing(delivered) {
        return Err(FailoverError::TransactionsMissing { known, found, missing, was_reached }.into());
    }
    let (at, catch_up) = match locate(endpoint, session, server, &gtids, delivered).await? {
        Located::At(at, catch_up) => (at, catch_up),
        Located::Purged(gap) => return Err(FailoverError::Gap { known, found, gap, delivered: delivered.to_string(), was_reached }.into()),
    };
    if position.timeline >= LAST_TIMELINE {
        let what = format!("it has gone on at another server {LAST_TIMELINE} times, and there is no room for more");
        return Err(FailoverError::Bound { what }.into());
    }
    let mut moved = StreamPosition::start(found, &at.file_name(), at.at.offset)?;
    moved.gtid = Some(delivered.clone());
    moved.catch_up = Some(catch_up);
    moved.timeline = position.timeline + 1;
    Ok(moved)
}

/// Since when the events of a stream have other numbers than before, if it has gone on at another server.
pub(crate) async fn renumbered(endpoint: &Endpoint, position: StreamPosition) -> Result<Option<Renumbered>> {
    let (Some(delivered), 1..) = (position.gtid, position.timeline) else { return Ok(None) };
    // Behind the catch-up, all that came from other servers was passed over or read.
    let server = match position.catch_up {
        None => None,
        Some(_) => {
            let mut session = endpoint.connect().await?;
            let server = Server::identify(&mut session).await?;
            let gtids = ServerGtids::ask(&mut session, &server).await?;
            session.close().await;
            gtids
        }
    };
    let known = position.identity;
    let is_ahead = move |transaction: &str| {
        let is_mariadb = matches!(delivered, GtidSet::MariaDb(_));
        let of = GtidSet::parse(transaction, is_mariadb);
        let missing = |what| {
            Error::from(FailoverError::TransactionsMissing {
                known: "another server before".to_owned(),
                found: known.clone(),
                missing: what,
                was_reached: false,
            })
        };
        match (of, &server) {
            (Some(of), _) if delivered.covers(&of) => Ok(false),
            (Some(of), Some(server)) => server.missing(&of).map_or(Ok(true), |what| Err(missing(what))),
            _ => Err(missing(transaction.to_owned())),
        }
    };
    Ok(Some(Renumbered::new(first_seq(position.timeline), is_ahead)))
}
