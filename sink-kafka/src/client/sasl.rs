//! SASL authentication of a connection: a SaslHandshake request, then SaslAuthenticate requests until the exchange is complete.

use std::time::Duration;

use rskafka::protocol::messages::SaslHandshakeRequest;
use secrecy::ExposeSecret as _;

use super::api::sasl::{AuthenticateRequest, AuthenticateResponse};
use super::connect_error::ConnectError;
use super::connection::Connection;
use super::error::ClientError;
use super::error_code::ErrorCode;
use super::scram::{self, Failed, Hash};
use super::security::{Mechanism, Sasl};

/// Requests a SASL mechanism. Returns the error code, and the names of the mechanisms that the broker offers.
pub(super) async fn offered(connection: &Connection, mechanism: &str) -> Result<(ErrorCode, String), ClientError> {
    let answer = connection.request(SaslHandshakeRequest::new(mechanism)).await?;
    let mut names: Vec<String> = answer.mechanisms.0.unwrap_or_default().into_iter().map(|name| name.0).collect();
    names.sort();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Ok((ErrorCode::of(answer.error_code), names))
}

/// Authenticates the connection. Returns how long the broker accepts the authentication; `None` without a limit.
pub(super) async fn authenticate(connection: &Connection, sasl: &Sasl) -> Result<Option<Duration>, ClientError> {
    let mechanism = sasl.mechanism.to_string();
    let refuse = |problem: ConnectError| connection.refused(problem);
    match offered(connection, &mechanism).await? {
        (ErrorCode::NONE, _) => {}
        (ErrorCode::UNSUPPORTED_SASL_MECHANISM, offered) => return Err(refuse(ConnectError::Mechanism { wanted: mechanism, offered })),
        (ErrorCode::ILLEGAL_SASL_STATE, _) => return Err(refuse(ConnectError::NoSasl)),
        (code, _) => return Err(connection.failed(format!("SaslHandshake failed with error {code}"))),
    }
    let broken = |failed: Failed| {
        refuse(match failed {
            Failed::Refused(text) => {
                ConnectError::Credentials { user: sasl.user.clone(), mechanism: mechanism.clone(), text: sasl.without_password(text) }
            }
            Failed::Impostor => ConnectError::Exchange {
                mechanism: mechanism.clone(),
                problem: "its answer shows that it does not know the password".into(),
            },
            Failed::Weak(problem) => ConnectError::WeakProof { mechanism: mechanism.clone(), problem },
            Failed::Malformed(problem) => ConnectError::Exchange { mechanism: mechanism.clone(), problem: problem.into() },
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

async fn send(connection: &Connection, sasl: &Sasl, message: String) -> Result<AuthenticateResponse, ClientError> {
    let answer = connection.request(AuthenticateRequest(message.into_bytes())).await?;
    let text = sasl.without_password(answer.text.clone().unwrap_or_default());
    match answer.code {
        ErrorCode::NONE => Ok(answer),
        ErrorCode::SASL_AUTHENTICATION_FAILED => Err(connection.refused(ConnectError::Credentials {
            user: sasl.user.clone(),
            mechanism: sasl.mechanism.to_string(),
            text: if text.is_empty() { "the broker gives no reason".into() } else { text },
        })),
        ErrorCode::ILLEGAL_SASL_STATE => Err(connection.refused(ConnectError::NoSasl)),
        code => Err(connection.failed(format!("SaslAuthenticate failed with error {code}: {text}"))),
    }
}
