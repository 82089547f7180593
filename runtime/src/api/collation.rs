//! Collations: how texts are compared.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How the texts of a column are compared and, with that, in which character set they are: the name begins with the character set, such as
/// `utf8mb4_general_ci`.
///
/// A name that is only a character set other than `binary` is that of a collation of which nothing else is known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Collation(Arc<str>);

impl Collation {
    /// The collation with this full name. Servers have two names for one character set, `utf8` and `utf8mb3`; the name becomes that with
    /// `utf8`, and in lower case.
    pub fn new(name: impl AsRef<str>) -> Self {
        let name = name.as_ref().to_ascii_lowercase();
        match name.strip_prefix("utf8mb3") {
            Some(rest) if rest.is_empty() || rest.starts_with('_') => Self(format!("utf8{rest}").into()),
            _ => Self(name.into()),
        }
    }

    /// The full name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The character set to which it belongs.
    pub fn charset(&self) -> &str {
        self.0.split('_').next().unwrap_or_default()
    }
}

impl From<String> for Collation {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl fmt::Debug for Collation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Collation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collation_belongs_to_a_character_set() {
        for (given, name, charset) in [
            ("utf8mb4_general_ci", "utf8mb4_general_ci", "utf8mb4"),
            ("UTF8MB3_BIN", "utf8_bin", "utf8"),
            ("utf8mb3", "utf8", "utf8"),
            ("utf8mb35_x", "utf8mb35_x", "utf8mb35"),
            ("binary", "binary", "binary"),
            ("gbk", "gbk", "gbk"),
        ] {
            let collation = Collation::new(given);
            assert_eq!((collation.name(), collation.charset()), (name, charset));
            let stored = serde_json::to_string(&collation).unwrap();
            assert_eq!((stored.as_str(), serde_json::from_str(&stored).unwrap()), (format!("\"{name}\"").as_str(), collation));
        }
    }
}
