//! Facts: what a source remembers about its task, as typed and versioned values.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Error, Result};

/// A value that a source keeps in the checkpoint, such as the identity of the server or how far the snapshot is planned.
///
/// Stored as `<version> <JSON>` under the name, or under `name/key` where there are many of a kind. A version that this program does not
/// know is an error, so the meaning of a stored value may only change together with its version.
pub trait Fact: Serialize + DeserializeOwned {
    /// The name, without `/`.
    const NAME: &'static str;
    /// Version of the JSON.
    const VERSION: u32;
}

/// Changes of facts, committed together with whatever they belong to. A later change of the same fact wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(Vec<(String, Option<String>)>);

impl Facts {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the only fact of its kind.
    pub fn set<F: Fact>(&mut self, fact: &F) -> Result<()> {
        self.write(F::NAME.to_owned(), fact)
    }

    /// Sets the fact `key` of its kind.
    pub fn set_at<F: Fact>(&mut self, key: &str, fact: &F) -> Result<()> {
        self.write(name_at::<F>(key), fact)
    }

    /// Removes the only fact of its kind.
    pub fn remove<F: Fact>(&mut self) {
        self.0.push((F::NAME.to_owned(), None));
    }

    /// Removes the fact `key` of its kind.
    pub fn remove_at<F: Fact>(&mut self, key: &str) {
        self.0.push((name_at::<F>(key), None));
    }

    /// Whether the fact `key` of its kind is set by these changes.
    pub fn has_at<F: Fact>(&self, key: &str) -> bool {
        let name = name_at::<F>(key);
        self.0.iter().rfind(|(changed, _)| *changed == name).is_some_and(|(_, text)| text.is_some())
    }

    /// Appends the changes of `later`, which were made after these. Leaves `later` empty.
    pub fn append(&mut self, later: &mut Self) {
        self.0.append(&mut later.0);
    }

    /// Changes as stored texts, `None` for a removed fact: for checkpoint stores.
    pub fn from_stored(texts: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        Self(texts.into_iter().collect())
    }

    /// The changes in order, as they are stored: for checkpoint stores.
    pub fn stored(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_deref()))
    }

    fn write<F: Fact>(&mut self, name: String, fact: &F) -> Result<()> {
        let json = serde_json::to_string(fact).map_err(|error| Error::fatal(format!("the fact {name} cannot be stored")).because(error))?;
        self.0.push((name, Some(format!("{} {json}", F::VERSION))));
        Ok(())
    }
}

/// The stored name of the fact `key` of a kind.
pub(super) fn name_at<F: Fact>(key: &str) -> String {
    format!("{}/{key}", F::NAME)
}

/// Reads a stored fact.
pub(super) fn read<F: Fact>(name: &str, stored: &str) -> Result<F> {
    let (version, json) = stored.split_once(' ').unwrap_or_default();
    match version.parse::<u32>() {
        Ok(version) if version == F::VERSION => serde_json::from_str(json).map_err(|error| unreadable(name).because(error)),
        Ok(version) => Err(Error::fatal(format!(
            "the checkpoint holds the fact {name} in version {version}, and this program reads version {}",
            F::VERSION
        ))
        .with_code("E_CKPT_VERSION")
        .with_help(
            "run the version of the program that wrote it, or start the task from scratch with an empty directory and an empty topic",
        )),
        Err(_) => Err(unreadable(name)),
    }
}

fn unreadable(name: &str) -> Error {
    Error::damaged_checkpoint(format!("the fact {name} of the checkpoint is unreadable"))
}
