//! The range of keys of a chunk, which can be written as text for the checkpoint and as an SQL condition.

use runtime::{Column, ColumnKind, Position, TableSchema};

use crate::session::quoted;

/// The values of a key's columns, in the form of the server's text protocol and in the character set of each column.
pub(crate) type Key = Vec<Vec<u8>>;

/// The keys that are greater than `after` and not greater than `upto`, in the server's order. `None` means that the range has no bound at
/// that end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) after: Option<Key>,
    pub(crate) upto: Option<Key>,
}

/// The columns by which a table is cut into chunks; empty if the table is read in one piece. A table is read in one piece if it has no key,
/// or if its key has a column whose order or SQL literals are not reliable: FLOAT, DOUBLE, ENUM, SET, BIT, YEAR, a long text or a nullable
/// column. If only partition columns are such columns, the key without them is enough: rows with the same values are in the same chunk.
pub(crate) fn chunk_key(schema: &TableSchema) -> Vec<&Column> {
    let usable = |key: Vec<usize>| -> Option<Vec<&Column>> {
        let columns: Vec<&Column> = key.into_iter().map(|index| schema.columns.get(index)).collect::<Option<_>>()?;
        (!columns.is_empty() && columns.iter().all(|column| !column.nullable && has_safe_order(&column.kind))).then_some(columns)
    };
    let without_partitions = || {
        let mut whole = schema.clone();
        whole.partition_columns.clear();
        whole.effective_key()
    };
    usable(schema.effective_key()).or_else(|| usable(without_partitions())).unwrap_or_default()
}

fn has_safe_order(kind: &ColumnKind) -> bool {
    use ColumnKind::{Binary, Char, Date, DateTime, Decimal, Int, Time, Timestamp, Varbinary, Varchar};
    matches!(kind, Int { .. } | Decimal { .. } | Date | Time { .. } | DateTime { .. } | Timestamp { .. }) || {
        matches!(kind, Char { .. } | Varchar { .. } | Binary { .. } | Varbinary { .. })
    }
}

impl KeyRange {
    /// Reads the text of [`KeyRange::position`]; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (after, upto) = text.strip_prefix("v1;after=")?.split_once(";upto=")?;
        Some(Self { after: parse_bound(after)?, upto: parse_bound(upto)? })
    }

    /// The text of the range, such as `v1;after=7,x6162;upto=-`: numbers in decimal, other values in hexadecimal.
    pub(crate) fn position(&self) -> Position {
        format!("v1;after={};upto={}", bound_text(self.after.as_ref()), bound_text(self.upto.as_ref())).into()
    }

    /// The range as a condition on the columns of [`chunk_key`], with ` WHERE ` in front; empty for the whole table. `None` if a bound
    /// does not fit the columns.
    pub(crate) fn condition(&self, key: &[&Column]) -> Option<String> {
        let mut parts = Vec::new();
        for (bound, operator) in [(&self.after, '>'), (&self.upto, '<')] {
            if let Some(bound) = bound {
                parts.push(side(key, bound, operator)?);
            }
        }
        Some(if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) })
    }
}

/// The condition that a key is greater than `bound` (if `operator` is `>`), or that it is not greater (if `operator` is `<`). The
/// comparison is written out, because MySQL does not use an index range for row constructors such as `(a, b) > (1, 2)`. The condition on
/// the first column alone lets MySQL use an index range.
fn side(key: &[&Column], bound: &Key, operator: char) -> Option<String> {
    if key.is_empty() || key.len() != bound.len() {
        return None;
    }
    let mut terms =
        key.iter().zip(bound).map(|(column, value)| Some((quoted(&column.name), literal(column, value)?))).collect::<Option<Vec<_>>>()?;
    let (name, value) = terms.pop()?;
    let last = if operator == '<' { "<=" } else { ">" };
    let mut condition = format!("{name} {last} {value}");
    let first = terms.first().map(|(name, value)| format!("{name} {operator}= {value} AND "));
    while let Some((name, value)) = terms.pop() {
        condition = format!("({name} {operator} {value} OR ({name} = {value} AND {condition}))");
    }
    Some(first.unwrap_or_default() + &condition)
}

/// A value as an SQL literal; `None` if the value does not fit the column's type. The server compares the literal in the column's type,
/// character set and collation.
fn literal(column: &Column, value: &[u8]) -> Option<String> {
    use ColumnKind::{Binary, Char, Date, DateTime, Decimal, Int, Time, Timestamp, Varbinary, Varchar};
    match column.kind {
        Int { .. } | Decimal { .. } => is_number(value).then(|| String::from_utf8_lossy(value).into_owned()),
        Date | Time { .. } | DateTime { .. } | Timestamp { .. } => {
            let safe = value.iter().all(|byte| byte.is_ascii_digit() || b" :.-".contains(byte));
            safe.then(|| format!("'{}'", String::from_utf8_lossy(value)))
        }
        Char { .. } | Varchar { .. } => {
            let charset = column.charset().unwrap_or("utf8mb4");
            let safe = charset.bytes().all(|byte| byte.is_ascii_alphanumeric());
            safe.then(|| format!("_{charset} X'{}'", hex(value)))
        }
        Binary { .. } | Varbinary { .. } => Some(format!("X'{}'", hex(value))),
        _ => None,
    }
}

fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
        Some(point) => (digits.get(..point).unwrap_or_default(), digits.get(point + 1..).unwrap_or_default()),
        None => (digits, &b"0"[..]),
    };
    [whole, fraction].iter().all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
}

/// Writes a key as text, such as `7,x6162`: numbers are written as they are, other values in hexadecimal after an `x`.
pub(crate) fn key_text(key: &Key) -> String {
    let value = |value: &Vec<u8>| if is_number(value) { String::from_utf8_lossy(value).into_owned() } else { format!("x{}", hex(value)) };
    key.iter().map(value).collect::<Vec<_>>().join(",")
}

/// Reads the text of [`key_text`]; `None` if the text is not a key.
pub(crate) fn parse_key(text: &str) -> Option<Key> {
    let value = |text: &str| match text.strip_prefix('x') {
        Some(digits) => unhex(digits),
        None => is_number(text.as_bytes()).then(|| text.as_bytes().to_vec()),
    };
    text.split(',').map(value).collect()
}

fn bound_text(bound: Option<&Key>) -> String {
    bound.map_or_else(|| "-".to_owned(), key_text)
}

/// Reads the text of [`bound_text`]: `None` if the text is not a bound, `Some(None)` for an end without a bound.
fn parse_bound(text: &str) -> Option<Option<Key>> {
    if text == "-" { Some(None) } else { parse_key(text).map(Some) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|&[high, low]| Some((digit(high)? * 16 + digit(low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::{Collation, TableId};

    use super::*;

    fn column(name: &str, kind: ColumnKind) -> Column {
        let mut column = Column::new(name, kind, "");
        column.nullable = false;
        column.collation = Some(Collation::new("latin1_bin"));
        column
    }

    fn key(values: &[&str]) -> Option<Key> {
        Some(values.iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    #[test]
    fn one_column() {
        let id = column("id", ColumnKind::Int { bytes: 8 });
        let range = |after, upto| KeyRange { after, upto }.condition(&[&id]);
        assert_eq!(range(None, None).as_deref(), Some(""));
        assert_eq!(range(key(&["-7"]), None).as_deref(), Some(" WHERE `id` > -7"));
        assert_eq!(range(key(&["1"]), key(&["50"])).as_deref(), Some(" WHERE `id` > 1 AND `id` <= 50"));
        assert_eq!(range(key(&["1; DROP"]), None), None);
        assert_eq!(range(key(&["1", "2"]), None), None);
    }

    #[test]
    fn several_columns_keep_the_index_range() {
        let (a, b, c) = (
            column("a`", ColumnKind::Varchar { length: 9 }),
            column("b", ColumnKind::DateTime { fsp: 0 }),
            column("c", ColumnKind::Binary { length: 2 }),
        );
        let range = KeyRange { after: key(&["é", "2026-01-02 03:04:05", "x"]), upto: None };
        assert_eq!(
            range.condition(&[&a, &b, &c]).as_deref(),
            Some(
                " WHERE `a``` >= _latin1 X'c3a9' AND (`a``` > _latin1 X'c3a9' OR (`a``` = _latin1 X'c3a9' AND \
                 (`b` > '2026-01-02 03:04:05' OR (`b` = '2026-01-02 03:04:05' AND `c` > X'78'))))"
            )
        );
        let range = KeyRange { after: None, upto: key(&["z", "2026-01-02", "x"]) };
        assert_eq!(
            range.condition(&[&a, &b, &c]).as_deref(),
            Some(
                " WHERE `a``` <= _latin1 X'7a' AND (`a``` < _latin1 X'7a' OR (`a``` = _latin1 X'7a' AND \
                 (`b` < '2026-01-02' OR (`b` = '2026-01-02' AND `c` <= X'78'))))"
            )
        );
    }

    #[test]
    fn keys_without_a_safe_order_are_read_in_one_piece() {
        let table = |kind, nullable| {
            let mut column = column("k", kind);
            column.nullable = nullable;
            let mut schema = TableSchema::new(TableId::new("d", "t"), vec![column]);
            schema.primary_key = vec![0];
            schema
        };
        assert_eq!(chunk_key(&table(ColumnKind::Int { bytes: 4 }, false)).len(), 1);
        for kind in [ColumnKind::Float, ColumnKind::Double, ColumnKind::Bit { bits: 8 }, ColumnKind::Enum { labels: vec![] }] {
            assert!(chunk_key(&table(kind, false)).is_empty());
        }
        assert!(chunk_key(&table(ColumnKind::Int { bytes: 4 }, true)).is_empty());
        assert!(chunk_key(&TableSchema::new(TableId::new("d", "t"), vec![column("a", ColumnKind::Date)])).is_empty());
    }

    #[test]
    fn other_texts_are_not_ranges() {
        for text in [
            "",
            "v1;after=-",
            "v2;after=-;upto=-",
            "v1;after=1,;upto=-",
            "v1;after=xabc;upto=-",
            "v1;after=zz;upto=-",
            "v1;after=xzz;upto=-",
        ] {
            assert_eq!(KeyRange::parse(text), None, "{text}");
        }
        let text = "v1;after=-1.50,x;upto=-";
        assert_eq!(KeyRange::parse(text).unwrap().position().as_str(), text);
    }

    proptest! {
        #[test]
        fn the_text_reads_back(after in prop::option::of(prop::collection::vec(any::<Vec<u8>>(), 1..4)), upto in prop::option::of(prop::collection::vec(any::<Vec<u8>>(), 1..4))) {
            let range = KeyRange { after, upto };
            prop_assert_eq!(KeyRange::parse(range.position().as_str()), Some(range));
        }
    }
}
