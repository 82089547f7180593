//! False servers, and servers that want the program's memory or password. Whatever they send, the program ends with an error, in time, and
//! with little memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tests::Result;

use super::hostile::run;

const PASSWORD: &str = "a password of eighteen";
/// The longest that a check of such a server may take.
const LIMIT: Duration = Duration::from_secs(100);

/// What a false server sends, in order: each part as soon as the client has sent something, the first at once.
type Script = Vec<Vec<u8>>;

/// A false server for the MySQL protocol.
struct FalseServer {
    address: SocketAddr,
    /// What all clients have sent.
    heard: Arc<Mutex<Vec<u8>>>,
}

impl FalseServer {
    /// Plays the script on each connection. Then sends `endless` again and again, for as long as the client takes it.
    fn start(script: Script, endless: &[u8]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, heard) = (listener.local_addr()?, Arc::<Mutex<Vec<u8>>>::default());
        let (all, endless) = (heard.clone(), endless.to_vec());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, endless, heard) = (script.clone(), endless.clone(), all.clone());
                std::thread::spawn(move || play(stream, &script, &endless, &heard));
            }
        });
        Ok(Self { address, heard })
    }

    fn heard(&self, what: &[u8]) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.windows(what.len()).any(|found| found == what)
    }
}

/// Ends when the client does.
fn play(mut stream: TcpStream, script: &Script, endless: &[u8], heard: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    for (number, part) in script.iter().enumerate() {
        if number > 0 {
            let Ok(read @ 1..) = stream.read(&mut buffer) else { return };
            heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
        }
        if part.is_empty() {
            // The client is disconnected, without a word.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        if stream.write_all(part).is_err() {
            return;
        }
    }
    let deadline = Instant::now() + LIMIT;
    while !endless.is_empty() && Instant::now() < deadline {
        if stream.write_all(endless).is_err() {
            return;
        }
    }
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
    }
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..3], &[number], body].concat()
}

fn greeting(plugin: &str, encrypts: bool) -> Vec<u8> {
    // Protocol 4.1, secure authentication and plugins; TLS if wanted.
    let capabilities: u32 = 0x0008_a200 | if encrypts { 0x800 } else { 0 };
    let [low_a, low_b, high_a, high_b] = capabilities.to_le_bytes();
    let mut body = b"\x0a8.0.33\0\x01\0\0\0abcdefgh\0".to_vec();
    body.extend_from_slice(&[low_a, low_b, 45, 2, 0, high_a, high_b, 21]);
    body.extend_from_slice(&[0; 10]);
    body.extend_from_slice(b"ijklmnopqrst\0");
    body.extend_from_slice(plugin.as_bytes());
    body.push(0);
    packet(0, &body)
}

fn ok(number: u8) -> Vec<u8> {
    packet(number, &[0, 0, 0, 2, 0, 0, 0])
}

/// Runs `check` against the server. Returns what it says.
async fn check(server: &FalseServer, keys: &str) -> Result<String> {
    let configuration = format!(
        "[source.polardbx]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"dts\"\npassword = {PASSWORD:?}\ntables = [\"d.*\"]\n{keys}\n\
         [sink.kafka]\nbrokers = [\"127.0.0.1:1\"]\ntopic = \"t\"\nformat.canal_json = {{}}",
        server.address.port()
    );
    let (status, said) = run("check", &configuration, LIMIT).await?;
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    assert!(!server.heard(PASSWORD.as_bytes()), "the server has got the password:\n{said}");
    Ok(said)
}

#[tokio::test]
async fn an_authentication_plugin_that_is_not_known_is_named() -> Result<()> {
    for (plugin, nonce, said) in [
        ("dialog", &b"x\0"[..], "plugin dialog"),
        ("mysql_clear_password", b"x\0", "plugin mysql_clear_password"),
        ("mysql_old_password", b"x\0", "plugin mysql_old_password"),
        ("client_ed25519", b"short", "client_ed25519"),
        ("parsec", b"short", "parsec"),
    ] {
        let switch = [b"\xfe", plugin.as_bytes(), b"\0", nonce].concat();
        let server = FalseServer::start(vec![greeting("mysql_native_password", false), packet(2, &switch), packet(4, b"P\x09short")], &[])?;
        let found = check(&server, "").await?;
        assert!(found.contains(said), "{plugin}: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn a_password_is_not_encrypted_for_whoever_asks() -> Result<()> {
    let full = vec![greeting("caching_sha2_password", false), packet(2, &[1, 4]), packet(4, b"\x01-----BEGIN PUBLIC KEY-----")];
    let server = FalseServer::start(full.clone(), &[])?;
    let found = check(&server, "").await?;
    assert!(found.contains("caching_sha2_password") && found.contains("server_public_key"), "{found}");
    assert!(!server.heard(&packet(3, &[2])), "the program asks for a key");
    // Whoever allows that gets an error from what is no key.
    for key in [&b"\x01"[..], b"\x01no key", b"", b"\x01-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"] {
        let mut script = full.clone();
        script[2] = packet(4, key);
        let server = FalseServer::start(script, &[])?;
        check(&server, "allow_public_key_retrieval = true").await?;
        assert!(server.heard(&packet(3, &[2])));
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_believed_of_an_answers_size() -> Result<()> {
    let logged_in = || vec![greeting("mysql_native_password", false), ok(2)];
    for answer in [
        packet(1, &[0xfe, 255, 255, 255, 255, 255, 255, 255, 255]),
        packet(1, &[0xfe, 0, 0, 0, 0, 0, 1, 0, 0]),
        packet(1, &[0xfd, 255, 255, 255]),
        packet(1, b"\xfb/etc/passwd"),
        packet(1, b""),
        [&[0xff, 0xff, 0xff, 1][..], &[1; 100]].concat(),
    ] {
        let script = [logged_in(), vec![answer.clone()], vec![Vec::new()]].concat();
        let server = FalseServer::start(script, &[])?;
        let found = check(&server, "").await?;
        assert!(!server.heard(b"root:"), "it has sent a file: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn endless_answers_are_cut() -> Result<()> {
    let column = b"\x03def\0\0\0\x01c\0\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0".to_vec();
    let row = |length: usize| [&[0xfd][..], &(length as u32).to_le_bytes()[..3], &vec![b'x'; length]].concat();
    // Long packets before the login, and rows without an end behind it. Their numbers go on from packet to packet.
    let numbered = |from: u8, body: &[u8]| (0..=255u8).flat_map(|number| packet(from.wrapping_add(number), body)).collect::<Vec<u8>>();
    let server = FalseServer::start(Vec::new(), &numbered(0, &[10; 70_000]))?;
    let found = check(&server, "").await?;
    assert!(found.contains("more than 65536 bytes at once"), "{found}");
    let server = FalseServer::start(Vec::new(), &packet(0, &vec![10; 0xff_ffff]))?;
    check(&server, "").await?;
    for length in [10, 60_000] {
        let mut answer = [packet(1, &[1]), packet(2, &column), packet(3, &[0xfe, 0, 0, 2, 0])].concat();
        answer.extend((4..=255u8).flat_map(|number| packet(number, &row(length))));
        let script = vec![greeting("mysql_native_password", false), ok(2), answer];
        let server = FalseServer::start(script, &numbered(0, &row(length)))?;
        let found = check(&server, "").await?;
        assert!(found.contains("takes more than 16 MiB"), "{found}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_in_a_handshake_does_not_switch_encryption_off() -> Result<()> {
    // The first part that is empty resets the connection behind the request for encryption.
    for mode in ["preferred", "required"] {
        let server = FalseServer::start(vec![greeting("mysql_native_password", true), Vec::new()], &[])?;
        let found = check(&server, &format!("tls = {{ mode = {mode:?} }}")).await?;
        assert!(found.contains("TLS"), "{found}");
        assert!(!server.heard(b"dts\0"), "the login went out in the clear: {found}");
    }
    Ok(())
}
