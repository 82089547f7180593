//! A sink of your own under the stock program: `cargo run --example custom_sink -- run task.toml`, with `[sink.stdout] prefix = "row"`.

use runtime::{Batch, Receipt, Result, Sink, async_trait};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    prefix: String,
}

struct Stdout {
    prefix: String,
}

#[async_trait]
impl Sink for Stdout {
    async fn write(&mut self, batch: &mut Batch) -> Result<Receipt> {
        for event in &batch.events {
            println!("{} {} {:?}", self.prefix, event.position, event.body);
        }
        Ok(Receipt::default())
    }
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let mut registry = connector_cli::bundled();
    registry.sink("stdout", |config: Config, _: &_| Ok(Stdout { prefix: config.prefix }));
    connector_cli::run(registry, std::env::args_os()).await
}
