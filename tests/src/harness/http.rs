//! The parts of HTTP that the tests of the schema registry need, both for clients and for servers.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Failure, Result};

/// The longest request or response that is read, in bytes.
const LIMIT: usize = 1 << 20;

/// A request that a server received.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// The value of the header `Authorization`.
    pub(super) authorization: Option<String>,
    pub(super) body: String,
}

/// Sends a request to a server on this machine without TLS; returns the status and body of the response.
pub(super) async fn request(port: u16, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        stream.take(LIMIT as u64).read_to_end(&mut response).await?;
        let response = String::from_utf8(response)?;
        let (head, body) = response.split_once("\r\n\r\n").ok_or_else(|| Failure::new("a response without a head"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or_else(|| Failure::new(format!("a response without a status: {head}")))?, body.to_owned()))
    };
    match tokio::time::timeout(Duration::from_secs(10), exchange).await {
        Ok(response) => response,
        Err(_) => Failure::err(format!("port {port} does not respond")),
    }
}

/// Reads one request; `None` if the connection ends before the request is complete, or if the bytes are not HTTP.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Request>> {
    let (mut bytes, mut block) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let value = |name: &str| {
                let named = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
                head.lines().find(named).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
            };
            let length = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if bytes.len() >= at + 4 + length {
                let mut words = head.split(' ').map(str::to_owned);
                let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
                let body = String::from_utf8_lossy(&bytes[at + 4..at + 4 + length]).into_owned();
                return Ok(Some(Request { method, path, authorization: value("authorization"), body }));
            }
        }
        let count = stream.read(&mut block).await?;
        bytes.extend_from_slice(&block[..count]);
        if count == 0 || bytes.len() > LIMIT || !bytes.iter().take(3).all(u8::is_ascii_uppercase) {
            return Ok(None);
        }
    }
}

/// Writes a response and closes the connection.
pub(super) async fn respond(stream: &mut (impl AsyncWrite + Unpin), status: u16, headers: &str, body: &str) -> Result<()> {
    let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
