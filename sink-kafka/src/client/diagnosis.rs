//! Finds out why a broker ended a connection without an answer, by opening further connections with other settings. No password is sent on
//! them. If the diagnosis gets no answer in time, the failure counts as one that may pass by itself.

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

/// The time limit of each diagnostic connection.
const LIMIT: Duration = Duration::from_secs(2);
/// A SASL mechanism that no broker has. The broker refuses it and lists the mechanisms that it offers.
const NO_MECHANISM: &str = "NONE";

/// Whether a broker answers on this port without TLS.
pub(super) async fn answers_without_tls(address: &str) -> bool {
    let attempt = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (stream, watch) = Watched::new(Stream::Plain(stream));
        let mut messenger = Messenger::new(stream, usize::MAX, CLIENT_ID.into());
        let answer = messenger.sync_versions().await;
        (answer.is_ok() && watch.failure().is_none()).then_some(())
    };
    matches!(timeout(LIMIT, attempt).await, Ok(Some(())))
}

/// The reason why a broker ended the connection before it sent its API versions: TLS or the client certificate is missing or refused.
/// `None` if the reason is not found.
pub(super) async fn ended_at_once(address: &str, security: &Security) -> Option<ConnectError> {
    match &security.tls {
        None => timeout(LIMIT, uses_tls(address)).await.ok()?.then_some(ConnectError::TlsNeeded),
        // In TLS 1.3 the server checks the client certificate when the client may already write. Data that the client writes can prevent it
        // from reading the server's alert. So the client only reads here.
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

/// Whether a server answers a TLS record with a TLS record, which shows that it uses TLS.
async fn uses_tls(address: &str) -> bool {
    /// A TLS record with an invalid handshake message. A server that uses TLS answers it with an alert.
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

/// Returns an error with the offered mechanisms if the broker requires SASL. The future is boxed because it is recursive: opening a
/// connection can itself start a diagnosis.
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
