//! The order of the built-in transforms.

use crate::{Error, Result};

/// The order in which the built-in transforms work: rows are chosen by the values and names of the source, then values change, then columns,
/// and names come last.
pub(super) const ORDER: [&str; 7] = ["filter", "operations", "add_columns", "etl", "mask", "columns", "rename"];

/// Checks that the built-in ones among these transforms stand in their order, in which each may stand several times. Other transforms may
/// stand anywhere. The error is of kind `Config`.
pub(super) fn in_order(names: &[&str]) -> Result<()> {
    let mut last = 0;
    for name in names {
        let Some(place) = ORDER.iter().position(|known| known == name) else { continue };
        if place < last {
            let before = ORDER[last];
            return Err(Error::config("key `transform` is not valid")
                .because(format!("`{name}` stands behind `{before}`, and works before it"))
                .with_help(format!("write the transforms in this order: {}", ORDER.join(", ")))
                .with_code("E_CONFIG"));
        }
        last = place;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_order_is_refused_with_the_right_one() {
        for names in [&[][..], &["rename"], &["filter", "mine", "filter", "columns", "theirs", "rename", "rename"], &["mine", "filter"]] {
            assert!(in_order(names).is_ok(), "{names:?}");
        }
        let error = in_order(&["filter", "rename", "mine", "mask"]).unwrap_err();
        assert!(error.to_string().contains("`mask` stands behind `rename`"), "{error}");
        assert!(error.help().unwrap().contains("filter, operations, add_columns, etl, mask, columns, rename"));
    }
}
