//! Settings of Kafka's Java producer, as they stand in the options of Debezium and Canal.

use super::draft::{Draft, Section};
use super::options::{Options, item};
use super::toml::Item;

/// What the options of a producer that have no counterpart are about.
pub(super) const TUNING: &str = "how the Java producer batches and retries; this program has its own ways, see docs/performance.md";

/// Takes the options of a producer whose names begin with one of `prefixes`; of two with the same meaning the first prefix counts.
pub(super) fn producer(options: &mut Options, prefixes: &[&str], draft: &mut Draft) {
    let mut names = Options::default();
    // In this order, because a prefix may be the beginning of an earlier one.
    for prefix in prefixes {
        for (name, text) in options.take_prefix(prefix) {
            if !names.has(&name) {
                names.insert(name, text);
            }
        }
    }
    let prefix = prefixes.first().copied().unwrap_or_default();
    security(&mut names, &mut draft.sink);
    if let Some(codec) = names.take("compression.type") {
        compression(&mut draft.sink, &codec);
    }
    acks(&mut draft.sink, names.take("acks"));
    for (name, text) in names.take_prefix("") {
        if !text.trim().is_empty() {
            draft.leave(format!("{prefix}{name}"), TUNING);
        }
    }
}

/// Writes `compression` for the name of a codec.
pub(super) fn compression(sink: &mut Section, codec: &str) {
    match codec.to_ascii_lowercase().as_str() {
        codec @ ("none" | "gzip" | "snappy" | "lz4" | "zstd") => sink.set("compression", Item::text(codec)),
        _ => sink.missing("the compression is not one of none, gzip, snappy, lz4, zstd; without the key it is zstd"),
    }
}

/// Says that fewer acknowledgements are not possible.
pub(super) fn acks(sink: &mut Section, acks: Option<String>) {
    if acks.is_some_and(|acks| acks != "all" && acks != "-1") {
        sink.note("records are always acknowledged by all replicas in sync (acks=all)");
    }
}

/// Writes `brokers` for a list of `host:port`.
pub(super) fn brokers(sink: &mut Section, option: &str, list: &str) {
    let brokers: Vec<_> = list.split(',').map(str::trim).filter(|broker| !broker.is_empty()).collect();
    let brokers = brokers.into_iter().map(|broker| {
        let broker = broker.rsplit_once("://").map_or(broker, |(_, address)| address);
        item(sink, option, broker, "KAFKA_BROKER")
    });
    let brokers = brokers.collect();
    sink.set("brokers", Item::List(brokers));
}

/// Writes a reference for `brokers`, for a file that names none.
pub(super) fn no_brokers(sink: &mut Section) {
    if sink.get("brokers").is_none() {
        sink.missing("the file names no Kafka broker: set KAFKA_BROKER to host:port, or write the brokers here");
        sink.set("brokers", Item::List(vec![Item::env("KAFKA_BROKER")]));
    }
}

fn security(names: &mut Options, sink: &mut Section) {
    let protocol = names.take("security.protocol").unwrap_or_default().to_ascii_uppercase();
    let mechanism = names.take("sasl.mechanism").unwrap_or_default().to_ascii_uppercase();
    let jaas = names.take("sasl.jaas.config").unwrap_or_default();
    let ssl = names.take_prefix("ssl.");
    if protocol.ends_with("SSL") {
        if ssl.iter().any(|(name, text)| name == "endpoint.identification.algorithm" && text.trim().is_empty()) {
            sink.note("the broker's name in its certificate is always verified");
        }
        if ssl.iter().any(|(name, text)| name.contains("store.") && !text.trim().is_empty()) {
            sink.note("a Java keystore cannot be read: export its certificates to PEM files for the next key");
        }
        tls(sink);
    }
    if protocol.starts_with("SASL") {
        sasl(sink, &mechanism, user_of(&jaas));
    }
}

/// Writes `tls` of the sink.
pub(super) fn tls(sink: &mut Section) {
    sink.note("for an authority of your own write { ca = \"kafka-ca.pem\" }, and for a client certificate cert and key as well");
    sink.set("tls", Item::map::<String>([]));
}

/// Writes `sasl` of the sink, with the password from the environment.
pub(super) fn sasl(sink: &mut Section, mechanism: &str, user: Option<String>) {
    let name = match mechanism {
        "SCRAM-SHA-256" => "scram_sha_256",
        "SCRAM-SHA-512" => "scram_sha_512",
        "PLAIN" => "plain",
        _ => {
            sink.missing("the SASL mechanism is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; this is what was assumed");
            "scram_sha_512"
        }
    };
    let user = match user {
        Some(user) => item(sink, "user", &user, "KAFKA_USER"),
        None => Item::env("KAFKA_USER"),
    };
    sink.note("set KAFKA_PASSWORD in the environment; the password itself is not copied");
    let sasl = [("mechanism", Item::text(name)), ("user", user), ("password", Item::env("KAFKA_PASSWORD"))];
    sink.set("sasl", Item::map(sasl));
}

/// The user name in a configuration for Java's login modules.
fn user_of(jaas: &str) -> Option<String> {
    let (_, rest) = jaas.split_once("username=")?;
    let user = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest.get(1..)?.split(quote).next()?,
        _ => rest.split([' ', ';']).next()?,
    };
    (!user.is_empty()).then(|| user.to_owned())
}

/// The address of a schema registry, without a user and password in it.
pub(super) fn registry(sink: &mut Section, option: &str, url: &str, has_user: bool) {
    let url = url.split(',').next().unwrap_or(url).trim();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (user, address) = rest.rsplit_once('@').map_or((None, rest), |(user, address)| (Some(user), address));
    let url = item(sink, option, &format!("{scheme}://{address}"), "REGISTRY_URL");
    let mut registry = vec![("url", url)];
    if has_user || user.is_some() {
        sink.note("set REGISTRY_USER and REGISTRY_PASSWORD in the environment; they are not copied");
        registry.extend([("user", Item::env("REGISTRY_USER")), ("password", Item::env("REGISTRY_PASSWORD"))]);
    }
    sink.set("schema_registry", Item::map(registry));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_found_and_the_password_is_not() {
        for (jaas, user) in [
            (r#"org.apache.kafka.common.security.scram.ScramLoginModule required username="a b" password="s";"#, Some("a b")),
            ("… required password=s username=alice;", Some("alice")),
            ("… required;", None),
            ("username=", None),
            ("username='", None),
        ] {
            assert_eq!(user_of(jaas).as_deref(), user, "{jaas}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_copied() {
        let mut draft = Draft::new("", "x");
        registry(&mut draft.sink, "url", "https://user:s3cret@registry:8081", false);
        let text = draft.render();
        assert!(text.contains("https://registry:8081") && !text.contains("s3cret"), "{text}");
    }
}
