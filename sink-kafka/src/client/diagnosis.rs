//! After a connection was ended without a word: asks again, in a way that tells why. Nothing here carries a secret, and a question that is
//! not answered in time leaves the failure as it was: one that may pass.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rskafka::messenger::Messenger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect_error::DoorError;
use super::connection::{CLIENT_ID, Connection, Timeouts, dial, host_of};
use super::sasl;
use super::security::Security;
use super::stream::{Stream, Trouble, Watched};

/// For each question.
const LIMIT: Duration = Duration::from_secs(2);
/// The largest answer of the agreement on versions.
const ANSWER_BYTES: usize = 1 << 20;
/// No broker has a mechanism of this name: it answers with the list of those that it has.
const NO_MECHANISM: &str = "NONE";

/// Whether a broker answers on this port without TLS.
pub(super) async fn speaks_plainly(address: &str) -> bool {
    let ask = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (stream, watch) = Watched::new(Stream::Plain(stream));
        let mut messenger = Messenger::new(stream, ANSWER_BYTES, CLIENT_ID.into());
        let answer = messenger.sync_versions().await;
        (answer.is_ok() && watch.trouble().is_none()).then_some(())
    };
    matches!(timeout(LIMIT, ask).await, Ok(Some(())))
}

/// The broker hung up before it told its versions: is it TLS that is missing, or the client certificate?
pub(super) async fn ended_at_once(address: &str, security: &Security) -> Option<DoorError> {
    match &security.tls {
        None => timeout(LIMIT, speaks_tls(address)).await.ok()?.then_some(DoorError::TlsNeeded),
        // In TLS 1.3 the client certificate is judged after we may already write, and what we wrote can push the verdict aside. So nothing
        // is written this time.
        Some(tls) => {
            let listen = async {
                let (stream, _socket) = dial(address, security.tls.as_ref()).await.ok()?;
                let (mut stream, watch) = Watched::new(stream);
                let _ = stream.read(&mut [0]).await;
                watch.trouble()
            };
            match timeout(LIMIT, listen).await {
                Ok(Some(Trouble::Tls(error))) => DoorError::of_tls(&error, host_of(address), tls.own, &tls.roots),
                _ => None,
            }
        }
    }
}

/// Whether a record of TLS comes back for one.
async fn speaks_tls(address: &str) -> bool {
    /// A record with the shortest handshake message that is none: whoever speaks TLS answers with an alert.
    const NONSENSE: [u8; 9] = [0x16, 3, 1, 0, 4, 0, 0, 0, 0];
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&NONSENSE).await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(matches!(answer, [0x15 | 0x16, 3]))
    };
    ask.await.unwrap_or(false)
}

/// Whether the broker wants to know who we are before it answers anything. Boxed: a question whose failure asks it again has no size.
pub(super) fn wants_sasl<'c>(
    address: &'c str,
    security: &'c Arc<Security>,
    timeouts: &'c Timeouts,
) -> Pin<Box<dyn Future<Output = Option<DoorError>> + Send + 'c>> {
    let ask = async {
        let connection = Connection::greet(address, security, timeouts).await.ok()?.unasked();
        // A port without SASL calls the question illegal.
        match sasl::offered(&connection, NO_MECHANISM).await.ok()? {
            (33, offered) => Some(DoorError::SaslNeeded { offered }),
            _ => None,
        }
    };
    Box::pin(async { timeout(LIMIT, ask).await.ok()? })
}
