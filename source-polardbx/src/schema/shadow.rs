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

/// The greatest length of a name. Tools shorten the names of their tables to it.
const LONGEST: usize = 64;

/// Whether `copy` is a name that a tool gives to its copy of the table `table`.
pub(crate) fn is_copy(copy: &str, table: &str) -> bool {
    if let Some(stem) = copy.strip_prefix("__osc_new_") {
        return stem == table;
    }
    let Some(rest) = copy.strip_prefix('_') else { return false };
    let is_full = copy.len() == LONGEST || copy.chars().count() == LONGEST;
    let is_of = |stem: &str| stem == table || (is_full && !stem.is_empty() && table.starts_with(stem));
    if let Some(stem) = rest.strip_suffix("_gho") {
        return is_of(stem);
    }
    // More underscores are added if the name is taken. The name of the table may begin with underscores, too.
    let Some(stem) = rest.strip_suffix("_new") else { return false };
    let underscores = stem.len() - stem.trim_start_matches('_').len();
    (0..=underscores).any(|more| stem.get(more..).is_some_and(is_of))
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

    #[test]
    fn a_copy_belongs_to_one_table() {
        let long = "x".repeat(63);
        for (copy, table, expected) in [
            ("_orders_gho", "orders", true),
            ("__orders_gho", "_orders", true),
            ("__orders_gho", "orders", false),
            ("_orders_new", "orders", true),
            ("___orders_new", "orders", true),
            ("___orders_new", "_orders", true),
            ("__osc_new_orders", "orders", true),
            ("_orders_ghc", "orders", false),
            ("_orders_del", "orders", false),
            ("_orders_old", "orders", false),
            ("__osc_old_orders", "orders", false),
            ("_order_new", "orders", false),
            (&format!("_{}_gho", &long[..59]), &long, true),
            (&format!("_{}_new", &long[..59]), &long, true),
            (&format!("_{}_gho", &long[..58]), &long, false),
            ("_new", "", false),
            ("_", "x", false),
        ] {
            assert_eq!(is_copy(copy, table), expected, "{copy} {table}");
        }
    }
}
