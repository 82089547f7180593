//! Checks whether the binlog holds every change of the selected tables.

use runtime::{Finding, TableId};

use crate::error::Result;
use crate::schema::foreign_key_actions;
use crate::selection::Selection;
use crate::server::{BinlogFilters, Server, binlog_filters};
use crate::session::Session;

/// Findings for what keeps changes of selected tables out of the binlog. There is none if nothing does.
pub(crate) async fn completeness(session: &mut Session, server: &Server, selection: &Selection) -> Result<Vec<Finding>> {
    let filters = binlog_filters(session, server).await?;
    let mut databases: Vec<String> = selection.literals().map(|table| table.database.to_string()).collect();
    for row in session.rows("list the databases", "SHOW DATABASES").await? {
        databases.extend(row.text(0).filter(|name| selection.may_select_from(name)));
    }
    databases.sort();
    databases.dedup();
    let mut found = Vec::from_iter(filtered(&filters, &databases));
    found.extend(upstream(session, server).await?);
    Ok(found)
}

/// A failed finding if `binlog_do_db` or `binlog_ignore_db` of the server hides one of the databases. Otherwise a warning if they are set: by
/// them the server judges a DDL statement by the default database of its session, not by its table.
fn filtered(filters: &BinlogFilters, databases: &[String]) -> Option<Finding> {
    const ITEM: &str = "binlog_filters";
    const HELP: &str = "remove binlog_do_db and binlog_ignore_db from the server's option file and restart it";
    let hidden: Vec<&str> = databases.iter().map(String::as_str).filter(|database| filters.hide(database)).collect();
    if !hidden.is_empty() {
        let what = format!("the server does not write changes of {} into its binlog ({filters})", hidden.join(", "));
        return Some(Finding::failed(ITEM, what, HELP));
    }
    (!filters.is_empty()).then(|| {
        let what = format!("a DDL statement is not in the binlog if its session's default database is left out ({filters})");
        Finding::warning(ITEM, what, HELP)
    })
}

/// A finding for a server that is a replica and does not write the changes of its own source into its binlog.
async fn upstream(session: &mut Session, server: &Server) -> Result<Option<Finding>> {
    const ITEM: &str = "log_replica_updates";
    const WHAT: &str = "the server is a replica and does not write replicated changes into its binlog";
    const HELP: &str = "read from its source, or start the server with --log-slave-updates (--log-replica-updates); if it is no replica, RESET \
                        SLAVE ALL";
    if server.logs_replicated_changes() || server.is_polardbx() {
        return Ok(None);
    }
    let statements = if server.kind.is_mariadb() { ["SHOW ALL SLAVES STATUS"; 2] } else { ["SHOW SLAVE STATUS", "SHOW REPLICA STATUS"] };
    match session.rows_either(statements, |statement| format!("ask whether the server is a replica ({statement})")).await {
        Ok(rows) if rows.is_empty() => Ok(None),
        Ok(_) => Ok(Some(Finding::failed(ITEM, WHAT, HELP))),
        Err(error) if error.code() == Some(1227) && replicates(session).await? => Ok(Some(Finding::failed(ITEM, WHAT, HELP))),
        Err(error) if error.code() == Some(1227) => Ok(Some(Finding::warning(
            ITEM,
            "replicated changes are not written into the binlog, and the account may not see whether the server is a replica",
            "if the server is a replica, start it with --log-slave-updates (--log-replica-updates)",
        ))),
        Err(error) => Err(error),
    }
}

/// Whether the server replicates at this moment. MariaDB tells every account.
async fn replicates(session: &mut Session) -> Result<bool> {
    let rows = session.rows("ask whether the server replicates", "SHOW GLOBAL STATUS LIKE 'Slaves_running'").await?;
    Ok(rows.first().and_then(|row| row.text(1)).is_some_and(|count| count != "0"))
}

/// A warning for tables whose rows are changed by foreign keys. The storage engine makes these changes, so they are not logged. `tables` are
/// tables with their SHOW CREATE TABLE, which every account sees that may read the table.
pub(crate) fn cascades<'a>(tables: impl IntoIterator<Item = (&'a TableId, &'a str)>) -> Option<Finding> {
    cascades_among(tables, "changes that a foreign key makes are not in the binlog, and so are not delivered")
}

/// Like [`cascades`], for PolarDB-X, whose compute nodes make most of these changes themselves.
pub(super) fn cascades_of_polardbx<'a>(tables: impl IntoIterator<Item = (&'a TableId, &'a str)>) -> Option<Finding> {
    cascades_among(tables, "changes that a foreign key makes inside a data node are not in the binlog, and so are not delivered")
}

fn cascades_among<'a>(tables: impl IntoIterator<Item = (&'a TableId, &'a str)>, what: &str) -> Option<Finding> {
    let children: Vec<String> = tables
        .into_iter()
        // A definition that cannot be read is reported elsewhere.
        .map(|(table, ddl)| (table, Vec::from_iter(foreign_key_actions(ddl).unwrap_or_default())))
        .filter(|(_, actions)| !actions.is_empty())
        .map(|(table, actions)| format!("{table} ({})", actions.join(", ")))
        .collect();
    (!children.is_empty()).then(|| {
        Finding::warning(
            "foreign_keys",
            format!("{what}: {}", children.join(", ")),
            "change the rows of these tables by statements of their own, or exclude the tables",
        )
    })
}

#[cfg(test)]
mod tests {
    use runtime::Level;

    use super::*;

    #[test]
    fn foreign_keys_that_change_rows_are_named() {
        let (table, other) = (TableId::new("shop", "items"), TableId::new("shop", "other"));
        let ddl = "CREATE TABLE items (id INT PRIMARY KEY, o INT, CONSTRAINT f FOREIGN KEY (o) REFERENCES orders (id) ON DELETE CASCADE)";
        let tables = [(&table, ddl), (&other, "CREATE TABLE other (id INT PRIMARY KEY)")];
        let (mysql, polardbx) = (cascades(tables).unwrap(), cascades_of_polardbx(tables).unwrap());
        for finding in [&mysql, &polardbx] {
            assert!(finding.level == Level::Warning && finding.what.ends_with("shop.items (ON DELETE CASCADE)"), "{}", finding.what);
        }
        assert!(!mysql.what.contains("data node") && polardbx.what.contains("inside a data node"));
        assert!(cascades_of_polardbx([tables[1]]).is_none());
    }

    #[test]
    fn databases_that_are_not_logged_are_named() {
        let databases = ["crm".to_owned(), "shop".to_owned()];
        let finding = |logged: &str, ignored: &str| filtered(&BinlogFilters::new(logged, ignored, false), &databases);
        let found = |logged: &str, ignored: &str| finding(logged, ignored).map(|found| found.what);
        assert_eq!(found("", ""), None);
        for (logged, ignored) in [("shop,crm", ""), ("", "other")] {
            let warning = finding(logged, ignored).unwrap();
            assert!(warning.level == Level::Warning && warning.what.contains("default database"), "{}", warning.what);
        }
        let what = found("x,shop", "").unwrap();
        assert!(what.contains("changes of crm into") && what.contains("binlog_do_db=x,shop"), "{what}");
        assert!(found("x", "").unwrap().contains("crm, shop"));
        assert!(found("", "a,shop").unwrap().contains("changes of shop into"));
        assert!(BinlogFilters::new("Shop", "", false).hide("shop") && !BinlogFilters::new("Shop", "", true).hide("shop"));
    }
}
