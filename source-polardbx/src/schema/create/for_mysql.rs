//! The text of PolarDB-X's SHOW CREATE TABLE without what MySQL does not know.

use super::rewrite::{Definition, Definitions, is_word};
use crate::schema::ReadError;
use crate::schema::lexer::Token;

/// First words of the clauses behind the columns that only PolarDB-X has. Everything behind them is of the same kind.
const CLAUSES: [&str; 8] = ["PARTITION", "DBPARTITION", "TBPARTITION", "BROADCAST", "SINGLE", "TABLEGROUP", "LOCALITY", "TTL"];

/// Returns the text for MySQL: without partitions, table groups and columnar indexes. Global indexes become ordinary ones.
pub(crate) fn for_mysql(statement: &str) -> Result<String, ReadError> {
    let definitions = Definitions::read(statement)?;
    let rest = definitions.rest();
    let begins = |index: &usize| {
        let two = |first: &str, second: &str| is_word(rest, *index, first) && is_word(rest, index + 1, second);
        let is_value = *index > 0 && rest.get(index - 1).is_some_and(|before| before.token == Token::Symbol('='));
        !is_value && (CLAUSES.iter().any(|word| is_word(rest, *index, word)) || two("LOCAL", "PARTITION") || two("WITH", "TABLEGROUP"))
    };
    let end = (0..rest.len()).find(begins).and_then(|index| rest.get(index)).map_or(statement.len(), |lexeme| lexeme.start);
    Ok(definitions.rewritten(end, of_mysql).trim_end().to_owned())
}

/// A definition as MySQL knows it; `None` for an index that MySQL does not have.
fn of_mysql(definition: &Definition<'_, '_>) -> Option<String> {
    let at = usize::from(definition.is(0, "UNIQUE"));
    if ["CLUSTERED", "COLUMNAR", "VECTOR"].iter().any(|word| definition.is(at, word)) && is_key(definition, at + 1) {
        return None;
    }
    if definition.is(at, "LOCAL") && is_key(definition, at + 1) {
        return Some(definition.without(definition.offset(at)..definition.offset(at + 1)));
    }
    if definition.is(at, "GLOBAL") && is_key(definition, at + 1) {
        // Behind its columns come the columns that it covers, and its partitions.
        let close = definition.lexemes.iter().position(|lexeme| lexeme.token == Token::Symbol(')'));
        let key = definition.without(definition.offset(at)..definition.offset(at + 1));
        let cut = definition.text.len() - close.map_or(0, |close| definition.offset(close) + 1);
        return Some(key.get(..key.len().saturating_sub(cut)).unwrap_or_default().to_owned());
    }
    Some(definition.text.to_owned())
}

fn is_key(definition: &Definition<'_, '_>, at: usize) -> bool {
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
