//! Who else can read the connections to the server.

use runtime::Finding;

use crate::config::{Config, TlsMode};

/// The finding `tls`: who else can read the connections. `None` if they are not encrypted and stay on this host.
pub(super) fn encryption(config: &Config, is_unencrypted_fallback: bool) -> Option<Finding> {
    const VERIFY: &str = "set tls = { mode = \"verify_identity\" }, with the authority that signed the server's certificate in tls.ca";
    let mode = config.tls.as_ref().map_or(TlsMode::Disabled, |tls| tls.mode);
    let warning = |what: String, help: &str| Some(Finding::warning("tls", what, help));
    match mode {
        TlsMode::VerifyCa | TlsMode::VerifyIdentity => {
            Some(Finding::passed("tls", format!("the connections are encrypted ({})", mode.as_str())))
        }
        TlsMode::Disabled if is_this_host(&config.host) => None,
        TlsMode::Disabled if config.allow_public_key_retrieval => {
            warning("nothing is encrypted: whoever can read the network sees every row, and whoever answers for the server gets the password".to_owned(), VERIFY)
        }
        TlsMode::Disabled => warning("nothing is encrypted: whoever can read the network sees every row".to_owned(), VERIFY),
        TlsMode::Preferred if is_unencrypted_fallback => warning(
            "the server cannot encrypt, so nothing is encrypted".to_owned(),
            "set tls.mode = \"disabled\", or make the server speak TLS 1.3 or TLS 1.2 with ECDHE",
        ),
        TlsMode::Preferred => {
            warning("the connections are encrypted (preferred), but whoever is between can prevent that, or answer for the server".to_owned(), VERIFY)
        }
        TlsMode::Required => warning(
            "the connections are encrypted (required), but whoever is between can answer for the server: they read every row, and the password if they ask for it".to_owned(),
            VERIFY,
        ),
    }
}

/// Whether `host` certainly is this host, so that the connections leave no trace on a network.
fn is_this_host(host: &str) -> bool {
    let host = host.trim().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use runtime::Level;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_read_a_connection_is_named() {
        let found = |host: &str, keys: serde_json::Value, is_fallback: bool| {
            let mut config = json!({"host": host, "user": "u", "password": "p", "tables": ["a.b"]});
            config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            encryption(&serde_json::from_value(config).unwrap(), is_fallback).map(|finding| (finding.level, finding.what))
        };
        let tls = |mode: &str| json!({"tls": {"mode": mode}});
        for host in ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"] {
            assert_eq!(found(host, json!({}), false), None, "{host}");
        }
        for (host, keys, is_fallback, what) in [
            ("db", json!({}), false, "whoever can read the network sees every row"),
            ("db", tls("disabled"), false, "nothing is encrypted"),
            ("10.0.0.7", json!({"allow_public_key_retrieval": true}), false, "gets the password"),
            ("localhost.example.com", tls("preferred"), true, "cannot encrypt"),
            ("127.0.0.1", tls("preferred"), false, "can prevent that"),
            ("db", tls("required"), false, "can answer for the server"),
        ] {
            let (level, message) = found(host, keys.clone(), is_fallback).unwrap();
            assert!(level == Level::Warning && message.contains(what), "{host} {keys}: {message}");
        }
        for mode in ["verify_ca", "verify_identity"] {
            assert!(found("db", tls(mode), false).is_some_and(|(level, _)| level == Level::Passed));
        }
    }
}
