//! The stock program, built once more: for tests, cargo builds only the binaries of their own package.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    connector_cli::run(connector_cli::bundled(), std::env::args_os()).await
}
