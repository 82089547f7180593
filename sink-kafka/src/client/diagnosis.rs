//! Finds out why a broker ended a connection without an answer, by connecting once more in other ways. No secret is sent. Without an answer
//! in time the failure stays what it was: one that may pass.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rskafka::messenger::Messenger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect_error::ConnectError;
use super::connection::{CLIENT_ID, Connection, dial, host_of};
use super::error_code::ErrorCode;
use super::options::Timeouts;
use super::sasl;
use super::security::Security;
use super::stream::{Failure, Stream, Watched};

/// For each attempt.
const LIMIT: Duration = Duration::from_secs(2);
/// The largest answer to ApiVersions.
const ANSWER_BYTES: usize = 1 << 20;
/// No broker has a mechanism of this name: the answer lists those that it has.
const NO_MECHANISM: &str = "NONE";

/// Whether a broker answers on this port without TLS.
pub(super) async fn answers_without_tls(address: &str) -> bool {
    let attempt = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (stream, watch) = Watched::new(Stream::Plain(stream));
        let mut messenger = Messenger::new(stream, ANSWER_BYTES, CLIENT_ID.into());
        let answer = messenger.sync_versions().await;
        (answer.is_ok() && watch.failure().is_none()).then_some(())
    };
    matches!(timeout(LIMIT, attempt).await, Ok(Some(())))
}

/// The broker ended the connection before it told its versions: is TLS missing, or the client certificate?
pub(super) async fn ended_at_once(address: &str, security: &Security) -> Option<ConnectError> {
    match &security.tls {
        None => timeout(LIMIT, uses_tls(address)).await.ok()?.then_some(ConnectError::TlsNeeded),
        // In TLS 1.3 the server checks the client certificate when the client may already write, and what the client writes can keep it
        // from reading the alert. So this time nothing is written.
        Some(tls) => {
            let listen = async {
                let (stream, _socket) = dial(address, security.tls.as_ref()).await.ok()?;
                let (mut stream, watch) = Watched::new(stream);
                let _ = stream.read(&mut [0]).await;
                watch.failure()
            };
            match timeout(LIMIT, listen).await {
                Ok(Some(Failure::Tls(error))) => ConnectError::of_tls(&error, host_of(address), tls.has_certificate, &tls.roots),
                _ => None,
            }
        }
    }
}

/// Whether a server answers a TLS record with a TLS record.
async fn uses_tls(address: &str) -> bool {
    /// A record with an invalid handshake message: a server with TLS answers with an alert.
    const INVALID_HANDSHAKE: [u8; 9] = [0x16, 3, 1, 0, 4, 0, 0, 0, 0];
    let attempt = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&INVALID_HANDSHAKE).await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(matches!(answer, [0x15 | 0x16, 3]))
    };
    attempt.await.unwrap_or(false)
}

/// Whether the broker requires SASL. Boxed because the future is recursive: a connection looks into its own failures.
pub(super) fn requires_sasl<'c>(
    address: &'c str,
    security: &'c Arc<Security>,
    timeouts: &'c Timeouts,
) -> Pin<Box<dyn Future<Output = Option<ConnectError>> + Send + 'c>> {
    let attempt = async {
        let connection = Connection::connect_unauthenticated(address, security, timeouts).await.ok()?.without_diagnosis();
        // A port without SASL answers with ILLEGAL_SASL_STATE.
        match sasl::offered(&connection, NO_MECHANISM).await.ok()? {
            (ErrorCode::UNSUPPORTED_SASL_MECHANISM, offered) => Some(ConnectError::SaslNeeded { offered }),
            _ => None,
        }
    };
    Box::pin(async { timeout(LIMIT, attempt).await.ok()? })
}
