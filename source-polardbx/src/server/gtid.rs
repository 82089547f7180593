//! Asks the server for the transactions that it has, by their GTIDs.

use super::Server;
use crate::binlog::gtid::{DomainStates, Domains, GtidSet, MySqlSet};
use crate::binlog::{Beginning, BinlogCoordinates, FileGtids, FileOffset, Gtid, Passed, ScanError, read_head, walk};
use crate::error::{Result, SourceError};
use crate::session::{Endpoint, Session, literal};

/// The transactions that a server has executed, and of MySQL those whose binlog it does not have.
#[derive(Clone, Debug)]
pub(crate) enum ServerGtids {
    MySql { executed: MySqlSet, purged: MySqlSet },
    MariaDb { executed: DomainStates },
}

impl ServerGtids {
    /// Asks the server. `None` if it does not give every transaction a GTID.
    pub(crate) async fn ask(session: &mut Session, server: &Server) -> Result<Option<Self>> {
        const DOING: &str = "ask the server for its GTIDs";
        let unread = |what: &str, text: &str| SourceError::answer(DOING, format!("{what} is {text:?}"));
        if server.is_polardbx() {
            return Ok(None);
        }
        if server.kind.is_mariadb() {
            let rows = session.rows(DOING, "SELECT @@GLOBAL.gtid_binlog_state").await?;
            let text = rows.first().and_then(|row| row.text(0)).unwrap_or_default();
            let executed = DomainStates::parse(&text).ok_or_else(|| unread("gtid_binlog_state", &text))?;
            return Ok(Some(Self::MariaDb { executed }));
        }
        let rows = session.rows(DOING, "SELECT @@GLOBAL.gtid_mode, @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged").await?;
        let text = |index| rows.first().and_then(|row| row.text(index)).unwrap_or_default();
        if !text(0).eq_ignore_ascii_case("ON") {
            return Ok(None);
        }
        let set = |what: &str, text: String| MySqlSet::parse(&text).ok_or_else(|| unread(what, &text));
        Ok(Some(Self::MySql { executed: set("gtid_executed", text(1))?, purged: set("gtid_purged", text(2))? }))
    }

    /// The transactions of `set` that the server lacks, as a text for people; `None` if it has all. The text is that of the kinds if they
    /// differ.
    pub(crate) fn missing(&self, set: &GtidSet) -> Option<String> {
        match (self, set) {
            (Self::MySql { executed, .. }, GtidSet::MySql(set)) => {
                let missing = set.minus(executed);
                (!missing.is_empty()).then(|| missing.to_string())
            }
            (Self::MariaDb { executed }, GtidSet::MariaDb(domains)) => domains.missing_in(executed),
            _ => Some(set.to_string()),
        }
    }

    /// The transactions outside `set` whose binlog the server does not have, as far as it knows them without looking at its files.
    pub(crate) fn purged_behind(&self, set: &GtidSet) -> Option<String> {
        match (self, set) {
            (Self::MySql { purged, .. }, GtidSet::MySql(set)) => {
                let gap = purged.minus(set);
                (!gap.is_empty()).then(|| gap.to_string())
            }
            _ => None,
        }
    }
}

/// The transactions before a position, if the server gives every transaction a GTID.
pub(crate) async fn gtids_before(
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    at: &BinlogCoordinates,
) -> Result<Option<GtidSet>> {
    const DOING: &str = "find the GTIDs before the start of the stream";
    let Some(gtids) = ServerGtids::ask(session, server).await? else { return Ok(None) };
    let ServerGtids::MySql { purged, .. } = gtids else {
        let statement = format!("SELECT BINLOG_GTID_POS({}, {})", literal(&at.file_name()), at.at.offset);
        let rows = session.rows(DOING, statement).await?;
        return Ok(rows.first().and_then(|row| row.text(0)).and_then(|text| Domains::parse(&text)).map(GtidSet::MariaDb));
    };
    let scanned = async {
        let FileGtids::MySql(mut set) = read_head(endpoint, &at.base, at.at.file).await?.gtids else { return Ok(None) };
        let from = FileOffset::new(at.at.file, FileOffset::FIRST);
        let tagged = walk(endpoint, &at.base, from, at.at, |passed: &Passed<'_>| {
            match passed.beginning()? {
                Some(Beginning::Gtid(Gtid::MySql { uuid, number })) => set.insert(uuid, number),
                Some(Beginning::Tagged) => return Ok(Some(())),
                Some(Beginning::Gtid(_) | Beginning::Anonymous) | None => {}
            }
            Ok(None)
        });
        let is_known = tagged.await?.is_none();
        Ok(is_known.then_some(set))
    };
    let set = scanned.await.map_err(|error: ScanError| error.into_source(&at.base, DOING))?;
    Ok(set.map(|mut set| {
        // What the server got otherwise than by its binlog comes before everything in it.
        set.extend(&purged);
        GtidSet::MySql(set)
    }))
}
