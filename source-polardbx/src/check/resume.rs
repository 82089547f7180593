//! Checks whether a task can continue from its checkpoint. The server and the configuration must be the same, and the server must still
//! have the binlog that is needed.

use std::path::Path;

use runtime::{Committed, Finding};

use crate::binlog::{Decoder, PreparedTransactions, StreamError, StreamPosition, is_lost};
use crate::config::{Handover, Phase, SourceSettings};
use crate::error::{Result, SourceError};
use crate::facts::{SelectionFact, TaskFacts};
use crate::failover::{may_move, take_over};
use crate::server::{Server, binlog_files};
use crate::session::{Endpoint, Session};
use crate::splits::{SplitName, StreamName};
use crate::streams::Streams;

/// Checks that the checkpoint was made from this server and with this configuration. Fails if not.
pub(crate) fn same_task(settings: &SourceSettings, server: &Server, task: &TaskFacts) -> Result<()> {
    same_server(server, &task.identity)?;
    let changed = |what: &str| SourceError::TaskChanged { what: format!("the task was started with other {what}") };
    if task.selection != SelectionFact::new(&settings.config) {
        return Err(changed("`tables`, `exclude`, `exclude_shadow_tables` or `new_tables`"));
    }
    if !task.has_stream_group(settings.config.stream_group.as_deref()) {
        return Err(changed("`stream_group`"));
    }
    if task.phases != settings.phases {
        return Err(changed("`phases`"));
    }
    if settings.config.handover.is_some_and(|handover| (handover == Handover::InBand) != task.in_band) {
        return Err(changed("`handover`"));
    }
    Ok(())
}

/// Checks that this server has the identity `known` from the checkpoint. Fails if not.
pub(crate) fn same_server(server: &Server, known: &str) -> Result<()> {
    let found = server.identity()?;
    if known == found { Ok(()) } else { Err(SourceError::IdentityChanged { known: known.to_owned(), found }) }
}

/// Checks that the server has the streams with which the task began. Fails if not.
pub(crate) async fn same_streams(session: &mut Session, task: &TaskFacts) -> Result<()> {
    let Some(group) = task.group.as_deref().filter(|_| task.has(Phase::Incremental)) else { return Ok(()) };
    let known: Vec<StreamName> = task.streams.iter().map(|stream| stream.name.clone()).collect();
    Streams::verify(session, group, &known).await
}

/// The finding `checkpoint`: where the task continues, or why it cannot. `state_dir` is the folder of the task's files.
pub(crate) async fn checkpoint(settings: &SourceSettings, endpoint: &Endpoint, state_dir: Option<&Path>, committed: &Committed) -> Finding {
    let checked = async {
        let mut task = TaskFacts::read(committed)?;
        let mut session = endpoint.connect().await?;
        let server = Server::identify(&mut session).await?;
        if server.identity()? != task.identity && may_move(committed)? {
            let (_, moved) = take_over(endpoint, &mut session, &server, committed, false).await?;
            task = task.on(&server)?;
            same_task(settings, &server, &task)?;
            return Ok(format!("another server took over, and the task continues there at {}", moved.location(moved.at)));
        }
        same_task(settings, &server, &task)?;
        let place = stream_is_there(endpoint, &mut session, &task, committed).await;
        session.close().await;
        PreparedTransactions::verify(StreamName::global().as_str(), state_dir, committed)?;
        place
    };
    match checked.await {
        Ok(place) => Finding::passed("checkpoint", place),
        Err(error) => Finding::from_error("checkpoint", &error.into()),
    }
}

/// Returns a text for the user that says where the task continues. Fails if the server no longer has the binlog from which the stream
/// resumes.
async fn stream_is_there(endpoint: &Endpoint, session: &mut Session, task: &TaskFacts, committed: &Committed) -> Result<String> {
    if !task.has(Phase::Incremental) {
        return Ok("the task continues where it was".into());
    }
    same_streams(session, task).await?;
    let mut found = Vec::new();
    for (stream, start) in task.stream_starts()? {
        let reads = |split: &SplitName| matches!(split, SplitName::Stream(of) | SplitName::CatchUp { stream: of, .. } if *of == stream);
        let position = committed.splits().find(|(id, _)| SplitName::parse(id).is_ok_and(|split| reads(&split)));
        let position = position.map_or(start, |(_, split)| split.checkpoint.position.clone());
        let position = StreamPosition::parse(position.as_str())?;
        let files = binlog_files(session, &stream).await?;
        files.find(&position.base, position.at)?;
        let from = Decoder::dump_from(&position);
        let is_listed = files.size(&position.file_name(from.file)).is_some_and(|size| from.offset <= size);
        if task.is_polardbx() && is_listed {
            let doing = "read the event from which the task continues";
            let lost = is_lost(endpoint, &position.base, from).await;
            if lost.map_err(|error| SourceError::wire(doing, error))? {
                let needed = position.location(from);
                let what = format!(
                    "this task stopped at {needed}, and no event begins there (if a CDC node has just been replaced, check again in a minute)"
                );
                return Err(StreamError::HistoryDiverged { what }.into());
            }
        }
        found.push(position.location(position.at));
    }
    Ok(format!("the binlog still has {}", found.join(", ")))
}
