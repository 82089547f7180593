//! The stock program `connector-cli`. It is built again in this package, because cargo gives a package's tests only the binaries of the
//! same package.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    connector_cli::run(connector_cli::bundled(), std::env::args_os()).await
}
