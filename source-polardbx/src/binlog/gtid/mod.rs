//! Sets of transactions by their GTIDs: what a task has delivered, what a server has executed, and what it has purged.
//!
//! `catch_up` says which transactions are passed over on a server that took over. `mysql` holds sets of numbers per server, as MySQL prints them. `mariadb` holds the last transaction of each domain, because the
//! transactions of a domain follow one another.

mod catch_up;
mod mariadb;
mod mysql;

use std::fmt;

use super::event::Gtid;
pub use catch_up::CatchUp;
pub(crate) use mariadb::{DomainStates, Domains};
pub(crate) use mysql::MySqlSet;

/// What stands before the set in its text within a position.
const MYSQL: &str = "mysql/";
const MARIADB: &str = "mariadb/";

/// The transactions that a task has delivered, or that come before its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GtidSet {
    /// Numbers per server.
    MySql(MySqlSet),
    /// The last transaction of each domain.
    MariaDb(Domains),
}

impl GtidSet {
    /// Reads the text of a set as the kind of server writes it. `None` if it is no such set.
    pub(crate) fn parse(text: &str, mariadb: bool) -> Option<Self> {
        if mariadb { Domains::parse(text).map(Self::MariaDb) } else { MySqlSet::parse(text).map(Self::MySql) }
    }

    /// Reads what [`GtidSet::stored`] has written.
    pub(crate) fn read_stored(text: &str) -> Option<Self> {
        match text.strip_prefix(MARIADB) {
            Some(set) => Self::parse(set, true),
            None => Self::parse(text.strip_prefix(MYSQL)?, false),
        }
    }

    /// The text of the set within a position, which says of which kind it is.
    pub(crate) fn stored(&self) -> String {
        let kind = if matches!(self, Self::MariaDb(_)) { MARIADB } else { MYSQL };
        format!("{kind}{self}")
    }

    /// Adds the transaction that was read last. Returns whether it belongs to a set of this kind.
    pub(crate) fn add(&mut self, gtid: Gtid) -> bool {
        match (self, gtid) {
            (Self::MySql(set), Gtid::MySql { uuid, number }) => set.insert(uuid, number),
            (Self::MariaDb(domains), Gtid::MariaDb { domain, server, number }) => domains.set(domain, server, number),
            _ => return false,
        }
        true
    }

    /// Whether all transactions of another set are in this one. Of MariaDB's, by the numbers of the last ones of its domains.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MySql(set), Self::MySql(other)) => other.minus(set).is_empty(),
            (Self::MariaDb(domains), Self::MariaDb(other)) => other.are_before(domains),
            _ => false,
        }
    }

    /// Whether a transaction is in the set. Of MariaDB's, those that come before the last one of their domain, by their numbers.
    pub(crate) fn contains(&self, gtid: Gtid) -> bool {
        match (self, gtid) {
            (Self::MySql(set), Gtid::MySql { uuid, number }) => set.contains(uuid, number),
            (Self::MariaDb(domains), Gtid::MariaDb { domain, number, .. }) => domains.get(domain).is_some_and(|(_, last)| number <= last),
            _ => false,
        }
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(set) => set.fmt(f),
            Self::MariaDb(domains) => domains.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_says_of_which_kind_it_is() {
        for text in ["mysql/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7", "mysql/", "mariadb/0-1-5,1-2-7", "mariadb/"] {
            assert_eq!(GtidSet::read_stored(text).unwrap().stored(), text);
        }
        for text in ["", "0-1-5", "mysql/0-1-5", "mariadb/3e11fa47-71ca-11e1-9e33-c80aa9429562:1"] {
            assert_eq!(GtidSet::read_stored(text), None, "{text}");
        }
    }

    #[test]
    fn transactions_of_another_kind_are_not_added() {
        let mut set = GtidSet::parse("0-1-5", true).unwrap();
        assert!(set.contains(Gtid::MariaDb { domain: 0, server: 9, number: 5 }));
        assert!(!set.contains(Gtid::MariaDb { domain: 0, server: 1, number: 6 }));
        assert!(!set.contains(Gtid::MariaDb { domain: 1, server: 1, number: 1 }));
        assert!(!set.add(Gtid::MySql { uuid: 1, number: 1 }));
        assert!(set.add(Gtid::MariaDb { domain: 0, server: 2, number: 6 }));
        assert_eq!(set.to_string(), "0-2-6");
    }
}
