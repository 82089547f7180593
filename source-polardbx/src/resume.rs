//! Whether a task can go on from its checkpoint: the server, the configuration and the binlog must still be those that it stands for.

use runtime::{Committed, Finding, SplitId, TableId, TableSchema};
use std::sync::Arc;

use crate::binlog::StreamPosition;
use crate::check::binlog_has;
use crate::config::Task;
use crate::error::{Result, SourceError};
use crate::server::Server;
use crate::session::{Endpoint, Session};

/// Names of the facts that are committed with the split that the plan hangs on.
pub(crate) mod fact {
    /// The server's identity.
    pub(crate) const IDENTITY: &str = "identity";
    /// The server's id and version, for what formats print of snapshot rows.
    pub(crate) const SERVER_ID: &str = "server_id";
    pub(crate) const VERSION: &str = "version";
    /// What was selected.
    pub(crate) const SELECTION: &str = "selection";
    /// `offset@file` of the position before the snapshot.
    pub(crate) const START: &str = "start";
    /// The tables of the snapshot as a JSON list of `[database, table]`, in the order in which they are read; absent without a full phase.
    pub(crate) const TABLES: &str = "tables";
    /// There if the task has a schema phase.
    pub(crate) const STRUCTURES: &str = "structures";
}

/// Whether the checkpoint is of this server and this configuration.
pub(crate) fn same_task(task: &Task, server: &Server, committed: &Committed, anchor: &SplitId) -> Result<()> {
    if !committed.splits.contains_key(anchor) {
        return Err(SourceError::TaskChanged { what: "the task was started with other `phases`".into() });
    }
    let known = required_fact(committed, anchor, fact::IDENTITY)?;
    let found = server.identity()?;
    if known != found {
        return Err(SourceError::IdentityChanged { known: known.to_owned(), found });
    }
    if required_fact(committed, anchor, fact::SELECTION)? != task.selection_text() {
        return Err(SourceError::TaskChanged { what: "the task was started with other `tables` or `exclude`".into() });
    }
    let (full, structures) = (committed.fact(anchor, fact::TABLES).is_some(), committed.fact(anchor, fact::STRUCTURES).is_some());
    if (full, structures) != (task.full, task.structures) {
        return Err(SourceError::TaskChanged { what: "the task was started with other `phases`".into() });
    }
    Ok(())
}

/// What would keep the task from going on; one finding, `checkpoint`.
pub(crate) async fn findings(task: &Task, endpoint: &Endpoint, committed: &Committed, anchor: &SplitId) -> Vec<Finding> {
    let looked = async {
        let mut session = endpoint.connect().await?;
        let server = Server::identify(&mut session).await?;
        same_task(task, &server, committed, anchor)?;
        let place = still_there(task, &mut session, committed, anchor).await;
        session.close().await;
        place
    };
    vec![match looked.await {
        Ok(place) => Finding::passed("checkpoint", place),
        Err(error) => Finding::from_error("checkpoint", &error.into()),
    }]
}

/// Where the task goes on, in words for people.
async fn still_there(task: &Task, session: &mut Session, committed: &Committed, anchor: &SplitId) -> Result<String> {
    let Some(checkpoint) = committed.splits.get(anchor).filter(|_| task.incremental) else {
        return Ok("the task goes on where it was".into());
    };
    let position = StreamPosition::parse(checkpoint.position.as_str())?;
    binlog_has(session, &position.base, position.at).await?;
    Ok(format!("the binlog still has {}", position.location(position.at)))
}

pub(crate) fn required_fact<'a>(committed: &'a Committed, anchor: &SplitId, name: &str) -> Result<&'a str> {
    committed.fact(anchor, name).ok_or_else(|| SourceError::Checkpoint { what: format!("the fact {name:?} of {anchor} is missing") })
}

pub(crate) fn committed_schema(committed: &Committed, anchor: &SplitId, table: &TableId) -> Result<Arc<TableSchema>> {
    let schema = committed.schemas.get(&(anchor.clone(), table.clone()));
    schema.cloned().ok_or_else(|| SourceError::Checkpoint { what: format!("the structure of table {table} is missing") })
}
