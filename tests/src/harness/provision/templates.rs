//! Empty servers that each test copies.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{NODES, Servers, run};
use crate::harness::flavor::{Flavor, MARIADBD};
use crate::harness::kafka::{SCRAM_MECHANISMS, SCRAM_USERS};
use crate::{Failure, Result};

/// The cluster id written into the templates; any 16 bytes in URL-safe base64 do.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// `mariadb-10.11.19`, from what the server says about itself.
pub(super) fn mariadb_version() -> Result<String> {
    let said = run(Command::new(MARIADBD).arg("--version"))?;
    let version = said.split_once("Ver ").and_then(|(_, rest)| rest.split('-').next());
    let version = version.filter(|version| version.starts_with("10.11."));
    let version = version.ok_or_else(|| Failure::new(format!("the tests are written for MariaDB 10.11, this machine has: {said}")))?;
    Ok(format!("mariadb-{version}"))
}

/// Data folder of an empty database with root without a password.
pub(super) fn database(flavor: Flavor, servers: &Servers, data: &Path) -> Result<()> {
    if flavor == Flavor::MariaDb {
        let arguments =
            ["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"];
        let mut command = Command::new("mariadb-install-db");
        run(command.args(arguments).arg(flavor.log_size()).arg(format!("--datadir={}", data.display())))?;
    } else {
        run(flavor.command(servers, data).arg("--initialize-insecure"))?;
    }
    Ok(())
}

/// One log folder a node, all of one cluster: the first is broker and controller, the others are brokers.
pub(super) fn kafka(servers: &Servers, folder: &Path) -> Result<()> {
    for node in 1..=NODES {
        let logs = folder.join(node.to_string());
        let properties = folder.join("server.properties");
        let (roles, listeners) =
            if node == 1 { ("broker,controller", "PLAINTEXT://:9092,CONTROLLER://:9093") } else { ("broker", "PLAINTEXT://:9092") };
        let text = format!(
            "process.roles={roles}\nnode.id={node}\ncontroller.quorum.voters=1@127.0.0.1:9093\nlisteners={listeners}\n\
             controller.listener.names=CONTROLLER\nlog.dirs={}\n",
            logs.display()
        );
        fs::write(&properties, text)?;
        let mut command = Command::new("java");
        command.args(["-cp", &servers.kafka_class_path(), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&properties);
        for (user, password) in SCRAM_USERS {
            for mechanism in SCRAM_MECHANISMS {
                command.arg("--add-scram").arg(format!("{mechanism}=[name={user},password={password}]"));
            }
        }
        run(&mut command)?;
        fs::remove_file(properties)?;
    }
    Ok(())
}
