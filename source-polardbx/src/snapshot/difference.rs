//! Compares the schema of a table with the one that the full phase knows.

use runtime::{Column, TableSchema};

/// What has changed of a table so that its rows are read, described or identified in another way; `None` if nothing has. Other changes, such
/// as a new index, do not disturb a full phase.
pub(crate) fn difference(known: &TableSchema, now: &TableSchema) -> Option<String> {
    let find = |schema: &TableSchema, name: &str| schema.columns.iter().any(|column| column.name == name);
    for column in &known.columns {
        match now.columns.iter().find(|other| other.name == column.name) {
            None => return Some(format!("the column `{}` is gone", column.name)),
            Some(other) if other != column => return Some(format!("the column `{}` {}", column.name, of_column(column, other))),
            Some(_) => {}
        }
    }
    if let Some(column) = now.columns.iter().find(|column| !find(known, &column.name)) {
        return Some(format!("the column `{}` is new", column.name));
    }
    if known.columns != now.columns {
        return Some("its columns have another order".to_owned());
    }
    let key = |schema: &TableSchema| if schema.primary_key.is_empty() { schema.effective_key() } else { schema.primary_key.clone() };
    if known.primary_key != now.primary_key || known.effective_key() != now.effective_key() {
        return Some(format!("its key was ({}) and is ({})", names(known, &key(known)), names(now, &key(now))));
    }
    None
}

/// Whether the rows of a table have the same schema by both definitions: one that was followed from statement to statement, and the one
/// that the server shows. The former may spell a type in another way, and need not know whether a column is nullable.
pub(crate) fn have_same_schema(followed: &TableSchema, shown: &TableSchema) -> bool {
    let of = |column: &Column| (column.name.clone(), column.kind.clone(), column.unsigned, column.charset().map(str::to_owned));
    let same = |(followed, shown): (&Column, &Column)| of(followed) == of(shown);
    followed.columns.len() == shown.columns.len()
        && followed.columns.iter().zip(&shown.columns).all(same)
        && followed.primary_key == shown.primary_key
}

fn of_column(known: &Column, now: &Column) -> String {
    let text = |column: &Column| {
        let charset = column.collation.as_ref().map(|collation| format!(" in {collation}")).unwrap_or_default();
        format!("{}{charset}{}", column.source_type, if column.nullable { "" } else { " NOT NULL" })
    };
    let (was, is) = (text(known), text(now));
    if was == is { "has changed".to_owned() } else { format!("was {was} and is {is}") }
}

fn names(schema: &TableSchema, key: &[usize]) -> String {
    key.iter().filter_map(|&index| Some(schema.columns.get(index)?.name.as_str())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use runtime::TableId;

    use super::*;
    use crate::server::parse_definition;

    fn table(definition: &str) -> TableSchema {
        parse_definition(&TableId::new("d", "t"), &format!("CREATE TABLE `t` ({definition})")).unwrap()
    }

    #[test]
    fn what_has_changed_is_named() {
        const KNOWN: &str = "`id` int(11) NOT NULL, `a` varchar(9) CHARACTER SET latin1, PRIMARY KEY (`id`)";
        let known = table(KNOWN);
        let found = |definition: &str| difference(&known, &table(definition)).unwrap_or_default();
        for same in [KNOWN.to_owned(), format!("{KNOWN}, KEY `k` (`a`), UNIQUE KEY `u` (`a`)")] {
            assert_eq!(found(&same), "");
        }
        for (definition, said) in [
            ("`id` int(11) NOT NULL, PRIMARY KEY (`id`)", "the column `a` is gone"),
            (&format!("`b` int(11), {KNOWN}"), "the column `b` is new"),
            (&KNOWN.replace("latin1", "utf8"), "the column `a` was varchar(9) in latin1_swedish_ci and is varchar(9) in utf8_general_ci"),
            (&KNOWN.replace("int(11)", "bigint(20)"), "the column `id` was int(11) NOT NULL and is bigint(20) NOT NULL"),
            ("`a` varchar(9) CHARACTER SET latin1, `id` int(11) NOT NULL, PRIMARY KEY (`id`)", "its columns have another order"),
            ("`id` int(11) NOT NULL, `a` varchar(9) CHARACTER SET latin1", "its key was (id) and is ()"),
        ] {
            assert_eq!(found(definition), said);
        }
        // Columns that exchange their names.
        let one = table("`a` int(11), `b` bigint(20)");
        assert!(difference(&one, &table("`b` int(11), `a` bigint(20)")).is_some());
    }

    #[test]
    fn a_followed_definition_may_be_spelled_in_another_way() {
        let shown = table("`id` int(11) NOT NULL, `a` varchar(9) CHARACTER SET utf8, PRIMARY KEY (`id`)");
        assert!(have_same_schema(&table("`id` int NOT NULL, `a` varchar(9) CHARACTER SET utf8mb3 NOT NULL, PRIMARY KEY (`id`)"), &shown));
        for other in [
            "`id` int NOT NULL, `a` varchar(9) CHARACTER SET utf8",
            "`id` bigint NOT NULL, `a` varchar(9) CHARACTER SET utf8, PRIMARY KEY (`id`)",
            "`id` int NOT NULL, `a` varchar(9) CHARACTER SET latin1, PRIMARY KEY (`id`)",
            "`id` int NOT NULL, PRIMARY KEY (`id`)",
        ] {
            assert!(!have_same_schema(&table(other), &shown), "{other}");
        }
    }
}
