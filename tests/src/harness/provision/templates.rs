//! Templates of empty servers; each test starts from a copy.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::command::run;
use crate::harness::flavor::Flavor;
use crate::harness::kafka::{SCRAM_MECHANISMS, SCRAM_USERS};
use crate::harness::packages::MARIADBD;
use crate::{Failure, Result};

/// The cluster id in the templates. Any 16 bytes in URL-safe base64 would do.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// The name and version of the installed server, such as `mariadb-10.11.19`.
pub(super) fn mariadb_version() -> Result<String> {
    let output = run(Command::new(MARIADBD).arg("--version"))?;
    let version = output.split_once("Ver ").and_then(|(_, rest)| rest.split('-').next());
    let version = version.filter(|version| version.starts_with("10.11."));
    let version = version.ok_or_else(|| Failure::new(format!("the tests are written for MariaDB 10.11, this machine has: {output}")))?;
    Ok(format!("mariadb-{version}"))
}

/// Creates the data folder of an empty database whose root has no password.
pub(super) fn database(flavor: Flavor, base: &Path, data: &Path) -> Result<()> {
    if flavor == Flavor::MariaDb {
        let arguments =
            ["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"];
        let mut command = Command::new("mariadb-install-db");
        run(command.args(arguments).arg(flavor.log_size()).arg(format!("--datadir={}", data.display())))?;
    } else {
        run(flavor.command(base, data).arg("--initialize-insecure"))?;
    }
    Ok(())
}

/// Creates the log folder of one broker. Broker 1 is also the controller; the other brokers of the cluster are only brokers.
pub(super) fn kafka(node: u16, class_path: &str, folder: &Path) -> Result<()> {
    let properties = folder.with_file_name(format!("node-{node}.properties"));
    let (roles, listeners) =
        if node == 1 { ("broker,controller", "PLAINTEXT://:9092,CONTROLLER://:9093") } else { ("broker", "PLAINTEXT://:9092") };
    let text = format!(
        "process.roles={roles}\nnode.id={node}\ncontroller.quorum.voters=1@127.0.0.1:9093\nlisteners={listeners}\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\n",
        folder.display()
    );
    fs::write(&properties, text)?;
    let mut command = Command::new("java");
    command.args(["-XX:TieredStopAtLevel=1", "-cp", class_path, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
    command.arg(&properties);
    for (user, password) in SCRAM_USERS {
        for mechanism in SCRAM_MECHANISMS {
            command.arg("--add-scram").arg(format!("{mechanism}=[name={user},password={password}]"));
        }
    }
    run(&mut command)?;
    Ok(fs::remove_file(properties)?)
}
