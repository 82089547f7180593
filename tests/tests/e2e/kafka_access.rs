//! Access to Kafka. Every way of access must work. Every refusal must be immediate, with one clear error, the right exit code, and no
//! secret in the output.

use std::time::{Duration, Instant};

use tests::checker::{Format, Table};
use tests::harness::{Kafka, Listener, Process, certificates};
use tests::program::{Access, Mechanism};
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::report::{assert_error, assert_no_secrets};

const LIMIT: Duration = Duration::from_secs(60);
/// A refusal at the start is not retried, so it must end the task within this time.
const AT_ONCE: Duration = Duration::from_secs(30);
const ALICE: &str = "sasl = { mechanism = \"scram_sha_256\", user = \"alice\", password = \"alice-secret\" }";

/// A case with one table `t` of three rows, on the shared servers.
async fn small(name: &str) -> Result<Case> {
    on(Servers::shared().await?, name).await
}

async fn on(servers: Servers, name: &str) -> Result<Case> {
    servers
        .source
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20))"),
            &format!("INSERT INTO {name}.t VALUES (1, 'one'), (2, 'two'), (3, 'three')"),
        ])
        .await?;
    Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await
}

/// Runs the task with this broker and these lines of `[sink.kafka]`. The task must end without a retry, with exit code 2 and an error that
/// contains `texts`.
async fn refused(case: &mut Case, broker: &str, sink: &str, texts: &[&str]) -> Result<()> {
    case.settings.brokers = vec![broker.to_owned()];
    case.settings.access = sink.to_owned();
    case.task.configure(&case.settings)?;
    let start = Instant::now();
    case.task.start()?;
    let code = case.task.wait(LIMIT).await?;
    let output = case.task.output();
    assert_eq!(code, 2, "{output}");
    assert!(start.elapsed() < AT_ONCE, "{output}");
    assert_error(&output, texts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listener_works_with_its_settings() -> Result<()> {
    let servers = Servers::shared().await?;
    for access in Access::ALL {
        let mut case = on(servers.clone(), &format!("access_{}", access.name())).await?;
        case.settings.enter(&case.servers.kafka.clone(), access)?;
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
        let output = case.task.output();
        assert_no_secrets(&output);
        let warned = output.contains("can be read by anybody");
        assert_eq!(warned, access == Access::Sasl(Mechanism::Plain), "{output}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_may_have_a_host_name() -> Result<()> {
    let mut case = small("by_name").await?;
    case.settings.enter(&case.servers.kafka.clone(), Access::SaslTls(Mechanism::Scram512))?;
    let brokers: Vec<String> = case.settings.brokers.iter().map(|broker| broker.replace("127.0.0.1", "localhost")).collect();
    // The first two addresses do not work: nothing listens on the first port, and the second accepts connections but never responds.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    case.settings.brokers = vec!["127.0.0.1:1".into(), silent.local_addr()?.to_string()];
    case.settings.brokers.extend(brokers);
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_users_are_refused() -> Result<()> {
    let mut case = small("wrong_users").await?;
    let broker = case.servers.kafka.address(Listener::Sasl);
    for mechanism in ["scram_sha_256", "scram_sha_512", "plain"] {
        for user in ["alice", "nobody"] {
            let sink = format!("sasl = {{ mechanism = \"{mechanism}\", user = \"{user}\", password = \"planted-secret\" }}");
            refused(&mut case, &broker, &sink, &[&broker, &format!("user {user}"), "E_SASL", "sasl.password"]).await?;
        }
    }
    assert_eq!(case.read().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_another_kind_is_recognised() -> Result<()> {
    let mut case = small("wrong_ports").await?;
    let kafka = case.servers.kafka.clone();
    let ca = format!("tls = {{ ca = {:?} }}", certificates()?.ca.display().to_string());
    let [plain, sasl, mutual, sasl_tls] =
        [Listener::Plain, Listener::Sasl, Listener::MutualTls, Listener::SaslTls].map(|listener| kafka.address(listener));
    refused(&mut case, &plain, &ca, &[&plain, "E_PORT", "TLS on this port"]).await?;
    refused(&mut case, &sasl, &format!("{ca}\n{ALICE}"), &[&sasl, "E_PORT", "TLS on this port"]).await?;
    refused(&mut case, &mutual, "", &[&mutual, "E_PORT", "TLS on this port, and `tls` is not set"]).await?;
    refused(&mut case, &sasl_tls, ALICE, &[&sasl_tls, "E_PORT", "TLS on this port, and `tls` is not set"]).await?;
    refused(&mut case, &plain, ALICE, &[&plain, "E_SASL", "does not use SASL"]).await?;
    refused(&mut case, &sasl, "", &[&sasl, "E_SASL", "SCRAM-SHA-256", "PLAIN", "set sasl"]).await?;
    let mysql = case.servers.source.address().to_string();
    refused(&mut case, &mysql, "", &[&mysql, "E_PORT", "MySQL"]).await?;
    assert_eq!(case.read().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_cannot_be_trusted_are_refused() -> Result<()> {
    let certificates = certificates()?;
    let mut case = small("certificates").await?;
    let (ca, other) = (certificates.ca.display().to_string(), certificates.other_ca.display().to_string());
    let broker = case.servers.kafka.address(Listener::SaslTls);
    refused(&mut case, &broker, &format!("tls = {{ ca = {other:?} }}\n{ALICE}"), &[&broker, "E_TLS", "authority", &other]).await?;
    refused(&mut case, &broker, &format!("tls = {{}}\n{ALICE}"), &[&broker, "E_TLS", "authority", "system"]).await?;

    let mutual = case.servers.kafka.address(Listener::MutualTls);
    refused(&mut case, &mutual, &format!("tls = {{ ca = {ca:?} }}"), &[&mutual, "E_TLS", "client certificate", "tls.cert"]).await?;
    let strange = tempfile::tempdir()?;
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()]).map_err(|error| Failure::new(error.to_string()))?;
    let (cert, key) = (strange.path().join("stranger.pem"), strange.path().join("stranger.key"));
    std::fs::write(&cert, stranger.cert.pem())?;
    std::fs::write(&key, stranger.signing_key.serialize_pem())?;
    let (cert, key) = (cert.display(), key.display());
    let sink = format!("tls = {{ ca = {ca:?}, cert = \"{cert}\", key = \"{key}\" }}");
    refused(&mut case, &mutual, &sink, &[&mutual, "E_TLS", "refuses the client certificate"]).await?;

    // These files do not exist or have the wrong content.
    let client = certificates.client.cert.display();
    for (sink, texts) in [
        ("tls = { ca = \"/no/such/ca.pem\" }".to_owned(), &["tls.ca", "/no/such/ca.pem"] as &[&str]),
        (format!("tls = {{ ca = \"{key}\" }}"), &["tls.ca", "no certificate"]),
        (format!("tls = {{ ca = {ca:?}, cert = \"{client}\" }}"), &["tls.key", "missing"]),
        (format!("tls = {{ ca = {ca:?}, cert = \"{client}\", key = \"{key}\" }}"), &["tls.key", "is not the key of"]),
        (format!("tls = {{ ca = {ca:?}, cert = \"{client}\", key = \"{client}\" }}"), &["tls.key", "no private key"]),
    ] {
        refused(&mut case, &mutual, &sink, texts).await?;
    }

    // This broker has two listeners with TLS, each with a different invalid certificate.
    let stores = [("ssl", &certificates.expired), ("sasl_ssl", &certificates.wrong_host)]
        .map(|(listener, identity)| format!("listener.name.{listener}.ssl.keystore.location={}", identity.store.display()));
    let kafka = Kafka::start_with(&stores.each_ref().map(String::as_str)).await?;
    let (expired, elsewhere) = (kafka.address(Listener::MutualTls), kafka.address(Listener::SaslTls));
    refused(&mut case, &expired, &format!("tls = {{ ca = {ca:?} }}"), &[&expired, "E_TLS", "expired"]).await?;
    let sink = format!("tls = {{ ca = {ca:?} }}\n{ALICE}");
    refused(&mut case, &elsewhere, &sink, &[&elsewhere, "E_TLS", "elsewhere.example", "127.0.0.1"]).await?;
    assert_eq!(case.read().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mechanism_that_is_not_offered_and_a_session_that_ends() -> Result<()> {
    let servers = Servers::shared().await?;
    let kafka =
        std::sync::Arc::new(Kafka::start_with(&["sasl.enabled.mechanisms=SCRAM-SHA-256,PLAIN", "connections.max.reauth.ms=2000"]).await?);
    let mut case = on(Servers { source: servers.source.clone(), kafka: kafka.clone() }, "session_ends").await?;
    let broker = kafka.address(Listener::Sasl);
    let sink = "sasl = { mechanism = \"scram_sha_512\", user = \"alice\", password = \"alice-secret\" }";
    refused(&mut case, &broker, sink, &[&broker, "E_SASL", "SCRAM-SHA-512", "PLAIN, SCRAM-SHA-256"]).await?;

    case.settings.enter(&kafka, Access::Sasl(Mechanism::Scram256))?;
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let start = Instant::now();
    // The test lasts longer than the broker's limit for a session, with pauses that are shorter and longer than the limit.
    for pause_ms in [100, 2500, 300, 1900, 700, 2100, 200] {
        case.catch_up(LIMIT).await?;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    case.catch_up(LIMIT).await?;
    assert!(start.elapsed() > Duration::from_secs(7));
    case.task.stop().await?;
    let report = case.verify(0).await?;
    println!("{report}");
    let output = case.task.output();
    assert!(!output.contains("retry"), "a session that ends is not a failure:\n{output}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_reported_with_the_command_that_adds_it() -> Result<()> {
    let mut case = small("rights").await?;
    let kafka = case.servers.kafka.clone();
    let broker = kafka.address(Listener::Sasl);
    let mallory = "sasl = { mechanism = \"scram_sha_256\", user = \"mallory\", password = \"mallory-secret\" }";
    let texts = ["E_DENIED", "User:mallory", "kafka-acls.sh", "--operation Write", "--topic rights"];
    refused(&mut case, &broker, mallory, &texts).await?;
    kafka.allow("User:mallory", &["Describe", "Read"], "rights").await?;
    refused(&mut case, &broker, mallory, &texts).await?;
    assert_eq!(case.read().await?, 0);
    kafka.allow("User:mallory", &["Write"], "rights").await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;

    // A running task that loses a right waits, since the right may be given back.
    kafka.disallow("User:mallory", &["Write"], "rights").await?;
    case.servers.source.execute(&["INSERT INTO rights.t VALUES (4, 'four')"]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    case.task.must_run()?;
    assert!(case.task.output().contains("TopicAuthorizationFailed"), "{}", case.task.output());
    kafka.allow("User:mallory", &["Write"], "rights").await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    assert_no_secrets(&case.task.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_any_output_whatever_its_level() -> Result<()> {
    let mut case = small("secrets").await?;
    let kafka = case.servers.kafka.clone();
    let wrong = "sasl = { mechanism = \"plain\", user = \"bob\", password = \"planted-secret\" }".to_owned();
    for (listener, sink) in [
        (Listener::SaslTls, Access::SaslTls(Mechanism::Scram256).sink_keys()?),
        (Listener::SaslTls, Access::SaslTls(Mechanism::Plain).sink_keys()?),
        (Listener::MutualTls, Access::MutualTls.sink_keys()?),
        (Listener::Sasl, wrong),
    ] {
        case.settings.brokers = vec![kafka.address(listener)];
        case.settings.access = sink;
        case.task.configure(&case.settings)?;
        let file = case.task.file().display().to_string();
        for arguments in [&["check", &file] as &[&str], &["run", "--log", "trace", &file]] {
            let folder = tempfile::tempdir()?;
            let mut call = program().command(arguments);
            call.current_dir(folder.path());
            let mut process = Process::spawn("the program", &mut call, folder.path(), "log")?;
            tokio::time::sleep(Duration::from_secs(2)).await;
            if process.ended()?.is_none() {
                process.signal(nix::sys::signal::Signal::SIGTERM)?;
                process.wait(LIMIT).await?;
            }
            assert_no_secrets(&process.output());
        }
    }
    Ok(())
}
