//! Reads configuration files that were changed at random, with the plugins' own settings and with keys from the environment.
//!
//! A file may be accepted or refused. Nothing may panic, and no error may show a secret: neither one of the file, nor one of the environment.

use std::sync::OnceLock;

use fastrand::Rng;
use runtime::Registry;

use super::mutation::mutate;
use crate::{Failure, Result};

/// What stands wherever a secret may stand. A part of it is a secret, too.
const SECRET: &str = "pl4nted-s3cret";
const PART: &str = "nted-s3";

const EXAMPLE: &str = include_str!("../../../docs/config/shop.toml");
const REFERENCE: &str = include_str!("../../../docs/config/reference.md");

/// Files with secrets as texts and as references.
const OWN: [&str; 2] = [
    "name = \"shop\"\n[source.polardbx]\nhost = \"db\"\nport = 3306\nuser = \"dts\"\npassword = \"pl4nted-s3cret\"\ntables = [\"shop.*\"]\n\
     [sink.kafka]\nbrokers = [\"kafka:9092\"]\ntopic = \"shop\"\nformat.canal_json = {}\n\
     [sink.kafka.sasl]\nmechanism = \"SCRAM-SHA-512\"\nuser = \"u\"\npassword = \"pl4nted-s3cret\"\n",
    "name = \"shop\"\n[source.polardbx]\nhost = \"db\"\nuser = \"dts\"\npassword = \"${env:DB_PASSWORD}\"\ntables = [\"a.b\", \"c.*\"]\n\
     [source.polardbx.tls]\nmode = \"verify_ca\"\nca = \"/ca.pem\"\nkey = \"/key.pem\"\n\
     [sink.kafka]\nbrokers = [\"kafka:9092\"]\ntopic = \"{database}.{table}\"\n\
     [sink.kafka.format.dts_avro]\n[sink.kafka.schema_registry]\nurl = \"http://u:pl4nted-s3cret@registry:8081\"\npassword = \"${env:DB_PASSWORD}\"\n\
     [delivery]\nbatch_max_bytes = 65536\n[retry]\nwindow_minutes = 30\n",
];

/// Text with a meaning in these files.
const MEANINGFUL: [&str; 22] = [
    "=",
    "\"",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "[[transform]]\n",
    "{",
    "}",
    ".",
    "\n",
    "#",
    "true",
    "nan",
    "-1",
    "9223372036854775808",
    "1979-05-27",
    "${env:DB_PASSWORD}",
    "${env:",
    "${file:/nowhere}",
    "$${",
    "\u{202e}",
];

/// The files from which a round begins: those above, and every block of TOML in the reference.
fn files() -> &'static [String] {
    static FILES: OnceLock<Vec<String>> = OnceLock::new();
    FILES.get_or_init(|| {
        let blocks = REFERENCE.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
        blocks.chain([EXAMPLE]).chain(OWN).map(str::to_owned).collect()
    })
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(connector_cli::bundled)
}

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let files = files();
    let mut file = files[random.usize(..files.len())].clone().into_bytes();
    let other = files[random.usize(..files.len())].as_bytes();
    for _ in 0..random.usize(..4) {
        change(random, &mut file, other);
    }
    if random.u8(..3) == 0 {
        mutate(random, &mut file, other);
    }
    // Files that can be a part of a path are left out, so that nothing outside is read.
    let text = String::from_utf8_lossy(&file).replace("${file:/", "${file:/nowhere/").replace("/dev", "/nowhere");
    let environment = environment(random, &text);
    let Err(error) = connector_cli::validate(registry(), "shop.toml", &text, &environment) else { return Ok(()) };
    let mut shown = format!("{error} {error:?} {}", error.help().unwrap_or_default());
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        shown += &format!(" {error} {error:?}");
        cause = error.source();
    }
    // Keys are shown, and so are some values that are no secrets, such as patterns of tables.
    // So are the paths of files.
    let in_path = text.split("${file:").skip(1).any(|rest| rest.split('}').next().is_some_and(|path| path.contains(PART)));
    let may_be_shown = in_path || toml::from_str::<toml::Table>(&text).is_ok_and(|table| is_elsewhere("", &toml::Value::Table(table)));
    if shown.contains(PART) && !may_be_shown { Failure::err(format!("an error shows a secret: {shown}\n{text}")) } else { Ok(()) }
}

/// Keys whose values are secrets.
const SECRETS: [&str; 2] = ["password", "url"];

/// Whether a part of the secret or a reference to it is a key, or the value of a key whose values are no secrets.
fn is_elsewhere(key: &str, value: &toml::Value) -> bool {
    match value {
        toml::Value::Table(table) => table.iter().any(|(key, value)| key.contains(PART) || is_elsewhere(key, value)),
        toml::Value::Array(list) => list.iter().any(|value| is_elsewhere(key, value)),
        value => !SECRETS.contains(&key) && [PART, "DB_PASSWORD"].iter().any(|part| value.to_string().contains(part)),
    }
}

/// Changes lines and words, so that most files stay valid TOML.
fn change(random: &mut Rng, file: &mut Vec<u8>, other: &[u8]) {
    let mut lines: Vec<&[u8]> = file.split(|&byte| byte == b'\n').collect();
    let others: Vec<&[u8]> = other.split(|&byte| byte == b'\n').collect();
    let at = random.usize(..lines.len());
    let value;
    match random.u8(..6) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, others[random.usize(..others.len())]),
        2 => {
            let with = random.usize(..lines.len());
            lines.swap(at, with);
        }
        // Another value of the key, which may be a secret of the wrong type.
        3 | 4 => {
            let key = lines[at].split(|&byte| byte == b'=').next().unwrap_or_default();
            let values = ["\"pl4nted-s3cret\"", "[\"pl4nted-s3cret\"]", "pl4nted-s3cret", "17", "true", "\"\"", "[]"];
            value = [key, b"= ", values[random.usize(..values.len())].as_bytes()].concat();
            lines[at] = &value;
        }
        _ => {
            let line = lines[at];
            let place = random.usize(..=line.len());
            let (before, behind) = line.split_at(place);
            value = [before, MEANINGFUL[random.usize(..MEANINGFUL.len())].as_bytes(), behind].concat();
            lines[at] = &value;
        }
    }
    *file = lines.join(&b'\n');
}

/// Variables of the environment, of which some are keys. Those whose values are secrets hold the secret.
fn environment(random: &mut Rng, text: &str) -> Vec<(String, String)> {
    let mut variables = vec![("DB_PASSWORD".to_owned(), SECRET.to_owned())];
    let keys: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim()).collect();
    for _ in 0..random.usize(..3) {
        let table =
            random.choice(["SOURCE__POLARDBX__", "SINK__KAFKA__", "SINK__KAFKA__SASL__", "RETRY__", "DELIVERY__", "STORE__LOCAL__"]);
        let key = random.choice(keys.iter()).map_or("password", |key| *key);
        let value = if SECRETS.iter().any(|secret| key.ends_with(secret)) { SECRET } else { "something" };
        variables.push((format!("CONNECT_{}{}", table.unwrap_or_default(), key.replace('.', "__").to_uppercase()), value.to_owned()));
    }
    variables
}
