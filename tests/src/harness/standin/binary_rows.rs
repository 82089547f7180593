//! Rows in binary form, as prepared statements return them.
//!
//! MySQL leaves out the parts of a temporal value that are zero. A compute node never does.

use super::wire::{put_bytes, take, take_bytes, take_number};
use crate::Result;

/// The type in the definition of a column.
pub(super) fn column_type(definition: &[u8]) -> Result<u8> {
    let mut rest = definition;
    for _ in 0..6 {
        take_bytes(&mut rest)?;
    }
    take(&mut rest, 7)?;
    Ok(take_number(&mut rest, 1)? as u8)
}

/// The row with all parts of its temporal values.
pub(super) fn lengthened(row: &[u8], types: &[u8]) -> Result<Vec<u8>> {
    let mut rest = row;
    let mut out = take(&mut rest, 1)?.to_vec();
    let nulls = take(&mut rest, (types.len() + 9) / 8)?;
    out.extend_from_slice(nulls);
    for (index, kind) in types.iter().enumerate() {
        // The first two bits stand for no column.
        let bit = index + 2;
        if nulls.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0) {
            continue;
        }
        let (fixed, long) = match kind {
            1 => (1, 0),
            2 | 13 => (2, 0),
            3 | 4 | 9 => (4, 0),
            5 | 8 => (8, 0),
            10 => (0, 4),
            7 | 12 => (0, 11),
            11 => (0, 12),
            _ => (0, 0),
        };
        if fixed > 0 {
            out.extend_from_slice(take(&mut rest, fixed)?);
        } else {
            let mut value = take_bytes(&mut rest)?.unwrap_or_default().to_vec();
            value.resize(value.len().max(long), 0);
            put_bytes(&mut out, &value);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporal_values_get_all_their_parts() {
        // A NULL, an INT, a TIME of zero, a DATETIME without a time, a text.
        let types = [3, 3, 11, 12, 253];
        let row = [0, 0b100, 7, 0, 0, 0, 0, 4, 0xE8, 7, 1, 2, 1, b'x'];
        let mut expected = vec![0, 0b100, 7, 0, 0, 0, 12];
        expected.extend_from_slice(&[0; 12]);
        expected.extend_from_slice(&[11, 0xE8, 7, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1, b'x']);
        assert_eq!(lengthened(&row, &types).unwrap(), expected);
        assert!(lengthened(&row[..9], &types).is_err());
        assert_eq!(column_type(&super::super::wire::text_column("a")).unwrap(), 253);
    }
}
