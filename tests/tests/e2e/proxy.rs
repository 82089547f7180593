//! Tests of the harness's proxy and of each fault that it can cause.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tests::Result;
use tests::harness::{Proxy, free_ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(300);

/// A proxy in front of a server that sends back everything that it receives.
async fn before_echo() -> Result<Proxy> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::start(listener.local_addr()?)?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    Ok(proxy)
}

async fn echoed(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_good_network_passes_everything_and_a_half_close() -> Result<()> {
    let proxy = before_echo().await?;
    let mut stream = TcpStream::connect(proxy.address()).await?;
    let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let (mut read, mut write) = stream.split();
    let (sent, answer) = tokio::join!(
        async {
            write.write_all(&bytes).await?;
            write.shutdown().await
        },
        async {
            let mut answer = Vec::new();
            read.read_to_end(&mut answer).await.map(|_| answer)
        }
    );
    sent?;
    assert!(answer? == bytes, "the answer differs");
    Ok(())
}

#[tokio::test]
async fn connections_are_cut_and_refused() -> Result<()> {
    let proxy = before_echo().await?;
    let mut stream = TcpStream::connect(proxy.address()).await?;
    assert_eq!(echoed(&mut stream, b"a").await?, b"a");
    proxy.cut();
    let error = timeout(SOON, stream.read_u8()).await?.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let mut stream = TcpStream::connect(proxy.address()).await?;
    assert_eq!(echoed(&mut stream, b"a").await?, b"a");
    proxy.refuse();
    timeout(SOON, stream.read_u8()).await?.unwrap_err();
    let start = Instant::now();
    while TcpStream::connect(proxy.address()).await.is_ok() {
        assert!(start.elapsed() < SOON, "connections are still let in");
    }
    assert_eq!(TcpStream::connect(proxy.address()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    proxy.pass();
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(proxy.address()).await {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < SOON, "{error}"),
        }
    };
    assert_eq!(echoed(&mut stream, b"a").await?, b"a");
    Ok(())
}

#[tokio::test]
async fn a_silent_network_keeps_what_was_sent() -> Result<()> {
    let proxy = before_echo().await?;
    let mut stream = TcpStream::connect(proxy.address()).await?;
    assert_eq!(echoed(&mut stream, b"a").await?, b"a");
    proxy.blackhole();
    let mut newcomer = TcpStream::connect(proxy.address()).await?;
    assert!(timeout(SILENCE, echoed(&mut stream, b"b")).await.is_err() && timeout(SILENCE, echoed(&mut newcomer, b"c")).await.is_err());
    proxy.pass();
    assert_eq!(timeout(SOON, stream.read_u8()).await??, b'b');
    assert_eq!(timeout(SOON, newcomer.read_u8()).await??, b'c');
    Ok(())
}

#[tokio::test]
async fn a_half_open_connection_stays_silent_while_new_ones_are_good() -> Result<()> {
    let proxy = before_echo().await?;
    let mut stream = TcpStream::connect(proxy.address()).await?;
    assert_eq!(echoed(&mut stream, b"a").await?, b"a");
    proxy.half_open();
    assert!(timeout(SILENCE, echoed(&mut stream, b"b")).await.is_err());
    let mut newcomer = TcpStream::connect(proxy.address()).await?;
    assert_eq!(echoed(&mut newcomer, b"c").await?, b"c");
    proxy.cut();
    timeout(SOON, stream.read_u8()).await?.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn slow_single_and_counted_bytes() -> Result<()> {
    let proxy = before_echo().await?;
    proxy.slow(10_000);
    let start = Instant::now();
    let bytes = [7; 4_000];
    assert_eq!(echoed(&mut TcpStream::connect(proxy.address()).await?, &bytes).await?, bytes);
    assert!(start.elapsed() > Duration::from_millis(300), "{:?}", start.elapsed());
    proxy.one_byte_at_a_time();
    let mut stream = TcpStream::connect(proxy.address()).await?;
    assert_eq!(echoed(&mut stream, &bytes).await?, bytes);
    // The cut comes after 100 bytes in one direction and 50 bytes in the other.
    proxy.cut_after(150);
    let mut stream = TcpStream::connect(proxy.address()).await?;
    stream.write_all(&bytes[..100]).await?;
    let mut answer = Vec::new();
    let error = timeout(SOON, stream.read_to_end(&mut answer)).await?.unwrap_err();
    assert_eq!((error.kind(), answer.len()), (ErrorKind::ConnectionReset, 50));
    Ok(())
}

#[tokio::test]
async fn a_proxy_may_start_before_its_server() -> Result<()> {
    let [port] = free_ports()?;
    let proxy = Proxy::start(([127, 0, 0, 1], port).into())?;
    // The connection may already be reset while the client is still connecting.
    if let Ok(mut stream) = TcpStream::connect(proxy.address()).await {
        timeout(SOON, stream.read_u8()).await?.unwrap_err();
    }
    let _server = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut stream = TcpStream::connect(proxy.address()).await?;
    assert!(timeout(SILENCE, stream.read_u8()).await.is_err(), "the server says nothing, and the connection stays");
    Ok(())
}
