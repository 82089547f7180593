//! QUERY events: a statement as text, and the session variables that affect it.

use super::fields::Reader;
use crate::binlog::error::StreamError;
use crate::schema::SessionCollations;

/// A statement in the binlog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) thread_id: u32,
    pub(crate) status: &'a [u8],
    pub(crate) database: &'a [u8],
    pub(crate) text: &'a [u8],
}

/// Reads a QUERY event, or an EXECUTE_LOAD_QUERY event if `load` is true. An EXECUTE_LOAD_QUERY has a longer post-header.
pub(crate) fn read_query(body: &[u8], load: bool) -> Result<Query<'_>, StreamError> {
    let mut reader = Reader::new(body);
    let thread_id = reader.u32()?;
    let _seconds = reader.u32()?;
    let database_length = reader.u8()?;
    let _error = reader.u16()?;
    let status_length = reader.u16()?;
    if load {
        reader.take(13)?;
    }
    let status = reader.take(status_length.into())?;
    let database = reader.take(database_length.into())?;
    reader.u8()?;
    Ok(Query { thread_id, status, database, text: reader.rest() })
}

/// The session variables that are logged with a statement and that the connector uses. `None` means that a variable was not logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionVariables {
    pub(crate) flags2: Option<u32>,
    pub(crate) sql_mode: Option<u64>,
    /// The collation numbers of the client, of the connection and of the server.
    pub(crate) charset: Option<[u16; 3]>,
    /// The number of the collation that MySQL 8 gives to texts in utf8mb4.
    pub(crate) utf8mb4: Option<u16>,
    /// The numbers of the collations that MariaDB 11 gives to texts in a character set: one of the character set, and the other.
    pub(crate) defaults: Vec<[u16; 2]>,
    pub(crate) time_zone: Option<String>,
    pub(crate) explicit_timestamps: Option<bool>,
}

impl SessionVariables {
    /// Reads the variables up to the first unknown code. The rest is not needed: variables are ordered by their codes, and servers add new
    /// codes at the end. Only the default collations of MariaDB 11 come before others.
    pub(crate) fn read(status: &[u8]) -> Result<Self, StreamError> {
        let mut variables = Self::default();
        let mut reader = Reader::new(status);
        while !reader.is_empty() {
            match reader.u8()? {
                0 => variables.flags2 = Some(reader.u32()?),
                1 => variables.sql_mode = Some(reader.u64()?),
                2 => {
                    let length = reader.u8()?;
                    reader.take(usize::from(length) + 1)?;
                }
                3 => _ = reader.u32()?,
                4 => variables.charset = Some([reader.u16()?, reader.u16()?, reader.u16()?]),
                5 => {
                    let length = reader.u8()?;
                    variables.time_zone = Some(String::from_utf8_lossy(reader.take(length.into())?).into_owned());
                }
                6 => skip_text(&mut reader)?,
                7 | 8 => _ = reader.u16()?,
                9 => _ = reader.u64()?,
                10 => _ = reader.u32()?,
                11 => {
                    skip_text(&mut reader)?;
                    skip_text(&mut reader)?;
                }
                12 => {
                    let count = reader.u8()?;
                    // The count 254 means that the statement used too many databases to list.
                    for _ in 0..if count == 254 { 0 } else { count } {
                        while reader.u8()? != 0 {}
                    }
                }
                13 => _ = reader.u24()?,
                16 => variables.explicit_timestamps = Some(reader.u8()? != 0),
                17 => _ = reader.u64()?,
                18 => variables.utf8mb4 = Some(reader.u16()?),
                19 | 20 => _ = reader.u8()?,
                131 => {
                    for _ in 0..reader.u8()? {
                        variables.defaults.push([reader.u16()?, reader.u16()?]);
                    }
                }
                _ => break,
            }
        }
        Ok(variables)
    }

    /// The collations of the session.
    pub(crate) fn collations(&self) -> SessionCollations<'_> {
        SessionCollations { server: self.charset.map(|[.., server]| server), utf8mb4: self.utf8mb4, defaults: &self.defaults }
    }

    /// The variables with the names that DTS gives them.
    pub(crate) fn named(&self) -> Vec<(&'static str, String)> {
        let mut named = Vec::new();
        if let Some(flags) = self.flags2 {
            named.push(("Q_FLAGS2_CODE", flags.to_string()));
        }
        if let Some(mode) = self.sql_mode {
            named.push(("Q_SQL_MODE_CODE", mode.to_string()));
        }
        if let Some([client, connection, server]) = self.charset {
            named.push(("Q_CHARSET_CODE", format!("{client},{connection},{server}")));
        }
        if let Some(zone) = &self.time_zone {
            named.push(("Q_TIME_ZONE_CODE", zone.clone()));
        }
        named
    }
}

fn skip_text(reader: &mut Reader<'_>) -> Result<(), StreamError> {
    let length = reader.u8()?;
    reader.take(length.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collations_of_a_session_are_read_wherever_they_stand() {
        let charset = [4, 45, 0, 45, 0, 8, 0];
        let mysql = [&[0, 1, 0, 0, 0][..], &charset, &[18, 255, 0]].concat();
        let read = SessionVariables::read(&mysql).unwrap();
        assert_eq!((read.charset, read.collations().server, read.collations().utf8mb4), (Some([45, 45, 8]), Some(8), Some(255)));
        // MariaDB 11.5 and later write their default collations first.
        let mariadb = [&[0, 1, 0, 0, 0, 131, 2, 33, 0, 0, 8, 45, 0, 0, 9][..], &charset, &[128, 1, 2, 3]].concat();
        let read = SessionVariables::read(&mariadb).unwrap();
        assert_eq!((read.charset, read.collations().defaults), (Some([45, 45, 8]), &[[33, 2_048], [45, 2_304]][..]));
        assert!(SessionVariables::read(&mariadb[..12]).is_err());
    }
}
