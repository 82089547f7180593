//! The formats of a topic.

/// The format of the values in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `format.canal_json`.
    CanalJson,
    /// `format.dts_avro`.
    DtsAvro,
}

impl Format {
    /// The format's key under `format` in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Format::CanalJson => "canal_json",
            Format::DtsAvro => "dts_avro",
        }
    }
}
