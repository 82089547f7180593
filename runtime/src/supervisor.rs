//! The supervisor: load → plan → commit the start of every new split → run → join → plan again.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lane::{self, Ended};
use crate::pipeline::{Plugins, Retry};
use crate::stats::{RunState, Stats, lock};
use crate::{Checkpoint, Committed, Error, Kind, Progress, Receipt, Result, Split, SplitKind};

/// What the owner of a pipeline wants it to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    Run,
    Pause,
    Stop,
}

/// What the supervisor tells the handle.
pub(crate) struct Shared {
    pub(crate) stats: Stats,
    pub(crate) error: Mutex<Option<String>>,
    pub(crate) state: watch::Sender<RunState>,
}

/// See the module.
pub(crate) struct Supervisor {
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) parallelism: usize,
    pub(crate) retry: Retry,
    pub(crate) shared: Arc<Shared>,
    pub(crate) desired: watch::Receiver<Desired>,
}

enum Round {
    Finished,
    Again,
}

impl Supervisor {
    /// Runs until the pipeline ends.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut pause = self.retry.first_pause;
        let mut panicked_at = None;
        loop {
            let desired = *self.desired.borrow_and_update();
            match desired {
                Desired::Stop => return self.end(RunState::Stopped, Ok(())),
                Desired::Pause => {
                    self.shared.state.send_replace(RunState::Paused);
                    // An error means that the handle is gone: nobody can resume any more.
                    if self.desired.changed().await.is_err() {
                        return self.end(RunState::Stopped, Ok(()));
                    }
                    continue;
                }
                Desired::Run => {}
            }
            let before = self.shared.stats.last_progress();
            let error = match self.round().await {
                Ok(Round::Finished) => return self.end(RunState::Finished, Ok(())),
                Ok(Round::Again) => {
                    pause = self.retry.first_pause;
                    continue;
                }
                Err(error) => error,
            };
            let progress = self.shared.stats.last_progress();
            if progress > before {
                pause = self.retry.first_pause;
            }
            // A panic may be an accident once; at the same place again it is a defect that no retry mends.
            if error.code() == Some("E_PANIC") && panicked_at.replace(progress) == Some(progress) {
                return self.end(RunState::Failed, Err(error.into_kind(Kind::Fatal)));
            }
            if error.kind() != Kind::Retryable {
                return self.end(RunState::Failed, Err(error));
            }
            // Nobody waits for what failed while the lanes were ending: it is done again from the checkpoint, if ever.
            if *self.desired.borrow() != Desired::Run {
                tracing::info!(%error, "a lane ended with a failure while the task was stopping");
                continue;
            }
            if progress.elapsed() >= self.retry.window {
                let window = match self.retry.window.as_secs() {
                    seconds @ 0..=119 => format!("{seconds} seconds"),
                    seconds => format!("{} minutes", seconds / 60),
                };
                return self.end(RunState::Failed, Err(error.with_help(format!("it was retried for {window} without progress; see to the cause, then start the task again: it goes on from its checkpoint"))));
            }
            tracing::warn!(error = %error, pause_ms = pause.as_millis() as u64, "opening the lanes again after a failure");
            *lock(&self.shared.error) = Some(error.to_string());
            self.shared.state.send_replace(RunState::Retrying);
            // Full jitter, so that many tasks do not come back in step.
            let jittered = pause.mul_f64(fastrand::f64().max(0.05));
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                _ = self.desired.changed() => {}
            }
            pause = (pause * 2).min(self.retry.longest_pause);
        }
    }

    fn end(&self, state: RunState, result: Result<()>) -> Result<()> {
        *lock(&self.shared.error) = result.as_ref().err().map(ToString::to_string);
        self.shared.state.send_replace(state);
        result
    }

    async fn round(&mut self) -> Result<Round> {
        let mut committed = self.plugins.store.load().await?;
        let transforms = self.plugins.transforms.iter().map(|factory| factory()).collect::<Result<Vec<_>>>()?;
        let pushdown: Vec<_> = transforms.iter().flat_map(|transform| transform.pushdown()).collect();
        let splits = self.plugins.source.plan(&committed, &pushdown).await?;
        self.shared.stats.planned(self.plugins.source.tables());
        if splits.is_empty() {
            return Ok(Round::Finished);
        }
        // Invariant: a stream's start is durable before the first chunk is read, or a restart would begin the stream too late.
        let starts: Vec<Progress> = splits.iter().filter(|split| !committed.splits.contains_key(&split.id)).map(start_of).collect();
        if !starts.is_empty() {
            starts.iter().for_each(|start| committed.apply(start));
            self.plugins.store.commit(starts).await?;
            // Numbers are the store's to give.
            committed = self.plugins.store.load().await?;
        }
        let (snapshots, streams): (Vec<Split>, Vec<Split>) = splits.into_iter().partition(|split| split.kind == SplitKind::Snapshot);
        let (state, lanes, at_once) = if snapshots.is_empty() {
            let all = streams.len();
            (RunState::Streaming, streams, all)
        } else {
            (RunState::Snapshot, snapshots, self.parallelism)
        };
        *lock(&self.shared.error) = None;
        self.shared.state.send_replace(state);
        self.run_lanes(lanes.into(), at_once, Arc::new(committed)).await
    }

    /// Runs lanes until all have ended. On the first error, or when something else than running is desired, the others are stopped.
    ///
    /// Invariant: every lane is joined before this returns. An old lane that still writes while a new one looks at what was delivered breaks
    /// the order of records.
    async fn run_lanes(&mut self, mut waiting: VecDeque<Split>, at_once: usize, committed: Arc<Committed>) -> Result<Round> {
        let stop = watch::Sender::new(false);
        let mut lanes = JoinSet::new();
        let mut failed = None;
        loop {
            if *self.desired.borrow_and_update() != Desired::Run {
                stop.send_replace(true);
            }
            while lanes.len() < at_once && !*stop.borrow() {
                let Some(split) = waiting.pop_front() else { break };
                let stats = self.shared.stats.split(&split);
                stats.opened.fetch_add(1, Relaxed);
                lanes.spawn(lane::run(self.plugins.clone(), split, committed.clone(), stats, stop.subscribe()));
            }
            let stopping = *stop.borrow();
            let joined = tokio::select! {
                joined = lanes.join_next() => joined,
                // An error means that the handle is gone: nobody can ask for anything else any more.
                Ok(()) = self.desired.changed(), if !stopping => continue,
            };
            let error = match joined {
                None => break,
                Some(Ok(Ok(Ended::Finished | Ended::Stopped))) => None,
                Some(Ok(Err(error))) => Some(error),
                Some(Err(panic)) => Some(Error::retryable("run a lane").because(panic).with_code("E_PANIC")),
            };
            if let Some(error) = error {
                stop.send_replace(true);
                // The first error tells the cause; a worse one of another lane decides.
                match &failed {
                    Some(first) if error_rank(first) >= error_rank(&error) => tracing::debug!(%error, "another lane failed too"),
                    _ => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(Round::Again), Err)
    }
}

fn start_of(split: &Split) -> Progress {
    Progress {
        split: split.id.clone(),
        checkpoint: Checkpoint { position: split.start.clone(), receipt: Receipt::default(), done: false },
        schemas: split.schemas.iter().map(|schema| (schema.id.clone(), Some(schema.clone()))).collect(),
        state: split.state.clone(),
    }
}

fn error_rank(error: &Error) -> u8 {
    match error.kind() {
        Kind::Retryable => 0,
        Kind::Data => 1,
        Kind::Config => 2,
        Kind::Fatal => 3,
    }
}
