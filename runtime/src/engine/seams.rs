//! Notes when a task continues with other transforms than before, and where.
//!
//! Settings that change neither names nor keys may be changed while a task is stopped. Whoever reads the topic later must be able to find out
//! where that was, so the last such change is kept in the checkpoint, beside digests of all settings.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::named_transform::NamedTransform;
use crate::sync::lock;
use crate::{Commit, Committed, Fact, Facts, Position, Result, Source, Split, SplitId, SplitKind};

/// The place where a task continued with other transforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Seam {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What was different, such as `filter changed` or `mask added`.
    pub changes: Vec<String>,
    /// The splits that had begun before. Splits that begin later have the new transforms from their beginning.
    pub splits: Vec<SeamSplit>,
}

/// A split that continued with other transforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeamSplit {
    /// The split.
    pub split: SplitId,
    /// Where a stream continued. The new transforms hold for all events from there on, except for those that the sink had delivered without
    /// a commit. `None` for a split of a snapshot, of which all rows are read again.
    pub location: Option<Position>,
}

impl Seam {
    /// What was different and where the splits continued, for people.
    pub fn text(&self) -> String {
        const SHOWN: usize = 8;
        let place = |SeamSplit { split, location }: &SeamSplit| match location {
            Some(location) => format!("{split} continues at {location}"),
            None => format!("{split} is read from its beginning"),
        };
        let mut places: Vec<String> = self.splits.iter().take(SHOWN).map(place).collect();
        match self.splits.len().saturating_sub(SHOWN) {
            0 => {}
            more => places.push(format!("and {more} more")),
        }
        if places.is_empty() {
            places.push("nothing that is not delivered had been read".to_owned());
        }
        format!("{}: {}", self.changes.join(", "), places.join(", "))
    }
}

/// What the checkpoint holds of the transforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownTransforms {
    /// The transforms in their order.
    transforms: Vec<Known>,
    /// The last change of them.
    seam: Option<Seam>,
}

/// A transform by its name, and a digest of its settings where they are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known(String, Option<String>);

impl Fact for KnownTransforms {
    const NAME: &'static str = "runtime_transforms";
    const VERSION: u32 = 1;
}

/// Finds seams, and keeps the last one.
pub(crate) struct Seams {
    now: Vec<Known>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is to be committed once the sink has accepted the settings.
    pending: Option<KnownTransforms>,
    last: Option<Seam>,
}

impl Seams {
    pub(crate) fn new(transforms: &[NamedTransform]) -> Self {
        let known = |transform: &NamedTransform| Known(transform.name().to_owned(), transform.digest().map(str::to_owned));
        Self { now: transforms.iter().map(known).collect(), state: Mutex::default() }
    }

    /// The last seam of the task.
    pub(crate) fn last(&self) -> Option<Seam> {
        lock(&self.state).last.clone()
    }

    /// What is different from the transforms of the checkpoint; empty if nothing is, or if the checkpoint does not say.
    pub(crate) fn changes(&self, committed: &Committed) -> Result<Vec<String>> {
        Ok(committed.fact::<KnownTransforms>()?.map_or_else(Vec::new, |before| changes(&before.transforms, &self.now)))
    }

    /// Compares the transforms with those of the checkpoint, before these splits are run. Returns what is to be committed with the plan: the
    /// transforms of a new task. A change is committed later, because the sink may refuse it ([`Seams::accepted`]).
    pub(crate) fn planned(&self, committed: &Committed, splits: &[Split], source: &dyn Source) -> Result<Facts> {
        let mut facts = Facts::new();
        let before = committed.fact::<KnownTransforms>()?;
        let mut state = lock(&self.state);
        (state.pending, state.last) = (None, before.as_ref().and_then(|known| known.seam.clone()));
        let known = |seam| KnownTransforms { transforms: self.now.clone(), seam };
        match before {
            None if committed.is_new() => facts.set(&known(None))?,
            // The checkpoint is of a version that did not note the transforms.
            None => state.pending = Some(known(None)),
            Some(before) => {
                let changes = changes(&before.transforms, &self.now);
                if !changes.is_empty() {
                    state.pending = Some(known(Some(Seam { at_ms: now_ms(), changes, splits: continued(committed, splits, source) })));
                }
            }
        }
        Ok(facts)
    }

    /// Commits a change and logs it, because the sink of a lane has accepted the settings. Called before the lane delivers anything.
    pub(crate) async fn accepted(&self, ledger: &Ledger) -> Result<()> {
        if lock(&self.state).pending.is_none() {
            return Ok(());
        }
        // Other lanes wait here until the change is committed.
        let turn = ledger.turn().await;
        let Some(known) = lock(&self.state).pending.clone() else { return Ok(()) };
        let mut facts = Facts::new();
        facts.set(&known)?;
        turn.commit(Commit { facts, ..Commit::default() }).await.map_err(|error| error.while_doing("committing the transforms"))?;
        match &known.seam {
            Some(seam) => tracing::warn!("the transforms of the task are not those of its last run; {}", seam.text()),
            None => tracing::info!("the checkpoint did not say which transforms the task had; it does from now on"),
        }
        let mut state = lock(&self.state);
        (state.pending, state.last) = (None, known.seam);
        Ok(())
    }
}

/// Where the splits continue that had begun before.
fn continued(committed: &Committed, splits: &[Split], source: &dyn Source) -> Vec<SeamSplit> {
    let place = |split: &Split| {
        let position = &committed.split(&split.id)?.checkpoint.position;
        let location = (split.kind == SplitKind::Stream).then(|| source.location(position));
        Some(SeamSplit { split: split.id.clone(), location })
    };
    splits.iter().filter_map(place).collect()
}

/// What is different, by name. The same name may stand several times.
fn changes(before: &[Known], now: &[Known]) -> Vec<String> {
    if before == now {
        return Vec::new();
    }
    let of = |list: &[Known], name: &str| list.iter().filter(|known| known.0 == name).cloned().collect::<Vec<_>>();
    let mut names: Vec<&str> = now.iter().chain(before).map(|Known(name, _)| name.as_str()).collect();
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(name);
            true
        }
    });
    let mut found = Vec::new();
    for name in names {
        match (of(before, name), of(now, name)) {
            (before, now) if before == now => {}
            (before, _) if before.is_empty() => found.push(format!("{name} added")),
            (_, now) if now.is_empty() => found.push(format!("{name} removed")),
            _ => found.push(format!("{name} changed")),
        }
    }
    if found.is_empty() {
        found.push("the order of the transforms changed".to_owned());
    }
    found
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(list: &[(&str, &str)]) -> Vec<Known> {
        list.iter().map(|(name, digest)| Known((*name).to_owned(), Some((*digest).to_owned()))).collect()
    }

    #[test]
    fn changes_are_told_by_name() {
        let before = known(&[("filter", "1"), ("filter", "2"), ("etl", "3"), ("mine", "4")]);
        let of = |now: &[(&str, &str)]| changes(&before, &known(now)).join(", ");
        assert_eq!(of(&[("filter", "1"), ("filter", "2"), ("etl", "3"), ("mine", "4")]), "");
        assert_eq!(of(&[("filter", "1"), ("filter", "9"), ("mask", "5"), ("mine", "4")]), "filter changed, mask added, etl removed");
        assert_eq!(of(&[("filter", "2"), ("filter", "1"), ("etl", "3"), ("mine", "4")]), "filter changed", "the order counts");
        assert_eq!(of(&[("mine", "4"), ("filter", "1"), ("filter", "2"), ("etl", "3")]), "the order of the transforms changed");
        assert_eq!(of(&[]), "filter removed, etl removed, mine removed");
    }

    #[test]
    fn a_seam_is_a_sentence() {
        let split = |name: &str, location: Option<&str>| SeamSplit { split: name.into(), location: location.map(Into::into) };
        let seam = |splits| Seam { at_ms: 1, changes: vec!["filter changed".into(), "mask added".into()], splits };
        let text = seam(vec![split("stream_global", Some("binlog.000007:4711")), split("shop.a/chunk-1", None)]).text();
        let expected =
            "filter changed, mask added: stream_global continues at binlog.000007:4711, shop.a/chunk-1 is read from its beginning";
        assert_eq!(text, expected);
        let many = seam((0..20).map(|number| split(&format!("c{number}"), None)).collect()).text();
        assert!(many.ends_with("c7 is read from its beginning, and 12 more"), "{many}");
        assert!(seam(Vec::new()).text().ends_with("mask added: nothing that is not delivered had been read"));
    }
}
