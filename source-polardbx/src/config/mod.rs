//! The keys of `[source.polardbx]`, and what they amount to once they are checked.

mod error;
mod options;

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::selection::Selection;
pub use error::ConfigError;
pub use options::{Handover, Heartbeat, Phase, Start, Tls, TlsMode};

/// The keys of `[source.polardbx]`. Unknown keys are errors; a key whose feature is not built yet is refused with its value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Host name or address of the server.
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// What to move: `database.table`, each part literal, a glob with `*` and `?`, or in backticks; or `re:` and a regular expression that
    /// matches whole names.
    pub tables: Vec<String>,
    /// What to leave out of it, in the same form.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Any of `schema`, `full` and `incremental`; the last two by default.
    #[serde(default = "default_phases")]
    pub phases: Vec<Phase>,
    /// How the full phase hands over to the incremental one; `sequential`.
    #[serde(default)]
    pub handover: Handover,
    /// How many connections read the snapshot at once, 1 to 64.
    #[serde(default = "default_parallelism")]
    pub parallelism: usize,
    /// Rows of one chunk of the snapshot.
    #[serde(default = "default_chunk_rows")]
    pub chunk_rows: u64,
    /// How long to wait before the first SELECT where the account may not write the marker row: longer than any commit takes between the
    /// binlog and being visible. 10,000 by default.
    #[serde(default = "default_barrier_delay_ms")]
    pub barrier_delay_ms: u64,
    /// Where an incremental phase without a full one begins; `latest` by default.
    pub start: Option<Start>,
    /// Id of the dump connection; derived from the task's name and the host if absent.
    pub server_id: Option<u32>,
    /// Encryption of the connections; none by default.
    pub tls: Option<Tls>,
    /// Signs of life of an idle stream, for formats that have a record for them; none by default.
    pub heartbeat: Option<Heartbeat>,
}

fn default_port() -> u16 {
    3306
}

fn default_phases() -> Vec<Phase> {
    vec![Phase::Full, Phase::Incremental]
}

fn default_parallelism() -> usize {
    4
}

fn default_chunk_rows() -> u64 {
    50_000
}

fn default_barrier_delay_ms() -> u64 {
    10_000
}

const HEARTBEAT_INTERVAL_MS: u64 = 10_000;

/// The configuration after its checks, with what is known of the task.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) config: Config,
    pub(crate) name: String,
    pub(crate) selection: Selection,
    /// The CREATE TABLE of every table comes first.
    pub(crate) structures: bool,
    pub(crate) full: bool,
    pub(crate) incremental: bool,
    pub(crate) barrier_delay: Duration,
    /// After how much idle time the stream gives a sign of life, if it does.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) batch_max_bytes: usize,
}

impl Task {
    /// Checks every key. An error of kind `Config` names the key and its value.
    pub(crate) fn new(config: Config, name: &str, batch_max_bytes: usize) -> Result<Self, ConfigError> {
        refuse_unbuilt(&config)?;
        if config.host.trim().is_empty() {
            return Err(wrong("host", "it is empty", "name the host of the server"));
        }
        if config.port == 0 {
            return Err(wrong("port", "0 is no TCP port", "leave it out for 3306"));
        }
        if config.user.is_empty() {
            return Err(wrong("user", "it is empty", "name the account"));
        }
        if let Some(twice) =
            config.phases.iter().enumerate().find(|(place, phase)| config.phases[..*place].contains(phase)).map(|(_, phase)| phase)
        {
            return Err(wrong("phases", format!("\"{}\" is there twice", twice.as_str()), "name each phase once"));
        }
        if config.phases.is_empty() {
            return Err(wrong("phases", "it is empty", "choose from \"schema\", \"full\" and \"incremental\""));
        }
        if !(1..=64).contains(&config.parallelism) {
            return Err(wrong("parallelism", format!("{} is not between 1 and 64", config.parallelism), "leave it out for 4"));
        }
        if !(1..=10_000_000).contains(&config.chunk_rows) {
            return Err(wrong("chunk_rows", format!("{} is not between 1 and 10000000", config.chunk_rows), "leave it out for 50000"));
        }
        if config.server_id.is_some_and(|id| id < 2) {
            return Err(wrong(
                "server_id",
                "it must be at least 2",
                "leave it out, or choose a number that no other server or replica has",
            ));
        }
        let structures = config.phases.contains(&Phase::Schema);
        let full = config.phases.contains(&Phase::Full);
        let incremental = config.phases.contains(&Phase::Incremental);
        if full && let Some(start) = &config.start {
            let why = format!("{} cannot be chosen beside the phase \"full\", which decides where the stream begins", start.as_str());
            return Err(wrong("start", why, "leave `start` out, or take \"full\" out of `phases`"));
        }
        let heartbeat = heartbeat(&config, incremental)?;
        let selection = Selection::new(&config.tables, &config.exclude)?;
        let barrier_delay = Duration::from_millis(config.barrier_delay_ms);
        let batch_max_bytes = batch_max_bytes.max(1);
        Ok(Self { config, name: name.to_owned(), selection, structures, full, incremental, barrier_delay, heartbeat, batch_max_bytes })
    }

    /// The id of our dump connection: the configured one, else a stable one that is not the server's own.
    pub(crate) fn server_id(&self, of_server: u32) -> Result<u32, ConfigError> {
        match self.config.server_id {
            Some(id) if id == of_server => Err(wrong(
                "server_id",
                format!("{id} is the server's own id"),
                "leave it out, or choose a number that no other server or replica has",
            )),
            Some(id) => Ok(id),
            None => {
                let derived = derived_server_id(&self.name, &self.config.host, self.config.port);
                Ok(if derived == of_server { derived ^ 1 } else { derived })
            }
        }
    }

    /// What decides which events the task sees, as a text to compare with the one it was started with.
    pub(crate) fn selection_text(&self) -> String {
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list.dedup();
            list
        };
        serde_json::json!({"tables": sorted(&self.config.tables), "exclude": sorted(&self.config.exclude)}).to_string()
    }
}

fn wrong(key: &'static str, why: impl Into<String>, help: impl Into<String>) -> ConfigError {
    ConfigError::new(key, why, help)
}

/// The interval of signs of life, if they are asked for.
fn heartbeat(config: &Config, incremental: bool) -> Result<Option<Duration>, ConfigError> {
    let Some(heartbeat) = &config.heartbeat else { return Ok(None) };
    let interval_ms = heartbeat.interval_ms.unwrap_or(HEARTBEAT_INTERVAL_MS);
    if !(100..=3_600_000).contains(&interval_ms) {
        let why = format!("interval_ms = {interval_ms} is not between 100 and 3600000");
        return Err(wrong("heartbeat", why, "leave interval_ms out for 10000"));
    }
    if heartbeat.enabled && !incremental {
        let why = "enabled = true without the phase \"incremental\", which alone can be idle";
        return Err(wrong("heartbeat", why, "leave `heartbeat` out, or add \"incremental\" to `phases`"));
    }
    Ok(heartbeat.enabled.then_some(Duration::from_millis(interval_ms)))
}

fn refuse_unbuilt(config: &Config) -> Result<(), ConfigError> {
    if config.handover == Handover::InBand {
        return Err(wrong("handover", "\"in_band\" is not supported yet", "leave it out for \"sequential\""));
    }
    match &config.start {
        Some(Start::Gtid { set }) => Err(wrong("start", format!("gtid = {{ set = {set:?} }} is not supported yet"), "use start.position")),
        Some(Start::Timestamp { at }) => {
            Err(wrong("start", format!("timestamp = {{ at = {at:?} }} is not supported yet"), "use start.position"))
        }
        Some(Start::Position { offset, .. }) if *offset < 4 => {
            Err(wrong("start", format!("position.offset = {offset} is before the first event"), "the first event of a file begins at 4"))
        }
        Some(Start::Latest {} | Start::Earliest {} | Start::Position { .. }) | None => Ok(()),
    }
}

/// A number from 2^16 to 2^31, far from the small ids that people give to servers.
fn derived_server_id(task: &str, host: &str, port: u16) -> u32 {
    let hash = Sha256::digest(format!("{task}\n{host}\n{port}").as_bytes());
    let number = hash.iter().take(4).fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    (number & 0x7fff_ffff) | 0x1_0000
}

#[cfg(test)]
mod tests {
    use runtime::{Error, Kind, Settings};
    use serde_json::{Value, json};

    use super::*;

    fn task(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Result<Task, Error> {
        let Value::Object(mut keys) = json!({"host": "db", "user": "dts", "password": "s3cret", "tables": ["shop.*"]}) else {
            unreachable!()
        };
        change(&mut keys);
        Ok(Task::new(Settings::from(Value::Object(keys)).parse("source.polardbx")?, "shop", 1 << 20)?)
    }

    #[test]
    fn the_smallest_configuration_has_its_defaults() {
        let task = task(|_| ()).unwrap();
        assert_eq!((task.config.port, task.config.parallelism, task.config.chunk_rows), (3306, 4, 50_000));
        assert!(task.full && task.incremental);
        assert!(!format!("{task:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_not_built_is_refused_by_key_and_value() {
        for (key, value, said) in [
            ("phases", json!([]), "empty"),
            ("phases", json!(["full", "incremental", "full"]), "\"full\" is there twice"),
            ("handover", json!("in_band"), "in_band"),
            ("heartbeat", json!({"enabled": true, "interval_ms": 99}), "interval_ms = 99"),
            ("start", json!({"earliest": {}}), "earliest cannot be chosen beside the phase \"full\""),
            ("start", json!({"gtid": {"set": "3E11:1-5"}}), "3E11"),
            ("start", json!({"timestamp": {"at": "2026-01-01"}}), "2026-01-01"),
            ("server_id", json!(1), "2"),
            ("chunk_rows", json!(0), "0"),
            ("parallelism", json!(0), "0"),
            ("tables", json!([]), "empty"),
            ("tables", json!(["mysql.user"]), "mysql"),
        ] {
            let error = task(|keys| drop(keys.insert(key.into(), value))).unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{key}");
            let text = error.to_string();
            assert!(text.contains(&format!("source.polardbx.{key}")) && text.contains(said), "{text}");
            assert!(error.help().is_some(), "{text}");
        }
        assert!(task(|keys| drop(keys.insert("prot".into(), json!(1)))).unwrap_err().to_string().contains("prot"));
    }

    #[test]
    fn what_amounts_to_the_default_is_taken() {
        task(|keys| {
            keys.insert("tls".into(), json!({"mode": "disabled"}));
            keys.insert("heartbeat".into(), json!({"enabled": false, "interval_ms": 5000}));
            keys.insert("handover".into(), json!("sequential"));
            keys.insert("phases".into(), json!(["schema", "incremental"]));
            keys.insert("start".into(), json!({"position": {"file": "binlog.000002", "offset": 4}}));
        })
        .unwrap();
    }

    #[test]
    fn the_dump_id_is_stable_and_never_the_servers() {
        let task = task(|_| ()).unwrap();
        let id = task.server_id(1).unwrap();
        assert!(id >= 0x1_0000);
        assert_eq!(task.server_id(1).unwrap(), id);
        assert_ne!(task.server_id(id).unwrap(), id);
    }
}
