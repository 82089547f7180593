//! The stock program. It is built again in this package, because for tests cargo builds only the binaries of the tests' own package.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    connector_cli::run(connector_cli::bundled(), std::env::args_os()).await
}
