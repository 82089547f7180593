//! Checks whether the binlog holds every change of the selected tables.

use runtime::{Finding, TableId};

use crate::error::Result;
use crate::selection::Selection;
use crate::server::{BinlogFilters, Server, binlog_filters};
use crate::session::{Session, named, nth};

/// Findings for what keeps changes of selected tables out of the binlog. There is none if nothing does.
pub(crate) async fn completeness(session: &mut Session, server: &Server, selection: &Selection) -> Result<Vec<Finding>> {
    let filters = binlog_filters(session, server).await?;
    let mut databases: Vec<String> = selection.literals().map(|table| table.database.to_string()).collect();
    for row in session.rows("list the databases", "SHOW DATABASES").await? {
        databases.extend(nth(&row, 0).filter(|name| selection.may_select_from(name)));
    }
    databases.sort();
    databases.dedup();
    let mut found = Vec::from_iter(filtered(&filters, &databases));
    found.extend(upstream(session, server).await?);
    Ok(found)
}

/// A failed finding if `binlog_do_db` or `binlog_ignore_db` of the server hides one of the databases.
fn filtered(filters: &BinlogFilters, databases: &[String]) -> Option<Finding> {
    let hidden: Vec<&str> = databases.iter().map(String::as_str).filter(|database| filters.hide(database)).collect();
    (!hidden.is_empty()).then(|| {
        Finding::failed(
            "binlog_filters",
            format!("the server does not write changes of {} into its binlog ({filters})", hidden.join(", ")),
            "remove binlog_do_db and binlog_ignore_db from the server's option file and restart it",
        )
    })
}

/// A finding for a server that is a replica and does not write the changes of its own source into its binlog.
async fn upstream(session: &mut Session, server: &Server) -> Result<Option<Finding>> {
    const ITEM: &str = "log_replica_updates";
    const HELP: &str = "read from its source, or start the server with --log-slave-updates (--log-replica-updates); if it is no replica, RESET \
                        SLAVE ALL";
    if server.logs_replicated_changes() {
        return Ok(None);
    }
    let statements = if server.kind.is_mariadb() { ["SHOW ALL SLAVES STATUS"; 2] } else { ["SHOW SLAVE STATUS", "SHOW REPLICA STATUS"] };
    match session.rows_either(statements, |statement| format!("ask whether the server is a replica ({statement})")).await {
        Ok(rows) if rows.is_empty() => Ok(None),
        Ok(_) => Ok(Some(Finding::failed(ITEM, "the server is a replica and does not write replicated changes into its binlog", HELP))),
        Err(error) if error.code() == Some(1227) => Ok(Some(Finding::warning(
            ITEM,
            "replicated changes are not written into the binlog, and the account may not see whether the server is a replica",
            "if the server is a replica, start it with --log-slave-updates (--log-replica-updates)",
        ))),
        Err(error) => Err(error),
    }
}

/// A warning for selected tables whose rows are changed by foreign keys. The storage engine makes these changes, so they are not logged.
pub(crate) async fn cascades(session: &mut Session, selection: &Selection) -> Result<Option<Finding>> {
    const SQL: &str = "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS \
                       WHERE DELETE_RULE IN ('CASCADE', 'SET NULL') OR UPDATE_RULE IN ('CASCADE', 'SET NULL')";
    let rows = session.rows("list the foreign keys", SQL).await?;
    let text = |row, name| named(row, name).unwrap_or_default();
    let mut children: Vec<String> = rows
        .iter()
        .map(|row| (TableId::new(text(row, "CONSTRAINT_SCHEMA"), text(row, "TABLE_NAME")), row))
        .filter(|(table, _)| selection.selects(table))
        .map(|(table, row)| format!("{table} (ON DELETE {}, ON UPDATE {})", text(row, "DELETE_RULE"), text(row, "UPDATE_RULE")))
        .collect();
    children.sort();
    children.dedup();
    Ok((!children.is_empty()).then(|| {
        Finding::warning(
            "foreign_keys",
            format!("changes that a foreign key makes are not in the binlog, and so are not delivered: {}", children.join(", ")),
            "change the rows of these tables by statements of their own, or exclude the tables",
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_that_are_not_logged_are_named() {
        let databases = ["crm".to_owned(), "shop".to_owned()];
        let found = |logged: &str, ignored: &str| filtered(&BinlogFilters::new(logged, ignored, false), &databases).map(|found| found.what);
        assert_eq!(found("", ""), None);
        assert_eq!(found("shop,crm", ""), None);
        assert_eq!(found("", "other"), None);
        let what = found("x,shop", "").unwrap();
        assert!(what.contains("changes of crm into") && what.contains("binlog_do_db=x,shop"), "{what}");
        assert!(found("x", "").unwrap().contains("crm, shop"));
        assert!(found("", "a,shop").unwrap().contains("changes of shop into"));
        assert!(BinlogFilters::new("Shop", "", false).hide("shop") && !BinlogFilters::new("Shop", "", true).hide("shop"));
    }
}
