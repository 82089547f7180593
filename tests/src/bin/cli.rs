//! The stock program under another name: cargo builds no binaries of other packages for tests.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    connector_cli::run(connector_cli::bundled(), std::env::args_os()).await
}
