//! The databases and their default collations, as they are at one position of a stream.

use std::collections::HashMap;

use runtime::Collation;

/// The databases that exist, each with its default collation; `None` if the collation is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Databases {
    known: HashMap<String, Option<Collation>>,
    /// Whether the server compares names in lower case.
    lower_case: bool,
}

impl Databases {
    pub(crate) fn new(known: impl IntoIterator<Item = (String, impl Into<Option<Collation>>)>, lower_case: bool) -> Self {
        let mut databases = Self { known: HashMap::new(), lower_case };
        databases.known = known.into_iter().map(|(name, collation)| (databases.fold(&name), collation.into())).collect();
        databases
    }

    /// The name in the form in which the server compares it: in lower case, or unchanged.
    pub(crate) fn fold(&self, name: &str) -> String {
        if self.lower_case { name.to_lowercase() } else { name.to_owned() }
    }

    /// The default collation of a database; `None` if the database or its collation is not known.
    pub(crate) fn collation(&self, name: &str) -> Option<Collation> {
        self.known.get(&self.fold(name)).cloned().flatten()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.known.contains_key(&self.fold(name))
    }

    pub(crate) fn set(&mut self, name: &str, collation: Option<Collation>) {
        self.known.insert(self.fold(name), collation);
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.known.remove(&self.fold(name));
    }

    /// The names of all databases, with their default collations.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Option<Collation>)> {
        self.known.iter()
    }
}
