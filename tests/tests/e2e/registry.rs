//! The schema registry: every record has a schema id that readers can resolve. A task keeps its id, and writes no record with a different
//! id.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::registry_stub::{Instead, PASSWORD, USER};
use tests::harness::{Identity, Listener, Registry, RegistryStub, TopicReader, certificates};

use super::case::{Case, Servers, program};
use super::report::{assert_error, assert_no_secrets};

const LIMIT: Duration = Duration::from_secs(60);
/// A refusal at the start is not retried, so it must end the task within this time.
const AT_ONCE: Duration = Duration::from_secs(30);
/// A schema that is not compatible with ours.
const OTHER: &str = r#"{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}"#;
const ROWS: &str = "INSERT INTO {db}.t VALUES (1, 'one'), (2, 'two'), (3, 'three')";

/// A case with one table `t` of three rows, and with these keys in `schema_registry`.
async fn small(name: &str, registry: &str) -> Result<Case> {
    let servers = Servers::shared().await?;
    let create = format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20))");
    servers.source.execute(&[&format!("CREATE DATABASE {name}"), &create, &ROWS.replace("{db}", name)]).await?;
    let mut case = Case::new(servers, name, Format::DtsAvro, 1, vec![Table::new(name, "t")]).await?;
    case.ids = Some(BTreeSet::new());
    configure(&mut case, registry)?;
    Ok(case)
}

fn configure(case: &mut Case, registry: &str) -> Result<()> {
    case.settings.sink = format!("schema_registry = {{ {registry} }}");
    case.task.configure(&case.settings)
}

fn at(url: &str) -> String {
    format!("url = {url:?}")
}

/// Runs the task. The task must end with this exit code and an error that contains `texts`, and must not write any record.
async fn refused(case: &mut Case, code: i32, texts: &[&str]) -> Result<()> {
    let before = case.read().await?;
    let start = Instant::now();
    case.task.start()?;
    let ended = case.task.wait(LIMIT).await?;
    let output = case.task.output();
    assert_eq!(ended, code, "{output}");
    assert!(start.elapsed() < AT_ONCE, "{output}");
    assert_error(&output, texts)?;
    assert_eq!(case.read().await?, before, "written under an unregistered schema");
    Ok(())
}

/// Runs the case until everything is delivered, and compares the topic with the source.
async fn works(case: &mut Case) -> Result<()> {
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    // If the registry is slow, the first lane may be opened a second time. That lane then reads its chunk again, so one repeated chunk is
    // allowed.
    case.verify(1).await?;
    assert_no_secrets(&case.task.output());
    Ok(())
}

async fn checked(case: &Case) -> Result<String> {
    let file = case.task.file().display().to_string();
    let output = tokio::task::spawn_blocking(move || program().command(&["check", &file]).output()).await??;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_registry_serves_the_schema_of_every_record() -> Result<()> {
    let mut registry = Registry::start().await?;
    let mut case = small("registry_real", &at(&registry.url())).await?;
    let output = checked(&case).await?;
    assert!(output.contains("schema_registry") && output.contains("subject registry_real-value does not exist yet"), "{output}");
    let (_, subjects) = registry.request("GET", "/subjects", "").await?;
    assert_eq!(subjects, "[]", "check registers nothing");

    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // The next start finds the schema id in the checkpoint.
    case.task.kill()?;
    case.servers.source.execute(&["UPDATE registry_real.t SET a = 'changed'", "DELETE FROM registry_real.t WHERE id = 1"]).await?;
    works(&mut case).await?;
    let ids = case.ids.clone().unwrap_or_default();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let (_, versions) = registry.request("GET", "/subjects/registry_real-value/versions", "").await?;
    assert_eq!(versions, "[1]");

    // Decodes the records as a reader that knows only the schema id.
    let id = ids.first().copied().unwrap_or_default();
    let (status, response) = registry.request("GET", &format!("/schemas/ids/{id}"), "").await?;
    let response: serde_json::Value = serde_json::from_str(&response)?;
    assert_eq!(status, 200);
    let schema = apache_avro::Schema::parse_str(response["schema"].as_str().unwrap_or_default())?;
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build()?;
    for entry in &case.entries {
        let mut rest = entry.value.as_slice();
        reader.read_value(&mut rest)?;
        assert!(rest.is_empty());
    }
    assert!(checked(&case).await?.contains("subject registry_real-value has the schema already"));

    // The registry was restarted and is empty, so readers of the topic would find no schema.
    registry.forget().await?;
    refused(&mut case, 1, &["E_SCHEMA_GONE", &format!("id {id}"), "registry_real", "from scratch"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_that_rejects_the_schema_stops_the_task() -> Result<()> {
    let registry = Registry::start().await?;
    let body = serde_json::json!({ "schema": OTHER }).to_string();
    let (status, response) = registry.request("POST", "/subjects/registry_409-value/versions", &body).await?;
    assert_eq!(status, 200, "{response}");
    let mut case = small("registry_409", &at(&registry.url())).await?;
    let output = checked(&case).await?;
    assert!(output.contains("E_SCHEMA_REFUSED") || output.contains("not compatible"), "{output}");
    refused(&mut case, 4, &["E_SCHEMA_REFUSED", "409", "registry_409-value", "compatibility"]).await?;
    // The test follows the advice of the error, which must work.
    let (status, response) = registry.request("PUT", "/config/registry_409-value", r#"{"compatibility":"NONE"}"#).await?;
    assert_eq!(status, 200, "{response}");
    works(&mut case).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_without_its_schema_stops_the_task() -> Result<()> {
    let stub = RegistryStub::start().await?;
    let mut case = small("registry_gone", &at(&stub.url())).await?;
    works(&mut case).await?;
    assert_eq!(case.ids, Some(BTreeSet::from([70_001])));
    let (schema, subjects) = (stub.schema(70_001).unwrap_or_default(), stub.subjects());

    stub.forget();
    refused(&mut case, 1, &["E_SCHEMA_GONE", "70001", "_schemas"]).await?;
    stub.replace(70_001, OTHER);
    refused(&mut case, 1, &["E_SCHEMA_GONE", "70001", "another schema"]).await?;
    assert_eq!(stub.subjects().len(), 0, "nothing was registered meanwhile");
    // The schema is restored, but with the keys of its JSON in another order.
    let sorted: serde_json::Value = serde_json::from_str(&schema)?;
    stub.replace(70_001, &sorted.to_string());
    works(&mut case).await?;
    assert_eq!((case.ids.clone(), subjects.len()), (Some(BTreeSet::from([70_001])), 1));

    // While the registry is unavailable, the task waits.
    stub.instead(Instead::Refuse(503, 50301, "not now".into()), Some(3));
    case.servers.source.execute(&["INSERT INTO registry_gone.t VALUES (9, 'nine')"]).await?;
    works(&mut case).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_their_refusals() -> Result<()> {
    let stub = RegistryStub::start().await?;
    stub.require_user();
    let user = |name: &str, password: &str| format!("{}, user = {name:?}, password = {password:?}", at(&stub.url()));
    let mut case = small("registry_users", &at(&stub.url())).await?;
    refused(&mut case, 2, &["E_REGISTRY_DENIED", "401", "without a user", "schema_registry.user"]).await?;
    configure(&mut case, &user(USER, "planted-secret"))?;
    refused(&mut case, 2, &["E_REGISTRY_DENIED", "401", "user registrar"]).await?;
    configure(&mut case, &user(USER, PASSWORD))?;
    stub.instead(Instead::Refuse(403, 40301, format!("{USER} with {PASSWORD} may not write")), None);
    refused(&mut case, 2, &["E_REGISTRY_DENIED", "403", "may not write", "auto_register"]).await?;
    stub.behave();
    let output = checked(&case).await?;
    assert!(output.contains("schema_registry_password") && output.contains("does not exist yet"), "{output}");
    assert_no_secrets(&output);
    works(&mut case).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_its_refusals() -> Result<()> {
    let certificates = certificates()?;
    let ca = |file: &std::path::Path| format!("tls = {{ ca = {:?} }}", file.display().to_string());
    let stub = RegistryStub::encrypted(&certificates.server, false).await?;
    let mut case = small("registry_tls", &format!("{}, {}", at(&stub.url()), ca(&certificates.other_ca))).await?;
    refused(&mut case, 2, &["E_TLS", "authority", "other-ca.pem", "schema_registry.tls.ca"]).await?;
    configure(&mut case, &at(&stub.url()))?;
    refused(&mut case, 2, &["E_TLS", "authority", "system", "schema_registry.tls.ca"]).await?;
    let wrong: [(&Identity, &[&str]); 2] = [
        (&certificates.wrong_host, &["E_TLS", "127.0.0.1", "elsewhere.example", "schema_registry.url"]),
        (&certificates.expired, &["E_TLS", "expired", "renew"]),
    ];
    for (identity, texts) in wrong {
        let wrong = RegistryStub::encrypted(identity, false).await?;
        configure(&mut case, &format!("{}, {}", at(&wrong.url()), ca(&certificates.ca)))?;
        refused(&mut case, 2, texts).await?;
    }
    configure(&mut case, &at(&stub.url().replace("https", "http")))?;
    refused(&mut case, 2, &["E_REGISTRY", "schema_registry.url"]).await?;
    let plain = RegistryStub::start().await?;
    configure(&mut case, &format!("{}, {}", at(&plain.url().replace("http", "https")), ca(&certificates.ca)))?;
    refused(&mut case, 2, &["E_PORT", "TLS on this port", "http://"]).await?;

    let mutual = RegistryStub::encrypted(&certificates.server, true).await?;
    configure(&mut case, &format!("{}, {}", at(&mutual.url()), ca(&certificates.ca)))?;
    refused(&mut case, 2, &["E_TLS", "client certificate", "schema_registry.tls.cert"]).await?;
    let [authority, cert, key] =
        [&certificates.ca, &certificates.client.cert, &certificates.client.key].map(|file| file.display().to_string());
    configure(&mut case, &format!("{}, tls = {{ ca = {authority:?}, cert = {cert:?}, key = {key:?} }}", at(&mutual.url())))?;
    works(&mut case).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_a_registry_stops_the_task_at_once() -> Result<()> {
    let stub = RegistryStub::start().await?;
    let mut case = small("registry_address", &at("http://127.0.0.1:1")).await?;
    refused(&mut case, 2, &["E_REGISTRY", "127.0.0.1:1", "refused", "schema_registry.url"]).await?;
    assert!(checked(&case).await?.contains("schema_registry.url"));
    configure(&mut case, &at("http://registry.invalid:8081"))?;
    refused(&mut case, 2, &["E_REGISTRY", "registry.invalid", "schema_registry.url"]).await?;
    let broker = case.servers.kafka.address(Listener::Plain);
    configure(&mut case, &at(&format!("http://{broker}")))?;
    refused(&mut case, 2, &["E_REGISTRY", &broker, "schema_registry.url"]).await?;
    for (instead, text) in [
        (Instead::Page(404), "the answer is 404"),
        (Instead::Page(200), "JSON"),
        (Instead::Redirect(format!("{}/elsewhere", stub.url())), "307"),
    ] {
        stub.instead(instead, None);
        configure(&mut case, &at(&stub.url()))?;
        refused(&mut case, 2, &["E_REGISTRY", &stub.url(), text, "schema_registry.url"]).await?;
    }
    // The registry's URL has a path that does not exist.
    stub.behave();
    configure(&mut case, &at(&format!("{}/no/registry/here", stub.url())))?;
    refused(&mut case, 2, &["E_REGISTRY", "/no/registry/here", "405"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_registry_that_hangs() -> Result<()> {
    let stub = RegistryStub::start().await?;
    let mut case = small("registry_hangs", &at(&stub.url())).await?;
    // The registry hangs when it is first needed: at the start, or with a topic template at the first row.
    for topic in ["registry_hangs", "{database}.{table}"] {
        if topic.contains('{') {
            for table in ["t", "fence"] {
                case.servers.kafka.create_topic(&format!("registry_hangs.{table}"), 1).await?;
            }
        }
        case.settings.topic = topic.into();
        case.task.configure(&case.settings)?;
        stub.instead(Instead::Silence, None);
        let before = stub.requests().len();
        case.task.start()?;
        let start = Instant::now();
        while stub.requests().len() == before {
            case.task.must_run()?;
            assert!(start.elapsed() < LIMIT, "the registry received no request:\n{}", case.task.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let requested = Instant::now();
        case.task.signal(nix::sys::signal::Signal::SIGTERM)?;
        let code = case.task.wait(LIMIT).await?;
        assert_eq!(code, 0, "{}", case.task.output());
        assert!(requested.elapsed() < Duration::from_secs(5), "{:?}:\n{}", requested.elapsed(), case.task.output());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_that_are_refused_and_registries_that_are_busy() -> Result<()> {
    let stub = RegistryStub::start().await?;
    let mut case = small("registry_busy", &at(&stub.url())).await?;
    stub.instead(Instead::Refuse(422, 42201, "Invalid schema".into()), None);
    refused(&mut case, 4, &["E_SCHEMA_REFUSED", "422", "Invalid schema", "registry_busy-value"]).await?;
    stub.instead(Instead::Refuse(422, 42205, "Subject registry_busy-value is in read-only mode".into()), None);
    refused(&mut case, 4, &["E_SCHEMA_REFUSED", "read-only", "READWRITE"]).await?;
    case.settings.more = "[retry]\nwindow_seconds = 3\n".into();
    for status in [429, 500] {
        stub.instead(Instead::Refuse(status, i64::from(status) * 100 + 1, "busy".into()), None);
        case.task.configure(&case.settings)?;
        refused(&mut case, 3, &["E_REGISTRY", &status.to_string(), "busy"]).await?;
    }
    stub.instead(Instead::Refuse(500, 50001, "busy".into()), Some(2));
    works(&mut case).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subjects_by_topic_and_by_record() -> Result<()> {
    let record = "com.alibaba.dts.formats.avro.Record";
    let servers = Servers::shared().await?;
    for (strategy, name) in [("topic_name", "by_topic"), ("record_name", "by_record"), ("topic_record_name", "by_both")] {
        let stub = RegistryStub::start().await?;
        let mut case = small(&format!("registry_{name}"), &at(&stub.url())).await?;
        let topics = ["t", "fence", "ddl"].map(|table| format!("registry_{name}.{table}"));
        for topic in &topics {
            servers.kafka.create_topic(topic, 1).await?;
        }
        case.settings.topic = "{database}.{table}".into();
        case.settings.sink = format!("ddl_topic = {:?}\nschema_registry = {{ {}, subject = {strategy:?} }}", topics[2], at(&stub.url()));
        case.task.configure(&case.settings)?;
        case.task.start()?;
        // The stream has its own ids in the checkpoint. So the row must not be read by the full phase.
        let begin = Instant::now();
        while !case.task.output().contains("incremental") {
            case.task.must_run()?;
            assert!(begin.elapsed() < LIMIT, "{}", case.task.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        case.servers.source.execute(&[&format!("INSERT INTO registry_{name}.fence VALUES (7)")]).await?;
        for topic in &topics[..2] {
            let prefixed = |entry: &tests::harness::Entry| entry.value.starts_with(&[0, 0, 1, 0x11, 0x71]);
            TopicReader::open(&servers.kafka, topic).await?.read_until("a record under id 70001", LIMIT, prefixed).await?;
        }
        case.task.stop().await?;
        let expected: BTreeSet<String> = match strategy {
            "topic_name" => topics.iter().map(|topic| format!("{topic}-value")).collect(),
            "record_name" => BTreeSet::from([record.to_owned()]),
            _ => topics.iter().map(|topic| format!("{topic}-{record}")).collect(),
        };
        assert_eq!(stub.subjects().into_keys().collect::<BTreeSet<_>>(), expected);
        // The ids are kept in the checkpoint, so the next start registers nothing.
        let before = stub.requests().len();
        case.task.start()?;
        case.servers.source.execute(&[&format!("INSERT INTO registry_{name}.fence VALUES (8)")]).await?;
        let mut reader = TopicReader::open(&servers.kafka, &topics[1]).await?;
        let mut count = 0;
        reader
            .read_until("the second row", LIMIT, |_| {
                count += 1;
                count == 2
            })
            .await?;
        case.task.stop().await?;
        assert_eq!(stub.requests()[before..], ["GET /schemas/ids/70001"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_may_not_register_uses_existing_schemas() -> Result<()> {
    let stub = RegistryStub::start().await?;
    let settings = format!("{}, auto_register = false", at(&stub.url()));
    let mut case = small("registry_found", &settings).await?;
    refused(&mut case, 2, &["E_SCHEMA_MISSING", "registry_found-value", "auto_register = true"]).await?;
    assert!(checked(&case).await?.contains("E_SCHEMA_MISSING") || checked(&case).await?.contains("no such schema"));
    assert_eq!(stub.subjects().len(), 0);
    // A second task registers the same schema under a different subject, which is the record's name.
    let mut other = case.sibling("registry_found_2", Format::DtsAvro, 1).await?;
    other.ids = Some(BTreeSet::new());
    configure(&mut other, &format!("{}, subject = \"record_name\"", at(&stub.url())))?;
    works(&mut other).await?;
    refused(&mut case, 2, &["E_SCHEMA_MISSING", "registry_found-value"]).await?;
    configure(&mut case, &format!("{settings}, subject = \"record_name\""))?;
    let before = stub.requests().len();
    works(&mut case).await?;
    assert_eq!(
        (stub.requests()[before..].to_vec(), case.ids),
        (vec!["POST /subjects/com.alibaba.dts.formats.avro.Record".into()], other.ids)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_do_not_fit_together() -> Result<()> {
    let stub = RegistryStub::start().await?;
    let mut case = small("registry_keys", &at(&stub.url())).await?;
    works(&mut case).await?;
    // If the schema id prefix changed or were dropped within a topic, readers could not read the topic to its end.
    case.settings.sink.clear();
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["E_CONFIG_CONFLICT", "schema_registry"]).await?;
    let secret = format!("url = \"http://{USER}:planted-secret@127.0.0.1:8081\"");
    for (format, registry, texts) in [
        (Format::CanalJson, at(&stub.url()), ["schema_registry", "canal_json"]),
        (Format::DtsAvro, secret, ["schema_registry.url", "keys of their own"]),
    ] {
        case.settings.format = format;
        configure(&mut case, &registry)?;
        case.task.start()?;
        let code = case.task.wait(LIMIT).await?;
        let output = case.task.output();
        assert_eq!(code, 2, "{output}");
        assert_error(&output, &texts)?;
    }
    Ok(())
}
