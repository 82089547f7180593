//! The command `check`: everything that would make the task fail, before it starts.

use std::collections::BTreeSet;
use std::process::ExitCode;

use runtime::{Finding, Level, Registry};

use crate::args::CheckArguments;
use crate::config::Task;
use crate::report;

pub(crate) async fn check(registry: Registry, args: &CheckArguments) -> ExitCode {
    let built = Task::load(&args.file).and_then(|task| task.pipeline(&registry).map(|pipeline| (task, pipeline)));
    let (task, pipeline) = match built {
        Ok(built) => built,
        Err(error) => return report::fail(&error),
    };
    let mut findings = vec![Finding::passed("configuration", format!("{} is valid", args.file.display()))];
    findings.extend(pipeline.check().await);
    for item in task.ignored() {
        if findings.iter().all(|finding| finding.item != *item) {
            let items: BTreeSet<&str> = findings.iter().map(|finding| &*finding.item).collect();
            let items = items.into_iter().collect::<Vec<_>>().join(", ");
            findings.push(Finding::failed("check.ignore", format!("{item:?} is not a check"), format!("name one of: {items}")));
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
            report::say(format_args!("{:<8} {:<width$}  help: {}", "", "", finding.help));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (passed, warnings) = (count(Level::Passed), count(Level::Warning));
    if failed > 0 {
        report::say("");
        report::say(format_args!("{} checks: {failed} failed, {warnings} warnings: the task {} cannot start", findings.len(), task.name()));
        return ExitCode::from(2);
    }
    report::say("");
    report::say(format_args!(
        "{} checks: {passed} passed, {warnings} warnings: start it with `connector-cli run {}`",
        findings.len(),
        args.file.display()
    ));
    ExitCode::SUCCESS
}
