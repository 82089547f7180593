//! The program around the pipeline: arguments, configuration files, logs, signals, what people see. It holds no data-path logic.
//!
//! A program with a plugin of its own is the stock program with one more name in the registry:
//!
//! ```no_run
//! # use runtime::{async_trait, Batch, Result, Sink};
//! # struct Stdout;
//! # #[async_trait]
//! # impl Sink for Stdout {
//! #     async fn write(&mut self, _: &mut Batch) -> Result<()> { Ok(()) }
//! # }
//! # #[derive(Clone, serde::Deserialize)]
//! # struct Config {}
//! # #[tokio::main]
//! # async fn main() -> std::process::ExitCode {
//! let mut registry = connector_cli::bundled();
//! registry.sink("stdout", |_: Config| Ok(Stdout));
//! connector_cli::run(registry, std::env::args_os()).await
//! # }
//! ```

// Everything is printed by `report`, which escapes it.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod cell;
mod check;
mod config;
mod core_dumps;
mod decode;
mod import;
mod logs;
mod object;
mod preview;
mod report;
mod resnapshot;
mod run;
mod schema;
mod status;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use runtime::Registry;

/// The code in the page on embedding is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct PageOnEmbedding;

/// A registry with all plugins of this program.
pub fn bundled() -> Registry {
    let mut registry = Registry::new();
    runtime::register(&mut registry);
    formats::register(&mut registry);
    source_polardbx::register(&mut registry);
    sink_kafka::register(&mut registry);
    registry
}

/// Runs one command of the program. `args` begins with the program's name.
///
/// Exit codes: 0 done or stopped; 1 the task cannot go on without losing data; 2 wrong arguments, configuration or environment; 3 the retry
/// window ended; 4 an event that cannot be carried.
pub async fn run(registry: Registry, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    core_dumps::forbid();
    let args = match args::parse(args) {
        Ok(args) => args,
        Err(shown) => {
            // Help and version go to stdout and count as success; clap decides by the kind.
            let _ = shown.print();
            return if shown.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let code = match args.command {
        // What it prints is not its result.
        args::Command::Run(run) => return run::run(registry, run, args.quiet).await,
        args::Command::Check(check) => check::check(registry, &check).await,
        args::Command::Schema(args::SchemaArguments { command: args::SchemaCommand::Refetch(refetch) }) => {
            schema::refetch(registry, &refetch).await
        }
        args::Command::Resnapshot(what) => resnapshot::resnapshot(registry, &what).await,
        args::Command::ImportDts(file) => import::from_dts(&file),
        args::Command::ImportDebezium(file) => import::from_debezium(&file),
        args::Command::ImportCanal(files) => import::from_canal(&files),
        args::Command::Preview(preview) => preview::preview(&registry, &preview).await,
        args::Command::Test(test) => test::test(&registry, &test),
        args::Command::Decode(decode) => decode::decode(&decode),
        args::Command::Plugins => {
            for (kind, name) in registry.names() {
                report::say(format_args!("{kind:<10} {name}"));
            }
            ExitCode::SUCCESS
        }
        args::Command::Version => {
            report::say(format_args!("connector-cli {}", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    };
    report::ended(code)
}

/// Checks that `text`, which stands in the file `file`, is a configuration that the plugins of `registry` accept, without connecting anywhere
/// and without opening the checkpoint store. For tests of configuration examples.
pub fn validate(registry: &Registry, file: &str, text: &str, environment: &[(String, String)]) -> runtime::Result<()> {
    let task = config::Task::read(file, text, environment)?;
    task.pipeline(registry).map(|_| ())
}
