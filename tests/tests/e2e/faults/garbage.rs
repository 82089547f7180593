//! Faulty peers: a port that is neither a database nor a broker, a peer that never responds, and a network that passes single bytes.

use std::time::{Duration, Instant};

use tests::Result;
use tests::checker::Format;
use tests::harness::free_ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Trial;
use crate::case::{Case, Servers, program};
use crate::report::{assert_no_secrets, error_in};

/// A run may take its retry window of five seconds, plus the timeouts with a silent peer.
const LIMIT: Duration = Duration::from_secs(60);

/// The behaviour of a listener that is neither a database nor a broker.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Random,
    Closing,
    Http,
    Silent,
}

const PEERS: [Peer; 4] = [Peer::Random, Peer::Closing, Peer::Http, Peer::Silent];

/// Listens on a free port until the test ends, and returns the port.
async fn listen(peer: Peer) -> Result<u16> {
    let [port] = free_ports()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    tokio::spawn(async move {
        let mut seed = 0;
        while let Ok((stream, _)) = listener.accept().await {
            seed += 1;
            tokio::spawn(respond(peer, stream, seed));
        }
    });
    Ok(port)
}

async fn respond(peer: Peer, mut stream: TcpStream, seed: u64) {
    let mut received = [0; 4096];
    match peer {
        Peer::Closing => {}
        Peer::Silent => while stream.read(&mut received).await.is_ok_and(|count| count > 0) {},
        Peer::Random => {
            let mut rng = fastrand::Rng::with_seed(seed);
            // Sends random bytes as soon as the client has connected, and again after each piece of data from the client.
            loop {
                let bytes: Vec<u8> = (0..rng.usize(1..2000)).map(|_| rng.u8(..)).collect();
                if stream.write_all(&bytes).await.is_err() || !stream.read(&mut received).await.is_ok_and(|count| count > 0) {
                    break;
                }
            }
        }
        Peer::Http => {
            let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut received)).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_port_that_is_not_a_database() -> Result<()> {
    every_peer("no_database", |case, port| case.settings.source_port = port).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_port_that_is_not_a_broker() -> Result<()> {
    every_peer("no_broker", |case, port| case.settings.brokers = vec![format!("127.0.0.1:{port}")]).await
}

/// For each peer, `check` and `run` must end in time with an error that names the address, must not panic, and must not write any record.
async fn every_peer(name: &str, aim: fn(&mut Case, u16)) -> Result<()> {
    let servers = Servers::shared().await?;
    servers.source.execute(&[&format!("CREATE DATABASE {name}"), &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY)")]).await?;
    let mut first = Case::new(servers, name, Format::CanalJson, 1, Vec::new()).await?;
    let mut runs = tokio::task::JoinSet::new();
    for peer in PEERS {
        let mut case = first.sibling(&format!("{name}_{peer:?}").to_lowercase(), Format::CanalJson, 1).await?;
        let port = listen(peer).await?;
        aim(&mut case, port);
        case.settings.more = "[retry]\nwindow_seconds = 5".into();
        case.task.configure(&case.settings)?;
        runs.spawn(ends_in_time(case, peer, port));
    }
    while let Some(ended) = runs.join_next().await {
        ended??;
    }
    assert_eq!(first.read().await?, 0);
    Ok(())
}

async fn ends_in_time(mut case: Case, peer: Peer, port: u16) -> Result<()> {
    let file = case.task.file();
    let folder = tempfile::tempdir()?;
    let start = Instant::now();
    let mut command = program().command(&["check", &file.display().to_string()]);
    let mut check = tests::harness::Process::spawn("check", &mut command, folder.path(), "log")?;
    let status = check.wait(LIMIT).await?;
    assert_reported(&check.output(), status.code(), peer, port, "check");
    println!("{} check {peer:?} after {:.1} s", case.topic, start.elapsed().as_secs_f64());
    let start = Instant::now();
    case.task.start()?;
    let code = case.task.wait(LIMIT).await?;
    let output = case.task.output();
    assert_reported(&output, Some(code), peer, port, "run");
    let error = error_in(&output)?;
    println!("{} run {peer:?} after {:.1} s, exit code {code}: {error}", case.topic, start.elapsed().as_secs_f64());
    assert_eq!(case.read().await?, 0, "something was written");
    Ok(())
}

fn assert_reported(output: &str, code: Option<i32>, peer: Peer, port: u16, command: &str) {
    assert!(matches!(code, Some(2 | 3)), "{command}, {peer:?}: exit code {code:?}\n{output}");
    assert!(output.contains(&format!("127.0.0.1:{port}")), "{command}, {peer:?}: the address is not named\n{output}");
    assert!(output.contains("help: "), "{command}, {peer:?}: no help\n{output}");
    assert!(!output.contains("panicked") && !output.contains("E_PANIC"), "{command}, {peer:?}: a panic\n{output}");
    assert_no_secrets(output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_bytes_at_a_time_change_nothing() -> Result<()> {
    let mut trial = Trial::new(Servers::own(tests::harness::Flavor::MySql57).await?, "single_bytes", Format::DtsAvro).await?;
    // Single bytes come slower than the writers write, so the stream would never reach what a chunk has seen.
    trial.case.settings.source = "handover = \"sequential\"".into();
    trial.case.task.configure(&trial.case.settings)?;
    trial.source.one_byte_at_a_time();
    trial.broker().one_byte_at_a_time();
    trial.write().await?;
    trial.case.task.start()?;
    trial.recovers("the start with single bytes").await?;
    trial.hold(Duration::from_secs(3)).await?;
    trial.pause_writing().await?;
    // The writers were faster than single bytes. The rest may come as it is.
    trial.source.pass();
    trial.broker().pass();
    trial.recovers("the last byte").await?;
    trial.verify(0).await.map(drop)
}
