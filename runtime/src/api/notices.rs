//! Notices: what plugins say of single tables that the owner of the task should know.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::escape::escape;
use super::metrics::{Counter, Metrics};
use super::schema::TableId;
use crate::sync::lock;

/// The number of tables whose notices are kept.
const MAX_TABLES: usize = 100;

/// What a plugin says of a table, such as that the order of its records starts anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// The table, under the name that the plugin knows.
    pub table: TableId,
    /// What the plugin says: a sentence without a full stop, in which names of others are escaped ([`crate::Escaped`]).
    pub what: String,
    /// When it was said, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// Where plugins say such things. Clones share everything.
#[derive(Clone)]
pub struct Notices {
    kept: Arc<Mutex<Vec<Notice>>>,
    count: Counter,
}

impl Notices {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self { kept: Arc::default(), count: metrics.counter("notices", "Warnings about single tables.") }
    }

    /// Logs a warning about a table, and keeps it for the status. The newest of each table is kept, for the 100 tables with the newest ones.
    pub fn warn(&self, table: &TableId, what: impl Into<String>) {
        let what = escape(what.into()).into_owned();
        tracing::warn!(%table, "{what}");
        self.count.add(1);
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let mut kept = lock(&self.kept);
        kept.retain(|notice| notice.table != *table);
        if kept.len() >= MAX_TABLES {
            kept.remove(0);
        }
        kept.push(Notice { table: table.clone(), what, at_ms });
    }

    /// The notices that are kept, the newest last.
    pub fn list(&self) -> Vec<Notice> {
        lock(&self.kept).clone()
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_notice_of_each_of_the_last_tables_is_kept() {
        let metrics = Metrics::default();
        let notices = Notices::new(&metrics);
        let table = |number: usize| TableId::new("shop", format!("t{number:03}"));
        for number in 0..MAX_TABLES + 5 {
            notices.warn(&table(number), format!("first of {number}"));
        }
        notices.clone().warn(&table(50), "second");
        let kept = notices.list();
        assert_eq!((kept.len(), metrics.values()["notices"]), (MAX_TABLES, MAX_TABLES as i64 + 6));
        assert_eq!((&kept[0].table, kept[0].what.as_str()), (&table(5), "first of 5"));
        let last = kept.last().unwrap();
        assert!(last.table == table(50) && last.what == "second" && last.at_ms > 0, "{last:?}");
        assert_eq!(kept.iter().filter(|notice| notice.table == table(50)).count(), 1);
    }
}
