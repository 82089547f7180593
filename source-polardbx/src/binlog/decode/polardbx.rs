//! The comment lines before the statements of PolarDB-X, `# POLARX_<name>=<value>`. They hold the statement as the user wrote it. Behind them
//! comes the same statement for MySQL, or nothing if MySQL has no such statement.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The two texts of a logged statement.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::binlog) struct StatementTexts<'a> {
    /// The statement of the user, in UTF-8; `None` if it is not there or cannot be read.
    pub(in crate::binlog) original: Option<String>,
    /// Whether the statement of the user is there, but its Base64 is wrong or it is not UTF-8.
    pub(in crate::binlog) is_unreadable: bool,
    /// The same for MySQL; blank if MySQL has no such statement.
    pub(in crate::binlog) mysql: &'a [u8],
    /// Whether only this one of several streams has the statement. Source: the relay log of polardbx-cdc, for databases that are in one stream
    /// as a whole.
    pub(in crate::binlog) is_in_one_stream: bool,
}

impl<'a> StatementTexts<'a> {
    /// Takes the comment lines off the text. Their order does not matter, and unknown ones are passed over. Old servers write one block
    /// comment instead.
    pub(in crate::binlog) fn read(text: &'a [u8]) -> Self {
        const LINE: &[u8] = b"# POLARX_";
        const BLOCK: &[u8] = b"/*POLARX_ORIGIN_SQL=";
        if let Some(rest) = text.strip_prefix(BLOCK)
            && let Some(end) = rest.windows(2).position(|two| two == b"*/")
            && let Some((original, rest)) = rest.split_at_checked(end)
        {
            return Self::new(Some(text_of(original)), rest.get(2..).unwrap_or_default(), false);
        }
        let (mut original, mut is_encoded, mut is_in_one_stream, mut rest) = (None, false, false, text);
        while let Some(line) = rest.strip_prefix(LINE) {
            let end = line.iter().position(|&byte| byte == b'\n');
            let (line, behind) = line.split_at(end.unwrap_or(line.len()));
            if let Some(value) = line.strip_prefix(b"ORIGIN_SQL=") {
                original = Some(value);
            } else if line == b"ORIGIN_SQL_ENCODE=BASE64" {
                is_encoded = true;
            } else if line == b"DDL_ROUTE_MODE=SINGLE" {
                is_in_one_stream = true;
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        let original = original.map(|value| if is_encoded { text_of(&BASE64_STANDARD.decode(value).ok()?) } else { text_of(value) });
        Self::new(original, rest, is_in_one_stream)
    }

    fn new(original: Option<Option<String>>, mysql: &'a [u8], is_in_one_stream: bool) -> Self {
        Self { is_unreadable: original == Some(None), original: original.flatten(), mysql, is_in_one_stream }
    }
}

fn text_of(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_a_statement() {
        let read = |text: &'static str| {
            let StatementTexts { original, mysql, .. } = StatementTexts::read(text.as_bytes());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (original, text(mysql))
        };
        let both = |original: &str, mysql: &str| (Some(original.to_owned()), mysql.to_owned());
        assert_eq!(
            read("# POLARX_ORIGIN_SQL=DROP TABLE t PURGE\n# POLARX_TSO=1\n# POLARX_DDL_ID=0\nDROP TABLE t"),
            both("DROP TABLE t PURGE", "DROP TABLE t")
        );
        assert_eq!(read("# POLARX_ORIGIN_SQL_ENCODE=BASE64\n# POLARX_ORIGIN_SQL=YQpi\n# POLARX_TSO=1\n"), both("a\nb", ""));
        assert_eq!(read("# POLARX_TSO=1\n# POLARX_NEW=x\n# POLARX_ORIGIN_SQL=x"), both("x", ""));
        assert_eq!(read("/*POLARX_ORIGIN_SQL=CREATE TABLE t (a INT)\n broadcast*/ CREATE TABLE t (a INT)").1, " CREATE TABLE t (a INT)");
        assert_eq!(read("CREATE TABLE t (a INT)"), (None, "CREATE TABLE t (a INT)".to_owned()));
        assert_eq!(read("# POLARX_ORIGIN_SQL_ENCODE=BASE64\n# POLARX_ORIGIN_SQL=?\nALTER TABLE t ").0, None);
        let is_unreadable = |text: &[u8]| StatementTexts::read(text).is_unreadable;
        assert!(is_unreadable(b"# POLARX_ORIGIN_SQL_ENCODE=BASE64\n# POLARX_ORIGIN_SQL=?\n"));
        assert!(is_unreadable(b"# POLARX_ORIGIN_SQL_ENCODE=BASE64\n# POLARX_ORIGIN_SQL=/w==\n"));
        assert!(is_unreadable(b"# POLARX_ORIGIN_SQL=\xff\n") && is_unreadable(b"/*POLARX_ORIGIN_SQL=\xff*/"));
        assert!(!is_unreadable(b"# POLARX_TSO=1\n") && !is_unreadable(b"# POLARX_ORIGIN_SQL=x\n"));
        let is_in_one = |text: &str| StatementTexts::read(text.as_bytes()).is_in_one_stream;
        assert!(is_in_one("# POLARX_DDL_ROUTE_MODE=SINGLE\n# POLARX_ORIGIN_SQL=x\nx"));
        assert!(!is_in_one("# POLARX_DDL_ROUTE_MODE=BROADCAST\nx") && !is_in_one("# POLARX_ORIGIN_SQL=# POLARX_DDL_ROUTE_MODE=SINGLE\nx"));
    }
}
