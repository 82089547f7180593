//! The program: the bundled plugins and nothing else.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    connector_cli::run(connector_cli::bundled(), std::env::args_os()).await
}
