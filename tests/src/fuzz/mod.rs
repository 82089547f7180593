//! Fuzzing: random events through both encoders under every setting, and broken messages through the readers of the checker.
//!
//! Every round has a seed of its own, so a failure is repeated by naming it: `fuzz --target encoders --seed 17 --rounds 1`. A round fails
//! if it panics, takes too long, or violates a rule: an error with a partial message, a message that no library reads, a cell in an error.

mod cells;
mod encoders;
mod events;
mod mutation;
mod readers;
mod settings;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::{Failure, Result};

/// Longest time of one round; the usual one takes less than a millisecond.
const ROUND_LIMIT: Duration = Duration::from_secs(10);

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `canal_json` and `dts_avro`, with events that a source sends and others that no source may send.
    Encoders,
    /// The checker's readers of values and headers, with messages that were changed at random.
    Readers,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 2] = [Target::Encoders, Target::Readers];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Target::Encoders => "encoders",
            Target::Readers => "readers",
        }
    }

    /// One round.
    fn round(self, seed: u64) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        match self {
            Target::Encoders => encoders::round(&mut random),
            Target::Readers => readers::round(&mut random),
        }
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Passed(Duration),
    /// After so many rounds.
    Rounds(u64),
}

/// Runs rounds with the seeds from `first_seed` on and returns how many they were; `tell` is called about every ten seconds with the next
/// seed, so that even a process that was aborted leaves a trace.
pub fn run(target: Target, first_seed: u64, until: Until, mut tell: impl FnMut(u64)) -> Result<u64> {
    let start = Instant::now();
    let mut told = start;
    for round in 0.. {
        let now = Instant::now();
        let over = match until {
            Until::Passed(time) => now - start >= time,
            Until::Rounds(rounds) => round >= rounds,
        };
        if over {
            return Ok(round);
        }
        let seed = first_seed.wrapping_add(round);
        if now - told >= Duration::from_secs(10) {
            told = now;
            tell(seed);
        }
        let repeat = || format!("repeat it by --target {} --seed {seed} --rounds 1", target.name());
        match catch_unwind(AssertUnwindSafe(|| target.round(seed))) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Failure::err(format!("{failure}; {}", repeat())),
            Err(_) => return Failure::err(format!("panic, its message is above; {}", repeat())),
        }
        // A paused machine makes a round look long, so it has to be long twice. Its result is known already.
        if now.elapsed() > ROUND_LIMIT {
            let again = Instant::now();
            let _ = catch_unwind(AssertUnwindSafe(|| target.round(seed)));
            if again.elapsed() > ROUND_LIMIT {
                return Failure::err(format!("a round took {:?}; {}", again.elapsed(), repeat()));
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed seed: with a random one the tests could fail on a day without a change. The long runs of the program `fuzz` use others.
    #[test]
    fn a_short_pass_of_every_target() {
        for target in Target::ALL {
            assert_eq!(run(target, 1, Until::Rounds(3_000), |_| ()).unwrap(), 3_000);
        }
    }
}
