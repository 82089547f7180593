//! Gets MySQL 5.7.22 and Kafka 4.1.0 from the Maven repository into a cache folder, once a machine.
//!
//! The folder is `$TEST_SERVERS_CACHE`, else `connector-test-servers` in `$XDG_CACHE_HOME` or `~/.cache`. It holds, per server, the
//! unpacked files and a template of an empty server. Each is made under a temporary name and renamed, so a folder that is there is whole
//! and Maven is not asked again; a file lock lets parallel callers wait for one another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::packages;
use crate::{Failure, Result};

const MYSQL: &str = "mysql-5.7.22";
const KAFKA: &str = "kafka-4.1.0";
/// Size of InnoDB's log files in the template; a server must be started with the same value.
pub(super) const INNODB_LOG: &str = "--innodb-log-file-size=4M";
/// The cluster id written into the template; any 16 bytes in URL-safe base64 do.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// Where the files of the servers are.
#[derive(Clone, Debug)]
pub struct Servers {
    cache: PathBuf,
}

impl Servers {
    /// The unpacked MySQL: `bin/mysqld` and `share`.
    pub fn mysql(&self) -> PathBuf {
        self.cache.join(MYSQL)
    }

    /// Data folder of an empty MySQL, to be copied.
    pub fn mysql_template(&self) -> PathBuf {
        self.cache.join(format!("{MYSQL}-empty"))
    }

    /// Class path of Kafka, in the form that Java expands itself.
    pub fn kafka_class_path(&self) -> String {
        self.cache.join(KAFKA).join("jars/*").display().to_string()
    }

    /// Formatted log folder of a Kafka broker, to be copied.
    pub fn kafka_template(&self) -> PathBuf {
        self.cache.join(format!("{KAFKA}-formatted"))
    }
}

/// The servers' files, fetched if they are not there yet. Blocks; the first call on a machine takes about a minute.
pub fn servers() -> Result<Servers> {
    static DONE: OnceLock<Servers> = OnceLock::new();
    if let Some(servers) = DONE.get() {
        return Ok(servers.clone());
    }
    let servers = provision(&cache_folder()?)?;
    Ok(DONE.get_or_init(|| servers).clone())
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

fn provision(cache: &Path) -> Result<Servers> {
    if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
        return Failure::err("the test servers are built for Linux on x86_64; run the tests there");
    }
    fs::create_dir_all(cache).map_err(|error| Failure::from(error).while_(format!("create {}", cache.display())))?;
    let lock = File::create(cache.join("lock"))?;
    lock.lock()?;
    packages::ensure()?;
    let servers = Servers { cache: cache.to_owned() };
    // The lock is ours, so whatever an interrupted run has left may go.
    let making = cache.join("making");
    let _ = fs::remove_dir_all(&making);
    if !servers.mysql().exists() || !cache.join(KAFKA).exists() {
        eprintln!("fetching MySQL 5.7.22 and Kafka 4.1.0 into {}", cache.display());
        fs::create_dir_all(&making)?;
        download(&making)?;
        place(&making.join(MYSQL), &servers.mysql())?;
        place(&making.join(KAFKA), &cache.join(KAFKA))?;
    }
    if !servers.mysql_template().exists() {
        fs::create_dir_all(&making)?;
        initialize_mysql(&servers, &making.join("empty"))?;
        place(&making.join("empty"), &servers.mysql_template())?;
    }
    if !servers.kafka_template().exists() {
        fs::create_dir_all(&making)?;
        format_kafka(&servers, &making)?;
        place(&making.join("formatted"), &servers.kafka_template())?;
    }
    let _ = fs::remove_dir_all(&making);
    Ok(servers)
}

/// Puts a finished folder where it belongs, unless one is there.
fn place(made: &Path, wanted: &Path) -> Result<()> {
    if wanted.exists() {
        return Ok(());
    }
    fs::rename(made, wanted).map_err(|error| Failure::from(error).while_(format!("rename {} to {}", made.display(), wanted.display())))
}

/// Leaves `mysql-5.7.22/` and `kafka-4.1.0/jars/` in `folder`. Maven unpacks the archive around MySQL too, so no unzip is needed.
fn download(folder: &Path) -> Result<()> {
    fs::write(folder.join("pom.xml"), include_str!("servers.pom.xml"))?;
    let goals = ["dependency:copy-dependencies@kafka", "dependency:unpack-dependencies@mysql"];
    let local = format!("-Dmaven.repo.local={}", folder.join("m2").display());
    run(Command::new("mvn").args(["-q", "-B", &local]).args(goals).current_dir(folder))?;
    fs::create_dir_all(folder.join(MYSQL))?;
    run(Command::new("tar").arg("-xzf").arg(folder.join("archive/mysql-Linux-amd64.tar.gz")).arg("-C").arg(folder.join(MYSQL)))?;
    fs::create_dir_all(folder.join(KAFKA))?;
    fs::rename(folder.join("jars"), folder.join(KAFKA).join("jars"))?;
    Ok(())
}

fn initialize_mysql(servers: &Servers, data: &Path) -> Result<()> {
    let base = servers.mysql();
    run(Command::new(base.join("bin/mysqld"))
        .args(["--no-defaults", "--user=root", "--initialize-insecure", INNODB_LOG])
        .arg(format!("--basedir={}", base.display()))
        .arg(format!("--lc-messages-dir={}", base.join("share").display()))
        .arg(format!("--datadir={}", data.display())))
}

fn format_kafka(servers: &Servers, folder: &Path) -> Result<()> {
    let properties = folder.join("server.properties");
    fs::write(&properties, super::kafka::properties(&folder.join("formatted"), 9092, 9093))?;
    run(Command::new("java")
        .args(["-cp", &servers.kafka_class_path(), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(properties))
}

/// Runs a program to its end; a failure shows what it said.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure::from(error).while_(format!("run {name}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Failure::err(format!("{name} ended with {}:\n{}", output.status, super::process::last_lines(&said, 30)))
}
