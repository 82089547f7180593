//! The settings of the schema registry, in the section `schema_registry`.

use std::fmt;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::client::Tls;
use crate::invalid_setting::InvalidSetting;

/// The settings of a schema registry with Confluent's REST interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SchemaRegistry {
    /// The address of the registry.
    pub url: RegistryUrl,
    /// The user for HTTP Basic authentication; `None` means without authentication.
    pub user: Option<String>,
    /// The password of the user; set if and only if `user` is set.
    pub password: Option<SecretString>,
    /// TLS settings for an address with `https`. `None` means that the authorities of the operating system are trusted.
    pub tls: Option<Tls>,
    /// How the subject is named, which is the name of the schema in the registry.
    #[serde(default)]
    pub subject: Subject,
    /// Whether the task registers the schema. If not, the schema must be registered already.
    #[serde(default = "yes")]
    pub auto_register: bool,
}

/// How the subject of a topic's schema is named, by Confluent's three strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// The subject is `<topic>-value`.
    #[default]
    TopicName,
    /// The subject is the full name of the record, so all topics share one subject.
    RecordName,
    /// The subject is `<topic>-<full name of the record>`.
    TopicRecordName,
}

impl Subject {
    /// The subject for a topic and the full name of its record.
    pub(super) fn of(self, topic: &str, record: &str) -> String {
        match self {
            Self::TopicName => format!("{topic}-value"),
            Self::RecordName => record.to_owned(),
            Self::TopicRecordName => format!("{topic}-{record}"),
        }
    }
}

/// The address of a registry: `http` or `https`, a host, and optionally a port and a path. It never contains a user or a password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RegistryUrl(Url);

impl RegistryUrl {
    /// Parses an address such as `http://registry:8081`.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        Self::try_from(text.to_owned()).map_err(|problem| InvalidSetting::new("schema_registry.url", problem))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether the address begins with `https`.
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

    // The errors do not repeat the text, because it may contain a password.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(&text).map_err(|_| "is not an address of the form `http://host:port` or `https://host:port`")?;
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
    /// A registry at this address, with defaults for everything else.
    pub fn new(url: RegistryUrl) -> Self {
        Self { url, user: None, password: None, tls: None, subject: Subject::default(), auto_register: true }
    }

    /// Sets the user and the password.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self.password = Some(SecretString::from(password.into()));
        self
    }

    /// Checks rules that the types of the settings do not enforce.
    pub(crate) fn validate(&self) -> Result<(), InvalidSetting> {
        let refuse = |key: &str, problem: &str| Err(InvalidSetting::new(key, problem));
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

    /// Whether the password is sent in clear text over an unencrypted connection.
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
        read.validate().map_err(|error| runtime::Error::config(error.to_string()))?;
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
