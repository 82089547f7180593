//! Names and regular expressions of tables and columns, as this program writes them.

use runtime::TablePattern;

/// What a regular expression for `database.table` became.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    /// The entry for `tables = [...]`.
    pub(super) pattern: String,
    /// Why this program does not accept it; the configuration is refused until somebody rewrites it.
    pub(super) problem: Option<String>,
}

/// The entry for a regular expression that the whole name `database.table` must match. Simple ones become names and globs.
pub(super) fn table(expression: &str) -> Table {
    let pattern = match segments(expression).as_deref() {
        Some([database, table]) => format!("{database}.{table}"),
        Some([all]) if all == "*" => "*.*".to_owned(),
        _ => format!("re:{expression}"),
    };
    let problem = TablePattern::parse(&pattern).err().map(|error| match error.why.rsplit_once("error: ") {
        // The library draws the place of the error over several lines; its last one says what is wrong.
        Some((_, what)) => format!("{pattern} is not a regular expression here: {what}"),
        None => error.why,
    });
    Table { pattern, problem }
}

/// A regular expression for `database.table.column` as a pattern for the tables and the name of the column. `None` if it is not that simple.
pub(super) fn column(expression: &str) -> Option<(String, String)> {
    let (tables, column) = match segments(expression)?.as_slice() {
        [database, table, column] => (format!("{database}.{table}"), column.clone()),
        [database, column] if database == "*" => ("*.*".to_owned(), column.clone()),
        _ => return None,
    };
    (!column.contains('*') && TablePattern::parse(&tables).is_ok()).then_some((tables, column))
}

/// The parts of a name between dots, if the expression has nothing but letters, dots and `.*`; a `.*` becomes `*`.
///
/// A dot without a backslash matches any character. If there are as many parts as a name has, each can only stand for a dot of the name.
fn segments(expression: &str) -> Option<Vec<String>> {
    let expression = expression.trim();
    let expression = expression.strip_prefix('^').unwrap_or(expression);
    let expression = match expression.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => rest,
        _ => expression,
    };
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut loose = false;
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                '.' => parts.push(std::mem::take(&mut part)),
                c if "-$_#@".contains(c) => part.push(c),
                _ => return None,
            },
            '.' if chars.next_if_eq(&'*').is_some() => part.push('*'),
            '.' => {
                loose = true;
                parts.push(std::mem::take(&mut part));
            }
            c if c.is_alphanumeric() || "-_#@".contains(c) => part.push(c),
            _ => return None,
        }
        // A repetition of what was just read.
        if chars.peek().is_some_and(|c| "*+?{".contains(*c)) {
            return None;
        }
    }
    parts.push(part);
    // A wildcard may match the dot of the name, and the dot without a backslash then something else.
    let ambiguous = loose && parts.iter().any(|part| part.contains('*'));
    (!ambiguous && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

/// The pattern for exactly one table, or for all of a database if there is no table.
pub(super) fn literal(database: &str, table: Option<&str>) -> String {
    format!("{}.{}", part(database), table.map_or("*".to_owned(), part))
}

/// A part of a pattern that is taken literally.
pub(super) fn part(name: &str) -> String {
    let is_special = |c: char| c.is_whitespace() || ".*?`\"'".contains(c);
    if name.is_empty() || name.contains(is_special) || name.starts_with("re:") {
        format!("`{}`", name.replace('`', "``"))
    } else {
        name.to_owned()
    }
}

/// The parts of a list that is separated by `separator`, or by a comma in a regular expression written `\,`.
pub(super) fn split(list: &str, separators: &[char]) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' {
            match chars.next() {
                Some(next) if separators.contains(&next) => part.push(next),
                Some(next) => part.extend([c, next]),
                None => part.push(c),
            }
        } else if separators.contains(&c) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
    }
    parts.push(part);
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_expressions_become_names_and_globs() {
        for (expression, expected) in [
            (r"shop\.orders", "shop.orders"),
            ("shop.orders", "shop.orders"),
            (r"^shop\.orders$", "shop.orders"),
            (r".*\..*", "*.*"),
            (".*", "*.*"),
            (r"shop\..*", "shop.*"),
            (r"shop\.order_.*", "shop.order_*"),
            (r"my\-shop\.a", "my-shop.a"),
            // Not the same as `shop.*`: it matches `shop2.a`.
            ("shop.*", "re:shop.*"),
            ("shop..*", "re:shop..*"),
            (r"shop\.a.b", r"re:shop\.a.b"),
            (r"shop_\d+\.(a|b)", r"re:shop_\d+\.(a|b)"),
            (r"shop\.o*", r"re:shop\.o*"),
            ("shop", "re:shop"),
        ] {
            assert_eq!(table(expression), Table { pattern: expected.to_owned(), problem: None }, "{expression}");
        }
        assert!(table(r"(?!tmp_).*\..*").problem.is_some());
    }

    #[test]
    fn columns_have_tables() {
        assert_eq!(column(r"shop\.users\.email"), Some(("shop.users".into(), "email".into())));
        assert_eq!(column("shop.users.email"), Some(("shop.users".into(), "email".into())));
        assert_eq!(column(r"shop\..*\.email"), Some(("shop.*".into(), "email".into())));
        assert_eq!(column(r".*\.email"), Some(("*.*".into(), "email".into())));
        for expression in [r"shop\.email", r"shop\.users\.e.*", r"shop\.(a|b)\.c", "shop.*.email"] {
            assert_eq!(column(expression), None, "{expression}");
        }
    }

    #[test]
    fn lists_are_split_outside_of_escapes() {
        assert_eq!(split(r"a\.b{1\,2}, c ,,d\", &[',']), [r"a\.b{1,2}", "c", r"d\"]);
    }

    #[test]
    fn literal_names_are_quoted() {
        assert_eq!(literal("shop", None), "shop.*");
        assert_eq!(literal("a.b", Some("c`d*")), "`a.b`.`c``d*`");
        assert!(TablePattern::parse(&literal("re:x", Some(" "))).unwrap().literal().is_some());
    }
}
