//! GTIDs of MariaDB. The transactions of a domain follow one another, so the last one of each domain says which come before it. A server also
//! knows the last one of each other server in a domain.

use std::collections::BTreeMap;
use std::fmt;

use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

/// The last transaction of each domain: the server that executed it first, and its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains(BTreeMap<u32, (u32, u64)>);

/// The last transaction of each server in a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DomainState {
    servers: BTreeMap<u32, u64>,
    /// The server and the number of the newest of them. `None` if that is not known.
    newest: Option<(u32, u64)>,
}

/// The state of a binlog, at its end or at the beginning of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DomainStates(BTreeMap<u32, DomainState>);

impl Domains {
    /// Reads a text such as `0-1-100,1-1-5`. `None` if it is no such text, or names a domain twice.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut domains = Self::default();
        for (domain, server, number) in parse_list(text)? {
            if domains.0.insert(domain, (server, number)).is_some() {
                return None;
            }
        }
        Some(domains)
    }

    /// The last transaction of a domain.
    pub(crate) fn get(&self, domain: u32) -> Option<(u32, u64)> {
        self.0.get(&domain).copied()
    }

    /// Sets the last transaction of a domain.
    pub(crate) fn set(&mut self, domain: u32, server: u32, number: u64) {
        self.0.insert(domain, (server, number));
    }

    /// Whether the last transaction of each domain is not behind the last one of the same domain there, by their numbers.
    pub(crate) fn are_before(&self, other: &Self) -> bool {
        self.0.iter().all(|(domain, (_, number))| other.get(*domain).is_some_and(|(_, last)| *number <= last))
    }

    /// Removes a domain.
    pub(crate) fn remove(&mut self, domain: u32) {
        self.0.remove(&domain);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The transactions that a binlog in this state lacks, as a text for people; `None` if it has all.
    pub(crate) fn missing_in(&self, state: &DomainStates) -> Option<String> {
        let missing = self.0.iter().filter_map(|(domain, (server, number))| {
            let known = state.0.get(domain).and_then(|state| state.servers.get(server)).copied();
            match known {
                Some(known) if known >= *number => None,
                Some(known) if known + 1 == *number => Some(format!("{domain}-{server}-{number}")),
                known => Some(format!("{domain}-{server}-{} to {domain}-{server}-{number}", known.unwrap_or(0) + 1)),
            }
        });
        let missing: Vec<String> = missing.collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }

    /// The transactions behind these that come before the state at the beginning of a file, as a text for people; `None` if there are none.
    pub(crate) fn passed_by(&self, state: &DomainStates) -> Option<String> {
        let passed = state.0.iter().filter_map(|(domain, state)| {
            let Some((server, number)) = self.get(*domain) else {
                return Some(format!("all of domain {domain} up to {}", state.text(*domain)));
            };
            let is_before = match state.servers.get(&server) {
                None => true,
                Some(last) if *last == number => state.newest == Some((server, number)),
                Some(last) => *last < number,
            };
            (!is_before).then(|| format!("those behind {domain}-{server}-{number} up to {}", state.text(*domain)))
        });
        let passed: Vec<String> = passed.collect();
        (!passed.is_empty()).then(|| passed.join(", "))
    }

    /// The domains whose last transaction is not the newest one in the state at the beginning of a file. So it comes in this file or a later
    /// one.
    pub(crate) fn not_reached_in(&self, state: &DomainStates) -> Self {
        let is_reached = |domain: &u32, last: (u32, u64)| state.0.get(domain).is_some_and(|state| state.newest == Some(last));
        Self(self.0.iter().filter(|(domain, last)| !is_reached(domain, **last)).map(|(domain, last)| (*domain, *last)).collect())
    }
}

impl DomainState {
    fn text(&self, domain: u32) -> String {
        let newest = self.newest.or_else(|| self.servers.iter().next_back().map(|(server, number)| (*server, *number)));
        newest.map_or_else(String::new, |(server, number)| format!("{domain}-{server}-{number}"))
    }
}

impl DomainStates {
    /// Reads the text of `gtid_binlog_state`. `None` if it is no such text. The order of the text says nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut states = Self::default();
        for (domain, server, number) in parse_list(text)? {
            states.add(domain, server, number);
        }
        states.0.values_mut().for_each(|state| state.newest = None);
        Some(states)
    }

    /// Reads the body of a GTID_LIST event, in which the newest transaction of each domain comes last.
    pub(crate) fn read(body: &[u8]) -> Result<Self, StreamError> {
        const FLAG_BITS: u32 = 4;
        let mut reader = Reader::new(body);
        let count = reader.u32()? << FLAG_BITS >> FLAG_BITS;
        let mut states = Self::default();
        for _ in 0..count {
            let (domain, server, number) = (reader.u32()?, reader.u32()?, reader.u64()?);
            states.add(domain, server, number);
        }
        Ok(states)
    }

    fn add(&mut self, domain: u32, server: u32, number: u64) {
        let state = self.0.entry(domain).or_insert_with(|| DomainState { servers: BTreeMap::new(), newest: None });
        state.servers.insert(server, number);
        state.newest = Some((server, number));
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (domain, (server, number))) in self.0.iter().enumerate() {
            write!(f, "{}{domain}-{server}-{number}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

fn parse_list(text: &str) -> Option<Vec<(u32, u32, u64)>> {
    let parse = |gtid: &str| {
        let mut parts = gtid.split('-').map(str::trim).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let found = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (parts.next().is_none() && gtid.matches('-').count() == 2).then_some(found)
    };
    text.split(',').map(str::trim).filter(|gtid| !gtid.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domains(text: &str) -> Domains {
        Domains::parse(text).unwrap()
    }

    /// The state in a GTID_LIST event with these GTIDs.
    fn state(text: &str) -> DomainStates {
        let list = parse_list(text).unwrap();
        let mut body = (list.len() as u32 | 0x4000_0000).to_le_bytes().to_vec();
        for (domain, server, number) in list {
            body.extend(domain.to_le_bytes());
            body.extend(server.to_le_bytes());
            body.extend(number.to_le_bytes());
        }
        for length in 0..body.len() {
            assert!(DomainStates::read(&body[..length]).is_err());
        }
        DomainStates::read(&body).unwrap()
    }

    #[test]
    fn the_texts_of_servers_are_read() {
        assert_eq!(domains(" 1-2-3, 0-1-100").to_string(), "0-1-100,1-2-3");
        assert_eq!(domains("").to_string(), "");
        for text in ["0-1", "0-1-2-3", "a-1-2", "0-1-2,0-2-3", "4294967296-1-1", "0--1", "3e11:1"] {
            assert_eq!(Domains::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_server_lacks_is_named() {
        let delivered = domains("0-1-105,1-1-7");
        for (text, missing) in [
            ("0-1-105,1-1-7", None),
            ("0-2-300,0-1-200,1-1-8", None),
            ("0-1-104,1-1-7", Some("0-1-105")),
            ("0-1-100,0-2-103,1-1-7", Some("0-1-101 to 0-1-105")),
            ("0-1-105", Some("1-1-1 to 1-1-7")),
        ] {
            assert_eq!(delivered.missing_in(&DomainStates::parse(text).unwrap()).as_deref(), missing, "{text}");
        }
    }

    #[test]
    fn a_file_is_in_reach_if_nothing_undelivered_comes_before_it() {
        let delivered = domains("0-1-100,1-1-7");
        for (text, passed, left) in [
            ("", None, "0-1-100,1-1-7"),
            ("0-1-99,1-1-7", None, "0-1-100"),
            ("0-1-100", None, "1-1-7"),
            ("0-2-100", None, "0-1-100,1-1-7"),
            ("0-1-101", Some("those behind 0-1-100 up to 0-1-101"), ""),
            ("0-1-100,0-2-101", Some("those behind 0-1-100 up to 0-2-101"), ""),
            ("0-2-98,0-1-100", None, "1-1-7"),
            ("2-1-5", Some("all of domain 2 up to 2-1-5"), ""),
        ] {
            assert_eq!(delivered.passed_by(&state(text)).as_deref(), passed, "{text}");
            if passed.is_none() {
                assert_eq!(delivered.not_reached_in(&state(text)), domains(left), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_and_any_bytes_are_read_or_refused(text in "[0-9,-]{0,30}|.{0,30}", bytes: Vec<u8>) {
            if let Some(domains) = Domains::parse(&text) {
                prop_assert_eq!(Domains::parse(&domains.to_string()), Some(domains));
            }
            let _ = DomainStates::read(&bytes);
        }

        // A server that has executed all and begins a file anywhere: the file is in reach exactly if it begins no later than the delivered.
        #[test]
        fn files_of_one_domain_are_in_reach_up_to_the_last_delivered(servers in prop::collection::vec(1..3u32, 1..20), at: prop::sample::Index, file in 0..20usize) {
            let delivered = at.index(servers.len());
            let list: Vec<String> = servers.iter().enumerate().map(|(index, server)| format!("0-{server}-{}", index + 1)).collect();
            let head = &list[..file.min(list.len())];
            let passed = domains(&list[delivered]).passed_by(&state(&head.join(",")));
            prop_assert_eq!(passed.is_some(), head.len() > delivered + 1);
        }
    }
}
