//! Reads a column's definition: type and attributes, with the type printed as the server prints it.

use runtime::{Column, ColumnKind};

use super::ReadError;
use super::charset::{max_bytes, of_collation};
use super::cursor::Cursor;
use super::lexer::Token;

/// What of the surroundings decides the meaning of a column's definition.
pub(crate) struct ColumnRules<'r> {
    /// Character set of the table, else of its database; `None` if unknown, which is an error only for columns that need it.
    pub(crate) charset: Option<&'r str>,
    /// `explicit_defaults_for_timestamp`: without it a TIMESTAMP that says nothing is NOT NULL.
    pub(crate) explicit_timestamps: bool,
    /// Whether the server prints `int(11)` for `int` (all before MySQL 8.0.19).
    pub(crate) integer_widths: bool,
    pub(crate) real_as_float: bool,
}

/// A column and the keys that its definition declares in passing.
pub(crate) struct ColumnDefinition {
    pub(crate) column: Column,
    pub(crate) primary: bool,
    pub(crate) unique: bool,
}

/// What the words of a type say, before the attributes and the character set are known.
struct TypeText {
    base: Base,
    arguments: Vec<u32>,
    labels: Vec<String>,
    /// Character set that the type itself implies (`NCHAR`).
    charset: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Base {
    Int(u8),
    Bool,
    Serial,
    Decimal,
    Float,
    Double,
    Bit,
    Year,
    Date,
    Time,
    DateTime,
    Timestamp,
    Char,
    Varchar,
    /// 0: by length, else bytes of the length prefix.
    Text(u8),
    Binary,
    Varbinary,
    Blob(u8),
    Enum,
    Set,
    Json,
    Geometry(&'static str),
}

#[derive(Default)]
struct Attributes {
    unsigned: bool,
    zerofill: bool,
    not_null: bool,
    null: bool,
    charset: Option<String>,
    bytes: bool,
    auto_increment: bool,
    primary: bool,
    unique: bool,
}

/// Reads `name type attributes` up to the `,` or `)` that ends it.
pub(crate) fn read_column(cursor: &mut Cursor<'_>, rules: &ColumnRules<'_>) -> Result<ColumnDefinition, ReadError> {
    let name = cursor.name("a column")?;
    let type_text = read_type(cursor, rules)?;
    let mut attributes = read_attributes(cursor)?;
    if type_text.base == Base::Serial {
        attributes = Attributes { unsigned: true, not_null: true, unique: true, ..attributes };
    }
    let explicit = attributes.charset.clone().or_else(|| type_text.charset.map(str::to_owned));
    let charset = explicit.as_deref().or(rules.charset);
    let (kind, source_type) =
        resolve(&type_text, &attributes, charset, rules).map_err(|error| ReadError::new(format!("column `{name}`: {}", error.what)))?;

    let mut column = Column::new(name, kind, source_type);
    let textual = matches!(
        column.kind,
        ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } | ColumnKind::Enum { .. } | ColumnKind::Set { .. }
    );
    if textual {
        let Some(charset) = charset else {
            return Err(ReadError::new(format!("column `{}`: neither the table nor its database says a character set", column.name)));
        };
        column.charset = Some(charset.to_ascii_lowercase());
    }
    column.unsigned = attributes.unsigned || attributes.zerofill;
    let implicit = matches!(column.kind, ColumnKind::Timestamp { .. }) && !rules.explicit_timestamps && !attributes.null;
    column.nullable = !(attributes.not_null || attributes.primary || attributes.auto_increment || implicit);
    Ok(ColumnDefinition { column, primary: attributes.primary, unique: attributes.unique })
}

fn read_type(cursor: &mut Cursor<'_>, rules: &ColumnRules<'_>) -> Result<TypeText, ReadError> {
    let Some(word) = cursor.word_at(0) else { return Err(cursor.error("expected a type")) };
    let mut charset = None;
    let upper = word.to_ascii_uppercase();
    let unknown = cursor.error("an unknown type");
    cursor.advance();
    let base = match upper.as_str() {
        "TINYINT" | "INT1" => Base::Int(1),
        "SMALLINT" | "INT2" => Base::Int(2),
        "MEDIUMINT" | "MIDDLEINT" | "INT3" => Base::Int(3),
        "INT" | "INTEGER" | "INT4" => Base::Int(4),
        "BIGINT" | "INT8" => Base::Int(8),
        "BOOL" | "BOOLEAN" => Base::Bool,
        "SERIAL" => Base::Serial,
        "DECIMAL" | "NUMERIC" | "DEC" | "FIXED" => Base::Decimal,
        "FLOAT" | "FLOAT4" => Base::Float,
        "REAL" if rules.real_as_float => Base::Float,
        "DOUBLE" | "FLOAT8" | "REAL" => {
            cursor.take_word(&["PRECISION"]);
            Base::Double
        }
        "BIT" => Base::Bit,
        "YEAR" => Base::Year,
        "DATE" => Base::Date,
        "TIME" => Base::Time,
        "DATETIME" => Base::DateTime,
        "TIMESTAMP" => Base::Timestamp,
        "CHAR" | "CHARACTER" => characters(cursor),
        "NCHAR" => {
            charset = Some("utf8");
            characters(cursor)
        }
        "NATIONAL" => {
            charset = Some("utf8");
            if cursor.take_word(&["CHAR", "CHARACTER"]) {
                characters(cursor)
            } else if cursor.take_word(&["VARCHAR", "VARCHARACTER"]) {
                Base::Varchar
            } else {
                return Err(unknown);
            }
        }
        "NVARCHAR" => {
            charset = Some("utf8");
            Base::Varchar
        }
        "VARCHAR" | "VARCHARACTER" => Base::Varchar,
        "BINARY" => Base::Binary,
        "VARBINARY" => Base::Varbinary,
        "TINYTEXT" => Base::Text(1),
        "TEXT" => Base::Text(0),
        "MEDIUMTEXT" => Base::Text(3),
        "LONGTEXT" => Base::Text(4),
        "TINYBLOB" => Base::Blob(1),
        "BLOB" => Base::Blob(0),
        "MEDIUMBLOB" => Base::Blob(3),
        "LONGBLOB" => Base::Blob(4),
        "LONG" if cursor.take_word(&["VARBINARY"]) => Base::Blob(3),
        "LONG" => {
            let _ =
                cursor.take_word(&["VARCHAR"]) || cursor.take_words(&["CHAR", "VARYING"]) || cursor.take_words(&["CHARACTER", "VARYING"]);
            Base::Text(3)
        }
        "ENUM" => Base::Enum,
        "SET" => Base::Set,
        "JSON" => Base::Json,
        "GEOMETRY" => Base::Geometry("geometry"),
        "POINT" => Base::Geometry("point"),
        "LINESTRING" => Base::Geometry("linestring"),
        "POLYGON" => Base::Geometry("polygon"),
        "MULTIPOINT" => Base::Geometry("multipoint"),
        "MULTILINESTRING" => Base::Geometry("multilinestring"),
        "MULTIPOLYGON" => Base::Geometry("multipolygon"),
        "GEOMETRYCOLLECTION" | "GEOMCOLLECTION" => Base::Geometry("geometrycollection"),
        _ => return Err(unknown),
    };
    let mut read = TypeText { base, arguments: Vec::new(), labels: Vec::new(), charset };
    if cursor.take_symbol('(') {
        loop {
            match cursor.advance() {
                // Labels lose their trailing blanks in the server.
                Some(Token::Text(label)) => read.labels.push(label.trim_end_matches(' ').to_owned()),
                Some(Token::Word(number)) => {
                    read.arguments.push(number.parse().map_err(|_| cursor.error(format!("`{number}` is not a length")))?);
                }
                _ => return Err(cursor.error("expected a length or a label")),
            }
            if cursor.take_symbol(')') {
                break;
            }
            cursor.expect_symbol(',')?;
        }
    }
    Ok(read)
}

fn characters(cursor: &mut Cursor<'_>) -> Base {
    if cursor.take_word(&["VARYING", "VARCHAR"]) { Base::Varchar } else { Base::Char }
}

fn read_attributes(cursor: &mut Cursor<'_>) -> Result<Attributes, ReadError> {
    let mut read = Attributes::default();
    while let Some(token) = cursor.peek() {
        match token {
            Token::Symbol(',' | ')' | ';') => break,
            Token::Symbol('(') => drop(cursor.skip_parentheses()?),
            Token::Word(_) => read_attribute(cursor, &mut read)?,
            _ => drop(cursor.advance()),
        }
    }
    Ok(read)
}

fn read_attribute(cursor: &mut Cursor<'_>, read: &mut Attributes) -> Result<(), ReadError> {
    if cursor.take_words(&["NOT", "NULL"]) {
        read.not_null = true;
    } else if cursor.take_words(&["CHARACTER", "SET"]) || cursor.take_words(&["CHAR", "SET"]) || cursor.take_word(&["CHARSET"]) {
        cursor.take_symbol('=');
        read.charset = Some(cursor.name_or_text("a character set")?.to_ascii_lowercase());
    } else if cursor.take_word(&["COLLATE"]) {
        cursor.take_symbol('=');
        let collation = cursor.name_or_text("a collation")?;
        read.charset.get_or_insert_with(|| of_collation(&collation));
    } else if cursor.take_words(&["SERIAL", "DEFAULT", "VALUE"]) {
        (read.not_null, read.auto_increment, read.unique) = (true, true, true);
    } else if cursor.take_word(&["DEFAULT", "UPDATE", "COMMENT", "COLUMN_FORMAT", "STORAGE", "CONSTRAINT", "SRID", "ENGINE_ATTRIBUTE"]) {
        // Their value, which may be a word such as NULL that would mean something on its own.
        while cursor.take_symbol('-') || cursor.take_symbol('+') {}
        if !cursor.is_symbol(0, '(') && !cursor.is_symbol(0, ',') && !cursor.is_symbol(0, ')') {
            cursor.advance();
        }
    } else if cursor.take_word(&["REFERENCES"]) {
        cursor.table("")?;
    } else if cursor.take_word(&["NULL"]) {
        read.null = true;
    } else if cursor.take_word(&["UNSIGNED"]) {
        read.unsigned = true;
    } else if cursor.take_word(&["ZEROFILL"]) {
        read.zerofill = true;
    } else if cursor.take_word(&["ASCII"]) {
        read.charset = Some("latin1".to_owned());
    } else if cursor.take_word(&["UNICODE"]) {
        read.charset = Some("ucs2".to_owned());
    } else if cursor.take_word(&["BYTE"]) {
        read.bytes = true;
    } else if cursor.take_word(&["AUTO_INCREMENT"]) {
        read.auto_increment = true;
    } else if cursor.take_word(&["UNIQUE"]) {
        read.unique = true;
        cursor.take_word(&["KEY"]);
    } else if cursor.take_words(&["PRIMARY", "KEY"]) || cursor.take_word(&["KEY"]) {
        read.primary = true;
    } else {
        // Generated columns, ON UPDATE, VIRTUAL, INVISIBLE, AUTO_INCREMENT BY GROUP …: nothing about the column's values.
        cursor.advance();
    }
    Ok(())
}

/// The kind, and the type as the server prints it.
fn resolve(
    read: &TypeText,
    attributes: &Attributes,
    charset: Option<&str>,
    rules: &ColumnRules<'_>,
) -> Result<(ColumnKind, String), ReadError> {
    let binary = attributes.bytes || charset.is_some_and(|charset| charset.eq_ignore_ascii_case("binary"));
    let first = read.arguments.first().copied();
    let sign = match (attributes.unsigned, attributes.zerofill) {
        (_, true) => " unsigned zerofill",
        (true, false) => " unsigned",
        (false, false) => "",
    };
    let fraction = |name: &str| -> Result<(u8, String), ReadError> {
        let fsp = narrow(first.unwrap_or(0), 6, "a fraction of seconds")?;
        Ok((fsp, if fsp == 0 { name.to_owned() } else { format!("{name}({fsp})") }))
    };
    Ok(match read.base {
        Base::Int(bytes) => {
            let unsigned = attributes.unsigned || attributes.zerofill;
            let (name, signed_width, unsigned_width) = match bytes {
                1 => ("tinyint", 4, 3),
                2 => ("smallint", 6, 5),
                3 => ("mediumint", 9, 8),
                4 => ("int", 11, 10),
                _ => ("bigint", 20, 20),
            };
            let default = rules.integer_widths.then_some(if unsigned { unsigned_width } else { signed_width });
            let width = first.or(default).map_or(String::new(), |width| format!("({width})"));
            (ColumnKind::Int { bytes }, format!("{name}{width}{sign}"))
        }
        Base::Bool => (ColumnKind::Int { bytes: 1 }, "tinyint(1)".to_owned()),
        Base::Serial => {
            (ColumnKind::Int { bytes: 8 }, if rules.integer_widths { "bigint(20) unsigned" } else { "bigint unsigned" }.to_owned())
        }
        Base::Decimal => {
            // DECIMAL(0) means the default precision.
            let precision = narrow(first.filter(|&digits| digits > 0).unwrap_or(10), 65, "a precision")?;
            let scale = narrow(read.arguments.get(1).copied().unwrap_or(0), 30, "a scale")?;
            if scale > precision {
                return Err(ReadError::new("the scale is greater than the precision"));
            }
            (ColumnKind::Decimal { precision, scale }, format!("decimal({precision},{scale}){sign}"))
        }
        Base::Float | Base::Double => {
            let double = read.base == Base::Double || (read.arguments.len() == 1 && first.is_some_and(|bits| bits > 24));
            let digits = match (&read.arguments[..], double) {
                ([digits, scale], _) => format!("({digits},{scale})"),
                _ => String::new(),
            };
            let name = if double { "double" } else { "float" };
            (if double { ColumnKind::Double } else { ColumnKind::Float }, format!("{name}{digits}{sign}"))
        }
        Base::Bit => {
            let bits = narrow(first.filter(|&bits| bits > 0).unwrap_or(1), 64, "a width")?;
            (ColumnKind::Bit { bits }, format!("bit({bits})"))
        }
        Base::Year => (ColumnKind::Year, if rules.integer_widths { "year(4)" } else { "year" }.to_owned()),
        Base::Date => (ColumnKind::Date, "date".to_owned()),
        Base::Time => fraction("time").map(|(fsp, text)| (ColumnKind::Time { fsp }, text))?,
        Base::DateTime => fraction("datetime").map(|(fsp, text)| (ColumnKind::DateTime { fsp }, text))?,
        Base::Timestamp => fraction("timestamp").map(|(fsp, text)| (ColumnKind::Timestamp { fsp }, text))?,
        Base::Char | Base::Binary => {
            let length = first.unwrap_or(1);
            if binary || read.base == Base::Binary {
                (ColumnKind::Binary { length }, format!("binary({length})"))
            } else {
                (ColumnKind::Char { length }, format!("char({length})"))
            }
        }
        Base::Varchar | Base::Varbinary => {
            let length = first.ok_or_else(|| ReadError::new("a variable length without a limit"))?;
            if binary || read.base == Base::Varbinary {
                (ColumnKind::Varbinary { length }, format!("varbinary({length})"))
            } else {
                (ColumnKind::Varchar { length }, format!("varchar({length})"))
            }
        }
        Base::Text(prefix) | Base::Blob(prefix) => {
            let text = matches!(read.base, Base::Text(_)) && !binary;
            let prefix = match (prefix, first) {
                (0, Some(length)) => prefix_for(length, if text { charset } else { Some("binary") })?,
                (0, None) => 2,
                (prefix, _) => prefix,
            };
            let size = ["", "tiny", "", "medium", "long"].get(usize::from(prefix)).copied().unwrap_or("");
            if text { (ColumnKind::Text { prefix }, format!("{size}text")) } else { (ColumnKind::Blob { prefix }, format!("{size}blob")) }
        }
        Base::Enum | Base::Set if read.labels.is_empty() => return Err(ReadError::new("no labels")),
        Base::Enum => (ColumnKind::Enum { labels: read.labels.clone() }, format!("enum({})", quote_labels(&read.labels))),
        Base::Set => (ColumnKind::Set { labels: read.labels.clone() }, format!("set({})", quote_labels(&read.labels))),
        Base::Json => (ColumnKind::Json, "json".to_owned()),
        Base::Geometry(name) => (ColumnKind::Geometry, name.to_owned()),
    })
}

fn narrow(value: u32, most: u8, of: &str) -> Result<u8, ReadError> {
    u8::try_from(value).ok().filter(|&small| small <= most).ok_or_else(|| ReadError::new(format!("{value} is too much for {of}")))
}

/// `TEXT(n)` and `BLOB(n)` become the smallest type that holds n characters.
fn prefix_for(characters: u32, charset: Option<&str>) -> Result<u8, ReadError> {
    let width = charset.and_then(max_bytes).ok_or_else(|| ReadError::new("the size of a text in an unknown character set"))?;
    Ok(match u64::from(characters) * u64::from(width) {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => 4,
    })
}

/// Labels quoted as `SHOW CREATE TABLE` quotes them.
fn quote_labels(labels: &[String]) -> String {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push('\'');
        for c in label.chars() {
            match c {
                '\'' => text.push_str("''"),
                '\\' => text.push_str("\\\\"),
                '\0' => text.push_str("\\0"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                other => text.push(other),
            }
        }
        text.push('\'');
    }
    text
}
