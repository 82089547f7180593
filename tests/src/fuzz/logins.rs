//! Plays a server at the beginning of a connection: its greeting, its wishes for proofs of the password, its key, and whether it lets the
//! client in.
//!
//! The client may log in or refuse. It may not panic, and the password may never be readable in what it sends over a plain connection, nor
//! in an error.

use fastrand::Rng;
use source_polardbx::fuzzing::{Key, login};

use super::peer::{Conversation, at_once};
use crate::{Failure, Result};

const PLUGINS: [&str; 8] =
    ["mysql_native_password", "caching_sha2_password", "sha256_password", "client_ed25519", "parsec", "mysql_clear_password", "dialog", ""];

/// An RSA key of 1024 bits.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDDPwsBJeO6QKMmwAtimz8YQ0Xm\n\
    ANgFrNXXLmUj+dBclwlyI5EEDpINQatTFI7w4YSeOctngIbWTFPrzcgLRP9tO2wq\n\
    FTgdpwZ/okyRaWx3Y2sRm44L0LWqxU/VFG7uFTZGgRQ0mdOXzmV73Wlmp3OEb6/g\n\
    yENtB497ElfS6uK0IQIDAQAB\n\
    -----END PUBLIC KEY-----\n";
/// A key for an elliptic curve.
const OTHER_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEPfAeOtE6lEOmzXoacFA0ElpoTeiE\n\
    4uzsgW1tXn6LFnSHT8EEy5lFbAMBVW6dIX/H+D+GMg9bjJ7D2/uxTo0cJA==\n\
    -----END PUBLIC KEY-----\n";

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let mut sent = Conversation::default();
    sent.send(greeting(random));
    let mut lets_in = false;
    for _ in 0..random.usize(..5) {
        sent.heard();
        match random.u8(..8) {
            0 | 1 => sent.send([&[0xfe], random.choice(PLUGINS).unwrap_or_default().as_bytes(), &[0], &nonce(random)].concat()),
            2 => {
                sent.send([1, 3]);
                sent.begin(3);
            }
            3 => sent.send([1, 4]),
            4 => sent.send([&[1], random.choice([KEY, OTHER_KEY, "", "no key"]).unwrap_or_default().as_bytes()].concat()),
            5 => sent.send([&[b'P', random.u8(..5)][..], &nonce(random)].concat()),
            6 => sent.send(*b"\xff\x15\x04#28000Access denied"),
            _ => {
                lets_in = true;
                break;
            }
        }
    }
    if lets_in || random.bool() {
        sent.send([0, 0, 0, 2, 0, 0, 0]);
    }
    if random.u8(..4) > 0 {
        sent.mutate(random);
    }
    let password = random.choice(["", "planted-password", &"planted-password".repeat(30)]).unwrap_or_default().to_owned();
    let key = random.choice([Key::None, Key::Any, Key::Of(KEY.into()), Key::Of("no key".into())]).unwrap_or(Key::None);
    let is_encrypted = random.u8(..4) == 0;
    let (result, written) = at_once(login(sent.bytes(), &password, key, is_encrypted))?;
    let holds = |bytes: &[u8]| !password.is_empty() && bytes.windows(16).any(|window| window == b"planted-password");
    if !is_encrypted && holds(&written) {
        return Failure::err("the password is readable in what was sent");
    }
    match result {
        Err(error) if holds(format!("{error} {error:?}").as_bytes()) => Failure::err("an error holds the password"),
        _ => Ok(()),
    }
}

fn nonce(random: &mut Rng) -> Vec<u8> {
    let length = [0, 1, 16, 20, 21, 31, 32, 33, 300][random.usize(..9)];
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

fn greeting(random: &mut Rng) -> Vec<u8> {
    let mut packet = b"\x0a8.0.15\0\x01\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\xff\x15".to_vec();
    packet.extend_from_slice(&[0; 10]);
    packet.extend_from_slice(b"ijklmnopqrst\0");
    packet.extend_from_slice(random.choice(PLUGINS).unwrap_or_default().as_bytes());
    packet.push(0);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most rounds end early. This one does not, so the conversation is one that a client follows.
    #[test]
    fn a_server_that_keeps_to_the_protocol_lets_the_client_in() {
        let mut sent = Conversation::default();
        sent.send(
            b"\x0a8.0.15\0\x01\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\xff\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0",
        );
        sent.heard();
        sent.send([1, 4]);
        sent.heard();
        sent.send([&[1], KEY.as_bytes()].concat());
        sent.heard();
        sent.send([0, 0, 0, 2, 0, 0, 0]);
        let (result, written) = at_once(login(sent.bytes(), "planted-password", Key::Any, false)).unwrap();
        assert!(result.is_ok(), "{result:?}");
        assert!(written.len() > 128, "the encrypted password was sent");
    }
}
