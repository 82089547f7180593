//! A man in the middle between clients and a MySQL server. He has a certificate and an RSA key of his own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
use rsa::{Generate as _, PrivateKey};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::Sha1;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::Identity;
use crate::Result;

/// The flag of a greeting or of a request that stands for TLS.
const TLS: u16 = 0x800;

/// Shows clients the greeting of the real server, and then asks for the password itself, in each way in which a client may give it. Notes
/// everything that a client says. The client's account must use `caching_sha2_password`, the default of MySQL 8.
pub struct Impostor {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

/// What an impostor does about encryption.
#[derive(Clone, Copy, Debug)]
pub enum Disguise<'a> {
    /// Clients that want TLS get it, with a certificate that nobody has signed.
    OwnCertificate,
    /// Clients that want TLS get it, with this certificate.
    Certificate(&'a Identity),
    /// He says that the server has no TLS.
    NoTls,
}

struct Means {
    server: SocketAddr,
    /// `None` if the greeting must not offer TLS.
    acceptor: Option<TlsAcceptor>,
    key: PrivateKey,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Impostor {
    /// Stands in front of `server` until dropped.
    pub async fn start(server: SocketAddr, disguise: Disguise<'_>) -> Result<Self> {
        let acceptor = match disguise {
            Disguise::NoTls => None,
            Disguise::OwnCertificate => {
                let own = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
                let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
                Some(acceptor(own.cert.der().clone(), key.into())?)
            }
            Disguise::Certificate(identity) => {
                Some(acceptor(CertificateDer::from_pem_file(&identity.cert)?, PrivateKeyDer::from_pem_file(&identity.key)?)?)
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, heard) = (listener.local_addr()?, Arc::<Mutex<Vec<u8>>>::default());
        let means = Arc::new(Means { server, acceptor, key: PrivateKey::generate(), heard: heard.clone() });
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let means = means.clone();
                // The client sees an error as well.
                tokio::spawn(async move { means.talk(client).await });
            }
        });
        Ok(Self { address, heard, task })
    }

    /// The address to which clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a client has said this in a way that the impostor can read.
    pub fn has_heard(&self, what: &[u8]) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).windows(what.len()).any(|found| found == what)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(cert: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_no_client_auth();
    Ok(Arc::new(builder.with_single_cert(vec![cert], key)?).into())
}

impl Means {
    async fn talk(&self, mut client: TcpStream) -> Result<()> {
        let (_, mut greeting) = read(&mut TcpStream::connect(self.server).await?).await?;
        let nonce = self.disguise(&mut greeting);
        write(&mut client, 0, &greeting).await?;
        let (number, request) = read(&mut client).await?;
        let flags = request.first_chunk().map_or(0, |flags| u16::from_le_bytes(*flags));
        match &self.acceptor {
            Some(acceptor) if flags & TLS != 0 => {
                let mut client = acceptor.accept(client).await?;
                let (number, request) = read(&mut client).await?;
                self.ask(client, number, request, &nonce).await
            }
            _ => self.ask(client, number, request, &nonce).await,
        }
    }

    /// Removes the offer of TLS if that is wanted. Returns the nonce.
    fn disguise(&self, greeting: &mut [u8]) -> Vec<u8> {
        let version = greeting.iter().position(|&byte| byte == 0).unwrap_or_default();
        // The thread, the first part of the nonce and a byte without meaning stand before the flags.
        let Some(rest) = greeting.get_mut(version + 5..) else { return Vec::new() };
        if let (None, Some(high)) = (&self.acceptor, rest.get_mut(10)) {
            *high &= !(TLS >> 8) as u8;
        }
        [rest.get(..8), rest.get(27..39)].into_iter().flatten().flatten().copied().collect()
    }

    /// Asks the client for the password.
    async fn ask(&self, mut client: impl AsyncRead + AsyncWrite + Unpin, number: u8, login: Vec<u8>, nonce: &[u8]) -> Result<()> {
        self.note(&login);
        write(&mut client, number.wrapping_add(1), &[1, 4]).await?;
        let (number, answer) = read(&mut client).await?;
        self.note(&answer);
        if answer == [2] {
            // The client wants the server's public key.
            let key = self.key.to_public_key().to_public_key_pem(LineEnding::LF)?;
            write(&mut client, number.wrapping_add(1), &[b"\x01", key.as_bytes()].concat()).await?;
            let (_, answer) = read(&mut client).await?;
            let hidden = self.key.oaep_decrypt::<Sha1>(&answer)?;
            let password: Vec<u8> = hidden.iter().zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            self.note(&password);
        }
        Ok(())
    }

    fn note(&self, said: &[u8]) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(said);
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<(u8, Vec<u8>)> {
    let length = stream.read_u32_le().await?;
    let mut body = vec![0; (length & 0xff_ffff) as usize];
    stream.read_exact(&mut body).await?;
    Ok(((length >> 24) as u8, body))
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), number: u8, body: &[u8]) -> Result<()> {
    let header = body.len() as u32 | u32::from(number) << 24;
    stream.write_all(&[&header.to_le_bytes(), body].concat()).await?;
    Ok(stream.flush().await?)
}
