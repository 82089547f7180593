//! The supervisor. One round is: load the checkpoint, plan, commit the start of every new split, run the lanes, and join them. Then the
//! next round begins.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::lane::{self, Ended};
use super::retries::Retries;
use super::seams::Seams;
use super::shape;
use super::stats::{RunState, Stats};
use super::task::{Retry, Task};
use crate::sync::lock;
use crate::{Checkpoint, Commit, Committed, Error, Finding, Kind, Phase, Plan, Progress, Receipt, Result, Split, TableId};

/// What the owner of a pipeline has asked it to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    Run,
    Pause,
    Stop,
}

/// The state that the supervisor shares with the pipeline's handle.
pub(crate) struct Shared {
    pub(crate) stats: Stats,
    pub(crate) error: Mutex<Option<String>>,
    pub(crate) state: watch::Sender<RunState>,
    pub(crate) seams: Arc<Seams>,
}

/// Runs a pipeline, one round after another, until it ends.
pub(crate) struct Supervisor {
    pub(crate) task: Arc<Task>,
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
        let mut retries = Retries::new(self.retry);
        let mut panicked_at = None;
        loop {
            let desired = *self.desired.borrow_and_update();
            match desired {
                Desired::Stop => return self.end(RunState::Stopped, Ok(())),
                Desired::Pause => {
                    self.shared.state.send_replace(RunState::Paused);
                    // A failure before the pause says nothing about the time after it.
                    retries.forget();
                    // An error means that the handle was dropped, so nobody can resume the pipeline any more.
                    if self.desired.changed().await.is_err() {
                        return self.end(RunState::Stopped, Ok(()));
                    }
                    continue;
                }
                Desired::Run => {}
            }
            let error = match self.round().await {
                Ok(Round::Finished) => return self.end(RunState::Finished, Ok(())),
                Ok(Round::Again) => {
                    retries.forget();
                    continue;
                }
                Err(error) => error,
            };
            let progress = self.shared.stats.progress();
            // A panic is retried once. A second panic without any progress in between is a defect that no retry fixes.
            if error.code() == Some("E_PANIC") && panicked_at.replace(progress) == Some(progress) {
                return self.end(RunState::Failed, Err(error.into_kind(Kind::Fatal)));
            }
            if error.kind() != Kind::Retryable {
                return self.end(RunState::Failed, Err(error));
            }
            // The task is stopping anyway, so the failure is not retried. The failed lane continues from its checkpoint at the next start.
            if *self.desired.borrow() != Desired::Run {
                tracing::info!(%error, "a lane ended with a failure while the task was stopping");
                continue;
            }
            let Some(pause) = retries.failed(progress) else {
                return self.end(RunState::Failed, Err(retries.window_ended(error)));
            };
            let pause_ms = pause.as_millis() as u64;
            tracing::warn!(%error, help = error.help(), pause_ms, "the task failed and is tried again in {pause_ms} ms");
            *lock(&self.shared.error) = Some(error.to_string());
            self.shared.state.send_replace(RunState::Retrying);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // An error means that the handle was dropped, so nothing ends the pause early.
                Ok(()) = self.desired.changed() => {}
            }
        }
    }

    fn end(&self, state: RunState, result: Result<()>) -> Result<()> {
        *lock(&self.shared.error) = result.as_ref().err().map(ToString::to_string);
        self.shared.state.send_replace(state);
        result
    }

    async fn round(&mut self) -> Result<Round> {
        let Some((phase, lanes, committed)) = self.plan().await? else { return Ok(Round::Again) };
        let (state, at_once) = match phase {
            Phase::Done => return Ok(Round::Finished),
            Phase::Snapshot => (RunState::Snapshot, self.parallelism),
            Phase::Stream => (RunState::Streaming, lanes.len()),
        };
        *lock(&self.shared.error) = None;
        self.shared.state.send_replace(state);
        self.run_lanes(phase, lanes.into(), at_once, committed).await
    }

    /// Asks the source for the next splits, and commits everything that must be durable before they are read. Returns `None` if the owner
    /// asks for a pause or a stop while the source plans.
    async fn plan(&self) -> Result<Option<(Phase, Vec<Split>, Arc<Committed>)>> {
        let Task { source, ledger, context, seams, .. } = &*self.task;
        let committed = ledger.load().await.map_err(|error| error.while_doing("loading the checkpoint"))?;
        let mut desired = self.desired.clone();
        let planned = tokio::select! {
            biased;
            // An error means that the handle was dropped, so nobody can ask for a pause or a stop any more.
            Ok(_) = desired.wait_for(|desired| *desired != Desired::Run) => return Ok(None),
            planned = source.plan(context, &committed) => planned,
        };
        let Plan { phase, splits, mut facts, schemas, forget, moved, tables } = planned.map_err(|error| error.while_doing("planning"))?;
        if let Some(split) = splits.iter().find(|split| committed.split(&split.id).is_some_and(|known| known.checkpoint.done)) {
            return Err(Error::fatal("the source planned a split that is done").in_split(&split.id));
        }
        if splits.is_empty() && phase != Phase::Done {
            return Err(Error::fatal("the source planned no split, and did not say that it is done"));
        }
        if committed.is_new() {
            let selected = schemas.iter().filter_map(|(_, schema)| schema.clone()).collect();
            for Finding { what, help, .. } in shape::refuse_failed(shape::check(&self.task.transforms, selected)?)? {
                tracing::warn!(help, "{what}");
            }
        } else {
            if !schemas.is_empty() {
                // Without a stream, no event tells the transforms that a table has changed.
                shape::changed(&mut self.task.transforms()?, committed.schemas().cloned().collect(), &schemas)?;
            }
            if !seams.changes(&committed)?.is_empty() {
                let known: BTreeMap<TableId, _> =
                    splits.iter().flat_map(|split| committed.split_schemas(&split.id)).map(|schema| (schema.id.clone(), schema)).collect();
                shape::refuse_later_names(&self.task.transforms, known.into_values().collect())?;
            }
        }
        facts.append(&mut seams.planned(&committed, &splits, &**source)?);
        // Invariant: the state of the task and the start of a split are durable before any row is read. Otherwise a restart would begin at
        // another position.
        let new = splits.iter().filter(|split| committed.split(&split.id).is_none());
        let mut starts: Vec<_> = new.zip(committed.next_number()..).map(|(split, number)| start_of(split, number)).collect();
        for (split, position) in moved {
            let known = committed.split(&split).ok_or_else(|| Error::fatal("the source moved a split that was not committed"))?;
            let checkpoint = Checkpoint { position, ..known.checkpoint.clone() };
            starts.push(Progress { split, number: known.number, checkpoint, schemas: Vec::new() });
        }
        let commit = Commit { facts, schemas, splits: starts, forget, evidence: None };
        // `committed` is dropped before the commit. While it is still shared, a change would copy the whole state.
        drop(committed);
        if commit != Commit::default() {
            ledger.commit(commit).await.map_err(|error| error.while_doing("committing a plan"))?;
        }
        self.shared.stats.planned(tables);
        Ok(Some((phase, splits, Arc::new(ledger.load().await?))))
    }

    /// Runs lanes until all have ended. On the first error, when a stream ends, or when the owner asks for a pause or a stop, the remaining
    /// lanes are stopped.
    ///
    /// Invariant: every lane is joined before this returns. An old lane that still writes while a new lane scans the delivered records
    /// would break the order of records.
    async fn run_lanes(&mut self, phase: Phase, mut waiting: VecDeque<Split>, at_once: usize, committed: Arc<Committed>) -> Result<Round> {
        let mut committed = Some(committed);
        let stop = watch::Sender::new(false);
        let mut lanes = JoinSet::new();
        let mut failed = None;
        loop {
            if *self.desired.borrow_and_update() != Desired::Run {
                stop.send_replace(true);
            }
            while lanes.len() < at_once && !*stop.borrow() {
                let (Some(split), Some(committed)) = (waiting.pop_front(), committed.clone()) else { break };
                let stats = self.shared.stats.split(&split);
                lanes.spawn(lane::run(self.task.clone(), split, committed, stats, stop.subscribe()));
            }
            if waiting.is_empty() {
                committed = None;
            }
            let stopping = *stop.borrow();
            let joined = tokio::select! {
                joined = lanes.join_next() => joined,
                // An error means that the handle was dropped, so nobody can ask for a pause or a stop any more.
                Ok(()) = self.desired.changed(), if !stopping => continue,
            };
            let error = match joined {
                None => break,
                Some(Ok(Ok(Ended::Finished))) if phase == Phase::Stream => {
                    stop.send_replace(true);
                    None
                }
                Some(Ok(Ok(Ended::Finished | Ended::Stopped))) => None,
                Some(Ok(Err(error))) => Some(error),
                Some(Err(panic)) => Some(Error::retryable("a lane panicked").because(panic).with_code("E_PANIC")),
            };
            if let Some(error) = error {
                stop.send_replace(true);
                // The first error is reported, because it is closest to the cause. A later error replaces it only if it has a worse kind.
                match &failed {
                    Some(first) if error_rank(first) >= error_rank(&error) => tracing::debug!(%error, "another lane failed too"),
                    _ => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(Round::Again), Err)
    }
}

fn start_of(split: &Split, number: u32) -> Progress {
    let checkpoint = Checkpoint { position: split.start.clone(), receipt: Receipt::default(), done: false };
    Progress { split: split.id.clone(), number, checkpoint, schemas: Vec::new() }
}

fn error_rank(error: &Error) -> u8 {
    match error.kind() {
        Kind::Retryable => 0,
        Kind::Data => 1,
        Kind::Config => 2,
        Kind::Fatal => 3,
    }
}
