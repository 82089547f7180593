//! SASL on a connection: SaslHandshake, then SaslAuthenticate until both sides are content.

use std::io::Cursor;
use std::time::Duration;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{
    ReadVersionedError, ReadVersionedType, RequestBody, SaslHandshakeRequest, WriteVersionedError, WriteVersionedType,
};
use rskafka::protocol::primitives::{Int16, Int32, Int64, NullableBytes, NullableString};
use rskafka::protocol::traits::{ReadType, WriteError, WriteType};
use secrecy::ExposeSecret as _;

use super::connect_error::DoorError;
use super::connection::Connection;
use super::error::WireError;
use super::scram::{self, Failed, Hash};
use crate::config::{Mechanism, Sasl};

const UNSUPPORTED_MECHANISM: i16 = 33;
const ILLEGAL_STATE: i16 = 34;
const AUTHENTICATION_FAILED: i16 = 58;

/// One message of the exchange, versions 0 and 1. rskafka's version 2 subtracts from a length before it looks at it.
struct AuthenticateRequest(Vec<u8>);

struct AuthenticateResponse {
    code: i16,
    words: Option<String>,
    bytes: Vec<u8>,
    /// How long the broker keeps the connection; 0 without a limit.
    lifetime_ms: i64,
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for AuthenticateRequest {
    type ResponseBody = AuthenticateResponse;
    const API_KEY: ApiKey = ApiKey::SaslAuthenticate;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(0), version(1));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(2);
}

impl WriteVersionedType<Vec<u8>> for AuthenticateRequest {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        Int32(i32::try_from(self.0.len()).map_err(WriteError::from)?).write(out)?;
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for AuthenticateResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, version: ApiVersion) -> Result<Self, ReadVersionedError> {
        Ok(Self {
            code: Int16::read(reader)?.0,
            words: NullableString::read(reader)?.0,
            bytes: NullableBytes::read(reader)?.0.unwrap_or_default(),
            lifetime_ms: if version.0.0 >= 1 { Int64::read(reader)?.0 } else { 0 },
        })
    }
}

/// The mechanisms that the broker offers for `mechanism`, and its code.
pub(super) async fn offered(connection: &Connection, mechanism: &str) -> Result<(i16, String), WireError> {
    let answer = connection.request(SaslHandshakeRequest::new(mechanism)).await?;
    let mut names: Vec<String> = answer.mechanisms.0.unwrap_or_default().into_iter().map(|name| name.0).collect();
    names.sort();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Ok((super::code_of(answer.error_code), names))
}

/// Tells the broker who we are. Returns how long it will believe it, if it sets a limit.
pub(super) async fn authenticate(connection: &Connection, sasl: &Sasl) -> Result<Option<Duration>, WireError> {
    let mechanism = sasl.mechanism.name();
    let refuse = |problem: DoorError| connection.refused(problem);
    match offered(connection, mechanism).await? {
        (0, _) => {}
        (UNSUPPORTED_MECHANISM, offered) => return Err(refuse(DoorError::Mechanism { wanted: mechanism.into(), offered })),
        (ILLEGAL_STATE, _) => return Err(refuse(DoorError::NoSasl)),
        (code, _) => return Err(connection.failed(format!("SaslHandshake is answered with {code}"))),
    }
    let broken = |failed: Failed| {
        refuse(match failed {
            Failed::Refused(words) => DoorError::Credentials { user: sasl.user.clone(), mechanism: mechanism.into(), words },
            Failed::Impostor => {
                DoorError::Exchange { mechanism: mechanism.into(), problem: "its answer shows that it does not know the password".into() }
            }
            Failed::Malformed(problem) => DoorError::Exchange { mechanism: mechanism.into(), problem: problem.into() },
        })
    };
    let password = sasl.password.expose_secret();
    let last = match sasl.mechanism {
        Mechanism::Plain => send(connection, sasl, format!("\0{}\0{password}", sasl.user)).await?,
        Mechanism::ScramSha256 | Mechanism::ScramSha512 => {
            let hash = if sasl.mechanism == Mechanism::ScramSha256 { Hash::Sha256 } else { Hash::Sha512 };
            let (message, state) = scram::begin(hash, &sasl.user).map_err(broken)?;
            let answer = send(connection, sasl, message).await?;
            let (message, state) = state.prove(password, &answer.bytes).map_err(broken)?;
            let answer = send(connection, sasl, message).await?;
            state.verify(&answer.bytes).map_err(broken)?;
            answer
        }
    };
    Ok(u64::try_from(last.lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis))
}

async fn send(connection: &Connection, sasl: &Sasl, message: String) -> Result<AuthenticateResponse, WireError> {
    let answer = connection.request(AuthenticateRequest(message.into_bytes())).await?;
    let words = answer.words.clone().unwrap_or_default();
    match answer.code {
        0 => Ok(answer),
        AUTHENTICATION_FAILED => Err(connection.refused(DoorError::Credentials {
            user: sasl.user.clone(),
            mechanism: sasl.mechanism.name().into(),
            words: if words.is_empty() { "no reason is given".into() } else { words },
        })),
        ILLEGAL_STATE => Err(connection.refused(DoorError::NoSasl)),
        code => Err(connection.failed(format!("SaslAuthenticate is answered with {code} {words}"))),
    }
}
