//! SCRAM (RFC 5802, RFC 7677) as Kafka uses it: no channel binding, and names and passwords as UTF-8 without normalization.
//!
//! The code here only computes messages; it sends and receives nothing. The SCRAM code of rskafka is not used for three reasons: it accepts
//! any number of hash rounds from a server, drops the broker's text when the broker refuses, and keeps the password in a type that prints
//! it.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SecureRandom as _;
use ring::{digest, hmac, pbkdf2, rand};

/// The GS2 header for "no channel binding, no authorization identity". It is in the first message and, as base64, in the last.
const GS2: &str = "n,,";
const GS2_BASE64: &str = "biws";
/// The smallest accepted number of hash rounds, as RFC 7677 demands. The fewer rounds there are, the faster whoever has asked for a proof
/// tries passwords on it.
const MIN_ROUNDS: u32 = 4_096;
/// The largest accepted number of hash rounds. Brokers allow 16,384. The limit bounds the work that an untrusted server can cause.
const MAX_ROUNDS: u32 = 1_000_000;

/// The hash function of the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn derivation(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// Why an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// A message of the server violates the protocol.
    Malformed(&'static str),
    /// The server asks for a proof from which the password could be found too easily.
    Weak(String),
    /// The server's signature is wrong, so the server does not know the password.
    Impostor,
    /// The server refuses the client; the text is from the server.
    Refused(String),
}

/// The state of the exchange after the client's first message.
pub(super) struct First {
    hash: Hash,
    nonce: String,
    bare: String,
}

/// The state of the exchange after the client's proof.
pub(super) struct Last {
    signature: hmac::Tag,
}

/// Begins an exchange. Returns the first message, and the state that handles the answer to it.
pub(super) fn begin(hash: Hash, user: &str) -> Result<(String, First), Failed> {
    let mut random = [0u8; 24];
    rand::SystemRandom::new().fill(&mut random).map_err(|_| Failed::Malformed("the system gives no random numbers"))?;
    Ok(begin_with(hash, user, BASE64.encode(random)))
}

fn begin_with(hash: Hash, user: &str, nonce: String) -> (String, First) {
    let user = user.replace('=', "=3D").replace(',', "=2C");
    let bare = format!("n={user},r={nonce}");
    (format!("{GS2}{bare}"), First { hash, nonce, bare })
}

impl First {
    /// Computes the proof that this client knows the password. Returns the last message, and the state that handles the answer to it.
    pub(super) fn prove(self, password: &str, answer: &[u8]) -> Result<(String, Last), Failed> {
        let answer = std::str::from_utf8(answer).map_err(|_| Failed::Malformed("its first message is not text"))?;
        let mut parts = answer.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).and_then(|part| part.strip_prefix('='));
        let nonce = part("r").ok_or(Failed::Malformed("its first message has no nonce"))?;
        let salt = part("s").and_then(|salt| BASE64.decode(salt).ok()).ok_or(Failed::Malformed("its first message has no salt"))?;
        let rounds = part("i").and_then(|rounds| rounds.parse().ok()).and_then(NonZeroU32::new);
        let rounds =
            rounds.filter(|rounds| rounds.get() <= MAX_ROUNDS).ok_or(Failed::Malformed("it asks for an absurd number of rounds"))?;
        if rounds.get() < MIN_ROUNDS {
            return Err(Failed::Weak(format!("it asks for {rounds} hash rounds, and fewer than {MIN_ROUNDS} do not protect the password")));
        }
        if salt.is_empty() {
            return Err(Failed::Weak("it asks for a proof without a salt, which does not protect the password".into()));
        }
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Failed::Malformed("it did not answer to our nonce"));
        }
        let hash = self.hash;
        let key = |bytes: &[u8]| hmac::Key::new(hash.hmac(), bytes);
        let mut salted = vec![0; hash.digest().output_len()];
        pbkdf2::derive(hash.derivation(), rounds, &salt, password.as_bytes(), &mut salted);
        let client_key = hmac::sign(&key(&salted), b"Client Key");
        let stored_key = digest::digest(hash.digest(), client_key.as_ref());
        let unproven = format!("c={GS2_BASE64},r={nonce}");
        let all = format!("{},{answer},{unproven}", self.bare);
        let client_signature = hmac::sign(&key(stored_key.as_ref()), all.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = hmac::sign(&key(&salted), b"Server Key");
        let signature = hmac::sign(&key(server_key.as_ref()), all.as_bytes());
        Ok((format!("{unproven},p={}", BASE64.encode(proof)), Last { signature }))
    }
}

impl Last {
    /// Checks the server's signature, which proves that the server knows the password too.
    pub(super) fn verify(self, answer: &[u8]) -> Result<(), Failed> {
        let answer = std::str::from_utf8(answer).map_err(|_| Failed::Malformed("its last message is not text"))?;
        let first = answer.split(',').next().unwrap_or_default();
        if let Some(text) = first.strip_prefix("e=") {
            return Err(Failed::Refused(text.to_owned()));
        }
        let signature = first.strip_prefix("v=").and_then(|text| BASE64.decode(text).ok());
        let signature = signature.ok_or(Failed::Malformed("its last message has no signature"))?;
        // A comparison in constant time is not needed, since both sides know the signature.
        if signature == self.signature.as_ref() { Ok(()) } else { Err(Failed::Impostor) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example exchange of RFC 7677, section 3.
    fn example() -> (First, &'static str) {
        let (first, state) = begin_with(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        (state, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    }

    #[test]
    fn the_exchange_is_the_one_of_the_standard() {
        let (state, answer) = example();
        let (proof, last) = state.prove("pencil", answer.as_bytes()).unwrap();
        assert_eq!(proof, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        last.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let (state, answer) = example();
        let (_, last) = state.prove("another", answer.as_bytes()).unwrap();
        assert_eq!(last.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(Failed::Impostor));
        let (state, answer) = example();
        let (_, last) = state.prove("pencil", answer.as_bytes()).unwrap();
        assert_eq!(last.verify(b"e=invalid-proof"), Err(Failed::Refused("invalid-proof".into())));
    }

    #[test]
    fn wrong_first_answers_are_refused() {
        for answer in [
            "",
            "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294967295",
            "m=extension,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        ] {
            let (state, _) = example();
            assert!(matches!(state.prove("pencil", answer.as_bytes()), Err(Failed::Malformed(_))), "{answer}");
        }
    }

    #[test]
    fn a_proof_that_does_not_protect_the_password_is_not_given() {
        let prove = |salt: &str, rounds: u32| {
            let answer = format!("r=rOprNGfwEbeRWgbNEkqOx,s={salt},i={rounds}");
            example().0.prove("pencil", answer.as_bytes()).map(|_| ())
        };
        for rounds in [1, 999, 4_095] {
            let Err(Failed::Weak(problem)) = prove("W22ZaJ0SNY7soEsUEjb6gQ==", rounds) else { panic!("{rounds} rounds") };
            assert!(problem.contains(&format!("asks for {rounds} hash rounds")), "{problem}");
        }
        assert!(matches!(prove("", 4_096), Err(Failed::Weak(_))));
        assert_eq!(prove("W22ZaJ0SNY7soEsUEjb6gQ==", 4_096), Ok(()));
    }

    #[test]
    fn odd_names_are_written_as_the_standard_says() {
        assert_eq!(begin_with(Hash::Sha512, "a,b=c", "x".into()).0, "n,,n=a=2Cb=3Dc,r=x");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(one: Vec<u8>, text in "(r=rOprNGfwEbeRWgbNEkqO[a-z]{0,3})?,?(s=[A-Za-z=]{0,8})?,?(i=[0-9]{0,4})?", last: Vec<u8>) {
            let _ = example().0.prove("p", &one);
            if let Ok((_, state)) = example().0.prove("p", text.as_bytes()) {
                let _ = state.verify(&last);
            }
        }
    }
}
