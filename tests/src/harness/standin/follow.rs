//! Follows MySQL's own binlog and writes the global binlog from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::{mpsc, oneshot, watch};

use super::ddl::Shown;
use super::events::{CHECKSUM, Event, HEADER, HEARTBEAT, ROTATE, START};
use super::parts::{Place, Split};
use super::store::{Store, Upstream, Writer, now_ms, seconds, tso_text};
use super::switches::Switches;
use super::transactions::{Change, Collector, Transaction};
use super::wire::{Client, read_error, read_message, send, take_number};
use crate::{Failure, Result};

/// The server id with which the stand-in reads MySQL's binlog.
const REPLICA_ID: u32 = 4_000_000_001;

/// How far MySQL's binlog was read, and how many items were handed to the writer by then.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed {
    pub(super) position: Upstream,
    pub(super) items: u64,
}

/// What the writer writes next.
#[derive(Clone, Debug)]
enum Content {
    Transaction(u64, Transaction),
    Ddl(Vec<(u64, Shown)>, u64),
    Heartbeat(u64),
    FlushLogs(u64),
}

struct Item {
    /// Not earlier than this.
    due: Instant,
    content: Content,
    upstream: Option<Upstream>,
    table_id: u64,
}

/// The clock of the TSOs, which always rise.
#[derive(Debug)]
struct Clock(u64);

impl Clock {
    fn next(&mut self) -> u64 {
        self.0 = (self.0 + 1).max(now_ms() << 22);
        self.0
    }
}

/// A request to the follower.
pub(super) enum Request {
    /// A TSO that is larger than those of all transactions in MySQL's binlog up to this position.
    Tso(Upstream, oneshot::Sender<u64>),
    /// FLUSH LOGS.
    FlushLogs,
}

/// The access of sessions to the follower and the writer.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) requests: mpsc::UnboundedSender<Request>,
    pub(super) followed: watch::Receiver<Followed>,
    pub(super) written: watch::Receiver<u64>,
}

impl Handle {
    /// Waits until everything in MySQL's binlog up to this position is in the files.
    pub(super) async fn wait_until_written(&self, position: &Upstream) -> Result<()> {
        let mut followed = self.followed.clone();
        let items = followed.wait_for(|followed| followed.position >= *position).await?.items;
        self.written.clone().wait_for(|written| *written >= items).await?;
        Ok(())
    }
}

/// Starts the follower and the writer of the logs, of which the first is the global binlog. The receiver gets their error, if one of them ends.
pub(super) fn start(socket: PathBuf, logs: Vec<Log>, switches: Switches) -> (Handle, mpsc::Receiver<Failure>) {
    let (items, queue) = mpsc::unbounded_channel();
    let (requests, asked) = mpsc::unbounded_channel();
    let (followed, followed_receiver) = watch::channel(Followed::default());
    let (written, written_receiver) = watch::channel(0);
    let (failed, failures) = mpsc::channel(2);
    let states = || logs.iter().map(|log| log.writer.state());
    let follower = Follower {
        socket,
        clock: Clock(states().map(|state| state.tso).max().unwrap_or_default()),
        resume: states().map(|state| state.upstream.clone()).min().unwrap_or_default(),
        collector: Collector::new(states().map(|state| state.table_id).max().unwrap_or_default(), logs.len() > 1),
        switches: switches.clone(),
        items,
        followed,
        sent: 0,
        position: Upstream::default(),
        boundary: None,
        waiting: Vec::new(),
    };
    let fail = failed.clone();
    tokio::spawn(async move {
        if let Err(error) = follower.run(asked).await {
            let _ = fail.send(error.context("follow MySQL's binlog")).await;
        }
    });
    tokio::spawn(async move {
        if let Err(error) = write_all(logs, &switches, queue, &written).await {
            let _ = failed.send(error.context("write the global binlog")).await;
        }
    });
    (Handle { requests, followed: followed_receiver, written: written_receiver }, failures)
}

struct Follower {
    socket: PathBuf,
    clock: Clock,
    /// Everything up to this position is in the files already.
    resume: Upstream,
    collector: Collector,
    switches: Switches,
    items: mpsc::UnboundedSender<Item>,
    followed: watch::Sender<Followed>,
    sent: u64,
    position: Upstream,
    /// The last position between two transactions, from which a new connection continues.
    boundary: Option<Upstream>,
    waiting: Vec<(Upstream, oneshot::Sender<u64>)>,
}

impl Follower {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Request>) -> Result<()> {
        let (sender, mut incoming) = mpsc::channel(1000);
        let socket = self.socket.clone();
        tokio::spawn(read_upstream(socket, sender));
        let mut last = Instant::now();
        loop {
            let interval = Duration::from_millis(self.switches.number("heartbeat_ms").max(10));
            let rest = interval.saturating_sub(last.elapsed());
            tokio::select! {
                next = incoming.recv() => match next {
                    None => return Failure::err("the reader has ended"),
                    Some(Incoming::Refused(failure)) => return Err(failure),
                    Some(Incoming::Connect(answer)) => {
                        self.collector.restart();
                        let _ = answer.send(self.boundary.clone());
                    }
                    Some(Incoming::Event(event)) => {
                        if self.take(&event)? {
                            last = Instant::now();
                        }
                    }
                },
                Some(request) = asked.recv() => match request {
                    Request::Tso(position, answer) => self.waiting.push((position, answer)),
                    Request::FlushLogs => {
                        let tso = self.clock.next();
                        self.send(Content::FlushLogs(tso), None)?;
                    }
                },
                () = tokio::time::sleep(rest) => {
                    last = Instant::now();
                    let tso = self.clock.next();
                    self.send(Content::Heartbeat(tso), None)?;
                }
            }
            let (ready, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(position, _)| *position <= self.position);
            self.waiting = waiting;
            for (_, answer) in Vec::from_iter::<Vec<_>>(ready) {
                let _ = answer.send(self.clock.next());
            }
        }
    }

    /// Takes an event of MySQL's binlog; returns whether something was handed to the writer.
    fn take(&mut self, event: &[u8]) -> Result<bool> {
        let kind = event.get(4).copied().unwrap_or_default();
        let end = take_number(&mut event.get(13..).unwrap_or_default(), 4)?;
        let body = event.get(HEADER..).unwrap_or_default();
        if kind == ROTATE {
            let offset = take_number(&mut &*body, 8)?;
            let name = String::from_utf8_lossy(body.get(8..).unwrap_or_default()).into_owned();
            self.position = (name, offset);
            return Ok(false);
        }
        let change = self.collector.take(kind, body, self.switches.is_on("hidden_key"))?;
        if end > 0 && kind != HEARTBEAT {
            self.position.1 = end;
        }
        let mut is_sent = false;
        // What is in the files already only has to be known, not to be written again.
        if let Some(change) = change.filter(|_| self.position > self.resume) {
            let content = match change {
                Change::Transaction(transaction) => Content::Transaction(self.clock.next(), transaction),
                Change::Ddl(shown, mode) => Content::Ddl(shown.into_iter().map(|shown| (self.clock.next(), shown)).collect(), mode),
            };
            self.send(content, Some(self.position.clone()))?;
            is_sent = true;
        }
        if self.collector.is_between() {
            self.boundary = Some(self.position.clone());
        }
        let followed = Followed { position: self.position.clone(), items: self.sent };
        self.followed.send_replace(followed);
        Ok(is_sent)
    }

    fn send(&mut self, content: Content, upstream: Option<Upstream>) -> Result<()> {
        self.sent += 1;
        let due = Instant::now() + Duration::from_millis(self.switches.number("lag_ms"));
        let item = Item { due, content, upstream, table_id: self.collector.next_id };
        self.items.send(item).map_err(|_| Failure::new("the writer has ended"))
    }
}

/// What the reader of MySQL's binlog hands over.
enum Incoming {
    Event(Vec<u8>),
    /// A new connection asks where to continue; `None` stands for the beginning.
    Connect(oneshot::Sender<Option<Upstream>>),
    /// MySQL refuses to send its binlog.
    Refused(Failure),
}

/// Reads MySQL's binlog from its beginning, and continues after each loss of the connection.
async fn read_upstream(socket: PathBuf, incoming: mpsc::Sender<Incoming>) {
    while !incoming.is_closed() {
        match read_connection(&socket, &incoming).await {
            // MySQL may be down for a while; what it refuses, it refuses for ever.
            Ok(Some(refusal)) => drop(incoming.send(Incoming::Refused(refusal)).await),
            Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Reads from one connection until it is lost, or until MySQL refuses.
async fn read_connection(socket: &Path, incoming: &mpsc::Sender<Incoming>) -> Result<Option<Failure>> {
    let mut client = Client::connect(socket).await?;
    client.query("SET @master_binlog_checksum = 'CRC32', @master_heartbeat_period = 5000000000").await?;
    let (question, answer) = oneshot::channel();
    incoming.send(Incoming::Connect(question)).await.map_err(|_| Failure::new("the follower has ended"))?;
    let (file, position) = match answer.await? {
        Some(position) => position,
        None => (client.query("SHOW BINARY LOGS").await?.text(0, 0), START),
    };
    let mut request = vec![0x12];
    request.extend_from_slice(&(position as u32).to_le_bytes());
    request.extend_from_slice(&[0, 0]);
    request.extend_from_slice(&REPLICA_ID.to_le_bytes());
    request.extend_from_slice(file.as_bytes());
    send(&mut client.0, 0, &request).await?;
    while let Some((_, mut message)) = read_message(&mut client.0).await? {
        match message.first() {
            Some(0) => drop(message.drain(..1)),
            Some(0xFF) => return Ok(Some(Failure::new(format!("MySQL refused its binlog: {}", read_error(&message).2)))),
            _ => return Ok(None),
        }
        // Without checksums in MySQL's binlog, only the first event of a connection has one.
        if let Some((content, checksum)) = message.split_last_chunk::<CHECKSUM>()
            && crc32fast::hash(content) == u32::from_le_bytes(*checksum)
        {
            message.truncate(message.len() - CHECKSUM);
        }
        incoming.send(Incoming::Event(message)).await.map_err(|_| Failure::new("the follower has ended"))?;
    }
    Ok(None)
}

/// Writes the items, each at its time.
async fn write_all(
    mut logs: Vec<Log>,
    switches: &Switches,
    mut queue: mpsc::UnboundedReceiver<Item>,
    written: &watch::Sender<u64>,
) -> Result<()> {
    while let Some(item) = queue.recv().await {
        tokio::time::sleep_until(item.due.into()).await;
        let word = if matches!(item.content, Content::FlushLogs(_)) {
            "::FlushLog"
        } else if switches.is_on("config_change") {
            switches.set("config_change", "0")?;
            "::ConfigChange"
        } else {
            ""
        };
        for log in &mut logs {
            log.write(&item, word, switches)?;
        }
        written.send_modify(|count| *count += 1);
    }
    Ok(())
}

/// The global binlog, or a stream.
pub(super) struct Log {
    writer: Writer,
    store: Arc<Store>,
    /// The place of the stream in its group; `None` for the global binlog.
    place: Option<Place>,
    xid: u64,
    trace: u64,
    transactions: u64,
}

impl Log {
    pub(super) fn new(writer: Writer, store: Arc<Store>, place: Option<Place>) -> Self {
        Self { writer, store, place, xid: 0, trace: now_ms() << 8, transactions: 0 }
    }

    /// Writes what belongs to this log, if it is not in it already. `word` is the word of the last CTS event.
    fn write(&mut self, item: &Item, word: &str, switches: &Switches) -> Result<()> {
        // After the stand-in was killed, one log may have more than another.
        if item.upstream.as_ref().is_some_and(|upstream| *upstream <= self.writer.state().upstream) {
            return Ok(());
        }
        let must_rotate = matches!(item.content, Content::FlushLogs(_));
        let last = match &item.content {
            Content::Heartbeat(tso) => {
                if switches.is_on("heartbeat_as_transaction") {
                    self.xid += 1;
                    let events = [Event::begin(), Event::text("# TSO HEARTBEAT TXN"), Event::xid(self.xid)];
                    self.writer.write(&events, seconds(*tso))?;
                }
                *tso
            }
            Content::Transaction(tso, whole) => {
                let part = self.place.as_ref().map_or_else(|| Some(whole.clone()), |place| place.part(whole));
                let Some(transaction) = part else { return Ok(()) };
                (self.xid, self.trace, self.transactions) = (self.xid + 1, self.trace + 1, self.transactions + 1);
                let archived: BTreeSet<String> = switches.text("archive_tables").split(',').map(str::to_owned).collect();
                let is_archive = !archived.is_disjoint(&transaction.deleted);
                let frame = Frame { tso: *tso, xid: self.xid, trace: self.trace, is_archive };
                let events = frame.around(transaction, switches.is_on("rows_query"), switches.is_on("early_cts"));
                self.writer.write(&events, seconds(*tso))?;
                *tso
            }
            Content::Ddl(shown, mode) => {
                let mut last = None;
                for (tso, shown) in shown {
                    let Some(text) = self.statement(*tso, shown) else { continue };
                    if let Some(before) = last.replace(*tso) {
                        self.writer.write(&[Event::text(&format!("CTS::{}", tso_text(before)))], seconds(before))?;
                    }
                    self.writer.write(&[Event::ddl(&shown.schema, shown.updated.as_deref(), *mode, &text)], seconds(*tso))?;
                }
                let Some(last) = last else { return Ok(()) };
                self.transactions += 1;
                last
            }
            Content::FlushLogs(tso) => *tso,
        };
        self.writer.write(&[Event::text(&format!("CTS::{}{word}", tso_text(last)))], seconds(last))?;
        self.writer.commit(&self.store, last, item.upstream.clone(), item.table_id)?;
        let every = switches.number("rotate_every");
        let is_full = self.writer.position() >= switches.number("file_bytes");
        if must_rotate || is_full || (every > 0 && self.transactions >= every) {
            self.writer.rotate(&self.store)?;
            self.transactions = 0;
        }
        Ok(())
    }

    /// The text of a DDL statement; `None` if it is only in another stream, which has the whole database.
    fn statement(&self, tso: u64, shown: &Shown) -> Option<String> {
        let text = ddl_text(tso, shown);
        let is_of_instance = shown.updated.as_deref().is_none_or(|updated| updated == "*");
        match self.place.filter(|place| place.split == Split::Database && !is_of_instance) {
            None => Some(text),
            Some(place) => place.has_database(&shown.schema).then(|| format!("# POLARX_DDL_ROUTE_MODE=SINGLE\n{text}")),
        }
    }
}

/// What stands around the events of a transaction.
struct Frame {
    tso: u64,
    xid: u64,
    trace: u64,
    is_archive: bool,
}

impl Frame {
    fn around(&self, transaction: Transaction, rows_query: bool, early_cts: bool) -> Vec<Event> {
        let mut events = vec![Event::begin()];
        for (index, statement) in transaction.statements.into_iter().enumerate() {
            if rows_query {
                let mut text = format!("/*DRDS /127.0.0.1/{:x}-{}/0// */", self.trace, index + 1);
                if index == 0 && early_cts {
                    let word = if self.is_archive { "::ARCHIVE" } else { "" };
                    text = format!("{text}\n# CTS::{}{word}", tso_text(self.tso));
                }
                events.push(Event::text(&text));
            }
            events.extend(statement);
        }
        events.push(Event::xid(self.xid));
        events
    }
}

/// The comment lines of a DDL statement, and the statement if MySQL has one.
fn ddl_text(tso: u64, shown: &Shown) -> String {
    let origin = if shown.origin.contains('\n') {
        format!("# POLARX_ORIGIN_SQL_ENCODE=BASE64\n# POLARX_ORIGIN_SQL={}", BASE64_STANDARD.encode(&shown.origin))
    } else {
        format!("# POLARX_ORIGIN_SQL={}", shown.origin)
    };
    format!("{origin}\n# POLARX_TSO={}\n# POLARX_DDL_ID=0\n{}", tso_text(tso), shown.mysql.as_deref().unwrap_or_default())
}
