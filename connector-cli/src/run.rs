//! The command `run`.

use std::process::ExitCode;
use std::time::Duration;

use runtime::{Registry, Result, Running};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::RunArguments;
use crate::config::Task;
use crate::status::Screen;
use crate::{logs, report};

const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// What a shell shows for a program that was interrupted.
const INTERRUPTED: i32 = 130;

pub(crate) async fn run(registry: Registry, args: RunArguments, quiet: bool) -> ExitCode {
    let screen = Screen::new(quiet);
    if let Err(error) = logs::start(&args, screen.bars()) {
        return report::fail(&error);
    }
    match supervise(registry, &args, screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::fail(&error),
    }
}

async fn supervise(registry: Registry, args: &RunArguments, screen: Screen) -> Result<()> {
    let task = Task::load(&args.file)?;
    let pipeline = task.pipeline(&registry)?;
    let signals = Signals::listen()?;
    let running = pipeline.start();
    tracing::info!(task = task.name(), "started");
    watch(running, signals, screen).await?;
    tracing::info!(task = task.name(), "ended");
    Ok(())
}

async fn watch(mut running: Running, mut signals: Signals, mut screen: Screen) -> Result<()> {
    let mut ticks = tokio::time::interval(STATUS_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = running.wait_mut() => {
                screen.end(&running.status());
                return ended;
            }
            () = signals.next() => {
                if stopping {
                    tracing::warn!("stopped immediately: what was not committed is read again at the next start");
                    std::process::exit(INTERRUPTED);
                }
                stopping = true;
                tracing::info!("stopping after the next commit (Ctrl-C again to stop immediately)");
                running.request_stop();
            }
            _ = ticks.tick() => screen.show(&running.status()),
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| runtime::Error::fatal("signals cannot be received").because(error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
