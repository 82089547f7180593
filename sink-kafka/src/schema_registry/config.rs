//! The settings of the schema registry: what stands under `schema_registry`.

use std::fmt;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::config::Tls;
use crate::error::Error;

/// A schema registry with Confluent's REST interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SchemaRegistry {
    /// Where it is.
    pub url: RegistryUrl,
    /// The user, where it asks for one (HTTP Basic).
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// Certificates, where `url` begins with `https`; absent, the authorities of this system's store are trusted.
    pub tls: Option<Tls>,
    /// What the schema is called there.
    #[serde(default)]
    pub subject: Subject,
    /// Whether the schema is registered by the task; otherwise it must be there.
    #[serde(default = "yes")]
    pub auto_register: bool,
}

/// What the schema of a topic's records is called in the registry: the names of Confluent's strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// `<topic>-value`.
    #[default]
    TopicName,
    /// The record's full name: one subject for all topics.
    RecordName,
    /// `<topic>-<full name of the record>`.
    TopicRecordName,
}

impl Subject {
    /// The subject of a topic.
    pub(super) fn of(self, topic: &str, record: &str) -> String {
        match self {
            Self::TopicName => format!("{topic}-value"),
            Self::RecordName => record.to_owned(),
            Self::TopicRecordName => format!("{topic}-{record}"),
        }
    }
}

/// The address of a registry: `http` or `https`, a host, and perhaps a path. It holds no user and no password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RegistryUrl(Url);

impl RegistryUrl {
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is spoken to over TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Debug for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl TryFrom<String> for RegistryUrl {
    type Error = &'static str;

    // No error repeats the text: it may hold a password.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(&text).map_err(|_| "is no address of the form `http://host:port` or `https://host:port`")?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("must begin with `http://host` or `https://host`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user or a password: they have keys of their own, `user` and `password`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not hold `?` or `#`");
        }
        Ok(Self(url))
    }
}

fn yes() -> bool {
    true
}

impl SchemaRegistry {
    /// Checks what the types cannot say.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |key: &'static str, problem: &str| Err(Error::Setting { key, problem: problem.into() });
        match (&self.user, &self.password) {
            (None, Some(_)) => return refuse("schema_registry.user", "is missing beside schema_registry.password"),
            (Some(_), None) => return refuse("schema_registry.password", "is missing beside schema_registry.user"),
            (Some(user), _) if user.is_empty() || user.contains([':', '\0']) => {
                return refuse("schema_registry.user", "is empty, or holds a colon or a NUL");
            }
            (_, Some(password)) if password.expose_secret().is_empty() => return refuse("schema_registry.password", "is empty"),
            _ => {}
        }
        if self.tls.is_some() && !self.url.is_encrypted() {
            return refuse(
                "schema_registry.tls",
                "is set, and schema_registry.url begins with `http://`: write `https://`, or remove `tls`",
            );
        }
        Ok(())
    }

    /// Whether the password goes over the network as it is.
    pub(crate) fn sends_plain_password(&self) -> bool {
        self.user.is_some() && !self.url.is_encrypted()
    }
}

#[cfg(test)]
mod tests {
    use runtime::Settings;
    use serde_json::{Value, json};

    use super::*;

    fn read(settings: Value) -> Result<SchemaRegistry, runtime::Error> {
        let read: SchemaRegistry = Settings::from(settings).parse("sink.kafka.schema_registry")?;
        read.validate()?;
        Ok(read)
    }

    #[test]
    fn an_address_alone_is_enough() {
        let read = read(json!({"url": "http://registry:8081/"})).unwrap();
        assert_eq!((read.url.to_string().as_str(), read.subject, read.auto_register), ("http://registry:8081", Subject::TopicName, true));
    }

    #[test]
    fn wrong_settings_are_refused_by_key_and_show_no_secret() {
        for (settings, key) in [
            (json!({}), "url"),
            (json!({"url": "registry-secret"}), "url"),
            (json!({"url": "http://alice:planted-secret@registry:8081"}), "url"),
            (json!({"url": "https://planted-secret@registry"}), "url"),
            (json!({"url": "https://registry?key=planted-secret"}), "url"),
            (json!({"url": "ftp://registry"}), "url"),
            (json!({"url": 8081}), "url"),
            (json!({"url": "http://r", "user": "alice"}), "password"),
            (json!({"url": "http://r", "password": "planted-secret"}), "user"),
            (json!({"url": "http://r", "user": "a:b", "password": "planted-secret"}), "user"),
            (json!({"url": "http://r", "tls": {}}), "tls"),
            (json!({"url": "http://r", "subject": "table"}), "subject"),
            (json!({"url": "http://r", "autoregister": true}), "autoregister"),
        ] {
            let error = read(settings.clone()).unwrap_err();
            assert_eq!(error.kind(), runtime::Kind::Config);
            let text = format!("{error} {error:?}");
            assert!(text.contains(key) && !text.contains("secret"), "{settings}: {text}");
        }
        let read = read(json!({"url": "http://r", "user": "alice", "password": "planted-secret"})).unwrap();
        assert!(!format!("{read:?}").contains("planted-secret"));
    }

    #[test]
    fn subjects_are_named_by_the_three_strategies() {
        let named = |subject: Subject| subject.of("shop", "a.b.Record");
        assert_eq!(named(Subject::TopicName), "shop-value");
        assert_eq!(named(Subject::RecordName), "a.b.Record");
        assert_eq!(named(Subject::TopicRecordName), "shop-a.b.Record");
    }
}
