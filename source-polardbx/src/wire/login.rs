//! The beginning of a connection: the server's greeting, and the authentication of this program.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::error::WireError;
use super::proof::{Plugin, caching_sha2, ed25519, encrypted, native, parsec};

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

/// How a password may be sent over a connection that is not encrypted, if the server asks for the password itself.
#[derive(Clone, Debug, Default)]
pub(crate) enum PlainPassword {
    /// Not at all. Whoever reads the connection or answers for the server would learn it.
    #[default]
    Never,
    /// Encrypted with this public key, in PEM form, which belongs to the server.
    ForKey(Arc<str>),
    /// Encrypted with whatever public key the server sends.
    ForAnyKey,
}

/// Authenticates with the plugin that the server asks for.
pub(super) struct Login<'a> {
    user: &'a str,
    password: &'a SecretString,
    encrypted: bool,
    plain_password: &'a PlainPassword,
    plugin: Plugin,
    nonce: Vec<u8>,
    switched: bool,
    state: State,
}

/// Which packet the server may send next, besides the last one of the login.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// An answer to a proof, or the wish for another plugin.
    Proven,
    /// Its public key.
    AwaitsKey,
    /// How to make the key for `parsec`.
    AwaitsSalt,
    /// Only whether the login has succeeded.
    Finished,
}

/// The next step after a packet from the server.
#[derive(Debug)]
pub(super) enum Next {
    Send(Vec<u8>),
    Wait,
    Done,
}

impl<'a> Login<'a> {
    pub(super) fn new(
        greeting: Greeting,
        user: &'a str,
        password: &'a SecretString,
        encrypted: bool,
        plain_password: &'a PlainPassword,
    ) -> Self {
        // The greeting names the server's default plugin. If the account uses another plugin, the server asks the client to switch.
        let known = Plugin::of_name(&greeting.plugin).filter(|plugin| matches!(plugin, Plugin::Native | Plugin::CachingSha2));
        let plugin = known.unwrap_or(Plugin::Native);
        Self { user, password, encrypted, plain_password, plugin, nonce: greeting.nonce, switched: false, state: State::Proven }
    }

    /// The login packet.
    pub(super) fn response(&mut self) -> Result<Vec<u8>, WireError> {
        let proof = self.proof()?;
        let length = u8::try_from(proof.len()).map_err(|_| WireError::lost("the proof of the password is too long"))?;
        let mut packet = head(self.encrypted);
        packet.extend_from_slice(self.user.as_bytes());
        packet.push(0);
        packet.push(length);
        packet.extend_from_slice(&proof);
        packet.extend_from_slice(self.plugin.name().as_bytes());
        packet.push(0);
        Ok(packet)
    }

    /// Handles a packet that the server sent after the login packet.
    pub(super) fn take(&mut self, packet: &[u8]) -> Result<Next, WireError> {
        match (self.state, packet) {
            (_, [0x00, ..]) => Ok(Next::Done),
            (_, [0xff, ..]) => Err(WireError::refused(packet)),
            (State::Proven, [0xfe, rest @ ..]) if !self.switched && !rest.is_empty() => {
                self.switched = true;
                let name = until_zero(rest);
                let nonce = rest.get(name.len() + 1..).unwrap_or_default();
                self.nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec();
                let name = String::from_utf8_lossy(name);
                self.plugin = Plugin::of_name(&name).ok_or_else(|| WireError::Plugin(name.into_owned()))?;
                self.proof().map(Next::Send)
            }
            (State::Proven, [0x01, answer]) if self.plugin == Plugin::CachingSha2 => match answer {
                // The server found the hash of the password in its cache. The server sends an OK packet next.
                3 => {
                    self.state = State::Finished;
                    Ok(Next::Wait)
                }
                4 => self.password(0x02),
                _ => Err(not_understood()),
            },
            (State::AwaitsKey, [0x01, key @ ..]) => {
                let key = std::str::from_utf8(key).map_err(|_| not_understood())?;
                self.state = State::Finished;
                encrypted(self.secret(), &self.nonce, key).map(Next::Send)
            }
            // Early versions of the server do not write the byte before the request.
            (State::AwaitsSalt, [0x01, request @ ..] | request) => {
                self.state = State::Finished;
                parsec(self.secret(), &self.nonce, request).map(Next::Send)
            }
            _ => Err(not_understood()),
        }
    }

    /// Sends the password itself, if that is safe. `wish_for_key` is the request for the server's public key, which depends on the plugin.
    fn password(&mut self, wish_for_key: u8) -> Result<Next, WireError> {
        self.state = State::Finished;
        if self.encrypted {
            return Ok(Next::Send([self.secret(), b"\0"].concat()));
        }
        match self.plain_password {
            PlainPassword::Never => Err(WireError::Unencrypted(self.plugin.name())),
            PlainPassword::ForKey(key) => encrypted(self.secret(), &self.nonce, key).map(Next::Send),
            PlainPassword::ForAnyKey => {
                self.state = State::AwaitsKey;
                Ok(Next::Send(vec![wish_for_key]))
            }
        }
    }

    fn secret(&self) -> &'a [u8] {
        self.password.expose_secret().as_bytes()
    }

    /// The answer to a request for a proof.
    fn proof(&mut self) -> Result<Vec<u8>, WireError> {
        let secret = self.secret();
        match self.plugin {
            Plugin::Native => Ok(native(secret, &self.nonce)),
            Plugin::CachingSha2 => Ok(caching_sha2(secret, &self.nonce)),
            Plugin::Ed25519 => ed25519(secret, &self.nonce),
            Plugin::Parsec => {
                self.state = State::AwaitsSalt;
                Ok(Vec::new())
            }
            Plugin::Sha256 if secret.is_empty() => Ok(vec![0]),
            Plugin::Sha256 => match self.password(0x01)? {
                Next::Send(bytes) => Ok(bytes),
                Next::Wait | Next::Done => Err(not_understood()),
            },
        }
    }
}

fn not_understood() -> WireError {
    WireError::lost("the server's answer to the login is not understood")
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
        let whole = greeting("caching_sha2_password", ENCRYPTION);
        let read = Greeting::read(&whole).unwrap();
        assert!(read.can_encrypt);
        assert_eq!((read.nonce.as_slice(), read.plugin.as_str()), (&b"abcdefghijklmnopqrst"[..], "caching_sha2_password"));
        for length in 0..whole.len() - "caching_sha2_password".len() - 2 {
            assert!(Greeting::read(&whole[..length]).is_none_or(|read| read.plugin.is_empty()), "{length}");
        }
        assert!(Greeting::read(b"HTTP/1.1 400 Bad Request\r\n").is_none());
    }

    fn login<'a>(plugin: &str, encrypted: bool, password: &'a SecretString, plain_password: &'a PlainPassword) -> Login<'a> {
        Login::new(Greeting::read(&greeting(plugin, 0)).unwrap(), "dts", password, encrypted, plain_password)
    }

    #[test]
    fn the_servers_requests_are_followed() {
        let password = SecretString::from("secret");
        let login = |plugin, encrypted| login(plugin, encrypted, &password, &PlainPassword::Never);
        let mut plain = login("caching_sha2_password", false);
        assert!(plain.response().unwrap().ends_with(b"caching_sha2_password\0"));
        assert!(
            plain
                .take(b"\xfemysql_native_password\0abcdefghijklmnopqrst\0")
                .is_ok_and(|next| matches!(next, Next::Send(sent) if sent.len() == 20))
        );
        assert!(plain.take(b"\xfemysql_native_password\0abcdefghijklmnopqrst\0").is_err(), "only once");
        let mut cached = login("caching_sha2_password", false);
        assert!(matches!(cached.take(&[1, 3]), Ok(Next::Wait)));
        assert!(cached.take(&[1, 4]).is_err(), "it has finished");
        assert!(matches!(login("caching_sha2_password", true).take(&[1, 4]), Ok(Next::Send(sent)) if sent == b"secret\0"));
        assert!(matches!(login("", false).take(b"\xfedialog\0x\0"), Err(WireError::Plugin(name)) if name == "dialog"));
        assert!(
            matches!(login("", false).take(b"\xff\x15\x04#28000Access denied"), Err(WireError::Refused(1045, message)) if message == "Access denied")
        );
        assert!(matches!(login("", false).take(&[]), Err(WireError::Lost(_))));
    }

    #[test]
    fn accounts_of_mariadb() {
        let password = SecretString::from("secret");
        let login = || login("mysql_native_password", false, &password, &PlainPassword::Never);
        let nonce = [7; 32];
        let switch = |plugin: &str| [b"\xfe", plugin.as_bytes(), b"\0", &nonce].concat();
        assert!(matches!(login().take(&switch("client_ed25519")), Ok(Next::Send(sent)) if sent.len() == 64));
        assert!(login().take(b"\xfeclient_ed25519\0short").is_err());
        for before in [&b""[..], b"\x01"] {
            let mut login = login();
            assert!(matches!(login.take(&switch("parsec")), Ok(Next::Send(sent)) if sent.is_empty()));
            assert!(matches!(login.take(&[before, b"P\x000123456789abcdef"].concat()), Ok(Next::Send(sent)) if sent.len() == 96));
            assert!(login.take(b"P\x000123456789abcdef").is_err(), "it has finished");
        }
    }

    #[test]
    fn a_password_leaves_a_plain_connection_only_for_a_key() {
        let password = SecretString::from("secret");
        let plugins = [("caching_sha2_password", &[1, 4][..], 2), ("sha256_password", b"\xfesha256_password\0abcdefghijklmnopqrst\0", 1)];
        for (plugin, request, wish) in plugins {
            let never = login(plugin, false, &password, &PlainPassword::Never).take(request);
            assert!(matches!(never, Err(WireError::Unencrypted(name)) if name == plugin), "{plugin}");
            let mut any = login(plugin, false, &password, &PlainPassword::ForAnyKey);
            assert!(matches!(any.take(request), Ok(Next::Send(sent)) if sent == [wish]), "{plugin}");
            for key in [&b"\x01"[..], b"\x01no key", b"\x01\xff", b""] {
                let mut any = login(plugin, false, &password, &PlainPassword::ForAnyKey);
                any.take(request).unwrap();
                assert!(any.take(key).is_err(), "{plugin}");
            }
            assert!(
                matches!(login(plugin, true, &password, &PlainPassword::Never).take(request), Ok(Next::Send(sent)) if sent == b"secret\0")
            );
        }
    }
}
