//! The rows in MySQL's own row events: where each row and each cell begins and ends.

use super::wire::{take, take_length, take_number};
use crate::{Failure, Result};

/// A table as a TABLE_MAP event describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableMap {
    pub(super) database: String,
    pub(super) table: String,
    /// The type and the metadata of each column.
    columns: Vec<(u8, Vec<u8>)>,
    /// Which columns may be NULL; one bit per column.
    nullable: Vec<u8>,
}

const LONGLONG: u8 = 8;

impl TableMap {
    /// Reads the body of a TABLE_MAP event: the table id, and the table.
    pub(super) fn read(body: &[u8]) -> Result<(u64, Self)> {
        let mut rest = body;
        let id = take_number(&mut rest, 6)?;
        take(&mut rest, 2)?;
        let mut names = Vec::new();
        for _ in 0..2 {
            let length = take_number(&mut rest, 1)? as usize;
            names.push(String::from_utf8_lossy(take(&mut rest, length)?).into_owned());
            take(&mut rest, 1)?;
        }
        let count = take_length(&mut rest)?.unwrap_or_default() as usize;
        let types = take(&mut rest, count)?;
        let length = take_length(&mut rest)?.unwrap_or_default() as usize;
        let mut metadata = take(&mut rest, length)?;
        let columns = types
            .iter()
            .map(|kind| Ok((*kind, take(&mut metadata, metadata_length(*kind))?.to_vec())))
            .collect::<Result<Vec<(u8, Vec<u8>)>>>()?;
        let nullable = take(&mut rest, count.div_ceil(8))?.to_vec();
        let [database, table] = <[String; 2]>::try_from(names).map_err(|_| Failure::new("a TABLE_MAP event without names"))?;
        Ok((id, Self { database, table, columns, nullable }))
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Whether the last column can be a hidden key.
    pub(super) fn ends_in_bigint(&self) -> bool {
        self.columns.last().is_some_and(|(kind, _)| *kind == LONGLONG)
    }

    /// The table without its last column.
    pub(super) fn without_last(&self) -> Self {
        let mut table = self.clone();
        table.columns.pop();
        table.nullable = clear_unused(&self.nullable, table.columns.len());
        table
    }

    /// The types, the metadata and the bits of the nullable columns, as a TABLE_MAP event has them.
    pub(super) fn parts(&self) -> (Vec<u8>, Vec<u8>, &[u8]) {
        let types = self.columns.iter().map(|(kind, _)| *kind).collect();
        (types, self.columns.iter().flat_map(|(_, metadata)| metadata.clone()).collect(), &self.nullable)
    }
}

/// Keeps the bits of the first `count` columns and clears the others.
fn clear_unused(bits: &[u8], count: usize) -> Vec<u8> {
    let mut bits = bits.get(..count.div_ceil(8)).unwrap_or(bits).to_vec();
    if let Some(last) = bits.last_mut().filter(|_| !count.is_multiple_of(8)) {
        *last &= (1 << (count % 8)) - 1;
    }
    bits
}

/// Sets the bits behind those of the first `count` columns, as MySQL does.
fn set_unused(bits: &mut [u8], count: usize) {
    if let Some(last) = bits.last_mut().filter(|_| !count.is_multiple_of(8)) {
        *last |= !((1 << (count % 8)) - 1);
    }
}

/// An image of a row: the columns that it contains, each with its cell; `None` is NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image(pub(super) Vec<(usize, Option<Vec<u8>>)>);

impl Image {
    /// The cell of a column; `None` if the image does not contain the column.
    pub(super) fn cell(&self, column: usize) -> Option<&Option<Vec<u8>>> {
        self.0.iter().find(|(index, _)| *index == column).map(|(_, cell)| cell)
    }

    /// The image without the column with this index, which is the last one of its table.
    pub(super) fn without(&self, column: usize) -> Self {
        Self(self.0.iter().filter(|(index, _)| *index != column).cloned().collect())
    }
}

/// The rows of an event. An update has two images for each row, the others have one.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) is_last: bool,
    pub(super) images: Vec<Image>,
}

impl Rows {
    /// The id of the table of a row event.
    pub(super) fn table_id(body: &[u8]) -> Result<u64> {
        take_number(&mut &*body, 6)
    }

    /// Whether the event is the last of its statement.
    pub(super) fn ends_statement(body: &[u8]) -> bool {
        body.get(6).is_some_and(|flags| flags & 1 != 0)
    }

    /// Reads the body of a row event of version 2.
    pub(super) fn read(body: &[u8], table: &TableMap, is_update: bool) -> Result<Self> {
        let mut rest = body;
        take(&mut rest, 8)?;
        let extra = take_number(&mut rest, 2)? as usize;
        take(&mut rest, extra.saturating_sub(2))?;
        let count = take_length(&mut rest)?.unwrap_or_default() as usize;
        if count != table.width() {
            return Failure::err(format!("a row event of {}.{} has {count} columns", table.database, table.table));
        }
        let mut present = vec![take(&mut rest, count.div_ceil(8))?];
        if is_update {
            present.push(take(&mut rest, count.div_ceil(8))?);
        }
        let mut images = Vec::new();
        while !rest.is_empty() {
            for bits in &present {
                images.push(read_image(&mut rest, bits, table)?);
            }
        }
        Ok(Self { is_last: Self::ends_statement(body), images })
    }

    /// The body of a row event of version 2. `set_unused_bits` chooses the value of the bits behind those of the columns.
    pub(super) fn body(&self, id: u64, width: usize, is_update: bool, flags: u16, set_unused_bits: bool) -> Vec<u8> {
        let mut out = id.to_le_bytes()[..6].to_vec();
        out.extend_from_slice(&(flags | u16::from(self.is_last)).to_le_bytes());
        out.extend_from_slice(&[2, 0]);
        super::wire::put_length(&mut out, width as u64);
        for image in self.images.iter().take(if is_update { 2 } else { 1 }) {
            out.extend_from_slice(&bits(width, set_unused_bits, image.0.iter().map(|(column, _)| *column)));
        }
        for image in &self.images {
            let nulls = image.0.iter().enumerate().filter(|(_, (_, cell))| cell.is_none()).map(|(index, _)| index);
            out.extend_from_slice(&bits(image.0.len(), set_unused_bits, nulls));
            for cell in image.0.iter().filter_map(|(_, cell)| cell.as_ref()) {
                out.extend_from_slice(cell);
            }
        }
        out
    }
}

fn bits(count: usize, set_unused_bits: bool, set: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut out = vec![0; count.div_ceil(8)];
    for index in set {
        if let Some(byte) = out.get_mut(index / 8) {
            *byte |= 1 << (index % 8);
        }
    }
    if set_unused_bits {
        set_unused(&mut out, count);
    }
    out
}

fn read_image(rest: &mut &[u8], present: &[u8], table: &TableMap) -> Result<Image> {
    let is_set = |bits: &[u8], index: usize| bits.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0);
    let columns: Vec<usize> = (0..table.width()).filter(|index| is_set(present, *index)).collect();
    let nulls = take(rest, columns.len().div_ceil(8))?;
    let mut image = Image::default();
    for (index, column) in columns.into_iter().enumerate() {
        let (kind, metadata) = table.columns.get(column).ok_or_else(|| Failure::new("a row has too many columns"))?;
        let cell = if is_set(nulls, index) {
            None
        } else {
            let length = cell_length(*kind, metadata, rest)?;
            Some(take(rest, length)?.to_vec())
        };
        image.0.push((column, cell));
    }
    Ok(image)
}

/// The number of metadata bytes of a column type.
fn metadata_length(kind: u8) -> usize {
    match kind {
        4 | 5 | 17..=19 | 245 | 249..=252 | 255 => 1,
        15 | 16 | 246..=248 | 253 | 254 => 2,
        _ => 0,
    }
}

/// The number of bytes of the cell at the front of `rest`, with its own length if it has one.
fn cell_length(kind: u8, metadata: &[u8], rest: &[u8]) -> Result<usize> {
    let [first, second] = [0, 1].map(|index| usize::from(metadata.get(index).copied().unwrap_or_default()));
    let prefixed = |width: usize| -> Result<usize> { Ok(width + take_number(&mut &*rest, width)? as usize) };
    Ok(match kind {
        1 | 13 => 1,
        2 => 2,
        9 | 10 | 11 | 14 => 3,
        3 | 4 | 7 => 4,
        5 | 8 | 12 => 8,
        17 => 4 + first.div_ceil(2),
        18 => 5 + first.div_ceil(2),
        19 => 3 + first.div_ceil(2),
        16 => second + usize::from(first > 0),
        246 => {
            const DIGITS: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
            let bytes = |digits: usize| digits / 9 * 4 + DIGITS.get(digits % 9).copied().unwrap_or_default();
            bytes(first.saturating_sub(second)) + bytes(second)
        }
        15 | 253 => prefixed(if first | second << 8 > 255 { 2 } else { 1 })?,
        247 | 248 => second,
        254 => match (first & 0x30, first) {
            (0x30, 247 | 248) => second,
            (0x30, _) => prefixed(1)?,
            (high, _) => prefixed(if second | (high ^ 0x30) << 4 > 255 { 2 } else { 1 })?,
        },
        245 | 249..=252 | 255 => prefixed(first)?,
        _ => return Failure::err(format!("the stand-in does not know the column type {kind}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(columns: &[(u8, &[u8])]) -> TableMap {
        TableMap {
            database: "d".to_owned(),
            table: "t".to_owned(),
            columns: columns.iter().map(|(kind, metadata)| (*kind, metadata.to_vec())).collect(),
            nullable: vec![0xFF; columns.len().div_ceil(8)],
        }
    }

    #[test]
    fn a_row_is_written_as_it_was_read_but_for_its_unused_bits() {
        let table = map(&[(8, &[]), (8, &[]), (246, &[12, 2]), (15, &[0, 1])]);
        // A row event of the real server: two rows of `shop.orders`.
        let real = "0100000000000300020004fff00100000000000000640000000000000080000000000c32010061";
        let real: Vec<u8> = (0..real.len() / 2).map(|at| u8::from_str_radix(&real[2 * at..2 * at + 2], 16).unwrap()).collect();
        let real = [&real[..11], &[0x0F, 0xF0], &real[13..29], &[0x80, 0, 0, 0, 12, 0x32, 1, 0, b'a']].concat();
        let rows = Rows::read(&real, &table, false).unwrap();
        assert!(rows.is_last);
        assert_eq!(rows.images[0].cell(3), Some(&Some(b"\x01\0a".to_vec())));
        let written = rows.body(1, 4, false, 2, false);
        assert_eq!(written[11..13], [0x0F, 0]);
        assert_eq!(written[13..], real[13..]);
        assert_eq!(rows.body(1, 4, false, 2, true)[11..13], [0xFF, 0xF0]);
        assert_eq!(rows.images[0].without(3).0.len(), 3);
    }

    #[test]
    fn every_cut_is_an_error_and_not_a_wrong_row() {
        let table = map(&[(3, &[]), (252, &[2])]);
        let image = |number: i32| Image(vec![(0, Some(number.to_le_bytes().to_vec())), (1, Some(b"\x02\0xy".to_vec()))]);
        let rows = Rows { is_last: false, images: vec![image(1), image(2)] };
        let body = rows.body(7, 2, true, 2, true);
        assert_eq!(Rows::read(&body, &table, true).unwrap().images, rows.images);
        for length in 0..body.len() {
            let complete =
                [9, 10, 11, 12, 13].contains(&length) && Rows::read(&body[..length], &table, true).is_ok_and(|rows| rows.images.is_empty());
            assert!(complete || Rows::read(&body[..length], &table, true).is_err(), "{length}");
        }
    }
}
