//! Where in a script something stands, and what is wrong there.

use std::fmt;

use crate::Error;

/// The action that sets a column, as errors name it.
pub(super) const SET: &str = "e_set";
const SET_IN_FRONT: &str = "e_set: ";

/// A place in a script: line and column, both from 1. Columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::transforms) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Place {
    /// The place in front of a message; empty for settings that are written as no script, and so have no places.
    fn in_front(self) -> String {
        if self == Self::default() { String::new() } else { format!("{self}: ") }
    }
}

/// A mistake in a script. It may name functions and columns, but never shows a text of the script, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transforms) struct Fault {
    /// Where it is.
    pub(in crate::transforms) place: Place,
    /// What is wrong.
    pub(in crate::transforms) what: String,
    /// What to write instead; may be empty.
    pub(in crate::transforms) help: String,
}

impl Fault {
    pub(super) fn new(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into(), help: String::new() }
    }

    #[must_use]
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The error of a script that stands under the key `key`.
    pub(in crate::transforms) fn into_error(self, key: &str) -> Error {
        Error::config(format!("{key}: {}{}", self.place.in_front(), self.what)).with_code("E_ETL_SCRIPT").with_help(self.help)
    }

    /// What is wrong, where the settings hold a value and no script that sets a column to it.
    pub(super) fn of_value(mut self) -> Self {
        if let Some(what) = self.what.strip_prefix(SET_IN_FRONT) {
            self.what = what.to_owned();
        }
        self
    }
}

/// A row for which a script fails. It never shows a value.
#[derive(Debug)]
pub(in crate::transforms) struct Failure {
    /// Where in the script.
    pub(super) place: Place,
    /// The function that failed.
    pub(super) function: &'static str,
    /// Why.
    pub(super) why: &'static str,
}

/// The result of evaluating something. A failure is rare, so it is boxed: what is common stays small.
pub(super) type Evaluated<T> = Result<T, Box<Failure>>;

impl Failure {
    pub(super) fn err<T>(place: Place, function: &'static str, why: &'static str) -> Evaluated<T> {
        Err(Box::new(Self { place, function, why }))
    }

    /// The error of a script that stands under the key `key`; `column` is the column that was to be set, if any.
    pub(in crate::transforms) fn into_error(self, key: &str, column: Option<&str>) -> Error {
        let for_column = column.map_or(String::new(), |column| format!(", for column {column}"));
        Error::data(format!("{key}: {}: {}{for_column}: {}", self.place, self.function, self.why)).with_code("E_ETL")
    }

    /// The same, for a value that stands under `key` and not in a script.
    pub(super) fn into_error_of_value(self, key: &str) -> Error {
        let function = if self.function == SET { String::new() } else { format!("{}: ", self.function) };
        Error::data(format!("{key}: {}{function}{}", self.place.in_front(), self.why)).with_code("E_ETL")
    }

    /// The same, for a script whose constants fail.
    pub(super) fn into_fault(self) -> Fault {
        Fault::new(self.place, format!("{}: {}", self.function, self.why))
    }
}
