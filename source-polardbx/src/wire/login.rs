//! The beginning of a connection: the server's greeting, and the authentication of this program.

use secrecy::{ExposeSecret, SecretString};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::WireError;

/// The capability flags of this client: long passwords, long flags, protocol 4.1, transactions, secure authentication, authentication
/// plugins.
const CAPABILITIES: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x8_0000;
pub(super) const ENCRYPTION: u32 = 0x800;
/// The number of the collation utf8mb4_general_ci.
const COLLATION: u8 = 45;
const MAX_PACKET: u32 = 1 << 30;

/// The greeting, which is the server's first packet.
pub(super) struct Greeting {
    pub(super) can_encrypt: bool,
    nonce: Vec<u8>,
    plugin: String,
}

impl Greeting {
    /// Parses the greeting; `None` if the packet is not a greeting.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let rest = packet.strip_prefix(&[10])?;
        let version = rest.iter().position(|&byte| byte == 0)?;
        let (_thread, rest) = rest.get(version + 1..)?.split_first_chunk::<4>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (&[_, low_a, low_b], rest) = rest.split_first_chunk::<3>()?;
        // The next fields are the character set, the status, the upper half of the capabilities, the length of the nonce, and ten bytes
        // that only MariaDB uses.
        let (&[_, _, _, high_a, high_b, _], rest) = rest.split_first_chunk::<6>()?;
        let rest = rest.get(10..)?;
        let capabilities = u32::from_le_bytes([low_a, low_b, high_a, high_b]);
        let mut nonce = first.to_vec();
        nonce.extend_from_slice(rest.get(..12)?);
        let plugin = rest.get(13..).map(until_zero).unwrap_or_default();
        Some(Self { can_encrypt: capabilities & ENCRYPTION != 0, nonce, plugin: String::from_utf8_lossy(plugin).into_owned() })
    }
}

/// The fields at the beginning of both the request for encryption and the login packet.
pub(super) fn head(encryption: bool) -> Vec<u8> {
    let capabilities = CAPABILITIES | if encryption { ENCRYPTION } else { 0 };
    let mut head = capabilities.to_le_bytes().to_vec();
    head.extend_from_slice(&MAX_PACKET.to_le_bytes());
    head.push(COLLATION);
    head.extend_from_slice(&[0; 23]);
    head
}

/// Authenticates with the plugin that the server asks for.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a SecretString,
    pub(super) encrypted: bool,
    plugin: String,
    nonce: Vec<u8>,
    switched: bool,
}

/// The next step after a packet from the server.
pub(super) enum Next {
    Send(Vec<u8>),
    Wait,
    Done,
    /// The server asks for the password itself, but the connection is not encrypted.
    NeedsPassword,
}

impl<'a> Login<'a> {
    pub(super) fn new(greeting: Greeting, user: &'a str, password: &'a SecretString, encrypted: bool) -> Self {
        // The greeting names the server's default plugin. If the account uses another plugin, the server asks the client to switch.
        let known = matches!(greeting.plugin.as_str(), NATIVE | CACHING_SHA2);
        let plugin = if known { greeting.plugin } else { NATIVE.to_owned() };
        Self { user, password, encrypted, plugin, nonce: greeting.nonce, switched: false }
    }

    /// The login packet.
    pub(super) fn response(&self) -> Result<Vec<u8>, WireError> {
        let proof = self.proof()?;
        let mut packet = head(self.encrypted);
        packet.extend_from_slice(self.user.as_bytes());
        packet.push(0);
        packet.push(proof.len() as u8);
        packet.extend_from_slice(&proof);
        packet.extend_from_slice(self.plugin.as_bytes());
        packet.push(0);
        Ok(packet)
    }

    /// Handles a packet that the server sent after the login packet.
    pub(super) fn take(&mut self, packet: &[u8]) -> Result<Next, WireError> {
        match packet {
            [0x00, ..] => Ok(Next::Done),
            [0xff, ..] => Err(WireError::refused(packet)),
            [0xfe, rest @ ..] if !self.switched && !rest.is_empty() => {
                self.switched = true;
                let plugin = until_zero(rest);
                let nonce = rest.get(plugin.len() + 1..).unwrap_or_default();
                self.nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec();
                self.plugin = String::from_utf8_lossy(plugin).into_owned();
                self.proof().map(Next::Send)
            }
            // The server found the hash of the password in its cache. The server sends an OK packet next.
            [0x01, 0x03] if self.plugin == CACHING_SHA2 => Ok(Next::Wait),
            [0x01, 0x04] if self.plugin == CACHING_SHA2 && self.encrypted => Ok(Next::Send(self.plain())),
            [0x01, 0x04] if self.plugin == CACHING_SHA2 => Ok(Next::NeedsPassword),
            _ => Err(WireError::Lost("the server's answer to the login is not understood".to_owned())),
        }
    }

    fn plain(&self) -> Vec<u8> {
        [self.password.expose_secret().as_bytes(), b"\0"].concat()
    }

    fn proof(&self) -> Result<Vec<u8>, WireError> {
        let password = self.password.expose_secret().as_bytes();
        match self.plugin.as_str() {
            NATIVE | CACHING_SHA2 if password.is_empty() => Ok(Vec::new()),
            NATIVE => Ok(native(password, &self.nonce).to_vec()),
            CACHING_SHA2 => Ok(caching_sha2(password, &self.nonce).to_vec()),
            SHA256 if self.encrypted => Ok(self.plain()),
            other => Err(WireError::Plugin(other.to_owned())),
        }
    }
}

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";
const SHA256: &str = "sha256_password";

/// The proof for `mysql_native_password`: SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
fn native(password: &[u8], nonce: &[u8]) -> [u8; 20] {
    let once: [u8; 20] = Sha1::digest(password).into();
    let twice: [u8; 20] = Sha1::digest(once).into();
    let mask: [u8; 20] = Sha1::new().chain_update(nonce).chain_update(twice).finalize().into();
    std::array::from_fn(|place| once[place] ^ mask[place])
}

/// The proof for `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
fn caching_sha2(password: &[u8], nonce: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    let once: [u8; 32] = Sha256::digest(password).into();
    let twice: [u8; 32] = Sha256::digest(once).into();
    let mask: [u8; 32] = Sha256::new().chain_update(twice).chain_update(nonce).finalize().into();
    std::array::from_fn(|place| once[place] ^ mask[place])
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(plugin: &str, capabilities: u32) -> Vec<u8> {
        let [low_a, low_b, high_a, high_b] = capabilities.to_le_bytes();
        let mut packet = b"\x0a8.0.15\0\x01\0\0\0abcdefgh\0".to_vec();
        packet.extend_from_slice(&[low_a, low_b, 45, 2, 0, high_a, high_b, 21]);
        packet.extend_from_slice(&[0; 10]);
        packet.extend_from_slice(b"ijklmnopqrst\0");
        packet.extend_from_slice(plugin.as_bytes());
        packet.push(0);
        packet
    }

    #[test]
    fn a_greeting_is_read_and_half_of_one_is_refused() {
        let whole = greeting(CACHING_SHA2, ENCRYPTION);
        let read = Greeting::read(&whole).unwrap();
        assert!(read.can_encrypt);
        assert_eq!((read.nonce.as_slice(), read.plugin.as_str()), (&b"abcdefghijklmnopqrst"[..], CACHING_SHA2));
        for length in 0..whole.len() - CACHING_SHA2.len() - 2 {
            assert!(Greeting::read(&whole[..length]).is_none_or(|read| read.plugin.is_empty()), "{length}");
        }
        assert!(Greeting::read(b"HTTP/1.1 400 Bad Request\r\n").is_none());
    }

    #[test]
    fn the_servers_requests_are_followed() {
        let password = SecretString::from("secret");
        let login = |plugin, encrypted| Login::new(Greeting::read(&greeting(plugin, 0)).unwrap(), "dts", &password, encrypted);
        let mut plain = login(CACHING_SHA2, false);
        assert!(plain.response().unwrap().ends_with(b"caching_sha2_password\0"));
        assert!(matches!(plain.take(&[1, 3]), Ok(Next::Wait)));
        assert!(matches!(plain.take(&[1, 4]), Ok(Next::NeedsPassword)));
        assert!(matches!(login(CACHING_SHA2, true).take(&[1, 4]), Ok(Next::Send(sent)) if sent == b"secret\0"));
        assert!(matches!(plain.take(b"\xfemysql_native_password\0abcdefghijklmnopqrst\0"), Ok(Next::Send(sent)) if sent.len() == 20));
        assert!(plain.take(b"\xfemysql_native_password\0abcdefghijklmnopqrst\0").is_err(), "only once");
        let mut other = login("ed25519", false);
        assert!(matches!(other.take(b"\xfeclient_ed25519\0x\0"), Err(WireError::Plugin(name)) if name == "client_ed25519"));
        assert!(
            matches!(login(NATIVE, false).take(b"\xff\x15\x04#28000Access denied"), Err(WireError::Refused(1045, message)) if message == "Access denied")
        );
        assert!(matches!(login(NATIVE, false).take(&[]), Err(WireError::Lost(_))));
    }

    #[test]
    fn proofs_are_those_of_the_servers() {
        // Verifies the proof in the way a server does, which stores only SHA1(SHA1(password)).
        let nonce = b"abcdefghijklmnopqrst";
        let proof = native(b"secret", nonce);
        let stored: [u8; 20] = Sha1::digest(Sha1::digest(b"secret")).into();
        let mask: [u8; 20] = Sha1::new().chain_update(nonce).chain_update(stored).finalize().into();
        let once: [u8; 20] = std::array::from_fn(|place| proof[place] ^ mask[place]);
        assert_eq!(<[u8; 20]>::from(Sha1::digest(once)), stored);
    }
}
