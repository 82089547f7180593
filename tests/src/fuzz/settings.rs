//! Random settings of the formats; every value of every key may occur.

use fastrand::Rng;
use formats::{canal_json, dts_avro};

use crate::Result;

/// The keys of `canal_json` and their possible values, as JSON.
const CANAL: &[(&str, &[&str])] = &[
    ("profile", &[r#""canal""#, r#""dts""#]),
    ("rows", &[r#""one""#, r#""event""#]),
    ("snapshot_type", &[r#""INSERT""#, r#""INIT""#]),
    ("decimal", &[r#""exact""#, r#""canal""#]),
    ("binary", &[r#""latin1""#, r#""base64""#, r#""hex""#]),
    ("labels", &[r#""index""#, r#""text""#]),
    ("json", &[r#""server""#, r#""canal""#]),
    ("time_zone", &[r#""UTC""#, r#""+08:00""#, r#""-03:30""#, r#""+14:00""#]),
    ("mysql_type", &[r#""full""#, r#""base""#]),
    ("sql_type", &[r#""canal""#, r#""static""#]),
    ("old", &[r#""changed""#, r#""all""#]),
    ("null_keys", &[r#""write""#, r#""omit""#]),
];

/// The keys of `dts_avro` and their possible values, as JSON.
const AVRO: &[(&str, &[&str])] = &[
    ("snapshot_type", &[r#""INSERT""#, r#""INIT""#]),
    ("transactions", &["true", "false"]),
    ("heartbeats", &[r#""off""#, r#""heartbeat""#, r#""checkpoint""#]),
    ("charset", &[r#""utf8mb4""#, r#""source""#]),
    ("invalid_text", &[r#""fail""#, r#""keep""#]),
];

fn chosen(random: &mut Rng, keys: &[(&str, &[&str])]) -> String {
    let mut members = Vec::new();
    for (key, values) in keys {
        if let Some(value) = random.choice(values.iter()).filter(|_| random.bool()) {
            members.push(format!("\"{key}\":{value}"));
        }
    }
    format!("{{{}}}", members.join(","))
}

/// Random settings of `canal_json`, as JSON text and parsed.
pub(super) fn canal(random: &mut Rng) -> Result<(String, canal_json::Config)> {
    let text = chosen(random, CANAL);
    Ok((text.clone(), serde_json::from_str(&text)?))
}

/// Random settings of `dts_avro`, as JSON text and parsed.
pub(super) fn avro(random: &mut Rng) -> Result<(String, dts_avro::Config)> {
    let text = chosen(random, AVRO);
    Ok((text.clone(), serde_json::from_str(&text)?))
}
