//! What a TABLE_MAP says of the columns of its table: their types, and what the optional metadata adds (MySQL 8.0, MariaDB 10.5).
//!
//! All of it is read only if a TABLE_MAP differs from the last TABLE_MAP of the same table, so it costs nothing per row.

use super::cell::{Field, field};
use super::event::TableMap;
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;
use crate::binlog::profile::ServerProfile;

/// The numbers of the metadata fields.
mod optional {
    pub(super) const SIGNEDNESS: u8 = 1;
    pub(super) const DEFAULT_CHARSET: u8 = 2;
    pub(super) const COLUMN_CHARSETS: u8 = 3;
    pub(super) const NAMES: u8 = 4;
    pub(super) const SET_LABELS: u8 = 5;
    pub(super) const ENUM_LABELS: u8 = 6;
    pub(super) const GEOMETRY_TYPES: u8 = 7;
    pub(super) const PRIMARY_KEY: u8 = 8;
    pub(super) const PREFIXED_PRIMARY_KEY: u8 = 9;
    pub(super) const LABELS_DEFAULT_CHARSET: u8 = 10;
    pub(super) const LABELS_CHARSETS: u8 = 11;
    pub(super) const DIMENSIONS: u8 = 13;
}

/// The greatest length of a column's name in bytes. It has at most 64 characters.
const LONGEST_NAME: usize = 64 * 4;
/// More labels than this are in the columns of no table: as many as in four columns with the greatest number.
const MOST_LABELS: usize = 4 * 65_536;

/// The columns of a TABLE_MAP, among them those that servers add for the expressions of keys.
#[derive(Debug)]
pub(super) struct Description<'a> {
    pub(super) columns: Vec<ShownColumn<'a>>,
    /// The columns of the primary key, by their index. `None` if the TABLE_MAP has no names: a server writes both or neither.
    pub(super) primary_key: Option<Vec<usize>>,
}

/// A column of a TABLE_MAP. What is `None` is not shown, or does not belong to the column's type.
#[derive(Debug)]
pub(super) struct ShownColumn<'a> {
    pub(super) field: Field,
    /// Only numeric columns have a sign.
    pub(super) unsigned: Option<bool>,
    /// The number of its collation.
    pub(super) collation: Option<usize>,
    pub(super) name: Option<&'a [u8]>,
    /// In the character set of the column.
    pub(super) labels: Option<Vec<&'a [u8]>>,
    /// The number of its kind of geometry.
    pub(super) geometry: Option<usize>,
    /// How many numbers a vector has.
    pub(super) dimensions: Option<usize>,
}

impl<'a> Description<'a> {
    /// Reads the columns of a TABLE_MAP.
    pub(super) fn read(map: &TableMap<'a>, profile: &ServerProfile) -> Result<Self, StreamError> {
        let mut metadata = Reader::new(map.metadata);
        let mut columns = Vec::with_capacity(map.types.len());
        for (index, &kind) in map.types.iter().enumerate() {
            let field = read_field(kind, map.is_nullable(index), &mut metadata)?;
            columns.push(ShownColumn {
                field,
                unsigned: None,
                collation: None,
                name: None,
                labels: None,
                geometry: None,
                dimensions: None,
            });
        }
        if !metadata.is_empty() {
            return Err(StreamError::corrupt(format!("the TABLE_MAP of {} has too much metadata", map.table)));
        }
        let mut description = Self { columns, primary_key: None };
        description.read_optional(map.optional, profile)?;
        Ok(description)
    }

    /// Whether the TABLE_MAP names its columns. If so, it has everything from which the table can be rebuilt.
    pub(super) fn has_names(&self) -> bool {
        self.primary_key.is_some()
    }

    fn read_optional(&mut self, bytes: &'a [u8], profile: &ServerProfile) -> Result<(), StreamError> {
        // For MariaDB, geometry columns have a character set. For MySQL they have none.
        let maria = profile.dialect().is_mariadb();
        let has_characters =
            |column: &ShownColumn<'_>| is_characters(column.real_kind()) || (maria && column.field.kind == field::GEOMETRY);
        let has_labels = |column: &ShownColumn<'_>| matches!(column.real_kind(), field::ENUM | field::SET);
        let (mut has_names, mut key) = (false, Vec::new());
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let length = reader.length_encoded()?;
            let mut value = Reader::new(reader.take(length)?);
            match kind {
                optional::SIGNEDNESS => self.signs(value.rest(), profile.counts_years())?,
                optional::DEFAULT_CHARSET => self.default_collation(&mut value, has_characters)?,
                optional::COLUMN_CHARSETS => self.collations(&mut value, has_characters)?,
                optional::LABELS_DEFAULT_CHARSET => self.default_collation(&mut value, has_labels)?,
                optional::LABELS_CHARSETS => self.collations(&mut value, has_labels)?,
                optional::NAMES => {
                    has_names = true;
                    for column in &mut self.columns {
                        let length = value.length_encoded()?;
                        if length > LONGEST_NAME {
                            return Err(StreamError::corrupt(format!("a TABLE_MAP with a name of {length} bytes")));
                        }
                        column.name = Some(value.take(length)?);
                    }
                }
                optional::SET_LABELS => self.labels(&mut value, field::SET)?,
                optional::ENUM_LABELS => self.labels(&mut value, field::ENUM)?,
                optional::GEOMETRY_TYPES => {
                    for column in self.columns.iter_mut().filter(|column| column.field.kind == field::GEOMETRY) {
                        column.geometry = Some(value.length_encoded()?);
                    }
                }
                optional::DIMENSIONS => {
                    for column in self.columns.iter_mut().filter(|column| column.field.kind == field::VECTOR) {
                        column.dimensions = Some(value.length_encoded()?);
                    }
                }
                optional::PRIMARY_KEY | optional::PREFIXED_PRIMARY_KEY => {
                    while !value.is_empty() {
                        if key.len() == self.columns.len() {
                            return Err(StreamError::corrupt("a TABLE_MAP whose primary key has more columns than the table"));
                        }
                        key.push(value.length_encoded()?);
                        if kind == optional::PREFIXED_PRIMARY_KEY {
                            value.length_encoded()?;
                        }
                    }
                }
                // Visibility and newer fields do not change what rows hold.
                _ => {}
            }
        }
        self.primary_key = has_names.then_some(key);
        Ok(())
    }

    /// Reads the signs: one bit for each numeric column, the first in the highest bit, and zero bits up to a whole byte. `counts_years` says
    /// whether a YEAR has a bit as well, if that is known. The bytes decide where they can be read in one way only. A column for which it
    /// stays open keeps no sign.
    fn signs(&mut self, bits: &[u8], counts_years: Option<bool>) -> Result<(), StreamError> {
        let has_bit = |column: &ShownColumn<'_>, years: bool| is_number(column.field.kind) || (years && column.field.kind == field::YEAR);
        let fits = |years: &bool| {
            let count = self.columns.iter().filter(|column| has_bit(column, *years)).count();
            let unused = if count % 8 == 0 { 0 } else { 0xff >> (count % 8) };
            bits.len() == count.div_ceil(8) && bits.last().is_none_or(|last| last & unused == 0)
        };
        let readings: Vec<bool> = match ([false, true].into_iter().filter(fits).collect::<Vec<_>>(), counts_years) {
            (both, Some(years)) if both.len() == 2 => vec![years],
            (found, _) => found,
        };
        if readings.is_empty() {
            return Err(StreamError::corrupt("the signs in a TABLE_MAP do not belong to its columns"));
        }
        let mut places = vec![0; readings.len()];
        for column in &mut self.columns {
            let mut signs = Vec::with_capacity(readings.len());
            for (place, &years) in places.iter_mut().zip(&readings) {
                if has_bit(column, years) {
                    signs.extend(bits.get(*place / 8).map(|byte| byte >> (7 - *place % 8) & 1 == 1));
                    *place += 1;
                }
            }
            let are_same = signs.windows(2).all(|pair| pair[0] == pair[1]);
            column.unsigned = signs.first().copied().filter(|_| are_same && is_number(column.field.kind));
        }
        Ok(())
    }

    /// Reads the collations of the columns that `sort` selects: a default, and for each column with another one its number among the
    /// selected columns and its collation.
    fn default_collation(&mut self, value: &mut Reader<'_>, sort: impl Fn(&ShownColumn<'_>) -> bool) -> Result<(), StreamError> {
        let default = value.length_encoded()?;
        let mut selected: Vec<_> = self.columns.iter_mut().filter(|column| sort(column)).collect();
        for column in &mut selected {
            column.collation = Some(default);
        }
        while !value.is_empty() {
            let place = value.length_encoded()?;
            let collation = value.length_encoded()?;
            let column = selected.get_mut(place).ok_or_else(|| StreamError::corrupt("a TABLE_MAP with a character set of no column"))?;
            column.collation = Some(collation);
        }
        Ok(())
    }

    /// Reads the collations of the columns that `sort` selects, one after the other.
    fn collations(&mut self, value: &mut Reader<'_>, sort: impl Fn(&ShownColumn<'_>) -> bool) -> Result<(), StreamError> {
        for column in self.columns.iter_mut().filter(|column| sort(column)) {
            column.collation = Some(value.length_encoded()?);
        }
        Ok(())
    }

    /// Reads the labels of the columns of the type `kind`.
    fn labels(&mut self, value: &mut Reader<'a>, kind: u8) -> Result<(), StreamError> {
        let mut total = 0usize;
        for column in self.columns.iter_mut().filter(|column| column.real_kind() == kind) {
            let count = value.length_encoded()?;
            total = total.saturating_add(count);
            if total > MOST_LABELS {
                return Err(StreamError::corrupt(format!("a TABLE_MAP with more than {MOST_LABELS} labels")));
            }
            let mut labels = Vec::new();
            for _ in 0..count {
                let length = value.length_encoded()?;
                labels.push(value.take(length)?);
            }
            column.labels = Some(labels);
        }
        Ok(())
    }
}

impl ShownColumn<'_> {
    /// The type of the column. ENUM and SET are logged as STRING, with their own type in the metadata.
    pub(super) fn real_kind(&self) -> u8 {
        match self.field.kind {
            field::STRING if matches!(self.field.first, field::ENUM | field::SET) => self.field.first,
            kind => kind,
        }
    }

    /// Whether its name is one that MySQL gives to the column of an expression in a key: a hash, or since 8.0.16 a readable text.
    pub(super) fn is_named_like_an_expression(&self) -> bool {
        self.name.is_some_and(|name| {
            name.starts_with(b"!hidden!") || (name.len() == 32 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        })
    }
}

pub(super) fn is_number(kind: u8) -> bool {
    use field::{DOUBLE, FLOAT, INT24, LONG, LONGLONG, NEWDECIMAL, SHORT, TINY};
    matches!(kind, TINY | SHORT | INT24 | LONG | LONGLONG | NEWDECIMAL | FLOAT | DOUBLE)
}

/// Whether a column of this type holds characters or bytes. The metadata has a character set for each such column.
fn is_characters(kind: u8) -> bool {
    use field::{BLOB, BLOB_COMPRESSED, STRING, VAR_STRING, VARCHAR, VARCHAR_COMPRESSED, VECTOR};
    matches!(kind, STRING | VAR_STRING | VARCHAR | BLOB | BLOB_COMPRESSED | VARCHAR_COMPRESSED | VECTOR)
}

fn read_field(kind: u8, nullable: bool, metadata: &mut Reader<'_>) -> Result<Field, StreamError> {
    let bytes = match kind {
        field::FLOAT
        | field::DOUBLE
        | field::TIMESTAMP2
        | field::DATETIME2
        | field::TIME2
        | field::JSON
        | field::VECTOR
        | field::BLOB
        | field::BLOB_COMPRESSED
        | field::GEOMETRY => 1,
        field::VARCHAR
        | field::VARCHAR_COMPRESSED
        | field::BIT
        | field::NEWDECIMAL
        | field::ENUM
        | field::SET
        | field::VAR_STRING
        | field::STRING => 2,
        field::TINY | field::SHORT | field::LONG | field::LONGLONG | field::INT24 => 0,
        field::TIMESTAMP | field::DATE | field::TIME | field::DATETIME | field::YEAR => 0,
        other => {
            return Err(StreamError::Unsupported {
                what: format!("column type {other} in a TABLE_MAP"),
                help: "leave the table out of the selection",
            });
        }
    };
    let first = if bytes > 0 { metadata.u8()? } else { 0 };
    let second = if bytes > 1 { metadata.u8()? } else { 0 };
    Ok(Field { kind, first, second, nullable })
}
