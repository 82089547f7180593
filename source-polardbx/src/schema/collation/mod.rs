//! Character sets and collations: what the servers have, and which ones a statement means.
//!
//! `numbers` has the collations by their numbers in the binlog, and `options` reads CHARACTER SET and COLLATE of tables and databases.

mod numbers;
mod options;

use runtime::Collation;

use super::ReadError;
use super::lexer::Dialect;
pub use numbers::{collation_of_number, of_collation_number};
pub(super) use options::{CollationOptions, Conversion};

/// The maximum number of bytes of a character; `None` for an unknown character set.
pub(crate) fn max_bytes(charset: &str) -> Option<u32> {
    Some(match charset.to_ascii_lowercase().as_str() {
        "utf8mb4" | "utf16" | "utf16le" | "utf32" | "gb18030" => 4,
        "utf8" | "utf8mb3" | "ujis" | "eucjpms" => 3,
        "gbk" | "big5" | "sjis" | "cp932" | "euckr" | "gb2312" | "ucs2" => 2,
        "latin1" | "ascii" | "binary" | "latin2" | "latin5" | "latin7" | "cp1250" | "cp1251" | "cp1256" | "cp1257" | "cp850" | "cp852"
        | "cp866" | "dec8" | "greek" | "hebrew" | "hp8" | "keybcs2" | "koi8r" | "koi8u" | "macce" | "macroman" | "swe7" | "tis620"
        | "armscii8" | "geostd8" => 1,
        _ => return None,
    })
}

/// A function that returns the default collation of a database; `None` if it is not known.
pub type DatabaseCollations<'a> = &'a (dyn Fn(&str) -> Option<Collation> + Send + Sync);

/// What decides which collation a statement means, besides its text.
#[derive(Clone, Copy)]
pub(super) struct CollationScope<'a> {
    /// The session's default database; empty if it has none.
    pub(super) database: &'a str,
    pub(super) collations: DatabaseCollations<'a>,
    pub(super) session: SessionCollations<'a>,
    pub(super) dialect: Dialect,
}

impl CollationScope<'_> {
    /// The collation of the server; `None` if it is not known.
    pub(super) fn server(&self) -> Option<Collation> {
        self.session.server.and_then(|number| collation_of_number(number, self.dialect))
    }
}

/// The collations that a session has set for itself, as the binlog shows them by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionCollations<'a> {
    /// `collation_server`: that of databases which are created without one.
    pub server: Option<u16>,
    /// `default_collation_for_utf8mb4` of MySQL 8.
    pub utf8mb4: Option<u16>,
    /// `character_set_collations` of MariaDB 11: the number of a collation of a character set, and that of its default collation.
    pub defaults: &'a [[u16; 2]],
}

impl SessionCollations<'_> {
    /// The collation of a text whose character set is named and whose collation is not.
    pub fn default_of(&self, charset: &str, dialect: Dialect) -> Collation {
        let otherwise = default_of(charset, dialect);
        self.changed(dialect).find(|own| own.charset() == otherwise.charset()).unwrap_or(otherwise)
    }

    /// The default collations that the session has changed.
    fn changed(&self, dialect: Dialect) -> impl Iterator<Item = Collation> {
        let numbers = self.utf8mb4.into_iter().chain(self.defaults.iter().map(|&[_, collation]| collation));
        numbers.filter_map(move |number| collation_of_number(number, dialect))
    }
}

/// The default collation of a character set in the servers of a dialect. For an unknown character set, only its name is known.
fn default_of(charset: &str, dialect: Dialect) -> Collation {
    let charset = Collation::new(charset);
    let suffix = match charset.name() {
        "utf8mb4" if dialect.version >= 80_001 && dialect.version < 100_000 => "0900_ai_ci",
        "big5" | "gb2312" | "gbk" | "gb18030" => "chinese_ci",
        "latin1" | "dec8" | "swe7" => "swedish_ci",
        "ujis" | "sjis" | "cp932" | "eucjpms" => "japanese_ci",
        "euckr" => "korean_ci",
        "hp8" => "english_ci",
        "latin5" => "turkish_ci",
        "tis620" => "thai_ci",
        "binary" => return charset,
        known if max_bytes(known).is_some() => "general_ci",
        _ => return charset,
    };
    Collation::new(format!("{charset}_{suffix}"))
}

/// The collation of a character set that compares bytes.
pub(super) fn binary_of(charset: &str) -> Collation {
    if charset == "binary" { Collation::new(charset) } else { Collation::new(format!("{charset}_bin")) }
}

/// The collation of this name. MariaDB's names that begin with `uca` belong to several character sets, and leave the character set out.
fn in_charset(name: &str, charset: &str) -> Collation {
    if is_without_charset(name) { Collation::new(format!("{charset}_{name}")) } else { Collation::new(name) }
}

fn is_without_charset(name: &str) -> bool {
    name.starts_with("uca")
}

/// A collation that a statement names for a column, a table or a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedCollation {
    /// This one.
    Full(Collation),
    /// The one of this name in the character set that the object would have otherwise (MariaDB).
    Within(String),
    /// The default collation of that character set (MariaDB). The session has these defaults, and else those of the dialect.
    DefaultWithin(Vec<Collation>, Dialect),
}

impl NamedCollation {
    /// The collation for an object that would have the collation `otherwise`.
    pub(super) fn within(&self, otherwise: Option<&Collation>) -> Result<Collation, ReadError> {
        let charset =
            || otherwise.map(Collation::charset).ok_or_else(|| ReadError::new("a collation without its character set, which is not known"));
        Ok(match self {
            Self::Full(collation) => collation.clone(),
            Self::Within(name) => in_charset(name, charset()?),
            Self::DefaultWithin(changed, dialect) => {
                let charset = charset()?;
                let own = changed.iter().find(|own| own.charset() == charset).cloned();
                own.unwrap_or_else(|| default_of(charset, *dialect))
            }
        })
    }

    /// The collation of a COLLATE clause without a character set; `name` is `None` for DEFAULT.
    fn without_charset(name: Option<&str>, session: &SessionCollations<'_>, dialect: Dialect) -> Self {
        match name {
            None => Self::DefaultWithin(session.changed(dialect).collect(), dialect),
            Some(name) if is_without_charset(name) => Self::Within(name.to_owned()),
            Some(name) => Self::Full(Collation::new(name)),
        }
    }
}

/// What the definition of a column says of its collation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnCollation {
    named: Option<NamedCollation>,
    /// Whether the column has the collation that compares bytes, of whatever character set it has.
    is_binary: bool,
}

/// The words about its collation in the definition of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnWords {
    pub(super) charset: Option<String>,
    /// The name after COLLATE; `None` for DEFAULT.
    pub(super) collation: Option<Option<String>>,
    pub(super) binary: bool,
    /// Whether the character set is given as ASCII, UNICODE or BYTE.
    pub(super) is_short: bool,
}

impl ColumnCollation {
    pub(super) fn new(words: &ColumnWords, session: &SessionCollations<'_>, dialect: Dialect) -> Self {
        // With a character set, most servers take BINARY for a collation of this character set. MySQL 5.7 keeps it as an attribute of its
        // own, which is stronger than COLLATE and than CONVERT TO.
        let keeps_binary = dialect.version < 80_000;
        let named = match (&words.charset, &words.collation) {
            (Some(charset), Some(Some(name))) => Some(NamedCollation::Full(in_charset(name, charset))),
            (Some(charset), _) if words.binary => Some(NamedCollation::Full(binary_of(charset))),
            (Some(charset), _) => Some(NamedCollation::Full(session.default_of(charset, dialect))),
            (None, Some(name)) => Some(NamedCollation::without_charset(name.as_deref(), session, dialect)),
            (None, None) => None,
        };
        Self { named, is_binary: words.binary && (words.charset.is_none() || (keeps_binary && !words.is_short)) }
    }

    /// The collation of the column in a table with this default. If the statement converts the whole table, `converts_to` takes the place of
    /// what the column says itself, unless it only says how its texts are compared. `None` if neither is known.
    pub(super) fn resolve(&self, default: Option<&Collation>, converts_to: Option<&Collation>) -> Result<Option<Collation>, ReadError> {
        match &self.named {
            Some(NamedCollation::Full(own)) => {
                let collation = converts_to.filter(|_| own.charset() != "binary").unwrap_or(own);
                Ok(Some(if self.is_binary { binary_of(collation.charset()) } else { collation.clone() }))
            }
            Some(within) => within.within(default).map(Some),
            None if self.is_binary => Ok(default.map(|default| binary_of(default.charset()))),
            None => Ok(converts_to.or(default).cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_collations_depend_on_the_server_and_the_session() {
        let dialect = Dialect::of_version;
        let plain = SessionCollations::default();
        let default =
            |session: &SessionCollations<'_>, charset: &str, version: &str| session.default_of(charset, dialect(version)).to_string();
        assert_eq!(default(&plain, "utf8mb4", "5.7.22"), "utf8mb4_general_ci");
        assert_eq!(default(&plain, "utf8mb4", "8.0.33"), "utf8mb4_0900_ai_ci");
        assert_eq!(default(&plain, "utf8mb4", "10.11.19-MariaDB"), "utf8mb4_general_ci");
        assert_eq!(plain.default_of("utf8mb4", Dialect::default()).name(), "utf8mb4_general_ci", "as servers print it");
        assert_eq!((default(&plain, "binary", "8.0.33"), default(&plain, "klingon", "8.0.33")), ("binary".into(), "klingon".into()));
        let mysql = SessionCollations { utf8mb4: Some(45), ..plain };
        assert_eq!(default(&mysql, "utf8mb4", "8.0.33"), "utf8mb4_general_ci");
        assert_eq!(default(&mysql, "latin1", "8.0.33"), "latin1_swedish_ci");
        let maria = SessionCollations { defaults: &[[33, 2_048], [45, 2_304]], ..plain };
        assert_eq!(default(&maria, "utf8mb4", "11.8.2-MariaDB"), "utf8mb4_uca1400_ai_ci");
        assert_eq!(default(&maria, "utf8", "11.8.2-MariaDB"), "utf8_uca1400_ai_ci");
        assert_eq!(default(&maria, "ucs2", "11.8.2-MariaDB"), "ucs2_general_ci");
    }
}
