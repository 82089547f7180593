//! Reads a stream: the transport's bytes through the decoder into batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runtime::{Batch, Error, Result, SplitReader, TableSchema, async_trait};

use super::decode::{Decoder, DecoderOptions, Selected, SelectedDatabase};
use super::diagnosis::{classify, examine};
use super::error::StreamError;
use super::transport::{SILENCE, Transport};
use super::{FileOffset, Looked, StreamPosition, look_at};
use crate::schema::History;
use crate::session::Endpoint;
use crate::wire::WireError;

/// An idle stream hands on its position so often at most.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A stream without real events is held against the server's list of files so often: after RESET MASTER a server goes on sending
/// heartbeats to a reader of files that are gone.
const EXAMINE_INTERVAL: Duration = Duration::from_secs(20);
/// After so many events the task gives way to others, even if more events are here already.
const EVENTS_PER_TURN: u32 = 512;

/// What a stream reader needs.
pub(crate) struct StreamOptions {
    /// How to connect.
    pub(crate) endpoint: Endpoint,
    /// Our own id as a replica; unique among the server's replicas.
    pub(crate) server_id: u32,
    /// Where to begin.
    pub(crate) position: StreamPosition,
    /// Structures at `position`.
    pub(crate) schemas: Vec<Arc<TableSchema>>,
    /// Whether a table is selected.
    pub(crate) selected: Selected,
    /// Whether statements about a database itself are wanted.
    pub(crate) selected_databases: SelectedDatabase,
    /// Default character sets of the databases at `position`, where they are known.
    pub(crate) database_charsets: HashMap<String, Option<String>>,
    /// Version text of the server.
    pub(crate) server_version: Arc<str>,
    /// `explicit_defaults_for_timestamp` of the server, for statements that do not say.
    pub(crate) explicit_timestamps: bool,
    /// Whether the server compares names in lower case.
    pub(crate) lower_case: bool,
    /// After how much idle time a sign of life is given, if any is.
    pub(crate) heartbeat: Option<Duration>,
    /// Whether a server that has nothing to send has nothing newer either.
    pub(crate) idle_is_current: bool,
    /// Batches are cut at about this size.
    pub(crate) batch_max_bytes: usize,
}

/// Reads the binlog of a server from a position on. `next` is cancel-safe: all its state is in here.
pub(crate) struct StreamReader {
    endpoint: Endpoint,
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
    /// After how much time without events a sign of life is due, and when the last event was handed on.
    alive: Option<(Duration, Instant)>,
    events: u32,
}

/// Why the stream stands still.
enum Failure {
    Transport(WireError),
    Stream(StreamError, FileOffset),
    /// It was told already.
    Told,
}

impl StreamReader {
    /// Connects and asks for the stream.
    pub(crate) async fn open(options: StreamOptions) -> Result<Self> {
        let StreamOptions { endpoint, server_id, position, .. } = options;
        let from = Decoder::dump_from(&position);
        let transport = match Transport::open(&endpoint, server_id, &position.base, from, options.heartbeat).await {
            Ok(transport) => transport,
            Err(error) => return Err(classify(error, &endpoint, &position, from).await.into()),
        };
        let decoder = Decoder::new(DecoderOptions {
            position: position.clone(),
            history: History::new(options.schemas, options.database_charsets, options.lower_case),
            selected: options.selected,
            selected_databases: options.selected_databases,
            server_version: options.server_version,
            explicit_timestamps: options.explicit_timestamps,
            idle_is_current: options.idle_is_current,
            batch_max_bytes: options.batch_max_bytes,
        });
        let now = Instant::now();
        let (failure, idle_since, behind) = (None, None, None);
        let alive = options.heartbeat.map(|interval| (interval, now));
        Ok(Self {
            endpoint,
            server_id,
            position,
            transport,
            decoder,
            failure,
            idle_since,
            examined: now,
            behind,
            last_batch: now,
            alive,
            events: 0,
        })
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
                if let Some(batch) = self.sign_of_life().or_else(|| self.heartbeat()) {
                    return Some(batch);
                }
            }
            if self.decoder.is_expanding() {
                let at = self.decoder.at();
                if let Err(error) = self.decoder.expand() {
                    self.failure = Some(Failure::Stream(error, at));
                }
                continue;
            }
            match self.transport.next_if_ready().await {
                Some(event) => {
                    (self.idle_since, self.examined) = (None, Instant::now());
                    feed(&mut self.decoder, &mut self.failure, event);
                }
                None => {
                    if let Some(batch) = self.decoder.flush().or_else(|| self.sign_of_life()).or_else(|| self.heartbeat()) {
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
        let examined = examine(&self.endpoint, &self.position, at).await;
        self.examined = Instant::now();
        match examined {
            Err(error) => self.failure = Some(Failure::Stream(error, at)),
            Ok(false) => self.behind = None,
            // An event may be on its way; one that does not come for a whole interval never will on this connection.
            Ok(true) if self.behind == Some(at) => {
                let message = format!("nothing came for {} s, although the server has more", EXAMINE_INTERVAL.as_secs());
                self.failure = Some(Failure::Transport(WireError::Lost(message)));
            }
            Ok(true) => self.behind = Some(at),
        }
    }

    /// Waits for the next event, for the time of a heartbeat, or for the end of patience.
    async fn wait(&mut self) {
        let patience = SILENCE.saturating_sub(self.idle_since.get_or_insert_with(Instant::now).elapsed());
        let until_heartbeat = HEARTBEAT_INTERVAL.saturating_sub(self.last_batch.elapsed());
        let mut limit = if self.decoder.has_moved() { patience.min(until_heartbeat) } else { patience };
        if let Some((interval, told)) = self.alive.filter(|_| self.decoder.is_between()) {
            limit = limit.min(interval.saturating_sub(told.elapsed()));
        }
        match tokio::time::timeout(limit, self.transport.next()).await {
            Ok(event) => {
                self.idle_since = None;
                feed(&mut self.decoder, &mut self.failure, event);
            }
            Err(_) if limit < patience => {}
            Err(_) => {
                let message = format!("the server sent nothing for {} s, not even a heartbeat", SILENCE.as_secs());
                self.failure = Some(Failure::Transport(WireError::Lost(message)));
            }
        }
    }

    /// An empty batch that moves the resume point, if it moved and the last batch is long enough ago.
    fn heartbeat(&mut self) -> Option<Batch> {
        if self.last_batch.elapsed() < HEARTBEAT_INTERVAL { None } else { self.decoder.heartbeat() }
    }

    /// A batch that says that nothing happened, if nothing was handed on for long enough.
    fn sign_of_life(&mut self) -> Option<Batch> {
        let (interval, told) = self.alive?;
        if told.elapsed() < interval { None } else { self.decoder.sign_of_life(now_ms()) }
    }

    /// What the failure means; asks the server where its words do not say.
    async fn judge(&mut self) -> Error {
        let (error, at) = match self.failure.replace(Failure::Told) {
            Some(Failure::Transport(error)) => {
                let at = self.decoder.at();
                (classify(error, &self.endpoint, &self.position, at).await, at)
            }
            Some(Failure::Stream(error, at)) => (error, at),
            Some(Failure::Told) | None => return StreamError::Disconnected { message: "the stream has failed before".to_owned() }.into(),
        };
        if error.may_pass() && self.reads_well_again(at).await {
            return StreamError::Disconnected { message: format!("{error}; it was right when it was read again") }.into();
        }
        self.decoder.located(error, at)
    }

    /// Whether the event at `at` is right over a new connection: then the network was wrong, not the file.
    async fn reads_well_again(&self, at: FileOffset) -> bool {
        match look_at(&self.endpoint, self.server_id, &self.position.base, at).await {
            Ok(Looked::Event { .. } | Looked::End) => true,
            // The server itself says that its file is damaged.
            Err(WireError::Refused(..)) | Ok(Looked::NoEvent) => false,
            // Not even a connection: the first failure may well have been the network's.
            Err(WireError::Lost(_) | WireError::Tls(_) | WireError::Plugin(_)) => true,
        }
    }
}

/// Gives an event to the decoder and notes what fails.
fn feed(decoder: &mut Decoder, failure: &mut Option<Failure>, event: Result<&[u8], WireError>) {
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
                if let Some((_, told)) = self.alive.as_mut().filter(|_| !batch.events.is_empty()) {
                    *told = self.last_batch;
                }
                Ok(Some(batch))
            }
            None => Err(self.judge().await),
        }
    }
}
