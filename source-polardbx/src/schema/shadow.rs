//! The names that tools for online schema changes give to their tables: gh-ost, pt-online-schema-change and Facebook's OSC.
//!
//! Such a tool makes a copy of a table with the new columns, fills it, keeps it up to date, and in the end gives it the name of the table.

/// The suffixes of gh-ost (`_orders_gho`) and pt-online-schema-change (`_orders_new`), behind leading underscores: the copy, the log of
/// changes, and the table that was replaced.
const SUFFIXES: &[&str] = &["_gho", "_ghc", "_del", "_new", "_old"];
/// The prefixes of Facebook's OSC, in the same order.
const PREFIXES: &[&str] = &["__osc_new_", "__osc_chg_", "__osc_old_"];

/// The name of the table that a tool changes, from the name of one of its own tables; `None` if this is not such a name.
pub(crate) fn original(name: &str) -> Option<&str> {
    let original = match PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        Some(original) => original,
        None => {
            let rest = name.strip_prefix('_')?;
            let stem = SUFFIXES.iter().find_map(|suffix| rest.strip_suffix(suffix))?;
            // pt-online-schema-change adds underscores if a name is taken, and gh-ost may add the time to that of the old table.
            let stem = stem.trim_start_matches('_');
            match stem.rsplit_once('_') {
                Some((stem, time)) if name.ends_with("_del") && time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit()) => stem,
                _ => stem,
            }
        }
    };
    (!original.is_empty()).then_some(original)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_tools_are_known_by_their_names() {
        for (name, expected) in [
            ("_orders_gho", Some("orders")),
            ("_orders_ghc", Some("orders")),
            ("_orders_del", Some("orders")),
            ("_orders_20260102030405_del", Some("orders")),
            ("_orders_2026_del", Some("orders_2026")),
            ("_orders_new", Some("orders")),
            ("___orders_old", Some("orders")),
            ("__osc_new_orders", Some("orders")),
            ("__osc_chg_o", Some("o")),
            ("orders_gho", None),
            ("orders", None),
            ("_orders", None),
            ("_gho", None),
            ("__gho", None),
            ("_new", None),
            ("__osc_new_", None),
            ("", None),
        ] {
            assert_eq!(original(name), expected, "{name}");
        }
    }
}
