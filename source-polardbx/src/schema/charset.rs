//! Character sets as MySQL names them: how wide a character is, and which collation belongs to which.

/// The most bytes of one character; `None` if the character set is not known here.
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

/// The character set of a collation's name: what stands before its first underscore; `None` if the name goes with several (MariaDB).
pub(crate) fn of_collation(collation: &str) -> Option<String> {
    let first = collation.split('_').next().unwrap_or(collation).to_ascii_lowercase();
    (!first.starts_with("uca")).then_some(first)
}

/// The character set of a collation's number; `None` for rare ones.
pub(crate) fn of_collation_number(number: u16) -> Option<&'static str> {
    // MariaDB counts collations without padding from 1,024 above the others, and those of UCA 14.0.0 by character set.
    let number = if (1_024..2_048).contains(&number) { number - 1_024 } else { number };
    Some(match number {
        5 | 8 | 15 | 31 | 47..=49 | 94 => "latin1",
        11 | 65 => "ascii",
        33 | 76 | 83 | 192..=215 | 223 | 576..=578 | 2_048..=2_303 => "utf8",
        45 | 46 | 224..=247 | 255..=323 | 608..=610 | 2_304..=2_559 => "utf8mb4",
        63 => "binary",
        28 | 87 => "gbk",
        248..=250 => "gb18030",
        1 | 84 => "big5",
        24 | 86 => "gb2312",
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
