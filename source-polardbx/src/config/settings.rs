//! Validates the configuration once, and resolves its defaults.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Config;
use super::error::ConfigError;
use super::options::{Handover, Phase, PolarDbXOptions, Start};
use crate::binlog::gtid::GtidSet;
use crate::selection::Selection;

const HEARTBEAT_INTERVAL_MS: u64 = 10_000;

/// The validated configuration.
#[derive(Clone, Debug)]
pub(crate) struct SourceSettings {
    pub(crate) config: Config,
    pub(crate) selection: Selection,
    /// The phases, in the order in which they run.
    pub(crate) phases: Vec<Phase>,
    pub(crate) barrier_delay: Duration,
    /// How long the first start waits for prepared XA transactions.
    pub(crate) xa_wait: Duration,
    /// How long the stream is silent before it sends a heartbeat; `None` if it sends none.
    pub(crate) heartbeat: Option<Duration>,
}

impl SourceSettings {
    /// Validates every key. The error names the first key that is not valid.
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        refuse_unbuilt(&config)?;
        if config.host.trim().is_empty() {
            return Err(wrong("host", "it is empty", "name the host of the server"));
        }
        if config.host.trim().contains(|c: char| c.is_whitespace() || "@/?#".contains(c)) {
            // The value is not shown, because such a one may hold a password.
            return Err(wrong("host", "it is not a host name or an address", "write the name alone; the account is in user and password"));
        }
        if let Some((host, port)) = config.host.split_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) {
            return Err(wrong("host", format!("{:?} holds a port", config.host), format!("write host = {host:?} and port = {port}")));
        }
        if config.port == 0 {
            return Err(wrong("port", "0 is not a TCP port", "leave it out for 3306"));
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
        if config.stream_group.as_ref().is_some_and(|group| group.trim().is_empty()) {
            return Err(wrong("stream_group", "it is empty", "leave it out, or name a group that SHOW BINARY STREAMS lists"));
        }
        if config.server_id.is_some_and(|id| id < 2) {
            return Err(wrong(
                "server_id",
                "it must be at least 2",
                "leave it out, or choose a number that no other server or replica has",
            ));
        }
        let mut phases = config.phases.clone();
        phases.sort();
        let has = |phase| phases.contains(&phase);
        if has(Phase::Full)
            && let Some(start) = &config.start
        {
            let why = format!("{} cannot be chosen beside the phase \"full\", which decides where the stream starts", start.as_str());
            return Err(wrong("start", why, "leave `start` out, or take \"full\" out of `phases`"));
        }
        if config.start_schema.is_some() && matches!(config.start, None | Some(Start::Latest {})) {
            return Err(wrong("start_schema", "it is for a start in the past", "leave it out, or set start.earliest or start.position"));
        }
        let heartbeat = heartbeat(&config, has(Phase::Incremental))?;
        let selection = Selection::new(&config.tables, &config.exclude)?.without_shadows(config.exclude_shadow_tables);
        if config.xa_wait_seconds > 86_400 {
            return Err(wrong("xa_wait_seconds", format!("{} is not between 0 and 86400", config.xa_wait_seconds), "leave it out for 60"));
        }
        let (barrier_delay, xa_wait) = (Duration::from_millis(config.barrier_delay_ms), Duration::from_secs(config.xa_wait_seconds));
        Ok(Self { config, selection, phases, barrier_delay, xa_wait, heartbeat })
    }

    pub(crate) fn has(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// How the events of PolarDB-X are delivered.
    pub(crate) fn polardbx(&self) -> PolarDbXOptions {
        let Config { archived_deletes, ddl_text, .. } = self.config;
        PolarDbXOptions { archived_deletes, ddl_text, ..PolarDbXOptions::default() }
    }

    /// The replica id for the dump connection of `task`: the configured id, or else an id that is derived from the task and the server's
    /// address. It is never `of_server`, the server's own id.
    pub(crate) fn server_id(&self, task: &str, of_server: u32) -> Result<u32, ConfigError> {
        match self.config.server_id {
            Some(id) if id == of_server => Err(wrong(
                "server_id",
                format!("{id} is the server's own id"),
                "leave it out, or choose a number that no other server or replica has",
            )),
            Some(id) => Ok(id),
            None => {
                let derived = derived_server_id(task, &self.config.host, self.config.port);
                Ok(if derived == of_server { derived ^ 1 } else { derived })
            }
        }
    }
}

fn wrong(key: &'static str, why: impl Into<String>, help: impl Into<String>) -> ConfigError {
    ConfigError::new(key, why, help)
}

/// The interval of heartbeats; `None` if heartbeats are not enabled.
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
    let has_both = [Phase::Full, Phase::Incremental].iter().all(|phase| config.phases.contains(phase));
    if config.handover == Some(Handover::InBand) && !has_both {
        let why = "\"in_band\" is for tasks with the phases \"full\" and \"incremental\"";
        return Err(wrong("handover", why, "leave it out, or name both phases in `phases`"));
    }
    match &config.start {
        Some(Start::Gtid { set }) if [false, true].iter().all(|mariadb| GtidSet::parse(set, *mariadb).is_none()) => Err(wrong(
            "start",
            format!("gtid.set = {set:?} is neither a GTID set of MySQL nor a GTID position of MariaDB"),
            "copy it from @@gtid_executed of MySQL, such as \"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5\", or @@gtid_current_pos of MariaDB, \
             such as \"0-1-100\"",
        )),
        Some(Start::Timestamp { at }) => moment(at).map(drop),
        Some(Start::Position { offset, .. }) if *offset < 4 => {
            Err(wrong("start", format!("position.offset = {offset} is before the first event"), "the first event of a file begins at 4"))
        }
        Some(Start::Latest {} | Start::Earliest {} | Start::Position { .. } | Start::Gtid { .. }) | None => Ok(()),
    }
}

/// Reads the moment of `start.timestamp`.
pub(crate) fn moment(at: &str) -> Result<Timestamp, ConfigError> {
    at.parse().map_err(|error: jiff::Error| {
        let help = "write it with its offset from UTC, such as \"2026-11-28T10:00:00+08:00\" or \"2026-11-28T02:00:00Z\"";
        wrong("start", format!("timestamp.at = {at:?} is not a moment: {error}"), help)
    })
}

/// Derives a replica id that is always the same for a task and a server. It is between 2^16 and 2^31, well above the small ids that people
/// give to servers.
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

    fn settings(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Result<SourceSettings, Error> {
        let Value::Object(mut keys) = json!({"host": "db", "user": "dts", "password": "s3cret", "tables": ["shop.*"]}) else {
            unreachable!()
        };
        change(&mut keys);
        Ok(SourceSettings::new(Settings::from(Value::Object(keys)).parse("source.polardbx")?)?)
    }

    #[test]
    fn the_smallest_configuration_has_its_defaults() {
        let settings = settings(|_| ()).unwrap();
        assert_eq!((settings.config.port, settings.config.parallelism, settings.config.chunk_rows), (3306, 4, 50_000));
        assert_eq!(settings.phases, [Phase::Full, Phase::Incremental]);
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_not_built_is_refused_by_key_and_value() {
        for (key, value, said) in [
            ("host", json!("a:1"), "\"a:1\" holds a port"),
            ("host", json!("dts:s3cret@db"), "it is not a host name"),
            ("host", json!("mysql://db"), "it is not a host name"),
            ("phases", json!([]), "empty"),
            ("phases", json!(["full", "incremental", "full"]), "\"full\" is there twice"),
            ("heartbeat", json!({"enabled": true, "interval_ms": 99}), "interval_ms = 99"),
            ("start", json!({"earliest": {}}), "earliest cannot be chosen beside the phase \"full\""),
            ("start", json!({"gtid": {"set": "3E11:1-5"}}), "3E11"),
            ("start", json!({"timestamp": {"at": "2026-01-01"}}), "2026-01-01"),
            ("start", json!({"timestamp": {"at": "2026-11-28T10:00:00"}}), "is not a moment"),
            ("server_id", json!(1), "2"),
            ("chunk_rows", json!(0), "0"),
            ("parallelism", json!(0), "0"),
            ("xa_wait_seconds", json!(86_401), "86401"),
            ("stream_group", json!(" "), "empty"),
            ("tables", json!([]), "empty"),
            ("tables", json!(["mysql.user"]), "mysql"),
        ] {
            let error = settings(|keys| drop(keys.insert(key.into(), value))).unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{key}");
            let text = error.to_string();
            assert!(text.contains(&format!("source.polardbx.{key}")) && text.contains(said), "{text}");
            assert!(error.help().is_some(), "{text}");
        }
        assert!(settings(|keys| drop(keys.insert("on_ddl_in_full".into(), json!("wait")))).is_err());
        let in_band = |phases: &[&str]| {
            settings(|keys| {
                keys.insert("handover".into(), json!("in_band"));
                keys.insert("phases".into(), json!(phases));
            })
        };
        assert!(in_band(&["full"]).unwrap_err().to_string().contains("in_band"));
        assert!(in_band(&["incremental", "schema", "full"]).is_ok());
        assert!(settings(|keys| drop(keys.insert("prot".into(), json!(1)))).unwrap_err().to_string().contains("prot"));
    }

    #[test]
    fn what_amounts_to_the_default_is_taken() {
        for host in ["::1", "[::1]", "fe80::1:2"] {
            settings(|keys| drop(keys.insert("host".into(), json!(host)))).unwrap();
        }
        settings(|keys| {
            keys.insert("tls".into(), json!({"mode": "disabled"}));
            keys.insert("heartbeat".into(), json!({"enabled": false, "interval_ms": 5000}));
            keys.insert("handover".into(), json!("sequential"));
            keys.insert("on_ddl_in_full".into(), json!("restart_table"));
            keys.insert("phases".into(), json!(["schema", "incremental"]));
            keys.insert("start".into(), json!({"position": {"file": "binlog.000002", "offset": 4}}));
        })
        .unwrap();
    }

    #[test]
    fn a_moment_has_an_offset_from_utc() {
        let second = |at: &str| moment(at).unwrap().as_second();
        assert_eq!(second("2026-11-28T10:00:00+08:00"), second("2026-11-28T02:00:00Z"));
        for at in ["2026-11-28T10:00:00+08:00", "2026-11-28 10:00:00.5+08"] {
            settings(|keys| {
                keys.insert("phases".into(), json!(["incremental"]));
                keys.insert("start".into(), json!({"timestamp": {"at": at}}));
            })
            .unwrap();
        }
    }

    #[test]
    fn the_dump_id_is_stable_and_never_the_servers() {
        let settings = settings(|_| ()).unwrap();
        let id = settings.server_id("shop", 1).unwrap();
        assert!(id >= 0x1_0000);
        assert_eq!(settings.server_id("shop", 1).unwrap(), id);
        assert_ne!(settings.server_id("shop", id).unwrap(), id);
    }
}
