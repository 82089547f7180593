//! Encrypted connections to the database: every mode, the TLS support of each server, and invalid certificates.

use std::path::Path;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::Result;
use tests::harness::{Database, Flavor, certificates};

use super::case::Case;
use super::refusals::refused;
use super::servers::own;

const LIMIT: Duration = Duration::from_secs(60);

/// Sets the key `tls`, runs the task until a new row has arrived in the topic, and stops the task.
async fn works(case: &mut Case, tls: &str) -> Result<()> {
    case.settings.source = format!("tls = {tls}");
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await
}

async fn fails(case: &mut Case, tls: &str, texts: &[&str]) -> Result<()> {
    case.settings.source = format!("tls = {tls}");
    case.task.configure(&case.settings)?;
    let start = std::time::Instant::now();
    refused(case, 2, texts).await?;
    assert!(start.elapsed() < Duration::from_secs(20), "it must not be tried for long");
    Ok(())
}

fn path(file: &Path) -> String {
    format!("{:?}", file.display().to_string())
}

async fn mariadb(identity: &tests::harness::Identity, name: &str) -> Result<Case> {
    let options = certificates()?.database_options(identity);
    own(Flavor::MariaDb, &options.iter().map(String::as_str).collect::<Vec<_>>(), name).await
}

/// The numbers of encrypted and of unencrypted connections of the program's account.
async fn encrypted(source: &Database) -> Result<(u64, u64)> {
    let mut connection = source.connect().await?;
    let sql = "SELECT COALESCE(SUM(V.VARIABLE_VALUE <> ''), 0), COALESCE(SUM(V.VARIABLE_VALUE = ''), 0) \
               FROM performance_schema.status_by_thread V JOIN performance_schema.threads T USING (THREAD_ID) \
               WHERE V.VARIABLE_NAME = 'Ssl_cipher' AND T.PROCESSLIST_USER = 'dts'";
    let counts: Option<(u64, u64)> = connection.query_first(sql).await?;
    connection.disconnect().await?;
    Ok(counts.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_with_a_good_certificate() -> Result<()> {
    let known = certificates()?;
    let mut case = mariadb(&known.server, "tls_modes").await?;
    let ca = path(&known.ca);
    for tls in [
        "{ mode = \"disabled\" }".to_owned(),
        "{ mode = \"preferred\" }".to_owned(),
        "{ mode = \"required\" }".to_owned(),
        format!("{{ mode = \"verify_ca\", ca = {ca} }}"),
        format!("{{ mode = \"verify_identity\", ca = {ca} }}"),
    ] {
        works(&mut case, &tls).await?;
        assert!(!case.task.output().contains("not encrypted"), "{tls}");
    }
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_are_encrypted() -> Result<()> {
    let known = certificates()?;
    let mut options = known.database_options(&known.server);
    options.push("--performance-schema=ON".into());
    let mut case = own(Flavor::MariaDb, &options.iter().map(String::as_str).collect::<Vec<_>>(), "tls_all").await?;
    // From now on the account accepts only encrypted connections.
    case.servers.source.execute(&["ALTER USER 'dts'@'%' REQUIRE SSL"]).await?;
    fails(&mut case, "{ mode = \"disabled\" }", &["Access denied"]).await?;
    case.settings.source = "tls = { mode = \"required\" }".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let (secret, plain) = encrypted(&case.servers.source).await?;
    assert!(secret >= 1 && plain == 0, "{secret} connections are encrypted, {plain} are not");
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate() -> Result<()> {
    let known = certificates()?;
    let mut case = mariadb(&known.server, "tls_client").await?;
    case.servers.source.execute(&["ALTER USER 'dts'@'%' REQUIRE X509"]).await?;
    let (ca, cert, key) = (path(&known.ca), path(&known.client.cert), path(&known.client.key));
    fails(&mut case, &format!("{{ mode = \"verify_identity\", ca = {ca} }}"), &["Access denied"]).await?;
    works(&mut case, &format!("{{ mode = \"verify_identity\", ca = {ca}, cert = {cert}, key = {key} }}")).await?;
    let other = path(&known.server.key);
    fails(&mut case, &format!("{{ mode = \"required\", cert = {cert}, key = {other} }}"), &["does not belong"]).await?;
    fails(&mut case, &format!("{{ mode = \"required\", cert = {cert} }}"), &["cert is given without key"]).await?;
    fails(&mut case, &format!("{{ mode = \"required\", cert = {key}, key = {key} }}"), &["holds no certificate"]).await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_certificate_is_reported_at_once() -> Result<()> {
    let known = certificates()?;
    let (ca, other_ca) = (path(&known.ca), path(&known.other_ca));
    let mut case = mariadb(&known.server, "tls_wrong").await?;
    fails(&mut case, &format!("{{ mode = \"verify_ca\", ca = {other_ca} }}"), &["E_TLS", "authority that is not trusted"]).await?;
    fails(&mut case, "{ mode = \"verify_ca\", ca = \"/no/such/file.pem\" }", &["/no/such/file.pem"]).await?;
    fails(&mut case, &format!("{{ mode = \"required\", ca = {ca} }}"), &["does not verify the server's certificate"]).await?;
    fails(&mut case, "{ mode = \"sometimes\" }", &["tls.mode", "`verify_identity`"]).await?;
    assert_eq!(case.read().await?, 0);

    let mut case = mariadb(&known.wrong_host, "tls_host").await?;
    fails(&mut case, &format!("{{ mode = \"verify_identity\", ca = {ca} }}"), &["E_TLS", "elsewhere.example", "127.0.0.1"]).await?;
    works(&mut case, &format!("{{ mode = \"verify_ca\", ca = {ca} }}")).await?;

    let mut case = mariadb(&known.expired, "tls_expired").await?;
    fails(&mut case, &format!("{{ mode = \"verify_ca\", ca = {ca} }}"), &["E_TLS", "expired"]).await?;
    works(&mut case, "{ mode = \"required\" }").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_without_tls_that_we_can_use() -> Result<()> {
    // MySQL 5.7.22 offers no TLS unless it has certificates. The TLS versions of MySQL 8.0.15 are too old for the program.
    for (flavor, name, why) in [(Flavor::MySql57, "tls_none", "does not offer TLS"), (Flavor::MySql80, "tls_old", "TLS")] {
        let mut case = own(flavor, &[], name).await?;
        fails(&mut case, "{ mode = \"required\" }", &["E_TLS", why, "tls.mode"]).await?;
        works(&mut case, "{ mode = \"preferred\" }").await?;
        let output = case.task.output();
        assert_eq!(output.matches("are not encrypted").count(), 1, "one warning:\n{output}");
        case.verify(0).await?;
    }
    Ok(())
}
