//! A pipeline in a program of its own, without a registry or a file of settings: it counts the rows of every table.
//!
//! `cargo run -p connector-cli --example embed -- 127.0.0.1 3306 dts secret 'shop.*' state/embed`

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::{Batch, Body, Error, LocalStore, Pipeline, Receipt, Result, Settings, Sink, async_trait};
use source_polardbx::PolardbxSource;

type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// Lanes run at the same time, each with a sink of its own; what they share is behind an `Arc`.
struct CountSink(Counts);

#[async_trait]
impl Sink for CountSink {
    async fn write(&mut self, batch: &mut Batch) -> Result<Receipt> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &batch.events {
            if let Body::Row(change) = &event.body {
                *counts.entry(change.schema.id.to_string()).or_default() += 1;
            }
        }
        Ok(Receipt::default())
    }
}

async fn count(host: &str, port: &str, user: &str, password: &str, tables: &str, state: &str) -> Result<BTreeMap<String, u64>> {
    let settings = serde_json::json!({
        "host": host, "port": port, "user": user, "password": password, "tables": [tables], "phases": ["full"],
    });
    let source = PolardbxSource::new(Settings::from(settings).parse("source")?, "embed", 4 << 20)?;
    let counts = Counts::default();
    let shared = counts.clone();
    let running = Pipeline::builder("embed")
        .source(Arc::new(source))
        .sink(move || Ok(CountSink(shared.clone())))
        .store(LocalStore::open(state)?)
        .build()?
        .start();
    // A full phase alone ends by itself.
    running.wait().await?;
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(counts)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, user, password, tables, state] = args.as_slice() else {
        return Err(Error::config("read the arguments").because("six are needed: host port user password tables state-directory"));
    };
    for (table, rows) in count(host, port, user, password, tables, state).await? {
        println!("{table} {rows}");
    }
    Ok(())
}
