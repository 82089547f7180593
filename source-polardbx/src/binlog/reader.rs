//! Reads a stream: the transport's bytes through the decoder into batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mysql_async::Opts;
use mysql_async::prelude::Queryable;
use runtime::{Batch, Error, Result, SplitReader, TableId, TableSchema, async_trait};

use super::decode::{Decoder, DecoderOptions};
use super::error::StreamError;
use super::refusal::{classify, examine};
use super::track::Tracker;
use super::transport::{SILENCE, Transport, TransportError, binary_logs, connect, in_time};
use super::{FileOffset, StreamPosition, event};
use crate::schema::History;

/// An idle stream hands on its position so often at most.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A stream without real events is held against the server's list of files so often: after RESET MASTER a server goes on sending
/// heartbeats to a reader of files that are gone.
const EXAMINE_INTERVAL: Duration = Duration::from_secs(20);
/// After so many events the task gives way to others, even if more events are here already.
const EVENTS_PER_TURN: u32 = 512;

/// What a stream reader needs.
#[derive(Clone)]
pub struct StreamOptions {
    /// How to connect.
    pub opts: Opts,
    /// Our own id as a replica; unique among the server's replicas.
    pub server_id: u32,
    /// Where to begin.
    pub position: StreamPosition,
    /// Structures at `position`.
    pub schemas: Vec<Arc<TableSchema>>,
    /// Whether a table is selected.
    pub selected: Arc<dyn Fn(&TableId) -> bool + Send + Sync>,
    /// Default character sets of the databases.
    pub database_charsets: HashMap<String, String>,
    /// Version text of the server.
    pub server_version: Arc<str>,
    /// Whether the server compares names in lower case.
    pub lower_case: bool,
    /// Batches are cut at about this size.
    pub batch_max_bytes: usize,
}

/// Reads the binlog of a server from a position on. `next` is cancel-safe: all its state is in here.
pub struct StreamReader {
    opts: Opts,
    server_id: u32,
    position: StreamPosition,
    transport: Transport,
    decoder: Decoder,
    failure: Option<Failure>,
    /// Since when no event came although one was waited for.
    idle_since: Option<Instant>,
    /// When the stream was held against the server's files last, or brought something new.
    examined: Instant,
    /// Where it stood then, if the files went on behind that place.
    behind: Option<FileOffset>,
    last_batch: Instant,
    events: u32,
}

/// Why the stream stands still.
enum Failure {
    Transport(TransportError),
    Stream(StreamError, FileOffset),
    /// It was told already.
    Told,
}

impl StreamReader {
    /// Connects and asks for the stream.
    pub async fn open(options: StreamOptions) -> Result<Self> {
        let StreamOptions {
            opts,
            server_id,
            mut position,
            schemas,
            selected,
            database_charsets,
            server_version,
            lower_case,
            batch_max_bytes,
        } = options;
        let server = ServerFacts::ask(&opts, &mut position).await.map_err(StreamError::from)?;
        if !position.identity.is_empty() && server.uuid.as_ref().is_some_and(|uuid| *uuid != position.identity) {
            return Err(StreamError::IdentityChanged { known: position.identity, found: server.uuid.unwrap_or_default() }.into());
        }
        let from = Decoder::dump_from(&position);
        let transport = match Transport::open(&opts, server_id, &position.base, from).await {
            Ok(transport) => transport,
            Err(error) => return Err(classify(&error, &opts, &position, from).await.into()),
        };
        let decoder = Decoder::new(DecoderOptions {
            position: position.clone(),
            history: History::new(schemas, database_charsets, lower_case),
            selected,
            server_version,
            explicit_timestamps: server.explicit_timestamps,
            batch_max_bytes,
        });
        let now = Instant::now();
        let (failure, idle_since, behind) = (None, None, None);
        Ok(Self { opts, server_id, position, transport, decoder, failure, idle_since, examined: now, behind, last_batch: now, events: 0 })
    }

    /// Reads events until a batch is there or none came in time.
    async fn advance(&mut self) -> Option<Batch> {
        loop {
            if let Some(batch) = self.decoder.take() {
                return Some(batch);
            }
            if self.failure.is_some() {
                // What came before the failure is right.
                return self.decoder.drain();
            }
            self.events = self.events.wrapping_add(1);
            if self.events.is_multiple_of(EVENTS_PER_TURN) {
                tokio::task::yield_now().await;
                if let Some(batch) = self.heartbeat() {
                    return Some(batch);
                }
            }
            match self.transport.next_if_ready().await {
                Some(event) => {
                    (self.idle_since, self.examined) = (None, Instant::now());
                    feed(&mut self.decoder, &mut self.failure, event);
                }
                None => {
                    if let Some(batch) = self.decoder.flush().or_else(|| self.heartbeat()) {
                        return Some(batch);
                    }
                    if self.examined.elapsed() >= EXAMINE_INTERVAL {
                        self.examine().await;
                    } else {
                        self.wait().await;
                    }
                }
            }
        }
    }

    /// Holds a stream that brings nothing new against the server's files.
    async fn examine(&mut self) {
        let at = self.decoder.at();
        let examined = examine(&self.opts, &self.position, at).await;
        self.examined = Instant::now();
        match examined {
            Err(error) => self.failure = Some(Failure::Stream(error, at)),
            Ok(false) => self.behind = None,
            // An event may be on its way; one that does not come for a whole interval never will on this connection.
            Ok(true) if self.behind == Some(at) => {
                let message = format!("nothing came for {} s, although the server has more", EXAMINE_INTERVAL.as_secs());
                self.failure = Some(Failure::Transport(TransportError::Lost(message)));
            }
            Ok(true) => self.behind = Some(at),
        }
    }

    /// Waits for the next event, for the time of a heartbeat, or for the end of patience.
    async fn wait(&mut self) {
        let patience = SILENCE.saturating_sub(self.idle_since.get_or_insert_with(Instant::now).elapsed());
        let until_heartbeat = HEARTBEAT_INTERVAL.saturating_sub(self.last_batch.elapsed());
        let limit = if self.decoder.has_moved() { patience.min(until_heartbeat) } else { patience };
        match tokio::time::timeout(limit, self.transport.next()).await {
            Ok(event) => {
                self.idle_since = None;
                feed(&mut self.decoder, &mut self.failure, event);
            }
            Err(_) if limit < patience => {}
            Err(_) => {
                let message = format!("the server sent nothing for {} s, not even a heartbeat", SILENCE.as_secs());
                self.failure = Some(Failure::Transport(TransportError::Lost(message)));
            }
        }
    }

    /// An empty batch that moves the resume point, if it moved and the last batch is long enough ago.
    fn heartbeat(&mut self) -> Option<Batch> {
        if self.last_batch.elapsed() < HEARTBEAT_INTERVAL { None } else { self.decoder.heartbeat() }
    }

    /// What the failure means; asks the server where its words do not say.
    async fn judge(&mut self) -> Error {
        let at = self.decoder.at();
        let meaning = match &self.failure {
            Some(Failure::Transport(error)) => Some(classify(error, &self.opts, &self.position, at).await),
            Some(Failure::Stream(..) | Failure::Told) | None => None,
        };
        let doubtful = match (&meaning, &self.failure) {
            (Some(error), _) | (None, Some(Failure::Stream(error, _))) => error.may_pass(),
            (None, _) => false,
        };
        let passed = doubtful && self.reads_well_again(at).await;
        match (meaning, self.failure.replace(Failure::Told)) {
            (Some(error), _) | (None, Some(Failure::Stream(error, _))) if passed => {
                StreamError::Disconnected { message: format!("{error}; it was right when it was read again") }.into()
            }
            (None, Some(Failure::Stream(error, at))) => self.decoder.located(error, at),
            (Some(error), _) => self.decoder.located(error, at),
            (None, _) => StreamError::Disconnected { message: "the stream has failed before".to_owned() }.into(),
        }
    }

    /// Whether the event at `at` is right over a new connection: then the network was wrong, not the file.
    async fn reads_well_again(&self, at: FileOffset) -> bool {
        let look = async {
            let mut transport = Transport::open(&self.opts, self.server_id, &self.position.base, at).await?;
            let mut tracker = Tracker::new(&self.position.base, at);
            loop {
                let bytes = transport.next().await?;
                let (event, _) = match tracker.pass(bytes) {
                    Ok(passed) => passed,
                    Err(_) => return Ok::<_, TransportError>(false),
                };
                match event.header.kind {
                    event::kind::FORMAT_DESCRIPTION if tracker.at() == at => match event::read_format(event.body) {
                        Ok(checksums) => tracker.checksums = checksums,
                        Err(_) => return Ok(false),
                    },
                    _ if tracker.at() == at && event.header.kind != event::kind::HEARTBEAT => {}
                    _ => return Ok(true),
                }
            }
        };
        match tokio::time::timeout(SILENCE, look).await {
            // The server itself says that its file is damaged.
            Ok(Err(TransportError::Refused(..))) | Ok(Ok(false)) => false,
            // Not even a connection: the first failure may well have been the network's.
            Ok(Ok(true) | Err(TransportError::Lost(_))) | Err(_) => true,
        }
    }
}

/// Gives an event to the decoder and notes what fails.
fn feed(decoder: &mut Decoder, failure: &mut Option<Failure>, event: Result<&[u8], TransportError>) {
    let at = decoder.at();
    match event {
        Ok(bytes) => {
            if let Err(error) = decoder.take_event(bytes, now_ms()) {
                *failure = Some(Failure::Stream(error, at));
            }
        }
        Err(error) => *failure = Some(Failure::Transport(error)),
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[async_trait]
impl SplitReader for StreamReader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        match self.advance().await {
            Some(batch) => {
                self.last_batch = Instant::now();
                Ok(Some(batch))
            }
            None => Err(self.judge().await),
        }
    }
}

/// What the server says of itself before the dump.
struct ServerFacts {
    uuid: Option<String>,
    explicit_timestamps: bool,
}

impl ServerFacts {
    /// Asks, and forgets the last transaction of `position` if its file is purged while the resume point is still there.
    async fn ask(opts: &Opts, position: &mut StreamPosition) -> Result<Self, TransportError> {
        let mut conn = connect(opts).await?;
        let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'explicit_defaults_for_timestamp')";
        let rows: Vec<(String, String)> = in_time(conn.query(sql)).await?;
        let mut variables: HashMap<String, String> = rows.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        if position.previous.is_some_and(|previous| previous.file != position.at.file) {
            let files = binary_logs(&mut conn).await?;
            let listed = |file: u32| files.iter().any(|(name, _)| *name == position.file_name(file));
            if !position.previous.is_some_and(|previous| listed(previous.file)) && listed(position.at.file) {
                tracing::warn!(position = %position, "the file of the last delivered transaction was purged: its fingerprint is not compared");
                (position.previous, position.fingerprint, position.floor) = (None, None, None);
            }
        }
        // Closing can only fail where the connection is gone anyway.
        let _ = conn.disconnect().await;
        Ok(Self {
            uuid: variables.remove("server_uuid"),
            explicit_timestamps: variables.remove("explicit_defaults_for_timestamp").is_some_and(|value| value.eq_ignore_ascii_case("ON")),
        })
    }
}
