//! The error numbers of PolarDB-X. Inside statements it has numbers of its own, and only some instances are set up to answer with MySQL's.

/// The number that MySQL gives this error. `code` and `message` are the server's. Source: the error codes of polardbx-sql.
pub(crate) fn mysql_number(code: u16, message: &str) -> u16 {
    /// The name of an error in the message of PolarDB-X, its own number, and the number in MySQL.
    const NUMBERS: [(&str, u16, u16); 7] = [
        ("[ERR_PARSER]", 4500, 1064),
        ("[ERR_TABLE_NOT_EXIST]", 4006, 1146),
        ("[ERR_UNKNOWN_DATABASE]", 4616, 1049),
        ("[ERR_CHECK_PRIVILEGE_FAILED_ON_TABLE]", 5108, 1142),
        ("[ERR_CHECK_PRIVILEGE_FAILED_ON_DB]", 5118, 1044),
        ("[ERR_CHECK_PRIVILEGE_FAILED]", 5110, 1227),
        ("[ERR_UNKNOWN_SYSTEM_VARIABLE]", 4612, 1193),
    ];
    if !message.contains("ERR-CODE:") {
        return code;
    }
    // Numbers on the wire differ between versions, so the name decides where there is one.
    let by_name = NUMBERS.iter().find(|(name, ..)| message.contains(name));
    let known = by_name.or_else(|| NUMBERS.iter().find(|(_, own, _)| *own == code));
    known.map_or(code, |(.., mysql)| *mysql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_numbers_of_mysql() {
        let table = "[19a][10.0.0.7:3306][shop]ERR-CODE: [PXC-4006][ERR_TABLE_NOT_EXIST] Table 'shop.x' doesn't exist.";
        assert_eq!(mysql_number(4006, table), 1146);
        assert_eq!(mysql_number(1105, table), 1146, "the name decides");
        assert_eq!(mysql_number(4500, "ERR-CODE: [PXC-4500][ERR_PARSER] Not support"), 1064);
        assert_eq!(mysql_number(5108, "ERR-CODE: [TDDL-5108][ERR_CHECK_PRIVILEGE_FAILED_ON_TABLE] no"), 1142);
        assert_eq!(mysql_number(5118, "ERR-CODE: [PXC-5118] no"), 1044);
        assert_eq!(mysql_number(5110, "ERR-CODE: [PXC-5110][ERR_CHECK_PRIVILEGE_FAILED] no"), 1227);
        assert_eq!(mysql_number(4616, "ERR-CODE: [PXC-4616][ERR_UNKNOWN_DATABASE] no"), 1049);
        // Another server's error of the same number is another error.
        assert_eq!((mysql_number(4006, "x"), mysql_number(1146, "no such table")), (4006, 1146));
    }
}
