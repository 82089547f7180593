//! Fuzzes what reads or writes bytes that others send or read; [`Target`] names the targets. Each round has a limit of time and memory.
//!
//! `cargo run -p tests --bin fuzz -- --target encoders --seconds 3600 [--seed N]`; `--rounds N` may replace `--seconds`. Without
//! `--target`, all targets run in turn; `--jobs N` runs so many at a time. Without `--seed`, the first seed is taken from the clock. A
//! failure prints the arguments that repeat it.

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests::fuzz::{Measure, Target, Until, run};
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
    let mut jobs = 1;
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
            ("--jobs", Ok(number @ 1..=64)) => jobs = number,
            _ => {
                return Failure::err(format!(
                    "{name} {value}: the options are --target NAME, --seconds N, --rounds N, --seed N and --jobs N"
                ));
            }
        }
    }
    // Each job takes the next target until none is left, or one has failed.
    let next = Mutex::new(targets.into_iter());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while lock(&failed).is_none()
                    && let Some(target) = { lock(&next).next() }
                {
                    if let Err(failure) = fuzz_target(target, seed, until) {
                        lock(&failed).get_or_insert(failure.to_string());
                    }
                }
            });
        }
    });
    lock(&failed).take().map_or(Ok(()), Failure::err)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fuzz_target(target: Target, seed: u64, until: Until) -> Result<()> {
    println!("{} from seed {seed}", target.name());
    let measure: Measure = |round| allocation_counter::measure(round).bytes_max;
    let rounds = run(target, seed, until, measure, |next| println!("{}: next seed {next}", target.name()))?;
    println!("{}: {rounds} rounds, nothing found", target.name());
    Ok(())
}
