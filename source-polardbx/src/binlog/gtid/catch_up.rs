//! The beginning of a stream in which some transactions are passed over, by their GTIDs.

use super::GtidSet;
use crate::binlog::event::Gtid;
use crate::binlog::position::FileOffset;

/// The transactions that are passed over at the beginning of a stream, because they were delivered from another server or are not wanted.
///
/// Servers of a replication may write transactions in different orders, so transactions that are not passed over may come between those that
/// are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// All transactions that are passed over come before this position.
    pub until: FileOffset,
    /// The transactions that are passed over. Of MariaDB's, the last ones of the domains in which more of them come.
    pub passed: GtidSet,
}

impl CatchUp {
    /// Decides whether a transaction is passed over. `None` is one without a GTID, or with one that cannot be compared. The error says why it
    /// cannot be decided.
    pub(crate) fn passes_over(&self, gtid: Option<Gtid>) -> Result<bool, String> {
        match (gtid, &self.passed) {
            (Some(gtid @ Gtid::MySql { .. }), GtidSet::MySql(_)) => Ok(self.passed.contains(gtid)),
            (Some(Gtid::MariaDb { domain, server, number }), GtidSet::MariaDb(domains)) => match domains.get(domain) {
                None => Ok(false),
                Some((of, last)) if number > last => {
                    Err(format!("{domain}-{of}-{last} should come next in its domain, and the server has {domain}-{server}-{number}"))
                }
                Some(_) => Ok(true),
            },
            _ => Err("a transaction has no GTID by which one could tell whether it was delivered".to_owned()),
        }
    }

    /// Notes a transaction that was passed over.
    pub(crate) fn note_passed(&mut self, gtid: Option<Gtid>) {
        if let (GtidSet::MariaDb(domains), Some(Gtid::MariaDb { domain, server, number })) = (&mut self.passed, gtid)
            && domains.get(domain) == Some((server, number))
        {
            domains.remove(domain);
        }
    }

    /// Whether all transactions before `at` are behind. The error names those that did not come.
    pub(crate) fn is_over(&self, at: FileOffset) -> Result<bool, String> {
        match &self.passed {
            _ if at < self.until => Ok(false),
            GtidSet::MariaDb(domains) if !domains.is_empty() => Err(format!("{domains} did not come before {}", self.until)),
            _ => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mariadb(domain: u32, server: u32, number: u64) -> Option<Gtid> {
        Some(Gtid::MariaDb { domain, server, number })
    }

    fn catch_up(passed: &str, is_mariadb: bool) -> CatchUp {
        CatchUp { until: FileOffset::new(3, 500), passed: GtidSet::parse(passed, is_mariadb).unwrap() }
    }

    #[test]
    fn a_domain_is_passed_over_up_to_its_last_transaction() {
        let mut of = catch_up("0-1-7", true);
        assert_eq!(of.passes_over(mariadb(1, 1, 1)), Ok(false), "another domain");
        for number in [5, 7] {
            assert_eq!(of.passes_over(mariadb(0, 1, number)), Ok(true));
            assert!(of.is_over(FileOffset::new(3, 499)) == Ok(false) && of.is_over(FileOffset::new(3, 500)).is_err());
            of.note_passed(mariadb(0, 1, number));
        }
        assert_eq!(of.passes_over(mariadb(0, 2, 8)), Ok(false));
        assert_eq!(of.is_over(FileOffset::new(3, 500)), Ok(true));
        let error = catch_up("0-1-7", true).passes_over(mariadb(0, 2, 8)).unwrap_err();
        assert!(error.contains("0-1-7") && error.contains("0-2-8"), "{error}");
    }

    #[test]
    fn transactions_of_mysql_are_passed_over_in_any_order() {
        let of = catch_up("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7", false);
        let uuid = 0x3e11fa47_71ca_11e1_9e33_c80aa9429562;
        for (number, passes) in [(7, true), (6, false), (1, true), (8, false)] {
            assert_eq!(of.passes_over(Some(Gtid::MySql { uuid, number })), Ok(passes));
        }
        assert_eq!(of.is_over(FileOffset::new(4, 4)), Ok(true));
        assert!(of.passes_over(None).is_err() && of.passes_over(mariadb(0, 1, 1)).is_err());
    }
}
