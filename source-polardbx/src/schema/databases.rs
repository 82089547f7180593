//! Default character sets of the databases, as they are at one position of a stream.

use std::collections::HashMap;

/// The databases that exist, each with its default character set; `None` if that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Databases {
    known: HashMap<String, Option<String>>,
    /// Names are compared in lower case.
    lower_case: bool,
}

impl Databases {
    pub(crate) fn new(known: impl IntoIterator<Item = (String, impl Into<Option<String>>)>, lower_case: bool) -> Self {
        let mut databases = Self { known: HashMap::new(), lower_case };
        databases.known = known.into_iter().map(|(name, charset)| (databases.fold(&name), charset.into())).collect();
        databases
    }

    /// The name as this server compares it.
    pub(crate) fn fold(&self, name: &str) -> String {
        if self.lower_case { name.to_lowercase() } else { name.to_owned() }
    }

    /// The default character set of a database.
    pub(crate) fn charset(&self, name: &str) -> Option<String> {
        self.known.get(&self.fold(name)).cloned().flatten()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.known.contains_key(&self.fold(name))
    }

    pub(crate) fn set(&mut self, name: &str, charset: Option<String>) {
        self.known.insert(self.fold(name), charset);
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.known.remove(&self.fold(name));
    }

    /// All of it as text, for a checkpoint.
    pub(crate) fn to_text(&self) -> String {
        serde_json::json!(self.known).to_string()
    }
}

/// What [`Databases::to_text`] wrote; `None` if it did not write this.
pub(crate) fn parse_databases(text: &str) -> Option<HashMap<String, Option<String>>> {
    serde_json::from_str(text).ok()
}
