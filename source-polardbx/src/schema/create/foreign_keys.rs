//! The foreign keys of a CREATE TABLE: which rows they change, and the text without them.

use std::collections::BTreeSet;

use crate::schema::ReadError;
use crate::schema::lexer::{Dialect, Lexeme, Token, tokens};

/// Returns the text of a SHOW CREATE TABLE without its foreign keys. The rest of the text is unchanged.
pub(crate) fn without_foreign_keys(statement: &str) -> Result<String, ReadError> {
    let lexemes = tokens(statement, Dialect::default())?;
    let mut depth = 0usize;
    // The offsets of the outer parentheses, and of the commas between the definitions in them.
    let mut borders = Vec::new();
    let mut firsts: Vec<&[Lexeme<'_>]> = Vec::new();
    for (index, lexeme) in lexemes.iter().enumerate() {
        let border = match lexeme.token {
            Token::Symbol('(') => {
                depth += 1;
                depth == 1
            }
            Token::Symbol(')') => {
                depth = depth.saturating_sub(1);
                depth == 0
            }
            Token::Symbol(',') => depth == 1,
            _ => false,
        };
        if border {
            borders.push(lexeme.start);
            firsts.push(lexemes.get(index + 1..).unwrap_or(&[]));
            if depth == 0 {
                break;
            }
        }
    }
    if depth != 0 || borders.len() < 2 {
        return Err(ReadError::new("the statement does not list its columns").near(statement));
    }
    let part = |from: usize, to: usize| statement.get(from..to).unwrap_or("");
    let (first, last) = (borders[0], borders[borders.len() - 1]);
    let mut kept = Vec::with_capacity(borders.len());
    let mut end = "";
    for (pair, tokens) in borders.windows(2).zip(&firsts) {
        let mut item = part(pair[0] + 1, pair[1]);
        if pair[1] == last {
            // The white space before the closing parenthesis is kept, even if the last definition is removed.
            (item, end) = item.split_at(item.trim_end().len());
        }
        if !is_foreign_key(tokens) {
            kept.push(item);
        }
    }
    Ok(format!("{}{}{end}{}", part(0, first + 1), kept.join(","), part(last, statement.len())))
}

/// The actions by which the foreign keys of a SHOW CREATE TABLE change rows of the table, such as `ON DELETE CASCADE`.
pub(crate) fn foreign_key_actions(statement: &str) -> Result<BTreeSet<String>, ReadError> {
    let lexemes = tokens(statement, Dialect::default())?;
    let word = |index: usize| match lexemes.get(index).map(|lexeme| &lexeme.token) {
        Some(Token::Word(word)) => word.to_ascii_uppercase(),
        _ => String::new(),
    };
    let action = |index: usize| {
        let cause = Some(word(index + 1)).filter(|cause| word(index) == "ON" && (cause == "DELETE" || cause == "UPDATE"))?;
        match (word(index + 2).as_str(), word(index + 3).as_str()) {
            ("CASCADE", _) => Some(format!("ON {cause} CASCADE")),
            ("SET", to @ ("NULL" | "DEFAULT")) => Some(format!("ON {cause} SET {to}")),
            _ => None,
        }
    };
    Ok((0..lexemes.len()).filter_map(action).collect())
}

fn is_foreign_key(tokens: &[Lexeme<'_>]) -> bool {
    let is = |index: usize, word: &str| matches!(tokens.get(index).map(|lexeme| &lexeme.token), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
    let begins = |index: usize| is(index, "FOREIGN") && is(index + 1, "KEY");
    begins(0) || (is(0, "CONSTRAINT") && (begins(1) || begins(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_keys_are_left_out() {
        let text = "CREATE TABLE `c` (\n  `id` int(11) NOT NULL COMMENT 'a, (b',\n  `p` decimal(10,2) DEFAULT '1.00',\n  PRIMARY KEY (`id`),\n  \
                    KEY `k` (`p`),\n  CONSTRAINT `f` FOREIGN KEY (`p`, `id`) REFERENCES `o` (`a`, `b`) ON DELETE CASCADE,\n  \
                    CONSTRAINT `ch` CHECK (`p` > 0),\n  CONSTRAINT `g` FOREIGN KEY (`p`) REFERENCES `d`.`o` (`a`)\n\
                    ) ENGINE=InnoDB DEFAULT CHARSET=utf8 COMMENT='FOREIGN KEY, (x'\n/*!50100 PARTITION BY HASH (id) */";
        let expected = "CREATE TABLE `c` (\n  `id` int(11) NOT NULL COMMENT 'a, (b',\n  `p` decimal(10,2) DEFAULT '1.00',\n  \
                        PRIMARY KEY (`id`),\n  KEY `k` (`p`),\n  CONSTRAINT `ch` CHECK (`p` > 0)\n\
                        ) ENGINE=InnoDB DEFAULT CHARSET=utf8 COMMENT='FOREIGN KEY, (x'\n/*!50100 PARTITION BY HASH (id) */";
        assert_eq!(without_foreign_keys(text).unwrap(), expected);
        assert_eq!(without_foreign_keys(expected).unwrap(), expected);
        let named = "CREATE TABLE t (`foreign` int, `constraint` int, key (`foreign`))";
        assert_eq!(without_foreign_keys(named).unwrap(), named);
    }

    #[test]
    fn actions_that_change_rows_are_found() {
        let found = |text: &str| foreign_key_actions(text).unwrap().into_iter().collect::<Vec<_>>().join(", ");
        assert_eq!(
            found("CREATE TABLE `c` (`p` int, FOREIGN KEY (`p`) REFERENCES `o` (`a`) ON DELETE CASCADE ON UPDATE SET NULL)"),
            "ON DELETE CASCADE, ON UPDATE SET NULL"
        );
        assert_eq!(found("CREATE TABLE c (p int, FOREIGN KEY (p) REFERENCES o (a) ON DELETE RESTRICT ON UPDATE NO ACTION)"), "");
        let quoted = "CREATE TABLE c (`ON` int, `t` timestamp ON UPDATE CURRENT_TIMESTAMP COMMENT 'ON DELETE CASCADE')";
        assert_eq!(found(quoted), "");
    }

    #[test]
    fn a_create_table_without_columns_is_an_error() {
        for text in ["", "CREATE TABLE t", "CREATE TABLE t (a int", "CREATE TABLE t LIKE u", "CREATE TABLE t ('"] {
            assert!(without_foreign_keys(text).is_err(), "{text}");
        }
    }
}
