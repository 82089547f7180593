//! Reads the type of a column as it is written.

use super::ColumnRules;
use super::enum_labels::{Label, take_label};
use crate::schema::ReadError;
use crate::schema::cursor::Cursor;
use crate::schema::lexer::Token;

/// The type of a column as it is written, before the column's attributes and character set are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypeText {
    pub(super) base: Base,
    pub(super) arguments: Vec<u32>,
    pub(super) labels: Vec<Label>,
    /// The character set that the type itself implies, such as `utf8` for `NCHAR`; `None` for most types.
    pub(super) charset: Option<&'static str>,
    /// Whether the type implies, too, that texts are compared by their bytes.
    pub(super) binary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
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
    /// TEXT with the size of its length prefix in bytes; 0 if the size follows from the length in the definition.
    Text(u8),
    Binary,
    Varbinary,
    Blob(u8),
    Enum,
    Set,
    Json,
    Geometry(&'static str),
    /// A type whose values have a fixed size in the binlog, and are text in a SELECT. The fields are the type's name and the greatest
    /// length of the text in characters.
    Shown(&'static str, u32),
    Vector,
}

pub(super) fn read_type(cursor: &mut Cursor<'_>, rules: &ColumnRules<'_>) -> Result<TypeText, ReadError> {
    let Some(word) = cursor.word_at(0) else { return Err(cursor.error("expected a type")) };
    let dialect = rules.dialect;
    let (mut charset, mut binary) = (None, false);
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
        "REAL" if dialect.real_as_float => Base::Float,
        "DOUBLE" | "FLOAT8" | "REAL" => {
            cursor.take_word(&["PRECISION"]);
            Base::Double
        }
        "BIT" => Base::Bit,
        "YEAR" => Base::Year,
        "NUMBER" if dialect.oracle && !cursor.is_symbol(0, '(') => Base::Double,
        "NUMBER" if dialect.oracle => Base::Decimal,
        "DATE" if dialect.oracle => Base::DateTime,
        "DATE" => Base::Date,
        "TIME" => Base::Time,
        "DATETIME" => Base::DateTime,
        "TIMESTAMP" if dialect.maxdb => Base::DateTime,
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
        "VARCHAR2" if dialect.oracle => Base::Varchar,
        "RAW" if dialect.oracle => Base::Varbinary,
        "CLOB" if dialect.oracle => Base::Text(4),
        "BLOB" if dialect.oracle => Base::Blob(4),
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
        "JSON" if dialect.is_mariadb() => {
            (charset, binary) = (Some("utf8mb4"), true);
            Base::Text(4)
        }
        "JSON" => Base::Json,
        "GEOMETRY" => Base::Geometry("geometry"),
        "POINT" => Base::Geometry("point"),
        "LINESTRING" => Base::Geometry("linestring"),
        "POLYGON" => Base::Geometry("polygon"),
        "MULTIPOINT" => Base::Geometry("multipoint"),
        "MULTILINESTRING" => Base::Geometry("multilinestring"),
        "MULTIPOLYGON" => Base::Geometry("multipolygon"),
        "GEOMETRYCOLLECTION" | "GEOMCOLLECTION" => Base::Geometry("geometrycollection"),
        // In MariaDB, values of these types are text in a SELECT and bytes in the binlog.
        "UUID" | "INET4" | "INET6" => {
            charset = Some("ascii");
            match upper.as_str() {
                "UUID" => Base::Shown("uuid", 36),
                "INET4" => Base::Shown("inet4", 15),
                _ => Base::Shown("inet6", 39),
            }
        }
        // MySQL has VECTOR since version 9, and MariaDB since version 11.7.
        "VECTOR" => Base::Vector,
        "XMLTYPE" => {
            return Err(ReadError::new(format!("the type {} is not supported", upper.to_lowercase())));
        }
        _ => return Err(unknown),
    };
    let mut read = TypeText { base, arguments: Vec::new(), labels: Vec::new(), charset, binary };
    if cursor.take_symbol('(') {
        loop {
            cursor.keep()?;
            if matches!(base, Base::Enum | Base::Set) {
                read.labels.push(take_label(cursor).ok_or_else(|| cursor.error("expected a label"))?);
            } else {
                match cursor.advance() {
                    Some(Token::Word(number)) => {
                        read.arguments.push(number.parse().map_err(|_| cursor.error(format!("`{number}` is not a length")))?);
                    }
                    _ => return Err(cursor.error("expected a length")),
                }
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
