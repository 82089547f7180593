//! Fuzzing: random events are encoded by both encoders with random settings, and what others send is changed at random and read. [`Target`]
//! names what is fuzzed.
//!
//! Every round has its own seed, so a failure can be repeated with that seed: `fuzz --target encoders --seed 17 --rounds 1`. A round fails
//! if it panics, takes too long, needs more memory than its target may use, or breaks a rule of its target. Of the encoders the rules are: an
//! error leaves no partial message, an error shows no value of a cell, and the libraries can read every message.

mod binlog_events;
mod binlog_files;
mod cells;
mod conditions;
mod configuration;
mod encoders;
mod events;
mod kafka_answers;
mod logins;
mod mutation;
mod peer;
mod readers;
mod record_batches;
mod registry_answers;
mod result_sets;
mod scripts;
mod settings;
mod statements;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::{Failure, Result};

/// The longest time that a round may take; most take less than a millisecond.
const ROUND_LIMIT: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;

/// Runs a round and returns the most bytes that it has held at a time. The caller brings it, because an allocator that counts is the
/// allocator of the whole program: `|round| allocation_counter::measure(round).bytes_max`. It counts for the thread that runs the round
/// only, and does not count what a library in C allocates.
pub type Measure = fn(&mut dyn FnMut()) -> u64;

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The encoders `canal_json` and `dts_avro`, with valid events and with events that no source may send.
    Encoders,
    /// The functions of [`crate::checker`] that read values and headers, with messages that were changed at random.
    Readers,
    /// The code of the source that reads DDL and other statements of the binlog, with statements that were changed at random.
    Statements,
    /// The login of the source, with the packets of a server that were changed at random.
    Logins,
    /// The code of the source that reads answers, rows of tables and dumps, with packets that were changed at random.
    ResultSets,
    /// The decoder of the source, with binlogs that were changed at random.
    BinlogEvents,
    /// The code of the source that reads and shows binlog files, with files that were changed at random.
    BinlogFiles,
    /// The code that reads configuration files, with files that were changed at random.
    Configuration,
    /// The code of the sink that reads the answers of brokers.
    KafkaAnswers,
    /// The code of the sink that reads record batches, which anybody may have written.
    RecordBatches,
    /// The code of the sink that reads the answers of schema registries and the schemas in them.
    RegistryAnswers,
    /// Scripts of the transform `etl`, and what they do to rows.
    Scripts,
    /// The conditions of filters.
    Conditions,
}

impl Target {
    /// All targets.
    pub const ALL: [Target; 13] = [
        Target::Encoders,
        Target::Readers,
        Target::Statements,
        Target::Logins,
        Target::ResultSets,
        Target::BinlogEvents,
        Target::BinlogFiles,
        Target::KafkaAnswers,
        Target::RecordBatches,
        Target::RegistryAnswers,
        Target::Configuration,
        Target::Scripts,
        Target::Conditions,
    ];

    /// The target's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Target::Encoders => "encoders",
            Target::Readers => "readers",
            Target::Statements => "statements",
            Target::Logins => "logins",
            Target::ResultSets => "result_sets",
            Target::BinlogEvents => "binlog_events",
            Target::BinlogFiles => "binlog_files",
            Target::Configuration => "configuration",
            Target::KafkaAnswers => "kafka_answers",
            Target::RecordBatches => "record_batches",
            Target::RegistryAnswers => "registry_answers",
            Target::Scripts => "scripts",
            Target::Conditions => "conditions",
        }
    }

    /// The most bytes that a round may hold at a time, with the inputs that it makes itself.
    fn memory_limit(self) -> u64 {
        match self {
            Target::Encoders | Target::Statements => 32 * MIB,
            Target::KafkaAnswers | Target::RecordBatches | Target::RegistryAnswers => 32 * MIB,
            // Until the login has succeeded, a packet has at most 64 KiB.
            Target::Logins => 2 * MIB,
            // The header of a packet may say 16 MiB, and an answer may take as much.
            Target::ResultSets => 48 * MIB,
            Target::BinlogEvents | Target::BinlogFiles => 16 * MIB,
            // A condition has at most 16 KiB. The tables of all collations are read once.
            Target::Conditions => 16 * MIB,
            Target::Configuration => 4 * MIB,
            // A text of 64 MiB can be made only from cells that are long themselves.
            Target::Scripts => 16 * MIB,
            // The tests' own library for Avro believes a length up to the limit that `readers` sets, also for a list of values of its own, and more
            // than once in a message. It is no part of the program.
            Target::Readers => 2048 * MIB,
        }
    }

    /// Runs one round.
    fn round(self, seed: u64) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        match self {
            Target::Encoders => encoders::round(&mut random),
            Target::Readers => readers::round(&mut random),
            Target::Statements => statements::round(&mut random),
            Target::Logins => logins::round(&mut random),
            Target::ResultSets => result_sets::round(&mut random),
            Target::BinlogEvents => binlog_events::round(&mut random),
            Target::BinlogFiles => binlog_files::round(&mut random),
            Target::Configuration => configuration::round(&mut random),
            Target::KafkaAnswers => kafka_answers::round(&mut random),
            Target::RecordBatches => record_batches::round(&mut random),
            Target::RegistryAnswers => registry_answers::round(&mut random),
            Target::Scripts => scripts::round(&mut random),
            Target::Conditions => conditions::round(&mut random),
        }
    }
}

/// When to stop the rounds.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Passed(Duration),
    /// After this number of rounds.
    Rounds(u64),
}

/// Runs rounds with consecutive seeds from `first_seed` on and returns the number of rounds. About every ten seconds `tell` is called
/// with the next seed, so that the seed of a round that aborts the process can be narrowed down.
pub fn run(target: Target, first_seed: u64, until: Until, measure: Measure, mut tell: impl FnMut(u64)) -> Result<u64> {
    readers::limit_lengths();
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
        let mut result = Ok(Ok(()));
        let held = measure(&mut || result = catch_unwind(AssertUnwindSafe(|| target.round(seed))));
        match result {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Failure::err(format!("{failure}; {}", repeat())),
            Err(_) => return Failure::err(format!("panic, its message is above; {}", repeat())),
        }
        if held > target.memory_limit() {
            return Failure::err(format!("a round held {held} bytes, and the limit is {}; {}", target.memory_limit(), repeat()));
        }
        // A round may look slow because the machine was paused, so the round fails only if it is slow a second time. Its result was
        // checked above.
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

    /// The seed is fixed: with a random seed the test could fail although nothing was changed. The long runs of the program `fuzz` use
    /// other seeds.
    #[test]
    fn a_short_pass_of_every_target() {
        for target in Target::ALL {
            assert_eq!(run(target, 1, Until::Rounds(3_000), |round| allocation_counter::measure(round).bytes_max, |_| ()).unwrap(), 3_000);
        }
    }

    #[test]
    fn a_round_that_holds_too_much_memory_fails() {
        let much = |round: &mut dyn FnMut()| {
            round();
            allocation_counter::measure(|| drop(std::hint::black_box(vec![0u8; 64 << 20]))).bytes_max
        };
        let failure = run(Target::Encoders, 1, Until::Rounds(1), much, |_| ()).unwrap_err().to_string();
        assert!(failure.contains("a round held 67108864 bytes") && failure.contains("--target encoders --seed 1 --rounds 1"), "{failure}");
    }
}
