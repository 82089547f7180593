//! Alibaba's own Java classes as a reader of topics: the SDK of its Data Transmission Service for DTS Avro, and Canal's message class for
//! Canal JSON.

use std::path::Path;
use std::process::Command;

use super::command::run;
use super::provision;
use crate::{Failure, Result};

/// Decodes the values of records; `format` is the name of their format in a configuration. The result is the output of
/// `java/ReadTopic.java`, which also describes it. This call blocks, for about three seconds.
pub fn read(format: &str, values: &[&[u8]]) -> Result<Vec<u8>> {
    let class_path = provision::alibaba()?;
    let folder = tempfile::tempdir()?;
    let [from, to] = ["values", "rows"].map(|name| folder.path().join(name));
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend(u32::try_from(value.len())?.to_be_bytes());
        bytes.extend(*value);
    }
    std::fs::write(&from, bytes)?;
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    // The SDK prints timestamps in the zone of the machine, and names an internal class of Java.
    command.args(["-Duser.timezone=UTC", "--add-exports", "java.base/sun.util.calendar=ALL-UNNAMED", "-cp", &class_path]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("java/ReadTopic.java")).arg(format).args([&from, &to]);
    run(&mut command).map_err(|error| error.context("decode a topic with Alibaba's classes"))?;
    std::fs::read(to).map_err(Failure::from)
}
