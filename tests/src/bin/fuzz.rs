//! Fuzzes what reads or writes bytes that others send or read; [`Target`] names the targets. Each round has a limit of time and memory.
//!
//! `cargo run -p tests --bin fuzz -- --target encoders --seconds 3600 [--seed N]`; `--rounds N` may replace `--seconds`. Without
//! `--target`, all targets run in turn. Without `--seed`, the first seed is taken from the clock. A failure prints the arguments that
//! repeat it.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests::fuzz::{Target, Until, run};
use tests::{Failure, Result};

fn main() -> ExitCode {
    match fuzz() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fuzzing failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz() -> Result<()> {
    let mut targets = Target::ALL.to_vec();
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let mut until = Until::Passed(Duration::from_secs(60));
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number = value.parse::<u64>();
        match (name.as_str(), number) {
            ("--target", _) => {
                targets.retain(|target| target.name() == value);
                if targets.is_empty() {
                    return Failure::err(format!("--target {value}: the targets are {:?}", Target::ALL.map(Target::name)));
                }
            }
            ("--seconds", Ok(seconds)) => until = Until::Passed(Duration::from_secs(seconds)),
            ("--rounds", Ok(rounds)) => until = Until::Rounds(rounds),
            ("--seed", Ok(number)) => seed = number,
            _ => return Failure::err(format!("{name} {value}: the options are --target NAME, --seconds N, --rounds N and --seed N")),
        }
    }
    for target in targets {
        println!("{} from seed {seed}", target.name());
        let rounds = run(
            target,
            seed,
            until,
            |round| allocation_counter::measure(round).bytes_max,
            |next| {
                println!("{}: next seed {next}", target.name());
            },
        )?;
        println!("{}: {rounds} rounds, nothing found", target.name());
    }
    Ok(())
}
