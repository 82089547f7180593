//! The command `check`: everything that would make the task fail, before it starts.

use std::collections::BTreeSet;
use std::process::ExitCode;

use runtime::{Finding, Level, Registry};

use crate::args::CheckArguments;
use crate::config::{Plugins, Task};
use crate::report;

pub(crate) async fn check(registry: Registry, args: &CheckArguments) -> ExitCode {
    let built = Task::load(&args.file).and_then(|task| task.plugins(registry).map(|plugins| (task, plugins)));
    let (task, plugins) = match built {
        Ok(built) => built,
        Err(error) => return report::fail(&error),
    };
    let mut sink = match (plugins.sink)() {
        Ok(sink) => sink,
        Err(error) => return report::fail(&error),
    };
    let mut findings = vec![Finding::passed("configuration", format!("{} is valid", args.file.display()))];
    let (source, sink) = tokio::join!(plugins.source.check(), sink.check());
    findings.extend(source);
    findings.extend(sink);
    findings.extend(checkpoint(&task, &plugins).await);
    for item in task.ignored() {
        if findings.iter().all(|finding| finding.item != *item) {
            let items: BTreeSet<&str> = findings.iter().map(|finding| &*finding.item).collect();
            let items = items.into_iter().collect::<Vec<_>>().join(", ");
            findings.push(Finding::failed("check.ignore", format!("{item:?} is no item of this check"), format!("name one of: {items}")));
        }
    }
    let width = findings.iter().map(|finding| finding.item.len()).max().unwrap_or(0);
    let mut failed = 0;
    for finding in &findings {
        let ignored = task.ignored().iter().any(|item| *item == finding.item);
        let mark = match finding.level {
            Level::Passed => "ok",
            Level::Warning => "warning",
            Level::Failed if ignored => "ignored",
            Level::Failed => {
                failed += 1;
                "FAILED"
            }
        };
        report::say(format_args!("{mark:<8} {:<width$}  {}", finding.item, finding.what));
        if finding.level > Level::Passed && !finding.help.is_empty() {
            report::say(format_args!("{:<8} {:<width$}  to go on: {}", "", "", finding.help));
        }
    }
    if failed > 0 {
        report::say(format_args!("\n{failed} of {} items failed: the task {} cannot start like this", findings.len(), task.name()));
        return ExitCode::from(2);
    }
    report::say(format_args!(
        "\nall {} items passed or are known limits: start it with `connector-cli run {}`",
        findings.len(),
        args.file.display()
    ));
    ExitCode::SUCCESS
}

/// Whether a task that ran before can go on.
async fn checkpoint(task: &Task, plugins: &Plugins) -> Vec<Finding> {
    const ITEM: &str = "checkpoint";
    let committed = match task.peek() {
        Err(error) if error.code() == Some("E_STORE_LOCKED") => {
            let what = "the task is running, so its checkpoint was not looked at";
            return vec![Finding::warning(ITEM, what, "stop the task to check whether it could go on")];
        }
        other => other,
    };
    match committed {
        Ok(Some(committed)) if !committed.splits.is_empty() => plugins.source.check_resume(&committed).await,
        Ok(_) => vec![Finding::passed(ITEM, "there is none yet: the task starts from its beginning")],
        Err(error) => vec![Finding::from_error(ITEM, &error)],
    }
}
