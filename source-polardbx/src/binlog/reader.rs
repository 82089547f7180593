//! Reads a stream: passes the events from the transport to the decoder, and returns the decoder's batches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::{Batch, Collation, Context, Error, Kind, Position, Result, SplitReader, TableId, TableSchema, async_trait};

use super::decode::{
    Decoder, DecoderOptions, OpenGroup, PreparedTransactions, RowsWithoutEvents, boundary, continue_behind, insert, open_at_end, resume,
    wants_schemas,
};
use super::diagnosis::{Refusals, compare, diagnose};
use super::disk::FileError;
use super::error::StreamError;
use super::event::{Reader, Tso, kind};
use super::ignored::IgnoredTables;
use super::margin::MarginWatch;
use super::position::{BinlogCoordinates, FileOffset, Insertion, StreamPosition};
use super::probe::{Probed, probe};
use super::profile::ServerProfile;
use super::scan::{LastEnd, ScanError};
use super::timers::{Timers, stuck_message};
use super::transport::{SILENCE, Transport, Upstream};
use crate::config::{OnUnparsedDdl, PolarDbXOptions};
use crate::error::SourceError;
use crate::refetch::refetch_behind;
use crate::schema::{FollowedTable, History, OtherObjects, Unstated};
use crate::selection::Selection;
use crate::session::Endpoint;
use crate::splits::StreamName;
use crate::wire::WireError;

/// What a reader of files does.
const READING: &str = "read the binlog files";

/// The inputs of a [`StreamReader`].
pub(crate) struct StreamOptions {
    /// Name of the stream.
    pub(crate) stream: StreamName,
    /// From where it is read.
    pub(crate) upstream: Upstream,
    /// The id with which the connector registers as a replica; it must be unique among the server's replicas. Files need none.
    pub(crate) server_id: u32,
    /// Where the stream begins.
    pub(crate) position: StreamPosition,
    /// The schemas at `position`.
    pub(crate) schemas: Vec<Arc<TableSchema>>,
    /// The tables that are not selected, at `position`.
    pub(crate) followed: Vec<FollowedTable>,
    /// The views and sequences at `position`.
    pub(crate) others: OtherObjects,
    /// What is known of columns that their CREATE TABLE leaves open, at `position`.
    pub(crate) unstated: Vec<Unstated>,
    /// Default character sets of the databases at `position`, where they are known.
    pub(crate) database_collations: HashMap<String, Option<Collation>>,
    /// The selected tables.
    pub(crate) selection: Selection,
    /// The new tables that were named in a notice.
    pub(crate) ignored: IgnoredTables,
    /// The properties of the server.
    pub(crate) profile: ServerProfile,
    /// How the events of PolarDB-X are delivered.
    pub(crate) polardbx: PolarDbXOptions,
    /// What becomes of statements that change rows without row events.
    pub(crate) rows_without_events: RowsWithoutEvents,
    /// What is done behind a statement that cannot be read.
    pub(crate) on_unparsed_ddl: OnUnparsedDdl,
    /// A heartbeat is due after this time without events; `None` turns heartbeats off.
    pub(crate) heartbeat: Option<Duration>,
    /// Batches are cut at about this size, in bytes.
    pub(crate) batch_max_bytes: usize,
    /// Whether a full phase has read what comes before the first position of the stream.
    pub(crate) behind_full_phase: bool,
    /// What this process could not decode before.
    pub(crate) undecodable: Undecodable,
    /// The end of a large transaction that this process found last.
    pub(crate) last_end: LastEnd,
    /// Since when the server has refused the position.
    pub(crate) refusals: Refusals,
    /// The XA transactions that are prepared at `position`.
    pub(crate) prepared: PreparedTransactions,
    /// Tells what is committed.
    pub(crate) context: Context,
}

/// The last event that could not be decoded although its checksum was right: its position and the error. The readers that follow one another
/// share it. The event is read again once. If it fails in the same way, the binlog itself holds what cannot be decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Undecodable(Arc<Mutex<Option<(FileOffset, String)>>>);

impl Undecodable {
    /// Notes an error at `at`. Returns whether it is the same as the last one.
    fn is_repeated(&self, at: FileOffset, error: &StreamError) -> bool {
        let found = Some((at, error.to_string()));
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last, found.clone()) == found
    }
}

/// Reads the binlog of a server, starting at a given position. `next` is cancel-safe, because all its state is in this struct.
pub(crate) struct StreamReader {
    upstream: Upstream,
    stream: StreamName,
    position: StreamPosition,
    transport: Transport,
    decoder: Decoder,
    failure: Option<Failure>,
    timers: Timers,
    undecodable: Undecodable,
    last_end: LastEnd,
    refusals: Refusals,
    profile: ServerProfile,
    selection: Selection,
    ignored: IgnoredTables,
    context: Context,
    time: SourceTime,
    /// Where reading stops between two transactions; `None` if it does not.
    stop: Option<StreamMark>,
    _margin: Option<MarginWatch>,
}

/// A place that a stream reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamMark {
    pub(crate) at: FileOffset,
    /// The number of a timestamp that a commit must have reached, too; `None` where the server writes no timestamps.
    pub(crate) timestamp: Option<i64>,
    /// Whether the numbers of the binlog's files begin again.
    pub(crate) wraps: bool,
}

impl StreamMark {
    /// Whether a stream that was read up to `at` has reached it. `tso` is the timestamp of the last commit.
    pub(crate) fn is_reached(&self, at: FileOffset, tso: Option<Tso>) -> bool {
        let is_late = |number| tso.is_some_and(|tso| tso.reaches(number));
        !at.is_before(self.at, self.wraps) && self.timestamp.is_none_or(is_late)
    }
}

/// The time of the source up to which the stream was read.
struct SourceTime {
    /// Whether an idle stream means that the server has no newer commits.
    idle_is_current: bool,
    /// In milliseconds since the epoch; `None` before the first event.
    ms: Option<i64>,
    /// Whether the server has said that it has nothing more, and no batch has told this yet.
    is_idle: bool,
}

impl SourceTime {
    /// Notes an event that moved the stream from `before` to `at`.
    fn note(&mut self, bytes: &[u8], before: FileOffset, at: FileOffset, read_ms: i64) -> Result<(), StreamError> {
        let mut header = Reader::new(bytes);
        let (timestamp, kind) = (header.u32()?, header.u8()?);
        let (_server_and_size, log_pos) = (header.u64()?, header.u32()?);
        match kind {
            // The position in a heartbeat has only the low 32 bits, as in the decoder.
            kind::HEARTBEAT | kind::HEARTBEAT_V2 if self.idle_is_current && (log_pos == 0 || log_pos == at.offset as u32) => {
                (self.ms, self.is_idle) = (Some(read_ms), true);
            }
            // The first events of a file carry the time at which the file was created.
            kind::HEARTBEAT | kind::HEARTBEAT_V2 | kind::FORMAT_DESCRIPTION | kind::PREVIOUS_GTIDS | kind::GTID_LIST => {}
            _ if timestamp != 0 && at != before => (self.ms, self.is_idle) = (Some(i64::from(timestamp) * 1000), false),
            _ => {}
        }
        Ok(())
    }
}

/// Why the stream ended.
enum Failure {
    Transport(WireError),
    Stream(StreamError, FileOffset),
    /// The failure was already returned.
    Reported,
}

impl StreamReader {
    /// Connects to the server and requests the stream.
    pub(crate) async fn open(options: StreamOptions) -> Result<Self, SourceError> {
        let StreamOptions { stream, upstream, server_id, position, selection, profile, undecodable, last_end, prepared, context, .. } =
            options;
        let (refusals, ignored) = (options.refusals, options.ignored);
        let from = Decoder::dump_from(&position);
        let transport = match &upstream {
            Upstream::Files(files) => Transport::of_files(files, from).map_err(|error| SourceError::wire(READING, error))?,
            Upstream::Server(endpoint) => match Transport::open(endpoint, server_id, &position.base, from, options.heartbeat).await {
                Ok(transport) => transport,
                Err(error) => return Err(diagnose(error, endpoint, &stream, &position, from, &refusals).await),
            },
        };
        let time = SourceTime { idle_is_current: profile.idle_is_current(), ms: None, is_idle: false };
        let mut history = History::new(options.schemas, options.database_collations, profile.lower_case_names());
        history.restore_followed(options.followed);
        history.restore_others(options.others);
        history.restore_unstated(options.unstated);
        let mut decoder = Decoder::new(DecoderOptions {
            stream: stream.as_str().to_owned(),
            position: position.clone(),
            history,
            selection: selection.clone(),
            profile: profile.clone(),
            prepared,
            polardbx: options.polardbx,
            rows_without_events: options.rows_without_events,
            batch_max_bytes: options.batch_max_bytes,
        })
        .behind_full_phase(options.behind_full_phase);
        decoder.refetches = options.on_unparsed_ddl == OnUnparsedDdl::Refetch;
        let timers = Timers::start(options.heartbeat);
        let failure = None;
        let watch = |endpoint: &Endpoint| MarginWatch::start(endpoint.clone(), stream.clone(), position.clone(), context.clone());
        Ok(Self {
            _margin: upstream.server().map(watch),
            upstream,
            stream,
            position,
            transport,
            decoder,
            failure,
            timers,
            time,
            stop: None,
            undecodable,
            last_end,
            refusals,
            profile,
            selection,
            ignored,
            context,
        })
    }

    /// Reads events until a batch is complete. Returns `None` if reading failed; the cause is in `failure`.
    async fn advance(&mut self) -> Option<Batch> {
        loop {
            if let Some(batch) = self.decoder.take() {
                return Some(batch);
            }
            if self.failure.is_some() {
                // The events before the failure are valid, so they are still delivered.
                return self.decoder.drain();
            }
            if self.stop.as_ref().is_some_and(|stop| self.has_passed(stop)) {
                return self.decoder.flush().or_else(|| Some(Batch::default()));
            }
            if self.timers.ends_turn() {
                tokio::task::yield_now().await;
                if let Some(batch) = self.due_batch() {
                    return Some(batch);
                }
            }
            if let Some((at, tables)) = wants_schemas(&self.decoder) {
                self.read_schemas(at, &tables).await;
                continue;
            }
            if self.decoder.is_expanding() {
                let at = self.decoder.at();
                if let Err(error) = self.decoder.expand() {
                    self.failure = Some(Failure::Stream(error, at));
                }
                continue;
            }
            if let Some(group) = self.decoder.wants_end() {
                self.find_end(&group).await;
                continue;
            }
            match self.transport.next_if_ready().await {
                Some(event) => {
                    self.timers.event_was_ready();
                    feed(&mut self.decoder, &mut self.time, &mut self.failure, event);
                }
                None => {
                    if let Some(batch) = self.decoder.flush().or_else(|| self.due_batch()) {
                        return Some(batch);
                    }
                    if self.timers.is_comparison_due() {
                        self.compare().await;
                    } else {
                        self.wait().await;
                    }
                }
            }
        }
    }

    /// Sets where reading stops. From there on, [`StreamReader::next`] returns what was read, and then only empty batches.
    pub(crate) fn stop_at(&mut self, mark: Option<StreamMark>) {
        self.stop = mark;
    }

    /// Whether the stream is between two transactions and has reached this place.
    pub(crate) fn has_passed(&self, mark: &StreamMark) -> bool {
        boundary(&self.decoder).is_some_and(|position| mark.is_reached(self.decoder.at(), position.tso))
    }

    /// The resume point, if the stream is at it and everything before it was returned by [`StreamReader::next`].
    pub(crate) fn boundary(&self) -> Option<&StreamPosition> {
        if self.decoder.is_between_transactions() { boundary(&self.decoder) } else { None }
    }

    /// The resume point. Everything before it must have been returned by [`StreamReader::next`].
    pub(crate) fn resume(&mut self) -> Position {
        resume(&mut self.decoder)
    }

    /// Notes that a chunk was inserted at the resume point, and returns the resume point behind it.
    pub(crate) fn insert(&mut self, inserted: Insertion) -> Position {
        insert(&mut self.decoder, inserted)
    }

    /// Finds the end of a large transaction that may be rolled back, so that its events need not be held back any longer.
    async fn find_end(&mut self, group: &OpenGroup) {
        let found = self.last_end.find(&self.upstream, &self.profile, &self.position.base, group).await;
        self.failure = match found {
            Ok(end) => self.decoder.end_is_known(end).err().map(|error| Failure::Stream(error, group.at)),
            Err(ScanError::Wire(error)) => Some(Failure::Transport(error)),
            Err(ScanError::Stream(error, at)) => Some(Failure::Stream(error, at)),
        };
    }

    /// Reads the schemas of tables behind a statement that cannot be read, which begins at `at`.
    async fn read_schemas(&mut self, at: FileOffset, tables: &[TableId]) {
        let from = BinlogCoordinates { base: self.position.base.clone(), at: self.decoder.at() };
        let Some(endpoint) = self.upstream.server() else {
            let why = Err("there is no server that could be asked".to_owned());
            self.failure = continue_behind(&mut self.decoder, why).err().map(|error| Failure::Stream(error, at));
            return;
        };
        let schemas = match refetch_behind(endpoint, &self.selection, &self.profile, &self.stream, &from, tables).await {
            Ok(schemas) => Ok(schemas),
            Err(error) => {
                let error = Error::from(error);
                if error.kind() == Kind::Retryable {
                    self.failure = Some(Failure::Stream(StreamError::Disconnected { message: error.to_string() }, at));
                    return;
                }
                Err(error.to_string())
            }
        };
        self.failure = continue_behind(&mut self.decoder, schemas).err().map(|error| Failure::Stream(error, at));
    }

    /// Removes the files that are not needed any more.
    fn remove_leftover(&mut self) {
        if self.decoder.prepared().has_leftover()
            && let Some(committed) = self.context.committed_position()
            && let Ok(position) = StreamPosition::parse(committed.as_str())
        {
            self.decoder.prepared().remove_leftover(position.at);
        }
    }

    /// A batch that is due although no event was decoded: a heartbeat, or an empty batch that advances the resume point or tells that the
    /// server has nothing more.
    fn due_batch(&mut self) -> Option<Batch> {
        let heartbeat = if self.timers.is_heartbeat_due() { self.decoder.heartbeat(now_ms()) } else { None };
        heartbeat.or_else(|| {
            let position = if self.time.is_idle || self.timers.is_position_due() { self.decoder.position_update() } else { None };
            position.or_else(|| self.time.is_idle.then(Batch::default))
        })
    }

    /// Checks a stream without new events against the server's list of binlog files.
    async fn compare(&mut self) {
        let at = self.decoder.at();
        let Some(endpoint) = self.upstream.server() else { return };
        match compare(endpoint, &self.stream, &self.position, at).await {
            Err(error) => self.failure = Some(Failure::Stream(error, at)),
            Ok(server_has_more) => {
                // An event that is still arriving is no standstill.
                let (_, is_arriving) = self.transport.last_byte();
                if self.timers.is_stuck(at, server_has_more && !is_arriving) {
                    self.failure = Some(Failure::Transport(WireError::Lost(stuck_message())));
                }
            }
        }
    }

    /// Waits for the next event. The wait ends early when an empty batch or a heartbeat is due, or when the connection counts as lost.
    async fn wait(&mut self) {
        let (last_byte, _) = self.transport.last_byte();
        let wait = self.timers.wait(last_byte, self.decoder.has_moved(), self.decoder.is_between_transactions());
        if let Ok(event) = tokio::time::timeout(wait.limit, self.transport.next()).await {
            self.timers.event_was_awaited();
            feed(&mut self.decoder, &mut self.time, &mut self.failure, event);
            return;
        }
        if wait.is_last && self.transport.last_byte().0 == last_byte {
            let message = format!("the server sent nothing for {} s, not even a heartbeat", SILENCE.as_secs());
            self.failure = Some(Failure::Transport(WireError::Lost(message)));
        }
    }

    /// Whether the last event of the last file was read.
    fn has_read_files(&self) -> bool {
        self.upstream.server().is_none() && matches!(self.failure, Some(Failure::Transport(WireError::Ended)))
    }

    /// Ends the stream behind the last file. Fails if a transaction is not complete.
    fn finish(&mut self) -> Result<Option<Batch>> {
        if let Some(batch) = self.decoder.position_update() {
            return Ok(Some(batch));
        }
        let at = self.decoder.at();
        match open_at_end(&self.decoder) {
            Ok(None) => Ok(None),
            Ok(Some(start)) => {
                let (end, start) = (self.position.location(at), self.position.location(start));
                Err(FileError::cut(format!("{end} is the end of the last file, inside the transaction that begins at {start}")).into())
            }
            Err(error) => Err(self.decoder.located(error, at)),
        }
    }

    /// Turns the failure into an error. After a failure of the connection, the server is asked for the exact cause.
    async fn report(&mut self) -> Error {
        let (error, at) = match self.failure.replace(Failure::Reported) {
            Some(Failure::Stream(error, at)) => (error, at),
            Some(Failure::Transport(error)) => {
                let at = self.decoder.at();
                let Some(endpoint) = self.upstream.server() else { return SourceError::wire(READING, error).into() };
                if self.decoder.has_format() {
                    self.refusals.clear();
                }
                match diagnose(error, endpoint, &self.stream, &self.position, at, &self.refusals).await {
                    SourceError::Stream(error) => (error, at),
                    other => return other.into(),
                }
            }
            Some(Failure::Reported) | None => {
                return StreamError::Disconnected { message: "the stream has failed before".to_owned() }.into();
            }
        };
        // Files are the same when they are read again.
        let Some(endpoint) = self.upstream.server() else { return self.decoder.located(error, at) };
        if error.may_pass() && self.reads_well_again(endpoint, at).await {
            return StreamError::Disconnected { message: format!("{error}; it was intact when it was read again") }.into();
        }
        if matches!(error, StreamError::Content { .. }) && !self.undecodable.is_repeated(at, &error) {
            return StreamError::Disconnected { message: format!("an event cannot be decoded, and is read once more: {error}") }.into();
        }
        self.decoder.located(error, at)
    }

    /// Whether the event at `at` is intact when it is read over a new connection. If so, the network damaged it, and the binlog file is
    /// fine.
    async fn reads_well_again(&self, endpoint: &Endpoint, at: FileOffset) -> bool {
        match probe(endpoint, &self.position.base, at).await {
            Ok(Probed::Event { .. } | Probed::End) => true,
            // The server reports an error or sends the damaged bytes again, so its binlog file itself is damaged.
            Err(WireError::Refused(..)) | Ok(Probed::NotAnEvent) => false,
            // The new connection failed, so the first failure probably came from the network, too.
            Err(
                WireError::Lost(_)
                | WireError::Ended
                | WireError::TooLong(_)
                | WireError::Tls(_)
                | WireError::Plugin(_)
                | WireError::Unencrypted(_)
                | WireError::Files(_),
            ) => true,
        }
    }
}

/// Passes an event to the decoder. An error is stored in `failure`.
fn feed(decoder: &mut Decoder, time: &mut SourceTime, failure: &mut Option<Failure>, event: Result<&[u8], WireError>) {
    let at = decoder.at();
    match event {
        Ok(bytes) => {
            let (read_ms, looks_ahead) = (now_ms(), decoder.is_looking_ahead());
            let taken = decoder.take_event(bytes, read_ms).and_then(|()| match looks_ahead {
                true => Ok(()),
                false => time.note(bytes, at, decoder.at(), read_ms),
            });
            if let Err(error) = taken {
                *failure = Some(Failure::Stream(error, at));
            }
        }
        Err(error) => *failure = Some(Failure::Transport(error)),
    }
}

pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[async_trait]
impl SplitReader for StreamReader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        let batch = self.advance().await;
        self.ignored.name(self.decoder.ignored.take(), self.context.notices());
        match batch {
            Some(mut batch) => {
                self.remove_leftover();
                self.timers.batch(!batch.events.is_empty());
                // A batch with events has the time of its last event.
                if batch.events.is_empty() {
                    batch.source_ms = self.time.ms;
                    self.time.is_idle = false;
                }
                Ok(Some(batch))
            }
            None if self.has_read_files() => self.finish(),
            None => Err(self.report().await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of an event that ends at `log_pos`.
    fn header(timestamp: u32, kind: u8, log_pos: u32) -> Vec<u8> {
        let mut bytes = timestamp.to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend([0; 8]);
        bytes.extend(log_pos.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    #[test]
    fn the_source_is_idle_only_after_a_heartbeat_at_the_position() {
        const NOW: i64 = 2_000_000_000_000;
        let at = |offset: u64| FileOffset { file: 1, offset };
        let mut time = SourceTime { idle_is_current: true, ms: None, is_idle: false };
        let mut note = |timestamp, kind, log_pos, from, to| {
            time.note(&header(timestamp, kind, log_pos), at(from), at(to), NOW).unwrap();
            (time.ms, time.is_idle)
        };
        assert_eq!(note(1_500, kind::FORMAT_DESCRIPTION, 120, 4, 120), (None, false));
        assert_eq!(note(0, kind::ROTATE, 0, 120, 120), (None, false));
        assert_eq!(note(1_000, kind::XID, 200, 120, 200), (Some(1_000_000), false));
        assert_eq!(note(0, kind::HEARTBEAT, 900, 200, 200), (Some(1_000_000), false), "the server is elsewhere");
        assert_eq!(note(0, kind::HEARTBEAT, 200, 200, 200), (Some(NOW), true));
        assert_eq!(note(1_001, kind::QUERY, 300, 200, 300), (Some(1_001_000), false));
        time.idle_is_current = false;
        time.note(&header(0, kind::HEARTBEAT, 300), at(300), at(300), NOW).unwrap();
        assert_eq!((time.ms, time.is_idle), (Some(1_001_000), false), "this server's binlog lags behind its commits");
    }

    #[test]
    fn an_event_that_cannot_be_decoded_is_read_once_more() {
        let (first, at) = (Undecodable::default(), FileOffset::new(3, 4));
        let next = first.clone();
        let error = |what: &str| StreamError::corrupt(what).of_content();
        assert!(!first.is_repeated(at, &error("a date")));
        assert!(next.is_repeated(at, &error("a date")), "the next reader knows it");
        assert!(!next.is_repeated(at, &error("a time")));
        assert!(!next.is_repeated(FileOffset::new(3, 5), &error("a time")));
    }
}
