//! The text of PolarDB-X's SHOW CREATE TABLE without what MySQL does not know.

use super::rewrite::{Definition, Definitions, is_word};
use crate::schema::ReadError;
use crate::schema::lexer::{Lexeme, Token};

/// First words of the clauses behind the columns that only PolarDB-X has. Everything behind them is of the same kind.
const CLAUSES: [&str; 8] = ["PARTITION", "DBPARTITION", "TBPARTITION", "BROADCAST", "SINGLE", "TABLEGROUP", "LOCALITY", "TTL"];

/// Returns the text for MySQL: without partitions, table groups and columnar indexes. Global indexes become ordinary ones.
pub(crate) fn for_mysql(statement: &str) -> Result<String, ReadError> {
    let definitions = Definitions::read(statement)?;
    Ok(definitions.rewritten(end_for_mysql(&definitions, statement), of_mysql).trim_end().to_owned())
}

/// Where the text ends that MySQL knows.
fn end_for_mysql(definitions: &Definitions<'_>, statement: &str) -> usize {
    let mut rest = definitions.rest().peekable();
    let mut is_value = false;
    while let Some(Lexeme { token, start }) = rest.next() {
        let mut two = |first: &str, second: &str| is_word(token, first) && rest.peek().is_some_and(|next| is_word(next.token, second));
        let is_clause = CLAUSES.iter().any(|word| is_word(token, word)) || two("LOCAL", "PARTITION") || two("WITH", "TABLEGROUP");
        if is_clause && !is_value {
            return start.offset;
        }
        is_value = token == Token::Symbol('=');
    }
    statement.len()
}

/// A definition as MySQL knows it; `None` for an index that MySQL does not have.
fn of_mysql(definition: &Definition<'_>) -> Option<String> {
    let at = usize::from(definition.is(0, "UNIQUE"));
    if ["CLUSTERED", "COLUMNAR", "VECTOR"].iter().any(|word| definition.is(at, word)) && is_key(definition, at + 1) {
        return None;
    }
    if definition.is(at, "LOCAL") && is_key(definition, at + 1) {
        return Some(definition.without(definition.offset(at)..definition.offset(at + 1)));
    }
    if definition.is(at, "GLOBAL") && is_key(definition, at + 1) {
        // Behind its columns come the columns that it covers, and its partitions.
        let close = definition.tokens().find(|(_, token)| *token == Token::Symbol(')'));
        let key = definition.without(definition.offset(at)..definition.offset(at + 1));
        let cut = definition.text.len() - close.map_or(0, |(offset, _)| offset + 1);
        return Some(key.get(..key.len().saturating_sub(cut)).unwrap_or_default().to_owned());
    }
    Some(definition.text.to_owned())
}

fn is_key(definition: &Definition<'_>, at: usize) -> bool {
    ["INDEX", "KEY", "COLUMNAR"].iter().any(|word| definition.is(at, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_polardbx_has_is_left_out() {
        let printed = "CREATE TABLE `orders` (\n\t`id` bigint(20) NOT NULL AUTO_INCREMENT,\n\t`local` bigint(20) NOT NULL,\n\tPRIMARY KEY (`id`),\n\
                       \tGLOBAL INDEX `g` (`local`, `id`) COVERING (`id`)\n\t\tPARTITION BY KEY(`local`,`id`)\n\t\tPARTITIONS 3,\n\
                       \tUNIQUE GLOBAL INDEX `ug` (`local`) DBPARTITION BY HASH(`local`),\n\
                       \tUNIQUE LOCAL KEY `u` USING BTREE (`local`),\n\tLOCAL KEY `k` (`local`),\n\
                       \tCLUSTERED COLUMNAR INDEX `cci` (`id`) PARTITION BY HASH(`id`)\n\
                       ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci COMMENT 'TTL, PARTITION BY'\n";
        let mysql = "CREATE TABLE `orders` (\n\t`id` bigint(20) NOT NULL AUTO_INCREMENT,\n\t`local` bigint(20) NOT NULL,\n\tPRIMARY KEY (`id`),\n\
                     \tINDEX `g` (`local`, `id`),\n\tUNIQUE INDEX `ug` (`local`),\n\tUNIQUE KEY `u` USING BTREE (`local`),\n\tKEY `k` (`local`)\n\
                     ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci COMMENT 'TTL, PARTITION BY'";
        for tail in [
            "",
            "PARTITION BY KEY(`id`)\nPARTITIONS 16\ntablegroup = `tg5`",
            "BROADCAST",
            "SINGLE WITH TABLEGROUP = tgi1 IMPLICIT",
            "dbpartition by hash(`id`) tbpartition by hash(`local`) tbpartitions 4",
            "TTL = TTL_DEFINITION ( TTL_ENABLE = 'OFF' )\nPARTITION BY KEY(`id`)",
            "LOCAL PARTITION BY RANGE (d) INTERVAL 1 MONTH",
        ] {
            assert_eq!(for_mysql(&format!("{printed}{tail}")).unwrap(), mysql, "{tail}");
        }
        assert_eq!(for_mysql(mysql).unwrap(), mysql);
        assert!(for_mysql("CREATE TABLE t").is_err());
    }
}
