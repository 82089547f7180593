//! The proofs by which an account shows that it knows its password, one for each authentication plugin.

use mysql_common::scramble::{create_response_for_ed25519, create_response_for_parsec, scramble_native, scramble_sha256};
use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use sha1::Sha1;

use super::WireError;

/// An authentication plugin for which this program has proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    Native,
    CachingSha2,
    /// Only the password itself is a proof for it.
    Sha256,
    /// `client_ed25519` of MariaDB.
    Ed25519,
    /// `parsec` of MariaDB.
    Parsec,
}

impl Plugin {
    const NAMES: [(&str, Self); 5] = [
        ("mysql_native_password", Self::Native),
        ("caching_sha2_password", Self::CachingSha2),
        ("sha256_password", Self::Sha256),
        ("client_ed25519", Self::Ed25519),
        ("parsec", Self::Parsec),
    ];

    /// The plugin of this name; `None` if there are no proofs for it.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, plugin)| *plugin)
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, plugin)| *plugin == self).map_or("", |(name, _)| name)
    }
}

/// The proof for `mysql_native_password`: SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))). Empty for an empty password.
pub(super) fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    scramble_native(nonce, password).map(Vec::from).unwrap_or_default()
}

/// The proof for `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce). Empty for an empty password.
pub(super) fn caching_sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    scramble_sha256(nonce, password).map(Vec::from).unwrap_or_default()
}

/// The proof for `client_ed25519`: a signature of the nonce, by a key that is made from the password.
pub(super) fn ed25519(password: &[u8], nonce: &[u8]) -> Result<Vec<u8>, WireError> {
    if nonce.len() != ED25519_NONCE_BYTES {
        return Err(WireError::lost("the server's request for a proof of client_ed25519 has a wrong length"));
    }
    Ok(create_response_for_ed25519(password, nonce).to_vec())
}

const ED25519_NONCE_BYTES: usize = 32;

/// The proof for `parsec`: a signature of the nonce, by a key that is derived from the password as `request` says. The request is `P`, the
/// logarithm of the number of rounds, and a salt.
pub(super) fn parsec(password: &[u8], nonce: &[u8], request: &[u8]) -> Result<Vec<u8>, WireError> {
    const LEAST_SALT_BYTES: usize = 16;
    /// The server allows no greater number either.
    const GREATEST_FACTOR: u8 = 3;
    let (Ok(nonce), [b'P', factor @ 0..=GREATEST_FACTOR, salt @ ..]) = (nonce.try_into(), request) else {
        return Err(WireError::lost("the server's request for a proof of parsec is not understood"));
    };
    if salt.len() < LEAST_SALT_BYTES {
        return Err(WireError::lost("the server's request for a proof of parsec has no salt"));
    }
    Ok(create_response_for_parsec(password, nonce, 1024 << factor, salt).to_vec())
}

/// The password, encrypted for the owner of a public key in PEM form. Before, each byte is combined with one of the nonce, so that nobody
/// can use the result in another login.
pub(super) fn encrypted(password: &[u8], nonce: &[u8], key: &str) -> Result<Vec<u8>, WireError> {
    let key = public_key(key)?;
    if nonce.is_empty() {
        return Err(WireError::lost("the server's request for a proof has no nonce"));
    }
    let with_end = password.iter().chain(&[0]);
    let hidden: Vec<u8> = with_end.zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    key.oaep_encrypt::<Sha1>(&hidden).map_err(|_| WireError::lost("the password is too long for the server's public key"))
}

/// Reads an RSA key from its PEM form.
pub(crate) fn public_key(pem: &str) -> Result<PublicKey, WireError> {
    PublicKey::from_public_key_pem(pem)
        .map_err(|_| WireError::lost("the server's public key is not an RSA key of 1024 to 8192 bits in PEM form"))
}

#[cfg(test)]
mod tests {
    use sha1::Digest as _;

    use super::*;

    #[test]
    fn proofs_are_those_of_the_servers() {
        // Verifies the proof in the way a server does, which stores only SHA1(SHA1(password)).
        let nonce = b"abcdefghijklmnopqrst";
        let proof = native(b"secret", nonce);
        let stored: [u8; 20] = Sha1::digest(Sha1::digest(b"secret")).into();
        let mask: [u8; 20] = Sha1::new().chain_update(nonce).chain_update(stored).finalize().into();
        let once: [u8; 20] = std::array::from_fn(|place| proof[place] ^ mask[place]);
        assert_eq!(<[u8; 20]>::from(Sha1::digest(once)), stored);
        assert!(native(b"", nonce).is_empty() && caching_sha2(b"", nonce).is_empty());
    }

    #[test]
    fn requests_of_a_wrong_form_are_refused() {
        for length in [0, 1, 31, 33, 4000] {
            assert!(ed25519(b"secret", &vec![7; length]).is_err(), "{length}");
            assert!(parsec(b"secret", &vec![7; length], b"P\x000123456789abcdef").is_err(), "{length}");
        }
        assert_eq!(ed25519(b"secret", &[7; 32]).unwrap().len(), 64);
        assert_eq!(parsec(b"secret", &[7; 32], b"P\x000123456789abcdef").unwrap().len(), 96);
        for request in
            [&b""[..], b"P", b"P\x00", b"P\x00short", b"P\x040123456789abcdef", b"P\xff0123456789abcdef", b"Q\x000123456789abcdef"]
        {
            assert!(parsec(b"secret", &[7; 32], request).is_err(), "{request:?}");
        }
    }

    #[test]
    fn only_a_whole_key_encrypts() {
        let key = <rsa::PrivateKey as rsa::Generate>::generate();
        let pem = rsa::pkcs8::EncodePublicKey::to_public_key_pem(&key.to_public_key(), Default::default()).unwrap();
        let nonce = b"abcdefghijklmnopqrst";
        let hidden = key.oaep_decrypt::<Sha1>(&encrypted(b"secret", nonce, &pem).unwrap()).unwrap();
        let clear: Vec<u8> = hidden.iter().zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(clear, b"secret\0");
        assert!(encrypted(b"secret", b"", &pem).is_err());
        assert!(encrypted(&[b'x'; 400], nonce, &pem).is_err(), "too long for the key");
        for broken in ["", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", &pem[..pem.len() / 2], &pem.replace('A', "B")] {
            assert!(encrypted(b"secret", nonce, broken).is_err(), "{broken}");
        }
    }
}
