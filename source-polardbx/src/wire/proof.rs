//! The proofs by which an account shows that it knows its password, one for each authentication plugin.

use std::num::NonZeroU32;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::error::WireError;

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
    let once = Sha1::digest(password);
    masked(password, &once, &Sha1::new().chain_update(nonce).chain_update(Sha1::digest(once)).finalize())
}

/// The proof for `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce). Empty for an empty password.
pub(super) fn caching_sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = Sha256::digest(password);
    masked(password, &once, &Sha256::new().chain_update(Sha256::digest(once)).chain_update(nonce).finalize())
}

fn masked(password: &[u8], hash: &[u8], mask: &[u8]) -> Vec<u8> {
    let bytes = hash.iter().zip(mask).map(|(byte, mask)| byte ^ mask);
    if password.is_empty() { Vec::new() } else { bytes.collect() }
}

/// The length of the nonces of MariaDB's plugins, in bytes.
const LONG_NONCE_BYTES: usize = 32;

/// The proof for `client_ed25519`: a signature of the nonce. The secret key is the SHA512 hash of the password, so that, other than a usual
/// Ed25519 key, it can come from a password of any length.
pub(super) fn ed25519(password: &[u8], nonce: &[u8]) -> Result<Vec<u8>, WireError> {
    if nonce.len() != LONG_NONCE_BYTES {
        return Err(WireError::lost("the server's request for a proof of client_ed25519 has a wrong length"));
    }
    let key = ExpandedSecretKey::from_bytes(&Sha512::digest(password).into());
    Ok(raw_sign::<Sha512>(&key, nonce, &VerifyingKey::from(&key)).to_bytes().to_vec())
}

/// The proof for `parsec`: a nonce of the client, and a signature of both nonces by a key that is derived from the password as `request` says.
/// The request is `P`, the logarithm of the number of rounds, and a salt.
pub(super) fn parsec(password: &[u8], nonce: &[u8], request: &[u8]) -> Result<Vec<u8>, WireError> {
    const LEAST_SALT_BYTES: usize = 16;
    const LEAST_ROUNDS: NonZeroU32 = NonZeroU32::new(1024).unwrap();
    /// The server allows no greater number either.
    const GREATEST_FACTOR: u8 = 3;
    let [b'P', factor @ 0..=GREATEST_FACTOR, salt @ ..] = request else {
        return Err(WireError::lost("the server's request for a proof of parsec is not understood"));
    };
    if nonce.len() != LONG_NONCE_BYTES || salt.len() < LEAST_SALT_BYTES {
        return Err(WireError::lost("the server's request for a proof of parsec has no nonce or no salt"));
    }
    let rounds = LEAST_ROUNDS.saturating_mul(NonZeroU32::MIN.saturating_add((1 << factor) - 1));
    let mut seed = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, salt, password, &mut seed);
    let mut own = [0; LONG_NONCE_BYTES];
    SystemRandom::new().fill(&mut own).map_err(|_| WireError::lost("this system has no random numbers for the proof"))?;
    let signature = SigningKey::from_bytes(&seed).sign(&[nonce, &own].concat());
    Ok([&own[..], &signature.to_bytes()].concat())
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
    use mysql_common::scramble::{create_response_for_ed25519, scramble_native, scramble_sha256};

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
    fn proofs_are_those_of_another_client() {
        for (password, nonce) in
            [("secret", *b"01234567890123456789012345678901"), ("pässwörd ☃, longer than a hash of thirty-two bytes", [0xff; 32])]
        {
            let password = password.as_bytes();
            let short = &nonce[..20];
            assert_eq!(native(password, short), scramble_native(short, password).unwrap());
            assert_eq!(caching_sha2(password, short), scramble_sha256(short, password).unwrap());
            assert_eq!(ed25519(password, &nonce).unwrap(), create_response_for_ed25519(password, &nonce));
        }
    }

    #[test]
    fn a_proof_of_parsec_is_signed_by_the_key_that_was_asked_for() {
        // As a server does, which stores the public key of the seed that is derived from the password.
        let (nonce, salt) = ([7; 32], b"0123456789abcdef12");
        for factor in 0..=3u8 {
            let proof = parsec(b"secret", &nonce, &[&[b'P', factor], &salt[..]].concat()).unwrap();
            let mut seed = [0; 32];
            let rounds = NonZeroU32::new([1024, 2048, 4096, 8192][usize::from(factor)]).unwrap();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, salt, b"secret", &mut seed);
            let (own, signature) = proof.split_at(32);
            let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
            SigningKey::from_bytes(&seed).verifying_key().verify_strict(&[&nonce, own].concat(), &signature).unwrap();
        }
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
