//! MySQL's character sets: the greatest size of a character in each of them, and the character set of each collation.

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

/// The character set of a collation, which is the collation's name up to the first underscore. `None` for a collation that belongs to
/// several character sets (MariaDB).
pub(crate) fn of_collation(collation: &str) -> Option<String> {
    let first = collation.split('_').next().unwrap_or(collation).to_ascii_lowercase();
    (!first.starts_with("uca")).then_some(first)
}

/// The character set of the collation with this number in MySQL or MariaDB; `None` if neither uses the number.
pub fn of_collation_number(number: u16) -> Option<&'static str> {
    // In MariaDB, the number of a NOPAD collation is 1,024 more than the number of the corresponding padding collation. The collations of
    // UCA 14.0.0 have one range of numbers for each character set.
    let number = if (1_024..2_048).contains(&number) { number - 1_024 } else { number };
    Some(match number {
        1 | 84 => "big5",
        2 | 9 | 21 | 27 | 77 => "latin2",
        3 | 69 => "dec8",
        4 | 80 => "cp850",
        5 | 8 | 15 | 31 | 47..=49 | 94 => "latin1",
        6 | 72 => "hp8",
        7 | 74 => "koi8r",
        10 | 82 => "swe7",
        11 | 65 => "ascii",
        12 | 91 => "ujis",
        13 | 88 => "sjis",
        14 | 23 | 50..=52 => "cp1251",
        16 | 71 => "hebrew",
        18 | 89 => "tis620",
        19 | 85 => "euckr",
        20 | 41 | 42 | 79 => "latin7",
        22 | 75 => "koi8u",
        24 | 86 => "gb2312",
        25 | 70 => "greek",
        26 | 34 | 44 | 66 | 99 => "cp1250",
        28 | 87 => "gbk",
        29 | 58 | 59 => "cp1257",
        30 | 78 => "latin5",
        32 | 64 => "armscii8",
        33 | 76 | 83 | 192..=215 | 223 | 576..=578 | 2_048..=2_303 => "utf8",
        35 | 90 | 128..=151 | 159 | 640..=642 | 2_560..=2_815 => "ucs2",
        36 | 68 => "cp866",
        37 | 73 => "keybcs2",
        38 | 43 => "macce",
        39 | 53 => "macroman",
        40 | 81 => "cp852",
        45 | 46 | 224..=247 | 255..=323 | 608..=610 | 2_304..=2_559 => "utf8mb4",
        54 | 55 | 101..=124 | 672..=674 | 2_816..=3_071 => "utf16",
        56 | 62 => "utf16le",
        57 | 67 => "cp1256",
        60 | 61 | 160..=183 | 736..=738 | 3_072..=3_327 => "utf32",
        63 => "binary",
        92 | 93 => "geostd8",
        95 | 96 => "cp932",
        97 | 98 => "eucjpms",
        248..=250 => "gb18030",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collations_lead_to_character_sets() {
        assert_eq!(of_collation("utf8mb4_general_ci").as_deref(), Some("utf8mb4"));
        assert_eq!(of_collation("binary").as_deref(), Some("binary"));
        assert_eq!(of_collation("uca1400_ai_ci"), None);
        assert_eq!((of_collation_number(1_069), of_collation_number(2_304)), (Some("utf8mb4"), Some("utf8mb4")));
        assert_eq!(of_collation_number(8), Some("latin1"));
        assert_eq!(of_collation_number(45), Some("utf8mb4"));
        assert_eq!(of_collation_number(9999), None);
        assert_eq!(max_bytes("UTF8"), Some(3));
        assert_eq!(max_bytes("klingon"), None);
    }
}
