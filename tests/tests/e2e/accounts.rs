//! Accounts whose authentication plugin is not the old default, and who can get their passwords on the way.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::harness::{Disguise, Flavor, Impostor, certificates, database};
use tests::{Failure, Result};

use super::case::Case;
use super::refusals::refused;
use super::servers::own;

const LIMIT: Duration = Duration::from_secs(60);
/// What `check` and errors say where only the password itself would do.
const ASKED: &str = "the server asks for the password itself (caching_sha2_password)";

/// Configures the task, with `tls` and other keys of the source.
fn configure(case: &mut Case, keys: &str) -> Result<()> {
    keys.clone_into(&mut case.settings.source);
    case.task.configure(&case.settings)
}

async fn works(case: &mut Case, keys: &str) -> Result<()> {
    configure(case, keys)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ed25519_of_mariadb_with_and_without_tls() -> Result<()> {
    let known = certificates()?;
    let options = [Flavor::mariadb_plugin("auth_ed25519").await?, known.database_options(&known.server)].concat();
    let mut case = own(Flavor::MariaDb, &options.iter().map(String::as_str).collect::<Vec<_>>(), "ed25519").await?;
    let user = format!("ALTER USER 'dts'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{}')", database::PASSWORD);
    case.servers.source.execute(&[&user]).await?;
    let right = std::mem::replace(&mut case.settings.password, "another".into());
    configure(&mut case, "")?;
    refused(&mut case, 2, &["Access denied", "password"]).await?;
    case.settings.password = right;
    works(&mut case, "").await?;
    let ca = known.ca.display().to_string();
    works(&mut case, &format!("tls = {{ mode = \"verify_identity\", ca = {ca:?} }}")).await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_itself_is_sent_only_for_a_key() -> Result<()> {
    let mut case = own(Flavor::MySql80, &[], "sha2_keys").await?;
    let mut root = case.servers.source.connect().await?;
    let sql = "SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'";
    let key: Option<(String, String)> = root.query_first(sql).await?;
    let folder = tempfile::tempdir()?;
    let (right, wrong) = (folder.path().join("server.pem"), folder.path().join("wrong.pem"));
    std::fs::write(&right, key.ok_or_else(|| Failure::new("the server has no key"))?.1)?;
    std::fs::write(&wrong, "-----BEGIN PUBLIC KEY-----\n")?;
    case.settings.login.clear();
    // This clears the server's cache, so that the next login must send the password itself.
    let forget = "FLUSH PRIVILEGES";
    root.query_drop(forget).await?;
    configure(&mut case, "")?;
    refused(&mut case, 2, &[ASKED, "tls", "server_public_key", "allow_public_key_retrieval"]).await?;
    configure(&mut case, &format!("server_public_key = {:?}", wrong.display().to_string()))?;
    refused(&mut case, 2, &["server_public_key", "wrong.pem", "RSA key"]).await?;
    for keys in [format!("server_public_key = {:?}", right.display().to_string()), "allow_public_key_retrieval = true".to_owned()] {
        root.query_drop(forget).await?;
        works(&mut case, &keys).await?;
        // Now the server has the hash of the password, and a proof is enough.
        works(&mut case, "").await?;
    }
    case.verify(0).await?;
    Ok(())
}

/// Who is between, the keys of the source, the words of the error, and whether the password becomes known.
type Attempt<'a> = (Disguise<'a>, String, &'a [&'a str], bool);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_gets_no_password() -> Result<()> {
    let known = certificates()?;
    let mut case = own(Flavor::MySql80, &[], "impostor").await?;
    case.settings.login.clear();
    let tls = |mode: &str| format!("tls = {{ mode = {mode:?} }}");
    let verified = |mode: &str| format!("tls = {{ mode = {mode:?}, ca = {:?} }}", known.ca.display().to_string());
    let unsigned = Disguise::OwnCertificate;
    let attempts: [Attempt<'_>; 10] = [
        (unsigned, String::new(), &[ASKED], false),
        (Disguise::NoTls, tls("preferred"), &[ASKED], false),
        (Disguise::NoTls, tls("required"), &["E_TLS", "does not offer TLS"], false),
        (unsigned, verified("verify_ca"), &["E_TLS", "not trusted"], false),
        (unsigned, verified("verify_identity"), &["E_TLS", "not trusted"], false),
        (Disguise::NoTls, verified("verify_identity"), &["E_TLS", "does not offer TLS"], false),
        (Disguise::Certificate(&known.wrong_host), verified("verify_identity"), &["E_TLS", "elsewhere.example"], false),
        // These show that he would know the password if he got it. The documentation says so of these settings.
        (unsigned, tls("required"), &[], true),
        (unsigned, tls("preferred"), &[], true),
        (unsigned, "allow_public_key_retrieval = true".to_owned(), &[], true),
    ];
    for (disguise, keys, texts, gets_it) in attempts {
        let impostor = Impostor::start(case.servers.source.address(), disguise).await?;
        case.settings.read_from(impostor.address());
        configure(&mut case, &keys)?;
        if gets_it {
            case.task.start()?;
            let start = std::time::Instant::now();
            while !impostor.has_heard(database::PASSWORD.as_bytes()) {
                assert!(start.elapsed() < LIMIT, "{keys}: the impostor does not work:\n{}", case.task.output());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            case.task.kill()?;
        } else {
            refused(&mut case, 2, texts).await?;
            assert!(!impostor.has_heard(database::PASSWORD.as_bytes()), "{disguise:?} {keys}");
        }
    }
    Ok(())
}
