//! The stand-in for PolarDB-X, as a process of its own; the tests start it in front of a MySQL 5.7. See `tests::harness::standin`.

use std::process::ExitCode;

use tests::harness::standin::{Settings, run};

#[tokio::main]
async fn main() -> ExitCode {
    let end = match Settings::of_arguments(std::env::args().skip(1)) {
        Ok(settings) => run(settings).await,
        Err(failure) => Err(failure),
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("the stand-in ended: {failure}");
            ExitCode::FAILURE
        }
    }
}
