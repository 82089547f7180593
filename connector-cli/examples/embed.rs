//! A pipeline in a program of its own, without a registry and without a settings file: it copies the tables of a MySQL server into Kafka.
//!
//! `cargo run -p connector-cli --example embed -- 127.0.0.1 3306 dts secret 'shop.*' 127.0.0.1:9092 shop state/shop`

use formats::canal_json::CanalJson;
use runtime::{Error, LocalStore, Pipeline, Result, Running};
use sink_kafka::{KafkaSink, PartitionPolicy};
use source_polardbx::PolardbxSource;
use source_polardbx::config::Phase;

/// What the program is told on its command line.
struct Arguments {
    host: String,
    port: u16,
    user: String,
    password: String,
    tables: String,
    broker: String,
    topic: String,
    state: String,
}

/// Starts to copy the existing rows. Add [`Phase::Incremental`] to follow every change after them.
fn start(arguments: Arguments) -> Result<Running> {
    let source = PolardbxSource::builder(arguments.host)
        .port(arguments.port)
        .user(arguments.user)
        .password(arguments.password)
        .tables([arguments.tables])
        .phases([Phase::Full])
        .build()?;
    let format = CanalJson::default();
    let sink = KafkaSink::builder([arguments.broker])
        .topic(arguments.topic)
        .partition(PartitionPolicy::PrimaryKey)
        .format(move || Ok(format.clone()))
        .build()?;
    let pipeline = Pipeline::builder("embed").source(source).sink(sink).store(LocalStore::new(arguments.state)).build()?;
    Ok(pipeline.start())
}

fn arguments() -> Result<Arguments> {
    let usage = || Error::config("eight arguments are needed: host port user password tables broker topic state-directory");
    let [host, port, user, password, tables, broker, topic, state] =
        <[String; 8]>::try_from(std::env::args().skip(1).collect::<Vec<_>>()).map_err(|_| usage())?;
    let port = port.parse().map_err(|error| Error::config("the port is not a number from 0 to 65535").because(error))?;
    Ok(Arguments { host, port, user, password, tables, broker, topic, state })
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut running = start(arguments()?)?;
    // A full phase alone ends by itself; Ctrl-C stops it earlier, at a commit.
    let ended = tokio::select! {
        ended = running.wait_mut() => ended,
        _ = tokio::signal::ctrl_c() => {
            running.request_stop();
            running.wait_mut().await
        }
    };
    println!("{} rows copied", running.status().rows);
    ended
}
