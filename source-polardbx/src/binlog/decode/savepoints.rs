//! The savepoints of a group that are still set.

use crate::binlog::error::StreamError;

/// The names of the savepoints, in the order in which they were set, each with its place of the type `P`.
#[derive(Clone, Debug)]
pub(crate) struct Savepoints<P>(Vec<(String, P)>);

impl<P> Default for Savepoints<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: Copy> Savepoints<P> {
    /// Sets a savepoint. It hides an earlier one of the same name: the server has removed that one.
    pub(crate) fn set(&mut self, name: String, place: P) {
        self.0.push((name, place));
    }

    /// Returns to a savepoint, which stays set. Later ones are removed.
    ///
    /// The server compares names without regard to case and accents. Only the letters of ASCII are compared here in the same way, so other
    /// letters are an error as soon as two names differ.
    pub(crate) fn return_to(&mut self, name: &str) -> Result<P, StreamError> {
        let unlike = |other: &str| other != name && !(other.is_ascii() && name.is_ascii());
        if self.0.iter().any(|(other, _)| unlike(other)) {
            return Err(StreamError::RollbackGroup { what: "a transaction was rolled back to a savepoint whose name is not plain ASCII" });
        }
        let found = self.0.iter().rposition(|(other, _)| other.eq_ignore_ascii_case(name));
        let found = found.and_then(|index| Some((index, self.0.get(index)?.1)));
        let (index, place) = found
            .ok_or(StreamError::RollbackGroup { what: "a transaction was rolled back to a savepoint that the binlog does not hold" })?;
        self.0.truncate(index + 1);
        Ok(place)
    }

    /// The place of the savepoint whose place meets `condition`.
    pub(crate) fn place(&self, condition: impl Fn(&P) -> bool) -> Option<P> {
        self.0.iter().map(|(_, place)| *place).find(condition)
    }

    /// The same savepoints with other places.
    pub(crate) fn map<Q>(&self, mut place: impl FnMut(&P) -> Q) -> Savepoints<Q> {
        Savepoints(self.0.iter().map(|(name, at)| (name.clone(), place(at))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_savepoint_of_a_name_is_found() {
        let mut savepoints = Savepoints::default();
        for (place, name) in ["a", "b", "A", "c"].into_iter().enumerate() {
            savepoints.set(name.to_owned(), place);
        }
        assert_eq!(savepoints.return_to("a").unwrap(), 2);
        assert!(savepoints.return_to("c").is_err(), "it was removed");
        assert_eq!(savepoints.return_to("A").unwrap(), 2, "it is still set");
        assert_eq!(savepoints.return_to("B").unwrap(), 1);
    }

    #[test]
    fn names_that_the_server_may_take_for_equal_are_an_error() {
        let mut savepoints = Savepoints::default();
        savepoints.set("é".to_owned(), 1);
        assert_eq!(savepoints.return_to("é").unwrap(), 1);
        assert!(savepoints.return_to("e").is_err());
        savepoints.set("e".to_owned(), 2);
        assert!(savepoints.return_to("é").is_err());
    }
}
