//! Columns of the table.

use sqlparser::ast::Expr;

use super::refusal::{Result, refuse};
use super::typed::{Digits, MomentType, TextType, Typed};
use crate::transforms::filter::collation::Collator;
use crate::transforms::filter::expr::{Moment, Num, Text};
use crate::transforms::filter::number::{MAX_DIGITS, NumberKind};
use crate::{Collation, Column, ColumnKind, TableSchema};

/// The columns of a table, of which it notes those that a condition reads.
pub(super) struct Columns<'s> {
    schema: &'s TableSchema,
    /// The zone of TIMESTAMP columns, in seconds ahead of UTC.
    zone: i32,
    used: Vec<usize>,
}

impl<'s> Columns<'s> {
    pub(super) fn new(schema: &'s TableSchema, zone: i32) -> Self {
        Self { schema, zone, used: Vec::new() }
    }

    /// The columns that were named, in their order.
    pub(super) fn into_used(self) -> Vec<usize> {
        let mut used = self.used;
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The column that an expression names; `None` if it is another expression.
    pub(super) fn named(&mut self, expr: &Expr) -> Result<Option<(usize, &'s Column)>> {
        let schema = self.schema;
        let name = match expr {
            Expr::Nested(inner) => return self.named(inner),
            Expr::Identifier(name) if name.quote_style.is_none_or(|quote| quote == '`') => &name.value,
            Expr::CompoundIdentifier(parts) => {
                let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                match *names.as_slice() {
                    [table, _] if *table == *schema.id.table => {}
                    [database, table, _] if *database == *schema.id.database && *table == *schema.id.table => {}
                    _ => return refuse(expr, format!("only columns of the table {} may be named", schema.id)),
                }
                match parts.last() {
                    Some(name) => &name.value,
                    None => return refuse(expr, "a column is expected"),
                }
            }
            _ => return Ok(None),
        };
        if name.starts_with('@') {
            return refuse(expr, "variables of a session are not known here");
        }
        // MySQL's column names have no case.
        let lower = name.to_lowercase();
        let fits = |column: &&Column| column.name == *name || column.name.to_lowercase() == lower;
        let found = schema.column(name).or_else(|| {
            let mut places = schema.columns.iter().enumerate().filter(|(_, column)| fits(column)).map(|(place, _)| place);
            places.next().filter(|_| places.next().is_none())
        });
        let Some((index, column)) = found.and_then(|index| schema.columns.get(index).map(|column| (index, column))) else {
            return refuse(expr, format!("the table {} has no column `{name}`", schema.id));
        };
        self.used.push(index);
        Ok(Some((index, column)))
    }

    /// A column with its type.
    pub(super) fn typed(&mut self, expr: &Expr) -> Result<Typed> {
        let zone = self.zone;
        let Some((index, column)) = self.named(expr)? else { return refuse(expr, "a column is expected") };
        let number = |kind, digits| Ok(Typed::Num(Num::Column(index), kind, digits));
        let unsigned = column.unsigned;
        match &column.kind {
            ColumnKind::Int { .. } => number(NumberKind::Int { unsigned }, Digits::Int),
            ColumnKind::Decimal { precision, .. } if *precision > MAX_DIGITS => Ok(Typed::Opaque("a decimal with more than 38 digits")),
            ColumnKind::Decimal { precision, scale } => number(NumberKind::Exact { scale: *scale }, Digits::Decimal(*precision)),
            ColumnKind::Float | ColumnKind::Double => number(NumberKind::Double, Digits::Double),
            ColumnKind::Bit { bits } => number(NumberKind::Int { unsigned: true }, Digits::Bits(*bits)),
            ColumnKind::Year => Ok(Typed::Year(index)),
            ColumnKind::Date => Ok(Typed::Moment(Moment::Column(index), MomentType::Date)),
            ColumnKind::DateTime { fsp } => Ok(Typed::Moment(Moment::Column(index), MomentType::DateTime { fsp: *fsp })),
            ColumnKind::Timestamp { fsp } => Ok(Typed::Moment(Moment::Timestamp(index, zone), MomentType::DateTime { fsp: *fsp })),
            ColumnKind::Time { fsp } => Ok(Typed::Moment(Moment::Column(index), MomentType::Time { fsp: *fsp })),
            ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } => {
                Ok(Typed::Text(Text::Column(index), text_type(expr, column.collation.as_ref())?))
            }
            ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => {
                Ok(Typed::Text(Text::Column(index), text_type(expr, Some(&Collation::new("binary")))?))
            }
            ColumnKind::Enum { labels } => {
                let kind = text_type(expr, column.collation.as_ref())?;
                let labels = encoded(expr, &kind, std::iter::once("").chain(labels.iter().map(String::as_str)))?;
                Ok(Typed::Text(Text::Enum(index, labels), kind))
            }
            ColumnKind::Set { labels } => {
                let kind = text_type(expr, column.collation.as_ref())?;
                let labels = encoded(expr, &kind, labels.iter().map(String::as_str))?;
                Ok(Typed::Text(Text::Set(index, labels), kind))
            }
            ColumnKind::Json => Ok(Typed::Opaque("a JSON document")),
            ColumnKind::Geometry => Ok(Typed::Opaque("a geometry")),
        }
    }
}

/// How the texts of a collation are compared.
pub(super) fn text_type(expr: &Expr, name: Option<&Collation>) -> Result<TextType> {
    let Some(name) = name else { return refuse(expr, "the collation of the column is not known") };
    match Collator::find(name.name()) {
        Some(collator) => Ok(TextType { collator, name: name.clone(), explicit: false }),
        None => refuse(expr, format!("texts of the collation {name} cannot be compared")),
    }
}

fn encoded<'a>(expr: &Expr, kind: &TextType, labels: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<u8>>> {
    let encode = |label: &str| kind.collator.encode(label);
    match labels.map(encode).collect() {
        Some(labels) => Ok(labels),
        None => refuse(expr, format!("a label cannot be written in the character set {}", kind.name.charset())),
    }
}
