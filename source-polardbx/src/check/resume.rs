//! Checks whether a task can continue from its checkpoint. The server and the configuration must be the same, and the server must still
//! have the binlog that is needed.

use std::path::Path;

use runtime::{Committed, Finding};

use crate::binlog::{PreparedTransactions, StreamPosition};
use crate::config::{Phase, SourceSettings};
use crate::error::{Result, SourceError};
use crate::facts::{SelectionFact, TaskFacts};
use crate::server::{Server, binlog_files};
use crate::session::{Endpoint, Session};
use crate::splits::{GLOBAL_STREAM, SplitName};

/// Checks that the checkpoint was made from this server and with this configuration. Fails if not.
pub(crate) fn same_task(settings: &SourceSettings, server: &Server, task: &TaskFacts) -> Result<()> {
    same_server(server, &task.identity)?;
    let changed = |what: &str| SourceError::TaskChanged { what: format!("the task was started with other {what}") };
    if task.selection != SelectionFact::new(&settings.config.tables, &settings.config.exclude) {
        return Err(changed("`tables` or `exclude`"));
    }
    if task.phases != settings.phases {
        return Err(changed("`phases`"));
    }
    Ok(())
}

/// Checks that this server has the identity `known` from the checkpoint. Fails if not.
pub(crate) fn same_server(server: &Server, known: &str) -> Result<()> {
    let found = server.identity()?;
    if known == found { Ok(()) } else { Err(SourceError::IdentityChanged { known: known.to_owned(), found }) }
}

/// The finding `checkpoint`: where the task continues, or why it cannot. `state_dir` is the folder of the task's files.
pub(crate) async fn checkpoint(settings: &SourceSettings, endpoint: &Endpoint, state_dir: Option<&Path>, committed: &Committed) -> Finding {
    let checked = async {
        let task = TaskFacts::read(committed)?;
        let mut session = endpoint.connect().await?;
        let server = Server::identify(&mut session).await?;
        same_task(settings, &server, &task)?;
        let place = stream_is_there(&mut session, &task, committed).await;
        session.close().await;
        PreparedTransactions::verify(GLOBAL_STREAM, state_dir, committed)?;
        place
    };
    match checked.await {
        Ok(place) => Finding::passed("checkpoint", place),
        Err(error) => Finding::from_error("checkpoint", &error.into()),
    }
}

/// Returns a text for the user that says where the task continues. Fails if the server no longer has the binlog from which the stream
/// resumes.
async fn stream_is_there(session: &mut Session, task: &TaskFacts, committed: &Committed) -> Result<String> {
    if !task.has(Phase::Incremental) {
        return Ok("the task continues where it was".into());
    }
    let position = match committed.split(&SplitName::global_stream().id()) {
        Some(split) => split.checkpoint.position.clone(),
        None => task.stream_start()?,
    };
    let position = StreamPosition::parse(position.as_str())?;
    binlog_files(session).await?.find(&position.base, position.at)?;
    Ok(format!("the binlog still has {}", position.location(position.at)))
}
