//! Texts, and labels of ENUM and SET, in every character set.

use tests::harness::Flavor;

use super::types::TypeCase;

/// Character sets, each with a word of a language that it can write.
const WORDS: &[(&str, &str)] = &[
    ("armscii8", "Հայաստան"),
    ("ascii", "plain"),
    ("big5", "中文功"),
    ("cp1250", "Žluťoučký"),
    ("cp1251", "Привет"),
    ("cp1256", "سلام"),
    ("cp1257", "Ąžuolas"),
    ("cp850", "Größe"),
    ("cp852", "Žluťoučký"),
    ("cp866", "Привет"),
    ("cp932", "日本語①髙ｶﾅ"),
    ("dec8", "Größe"),
    ("eucjpms", "日本語①"),
    ("euckr", "한국어"),
    ("gb18030", "中文😀㐀é"),
    ("gb2312", "中文"),
    ("gbk", "中文镕"),
    ("geostd8", "საქართველო"),
    ("greek", "Ελλάδα"),
    ("hebrew", "שלום"),
    ("hp8", "Größe"),
    ("keybcs2", "Žluťoučký"),
    ("koi8r", "Привет"),
    ("koi8u", "Привіт"),
    ("latin1", "Größe €"),
    ("latin2", "Žluťoučký"),
    ("latin5", "İstanbul ğ"),
    ("latin7", "Ąžuolas"),
    ("macce", "Žluťoučký"),
    ("macroman", "Größe π"),
    ("sjis", "日本語表ｶﾅ"),
    ("swe7", "Åäö"),
    ("tis620", "ภาษาไทย"),
    ("ucs2", "中文é"),
    ("ujis", "日本語ｶﾅ"),
    ("utf16", "中文😀"),
    ("utf16le", "中文😀"),
    ("utf32", "中文😀"),
    ("utf8", "中文é"),
    ("utf8mb4", "中文😀"),
];

/// The character sets that a server supports, each with a word.
pub(super) fn words(flavor: Flavor) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    // MariaDB does not have gb18030.
    WORDS.iter().filter(move |(set, _)| flavor != Flavor::MariaDb || *set != "gb18030")
}

/// For every character set a VARCHAR column, and an ENUM and a SET column with labels in that set.
pub(super) fn all(flavor: Flavor) -> impl Iterator<Item = TypeCase> {
    words(flavor).flat_map(|(set, word)| {
        let quoted = format!("'{word}'");
        let case = |kind: &str, definition: &str, literals: &[&str]| {
            TypeCase::new(&format!("{kind}_{set}"), &format!("{definition} CHARACTER SET {set}"), literals)
        };
        [
            case("varchar", "VARCHAR(60)", &[&quoted, "''", "'other'"]),
            case("enum", &format!("ENUM({quoted},'other')"), &[&quoted, "'other'"]),
            case("set", &format!("SET({quoted},'other')"), &[&quoted, "''", &format!("'{word},other'")]),
        ]
    })
}
