//! The collations of MySQL and MariaDB by their numbers, which are the same in all versions that have them.

use runtime::Collation;

use crate::schema::lexer::Dialect;

/// Collations whose numbers follow no rule.
const NAMED: [(u16, &str); 103] = [
    (1, "big5_chinese_ci"),
    (2, "latin2_czech_cs"),
    (3, "dec8_swedish_ci"),
    (4, "cp850_general_ci"),
    (5, "latin1_german1_ci"),
    (6, "hp8_english_ci"),
    (7, "koi8r_general_ci"),
    (8, "latin1_swedish_ci"),
    (9, "latin2_general_ci"),
    (10, "swe7_swedish_ci"),
    (11, "ascii_general_ci"),
    (12, "ujis_japanese_ci"),
    (13, "sjis_japanese_ci"),
    (14, "cp1251_bulgarian_ci"),
    (15, "latin1_danish_ci"),
    (16, "hebrew_general_ci"),
    (18, "tis620_thai_ci"),
    (19, "euckr_korean_ci"),
    (20, "latin7_estonian_cs"),
    (21, "latin2_hungarian_ci"),
    (22, "koi8u_general_ci"),
    (23, "cp1251_ukrainian_ci"),
    (24, "gb2312_chinese_ci"),
    (25, "greek_general_ci"),
    (26, "cp1250_general_ci"),
    (27, "latin2_croatian_ci"),
    (28, "gbk_chinese_ci"),
    (29, "cp1257_lithuanian_ci"),
    (30, "latin5_turkish_ci"),
    (31, "latin1_german2_ci"),
    (32, "armscii8_general_ci"),
    (33, "utf8_general_ci"),
    (34, "cp1250_czech_cs"),
    (35, "ucs2_general_ci"),
    (36, "cp866_general_ci"),
    (37, "keybcs2_general_ci"),
    (38, "macce_general_ci"),
    (39, "macroman_general_ci"),
    (40, "cp852_general_ci"),
    (41, "latin7_general_ci"),
    (42, "latin7_general_cs"),
    (43, "macce_bin"),
    (44, "cp1250_croatian_ci"),
    (45, "utf8mb4_general_ci"),
    (46, "utf8mb4_bin"),
    (47, "latin1_bin"),
    (48, "latin1_general_ci"),
    (49, "latin1_general_cs"),
    (50, "cp1251_bin"),
    (51, "cp1251_general_ci"),
    (52, "cp1251_general_cs"),
    (53, "macroman_bin"),
    (54, "utf16_general_ci"),
    (55, "utf16_bin"),
    (56, "utf16le_general_ci"),
    (57, "cp1256_general_ci"),
    (58, "cp1257_bin"),
    (59, "cp1257_general_ci"),
    (60, "utf32_general_ci"),
    (61, "utf32_bin"),
    (62, "utf16le_bin"),
    (63, "binary"),
    (64, "armscii8_bin"),
    (65, "ascii_bin"),
    (66, "cp1250_bin"),
    (67, "cp1256_bin"),
    (68, "cp866_bin"),
    (69, "dec8_bin"),
    (70, "greek_bin"),
    (71, "hebrew_bin"),
    (72, "hp8_bin"),
    (73, "keybcs2_bin"),
    (74, "koi8r_bin"),
    (75, "koi8u_bin"),
    (76, "utf8_tolower_ci"),
    (77, "latin2_bin"),
    (78, "latin5_bin"),
    (79, "latin7_bin"),
    (80, "cp850_bin"),
    (81, "cp852_bin"),
    (82, "swe7_bin"),
    (83, "utf8_bin"),
    (84, "big5_bin"),
    (85, "euckr_bin"),
    (86, "gb2312_bin"),
    (87, "gbk_bin"),
    (88, "sjis_bin"),
    (89, "tis620_bin"),
    (90, "ucs2_bin"),
    (91, "ujis_bin"),
    (92, "geostd8_general_ci"),
    (93, "geostd8_bin"),
    (94, "latin1_spanish_ci"),
    (95, "cp932_japanese_ci"),
    (96, "cp932_bin"),
    (97, "eucjpms_japanese_ci"),
    (98, "eucjpms_bin"),
    (99, "cp1250_polish_ci"),
    (159, "ucs2_general_mysql500_ci"),
    (223, "utf8_general_mysql500_ci"),
    (248, "gb18030_chinese_ci"),
    (249, "gb18030_bin"),
    (250, "gb18030_unicode_520_ci"),
];

/// The languages of the collations for Unicode, in the order of their numbers. An empty name stands for no language. UCA 4.0.0 has the first
/// 24, and UCA 14.0.0 those that are not `None` there.
const LANGUAGES: [&str; 25] = [
    "",
    "icelandic",
    "latvian",
    "romanian",
    "slovenian",
    "polish",
    "estonian",
    "spanish",
    "swedish",
    "turkish",
    "czech",
    "danish",
    "lithuanian",
    "slovak",
    "spanish2",
    "roman",
    "persian",
    "esperanto",
    "hungarian",
    "sinhala",
    "german2",
    "croatian",
    "unicode_520",
    "vietnamese",
    "croatian",
];

/// The character sets that have collations of UCA 4.0.0, and the number of the first.
const UCA_400: [(&str, u16); 5] = [("utf16", 101), ("ucs2", 128), ("utf32", 160), ("utf8", 192), ("utf8mb4", 224)];

/// The character sets that have more collations in MariaDB, and the number of the first. Each has room for 32.
const MARIADB: [(&str, u16); 5] = [("utf8", 576), ("utf8mb4", 608), ("ucs2", 640), ("utf16", 672), ("utf32", 736)];

/// The character sets that have collations of UCA 14.0.0 (MariaDB), in the order of their numbers, 256 for each.
const UCA_1400: [&str; 5] = ["utf8", "utf8mb4", "ucs2", "utf16", "utf32"];

/// The languages of the collations of UCA 9.0.0 (MySQL 8), of which the first has the number 255: without accents and case, and then with
/// both.
const LANGUAGES_0900: [&str; 23] = [
    "", "de_pb", "is", "lv", "ro", "sl", "pl", "et", "es", "sv", "tr", "cs", "da", "lt", "sk", "es_trad", "la", "-", "eo", "hu", "hr", "-",
    "vi",
];
/// Those from the number 303.
const MORE_0900: [&str; 21] = [
    "ja_0900_as_cs",
    "ja_0900_as_cs_ks",
    "0900_as_ci",
    "ru_0900_ai_ci",
    "ru_0900_as_cs",
    "zh_0900_as_cs",
    "0900_bin",
    "nb_0900_ai_ci",
    "nb_0900_as_cs",
    "nn_0900_ai_ci",
    "nn_0900_as_cs",
    "sr_latn_0900_ai_ci",
    "sr_latn_0900_as_cs",
    "bs_0900_ai_ci",
    "bs_0900_as_cs",
    "bg_0900_ai_ci",
    "bg_0900_as_cs",
    "gl_0900_ai_ci",
    "gl_0900_as_cs",
    "mn_cyrl_0900_ai_ci",
    "mn_cyrl_0900_as_cs",
];

/// Where the collations are that do not pad texts with blanks (MariaDB): each has the number of the one that does, and this more.
const NOPAD: std::ops::Range<u16> = 1_024..2_048;

/// A number, and to which rule it belongs.
enum Rule {
    Named(&'static str),
    Uca400(&'static str, u16),
    Uca900(u16),
    MariaDb(&'static str, u16),
    Uca1400(&'static str, u16),
}

impl Rule {
    fn of(number: u16) -> Option<Self> {
        if let Ok(at) = NAMED.binary_search_by_key(&number, |&(number, _)| number) {
            return NAMED.get(at).map(|&(_, name)| Self::Named(name));
        }
        let within = |sets: &'static [(&str, u16)], room: u16| {
            sets.iter().find_map(|&(set, first)| Some((set, number.checked_sub(first).filter(|&place| place < room)?)))
        };
        if let Some((set, place)) = within(&UCA_400, 24) {
            return Some(Self::Uca400(set, place));
        }
        if let Some((set, place)) = within(&MARIADB, 32) {
            return Some(Self::MariaDb(set, place));
        }
        match number {
            255..=323 => Some(Self::Uca900(number - 255)),
            2_048.. => UCA_1400.get(usize::from((number - 2_048) / 256)).map(|set| Self::Uca1400(set, number % 256)),
            _ => None,
        }
    }

    fn charset(&self) -> &'static str {
        match *self {
            Self::Named(name) => name.split('_').next().unwrap_or(name),
            Self::Uca400(set, _) | Self::MariaDb(set, _) | Self::Uca1400(set, _) => set,
            Self::Uca900(_) => "utf8mb4",
        }
    }

    /// The name behind the character set; `None` if the number is free, as far as is known.
    fn rest(&self, is_mariadb: bool) -> Option<String> {
        match *self {
            Self::Named(name) => name.split_once('_').map(|(_, rest)| rest.to_owned()),
            Self::Uca400(_, 0) => Some("unicode_ci".to_owned()),
            // MariaDB has another order of the same name.
            Self::Uca400(_, 21) if is_mariadb => Some("croatian_mysql561_ci".to_owned()),
            Self::Uca400(_, place) => LANGUAGES.get(usize::from(place)).map(|language| format!("{language}_ci")),
            Self::Uca900(place @ 48..) => MORE_0900.get(usize::from(place - 48)).map(|&rest| rest.to_owned()),
            Self::Uca900(place) => {
                let (place, strength) = if place < 23 { (place, "ai_ci") } else { (place - 23, "as_cs") };
                match LANGUAGES_0900.get(usize::from(place)) {
                    None | Some(&"-") => None,
                    Some(&"") => Some(format!("0900_{strength}")),
                    Some(language) => Some(format!("{language}_0900_{strength}")),
                }
            }
            Self::MariaDb(_, place) => ["croatian_ci", "myanmar_ci", "thai_520_w2"].get(usize::from(place)).map(|&rest| rest.to_owned()),
            Self::Uca1400(_, place) => {
                let language = match place / 8 {
                    21 | 22 => return None,
                    language => LANGUAGES.get(usize::from(language))?,
                };
                let underscore = if language.is_empty() { "" } else { "_" };
                let nopad = if place & 4 > 0 { "nopad_" } else { "" };
                let strength = ["ai_ci", "ai_cs", "as_ci", "as_cs"][usize::from(place % 4)];
                Some(format!("uca1400_{language}{underscore}{nopad}{strength}"))
            }
        }
    }
}

/// The character set of the collation with this number in MySQL or MariaDB; `None` if neither uses the number.
pub fn of_collation_number(number: u16) -> Option<&'static str> {
    let number = if NOPAD.contains(&number) { number - NOPAD.start } else { number };
    Rule::of(number).map(|rule| rule.charset())
}

/// The collation with this number. If nothing but its character set is known, this is its name. `None` if neither MySQL nor MariaDB uses the
/// number.
pub fn collation_of_number(number: u16, dialect: Dialect) -> Option<Collation> {
    let is_nopad = NOPAD.contains(&number);
    let rule = Rule::of(if is_nopad { number - NOPAD.start } else { number })?;
    let charset = rule.charset();
    let Some(rest) = rule.rest(dialect.is_mariadb()) else { return Some(Collation::new(charset)) };
    let name = match rest.rsplit_once('_') {
        Some((rest, last)) if is_nopad => format!("{charset}_{rest}_nopad_{last}"),
        None if is_nopad => format!("{charset}_nopad_{rest}"),
        _ => format!("{charset}_{rest}"),
    };
    Some(Collation::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_collations() {
        let name = |number, version: &str| collation_of_number(number, Dialect::of_version(version)).map(|collation| collation.to_string());
        for (number, mysql, mariadb) in [
            (8, "latin1_swedish_ci", "latin1_swedish_ci"),
            (45, "utf8mb4_general_ci", "utf8mb4_general_ci"),
            (63, "binary", "binary"),
            (83, "utf8_bin", "utf8_bin"),
            (192, "utf8_unicode_ci", "utf8_unicode_ci"),
            (213, "utf8_croatian_ci", "utf8_croatian_mysql561_ci"),
            (255, "utf8mb4_0900_ai_ci", "utf8mb4_0900_ai_ci"),
            (272, "utf8mb4", "utf8mb4"),
            (300, "utf8mb4_vi_0900_as_cs", "utf8mb4_vi_0900_as_cs"),
            (309, "utf8mb4_0900_bin", "utf8mb4_0900_bin"),
            (608, "utf8mb4_croatian_ci", "utf8mb4_croatian_ci"),
            (1_070, "utf8mb4_nopad_bin", "utf8mb4_nopad_bin"),
            (1_069, "utf8mb4_general_nopad_ci", "utf8mb4_general_nopad_ci"),
            (2_304, "utf8mb4_uca1400_ai_ci", "utf8mb4_uca1400_ai_ci"),
            (2_304 + 199, "utf8mb4_uca1400_croatian_nopad_as_cs", "utf8mb4_uca1400_croatian_nopad_as_cs"),
        ] {
            assert_eq!((name(number, "8.0.33").as_deref(), name(number, "10.11.19-MariaDB").as_deref()), (Some(mysql), Some(mariadb)));
            assert_eq!(of_collation_number(number), mysql.split('_').next());
        }
        assert_eq!((of_collation_number(9_999), name(9_999, "8.0.33")), (None, None));
        // No number is a panic.
        let known = (0..=u16::MAX).filter(|&number| name(number, "8.0.33").is_some()).count();
        assert_eq!((0..=u16::MAX).filter(|&number| of_collation_number(number).is_some()).count(), known);
    }
}
