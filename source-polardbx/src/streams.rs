//! Which streams a task reads.

use std::collections::BTreeMap;

use crate::config::{ConfigError, SourceSettings};
use crate::error::{Result, SourceError};
use crate::server::{Server, has_global_binlog, stream_groups};
use crate::session::Session;
use crate::splits::StreamName;

/// The streams that a task reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Streams {
    /// The group of the streams; `None` for the only binlog of a server, and for the global binlog of PolarDB-X.
    pub(crate) group: Option<String>,
    /// The streams, ordered by their numbers. There is at least one.
    pub(crate) names: Vec<StreamName>,
}

impl Streams {
    /// The only binlog of a server, or the global binlog of PolarDB-X.
    pub(crate) fn global() -> Self {
        Self { group: None, names: vec![StreamName::global()] }
    }

    /// The streams of a task that starts now. An instance may have a global binlog, groups of streams, or both. The global binlog is
    /// preferred, because only it keeps the order of all changes.
    pub(crate) async fn choose(settings: &SourceSettings, session: &mut Session, server: &Server) -> Result<Self> {
        let wanted = settings.config.stream_group.as_deref();
        if !server.is_polardbx() {
            return match wanted {
                None => Ok(Self::global()),
                Some(_) => Err(wrong("only PolarDB-X has groups of streams, and the server is another one".into(), "leave it out".into())),
            };
        }
        if wanted.is_none() && has_global_binlog(session).await? {
            return Ok(Self::global());
        }
        Self::of_groups(wanted, stream_groups(session).await?)
    }

    fn of_groups(wanted: Option<&str>, mut groups: BTreeMap<String, Vec<StreamName>>) -> Result<Self> {
        let listed = groups.keys().cloned().collect::<Vec<_>>().join(", ");
        let group = match wanted {
            Some(group) => group.to_owned(),
            None if groups.len() > 1 => {
                let why =
                    format!("the instance has no global binlog, and several groups of streams ({listed}), of which each holds all changes");
                return Err(wrong(why, "name the group to read".into()));
            }
            // Without groups the end of the global binlog is asked for next, and the error says that there is none.
            None => match groups.keys().next() {
                Some(group) => group.clone(),
                None => return Ok(Self::global()),
            },
        };
        match groups.remove(&group) {
            Some(names) => Ok(Self { group: Some(group), names }),
            None if listed.is_empty() => {
                Err(wrong(format!("there is no group {group:?}"), "leave it out: the instance has no streams".into()))
            }
            None => Err(wrong(format!("there is no group {group:?}"), format!("choose from {listed}"))),
        }
    }

    /// Checks that the group still has the streams with which the task began. Fails if not: the rows of a key may have moved to another stream.
    pub(crate) async fn verify(session: &mut Session, group: &str, known: &[StreamName]) -> Result<()> {
        let found = stream_groups(session).await?.remove(group).unwrap_or_default();
        if found == known {
            return Ok(());
        }
        let text = |names: &[StreamName]| names.iter().map(StreamName::as_str).collect::<Vec<_>>().join(", ");
        let what = match found.is_empty() {
            true => format!("the server has no group of streams {group:?} any more"),
            false => format!("the group {group:?} had the streams {} when the task began, and has {} now", text(known), text(&found)),
        };
        Err(SourceError::StreamsChanged { what })
    }
}

fn wrong(why: String, help: String) -> SourceError {
    ConfigError::new("stream_group", why, help).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: &[&str]) -> BTreeMap<String, Vec<StreamName>> {
        let stream = |group: &str, number: u32| StreamName::of_group(&format!("{group}_stream_{number}")).unwrap();
        names.iter().map(|group| ((*group).to_owned(), vec![stream(group, 0), stream(group, 1)])).collect()
    }

    #[test]
    fn a_task_reads_one_group() {
        let only = Streams::of_groups(None, groups(&["group1"])).unwrap();
        assert_eq!((only.group.as_deref(), only.names.len()), (Some("group1"), 2));
        assert_eq!(Streams::of_groups(Some("b"), groups(&["a", "b"])).unwrap().group.as_deref(), Some("b"));
        assert_eq!(Streams::of_groups(None, groups(&[])).unwrap(), Streams::global());
        for (wanted, names, said) in [
            (None, &["a", "b"][..], "several groups of streams (a, b)"),
            (Some("c"), &["a", "b"], "there is no group \"c\""),
            (Some("c"), &[], "there is no group \"c\""),
        ] {
            let error = runtime::Error::from(Streams::of_groups(wanted, groups(names)).unwrap_err());
            assert!(error.to_string().contains(said) && error.help().is_some(), "{error}");
        }
    }
}
