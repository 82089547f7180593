//! Keys of the configuration that have no effect on the server.

use runtime::Finding;

use crate::config::Config;

/// The finding `unused_keys`: the keys that are set to other values than their defaults and have no effect on PolarDB-X, or on another server.
/// `has_streams` says whether a group of streams is read. There is no finding if all keys have an effect.
pub(super) fn unused_keys(config: &Config, is_polardbx: bool, has_streams: bool) -> Option<Finding> {
    let default = Config::default();
    let set = [
        ("barrier_delay_ms", is_polardbx, config.barrier_delay_ms != default.barrier_delay_ms),
        ("xa_wait_seconds", is_polardbx, config.xa_wait_seconds != default.xa_wait_seconds),
        ("on_unparsed_ddl", is_polardbx, config.on_unparsed_ddl != default.on_unparsed_ddl),
        ("stream_group", !is_polardbx, config.stream_group != default.stream_group),
        ("stream_split", !has_streams, config.stream_split != default.stream_split),
        ("archived_deletes", !is_polardbx, config.archived_deletes != default.archived_deletes),
        ("ddl_text", !is_polardbx, config.ddl_text != default.ddl_text),
    ];
    let unused: Vec<&str> = set.into_iter().filter(|(_, is_unused, is_set)| *is_unused && *is_set).map(|(key, ..)| key).collect();
    (!unused.is_empty()).then(|| {
        let server = if is_polardbx { "PolarDB-X" } else { "a server that is not PolarDB-X" };
        let server = if unused == ["stream_split"] && is_polardbx { "a single binlog" } else { server };
        let what = format!("keys without an effect on {server}: {}", unused.join(", "));
        Finding::warning("unused_keys", what, "remove them from [source.polardbx]")
    })
}

#[cfg(test)]
mod tests {
    use runtime::{Level, Settings};
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_without_an_effect_are_named() {
        let found = |mut keys: serde_json::Value, is_polardbx, has_streams| {
            let given = json!({"host": "db", "user": "dts", "password": "x", "tables": ["d.*"]});
            keys.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
            let config: Config = Settings::from(keys).parse("source.polardbx").unwrap();
            let finding = unused_keys(&config, is_polardbx, has_streams)?;
            assert_eq!(finding.level, Level::Warning);
            Some(finding.what)
        };
        let of_others = json!({"barrier_delay_ms": 5, "xa_wait_seconds": 5, "on_unparsed_ddl": "refetch"});
        assert_eq!(found(of_others.clone(), false, false), None);
        assert_eq!(
            found(of_others, true, false).unwrap(),
            "keys without an effect on PolarDB-X: barrier_delay_ms, xa_wait_seconds, on_unparsed_ddl"
        );
        let own = json!({"archived_deletes": "skip", "ddl_text": "original", "stream_group": "g", "stream_split": "table"});
        assert_eq!(found(own.clone(), true, true), None);
        assert_eq!(
            found(own, false, false).unwrap(),
            "keys without an effect on a server that is not PolarDB-X: stream_group, stream_split, archived_deletes, ddl_text"
        );
        assert_eq!(
            found(json!({"stream_split": "table"}), true, false).unwrap(),
            "keys without an effect on a single binlog: stream_split"
        );
        for is_polardbx in [false, true] {
            assert_eq!(found(json!({}), is_polardbx, false), None);
            assert_eq!(found(json!({"barrier_delay_ms": 10000, "ddl_text": "mysql"}), is_polardbx, false), None);
        }
    }
}
