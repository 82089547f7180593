//! The settings of the DTS Avro format.

use serde::Deserialize;

use crate::SnapshotType;

/// Settings of [`DtsAvro`](super::DtsAvro); every one has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// The operation of rows that the snapshot read. Default `INIT`, as DTS writes it; `INSERT` for consumers that know only row changes.
    pub snapshot_type: SnapshotType,
}

impl Default for Config {
    fn default() -> Self {
        Self { snapshot_type: SnapshotType::Init }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_default_and_unknown_ones_are_errors() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        let config: Config = serde_json::from_str(r#"{"snapshot_type":"INSERT"}"#).unwrap();
        assert_eq!(config.snapshot_type, SnapshotType::Insert);
        assert!(serde_json::from_str::<Config>(r#"{"snapshot_typ":"INSERT"}"#).unwrap_err().to_string().contains("snapshot_type"));
    }
}
