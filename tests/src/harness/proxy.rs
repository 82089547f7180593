//! A TCP proxy that disturbs connections in several ways: it cuts them, is silent, is slow, or sends single bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::free_ports;
use crate::{Failure, Result};

const BUFFER: usize = 16 << 10;

/// What the proxy does with bytes and with new connections.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Pass,
    Refuse,
    Blackhole,
    Slow(u64),
    OneByte,
    CutAfter(u64),
}

#[derive(Clone, Copy, Debug)]
struct Switch {
    mode: Mode,
    /// How many times all connections were cut.
    cuts: u64,
    /// How many times all connections were closed on the server's side only.
    losses: u64,
}

/// A TCP proxy in front of a server, or of several. It runs in its own thread until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: Upstream,
    switch: watch::Sender<Switch>,
}

impl Proxy {
    /// Starts a proxy that forwards to `server`, which may be started later.
    pub fn start(server: SocketAddr) -> Result<Self> {
        let upstream = Upstream::default();
        upstream.lead_to(&[server]);
        let [port] = free_ports()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (switch, seen) = watch::channel(Switch { mode: Mode::Pass, cuts: 0, losses: 0 });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ready, listens) = sync_channel(1);
        std::thread::Builder::new().name("proxy".into()).spawn({
            let upstream = upstream.clone();
            move || runtime.block_on(serve(address, upstream, seen, ready))
        })?;
        listens.recv().map_err(|_| Failure::new("the proxy's thread has ended"))??;
        Ok(Self { address, upstream, switch })
    }

    /// The address to which clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to these servers in turns, the first of them first.
    pub fn lead_to(&self, servers: &[SocketAddr]) {
        self.upstream.lead_to(servers);
    }

    /// Forwards all bytes and accepts new connections, as at the start.
    pub fn pass(&self) {
        self.set(Mode::Pass);
    }

    /// Cuts all connections and refuses new ones, like a server that is down.
    pub fn refuse(&self) {
        self.set(Mode::Refuse);
    }

    /// Cuts all existing connections; new connections are accepted.
    pub fn cut(&self) {
        self.switch.send_modify(|switch| switch.cuts += 1);
    }

    /// Keeps connections open and accepts new ones, but forwards no byte until [`Proxy::pass`] is called.
    pub fn blackhole(&self) {
        self.set(Mode::Blackhole);
    }

    /// Closes all existing connections on the server's side only; clients are not notified. New connections work.
    pub fn half_open(&self) {
        self.switch.send_modify(|switch| switch.losses += 1);
    }

    /// Limits each direction of a connection to this number of bytes per second.
    pub fn slow(&self, bytes_per_second: u64) {
        self.set(Mode::Slow(bytes_per_second.max(1)));
    }

    /// Sends every byte in its own packet.
    pub fn one_byte_at_a_time(&self) {
        self.set(Mode::OneByte);
    }

    /// Cuts each connection after this number of bytes, counted over both directions.
    pub fn cut_after(&self, bytes: u64) {
        self.set(Mode::CutAfter(bytes));
    }

    fn set(&self, mode: Mode) {
        self.switch.send_modify(|switch| switch.mode = mode);
    }
}

/// The servers to which connections are forwarded in turns, and how many were forwarded so far.
#[derive(Clone, Debug, Default)]
struct Upstream(Arc<Mutex<(Vec<SocketAddr>, usize)>>);

impl Upstream {
    fn lead_to(&self, servers: &[SocketAddr]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (servers.to_vec(), 0);
    }

    fn next(&self) -> Option<SocketAddr> {
        let (servers, count) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        servers.get((*count - 1) % servers.len().max(1)).copied()
    }
}

type Seen = watch::Receiver<Switch>;

async fn serve(address: SocketAddr, upstream: Upstream, mut seen: Seen, ready: SyncSender<io::Result<()>>) {
    let mut listener = match listen(address) {
        Ok(listener) => Some(listener),
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(()));
    loop {
        if seen.borrow_and_update().mode == Mode::Refuse {
            drop(listener.take());
            // The port stays bound, so that no other process takes it, but nothing listens on it.
            let held = bind(address);
            let over = seen.wait_for(|switch| switch.mode != Mode::Refuse).await.is_err();
            drop(held);
            if over {
                return;
            }
        }
        if listener.is_none() {
            listener = listen(address).ok();
        }
        let Some(listener) = &listener else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(connection(client, upstream.clone(), seen.clone()));
            },
            changed = seen.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(1024)
}

/// Why the proxy ends a connection.
enum End {
    Cut,
    ServerLost,
}

async fn connection(mut client: TcpStream, upstream: Upstream, mut seen: Seen) {
    let begin = *seen.borrow();
    let Some(mut server) = connect(upstream, &mut seen).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (carried, mut watcher) = (AtomicU64::new(0), seen.clone());
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = server.split();
    let ended = tokio::select! {
        done = async { tokio::try_join!(pump(client_in, server_out, seen.clone(), &carried), pump(server_in, client_out, seen, &carried)) } => match done {
            Ok(_) => return,
            Err(_) => End::Cut,
        },
        end = end(&mut watcher, begin) => end,
    };
    let _ = server.set_zero_linger();
    drop(server);
    if matches!(ended, End::ServerLost) {
        // The client is not notified: its side stays open until the test cuts the connections.
        let _ = watcher.wait_for(|switch| switch.cuts > begin.cuts || switch.mode == Mode::Refuse).await;
    }
    let _ = client.set_zero_linger();
}

async fn connect(upstream: Upstream, seen: &mut Seen) -> Option<TcpStream> {
    seen.wait_for(|switch| switch.mode != Mode::Blackhole).await.ok()?;
    TcpStream::connect(upstream.next()?).await.ok()
}

async fn end(seen: &mut Seen, begin: Switch) -> End {
    let ended = |switch: &Switch| switch.cuts > begin.cuts || switch.losses > begin.losses || switch.mode == Mode::Refuse;
    match seen.wait_for(ended).await {
        Ok(switch) if switch.losses > begin.losses && switch.mode != Mode::Refuse => End::ServerLost,
        _ => End::Cut,
    }
}

/// Forwards bytes in one direction until the sender closes its side; an error cuts the connection.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut seen: Seen, carried: &AtomicU64) -> io::Result<()> {
    let over = |_| io::Error::from(io::ErrorKind::ConnectionReset);
    let mut buffer = [0; BUFFER];
    loop {
        // In the mode `Blackhole` the proxy does not even read, so that the sender's send window fills up.
        seen.wait_for(|switch| switch.mode != Mode::Blackhole).await.map_err(over)?;
        let mode = seen.borrow_and_update().mode;
        let room = match mode {
            Mode::Slow(rate) => (rate / 10).clamp(1, BUFFER as u64) as usize,
            _ => BUFFER,
        };
        let count = tokio::select! {
            count = from.read(&mut buffer[..room]) => count?,
            changed = seen.changed() => {
                changed.map_err(over)?;
                continue;
            }
        };
        if count == 0 {
            return to.shutdown().await;
        }
        seen.wait_for(|switch| switch.mode != Mode::Blackhole).await.map_err(over)?;
        let before = carried.fetch_add(count as u64, Ordering::Relaxed);
        match mode {
            Mode::OneByte => {
                for byte in &buffer[..count] {
                    to.write_all(std::slice::from_ref(byte)).await?;
                    tokio::task::yield_now().await;
                }
            }
            Mode::Slow(rate) => {
                to.write_all(&buffer[..count]).await?;
                tokio::time::sleep(Duration::from_secs_f64(count as f64 / rate as f64)).await;
            }
            Mode::CutAfter(limit) if before + count as u64 >= limit => {
                let rest = limit.saturating_sub(before) as usize;
                to.write_all(&buffer[..rest.min(count)]).await?;
                to.flush().await?;
                // Waits for bytes that are still on their way, because cutting the connection would discard them.
                tokio::time::sleep(Duration::from_millis(5)).await;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            _ => to.write_all(&buffer[..count]).await?,
        }
    }
}
