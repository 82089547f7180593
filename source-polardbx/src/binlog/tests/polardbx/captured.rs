//! Tests with binlog files that the CDC component of PolarDB-X has written. `expected.json` beside them says what they hold.

use std::collections::HashMap;
use std::path::PathBuf;

use runtime::DateTime;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::super::*;
use crate::schema::read_create_table;

/// An event of a file, and where it begins.
struct FileEvent {
    at: FileOffset,
    bytes: Vec<u8>,
}

/// The files of one set.
pub(super) struct Captured {
    events: Vec<FileEvent>,
    expected: Json,
}

impl Captured {
    pub(super) fn read(set: &str) -> Self {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/captured/polardbx"));
        let expected: Json = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let expected = expected[set].clone();
        let mut events = Vec::new();
        for (number, file) in expected["files"].as_array().unwrap().iter().enumerate() {
            let bytes = std::fs::read(folder.join(set).join(file["name"].as_str().unwrap())).unwrap();
            assert_eq!(bytes.len() as u64, file["size"].as_u64().unwrap());
            let mut at = 4;
            while at < bytes.len() {
                let size = u32::from_le_bytes(bytes[at + 9..at + 13].try_into().unwrap()) as usize;
                events.push(FileEvent { at: FileOffset::new(number as u32 + 1, at as u64), bytes: bytes[at..at + size].to_vec() });
                at += size;
            }
        }
        Self { events, expected }
    }

    fn transactions(&self) -> &[Json] {
        self.expected["transactions"].as_array().unwrap()
    }

    /// Where events of the transaction begin that ends at `end`: its second, one in the middle, and its last two, which are the XID and the
    /// mark.
    fn inside(&self, end: FileOffset) -> Vec<FileOffset> {
        const QUERY: u8 = 2;
        let first = self.events.iter().rposition(|event| event.at.file == end.file && event.at < end && event.bytes[4] == QUERY).unwrap();
        let all: Vec<FileOffset> = self.events[first + 1..].iter().map(|event| event.at).take_while(|at| *at < end).collect();
        let mut some = [0, all.len() / 2, all.len().saturating_sub(2), all.len() - 1].map(|index| all[index]).to_vec();
        some.dedup();
        some
    }

    /// The events of a dump that begins at `from`. In the middle of a file, the FORMAT_DESCRIPTION is an artificial one.
    pub(super) fn dump(&self, from: FileOffset) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        if from.offset > FileOffset::FIRST {
            let format = self.events.iter().find(|event| event.at == FileOffset::new(from.file, FileOffset::FIRST)).unwrap();
            let mut bytes = format.bytes[..format.bytes.len() - 4].to_vec();
            bytes[13..17].fill(0);
            let crc = crc32fast::hash(&bytes);
            events.push([&bytes[..], &crc.to_le_bytes()].concat());
        }
        events.extend(self.events.iter().filter(|event| event.at >= from).map(|event| event.bytes.clone()));
        events
    }
}

/// The tables that exist before the first file.
pub(super) fn tables() -> Vec<Arc<TableSchema>> {
    let ddl = "CREATE TABLE base_t (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(32))";
    vec![Arc::new(read_create_table(ddl, "shop", &|_| Some(Collation::new("utf8mb4_general_ci"))).unwrap().schema)]
}

pub(super) fn decoder_at(from: FileOffset, tables: Vec<Arc<TableSchema>>) -> Decoder {
    let position = StreamPosition::start("id", &format!("binlog.{:06}", from.file), from.offset).unwrap();
    Decoder::new(DecoderOptions {
        history: History::new(tables, [("shop".to_owned(), Collation::new("utf8mb4_general_ci"))], true),
        selection: Selection::new(&["shop.*".to_owned()], &[]).unwrap(),
        profile: ServerProfile::new("5.7.25-PXC-5.4.20"),
        ..options(position, schema(&[]), 1 << 14)
    })
}

/// Decodes events. Returns what was delivered, and the error that ended it.
pub(super) fn decode(decoder: &mut Decoder, events: &[Vec<u8>]) -> (Vec<Batch>, Option<runtime::Error>) {
    let mut batches = Vec::new();
    let mut failed = None;
    for bytes in events {
        failed = decoder.event(bytes, 5).err();
        batches.extend(std::iter::from_fn(|| decoder.take()));
        if failed.is_some() {
            break;
        }
    }
    batches.extend(std::iter::from_fn(|| decoder.drain()));
    (batches, failed)
}

fn cells(row: &Row, schema: &TableSchema) -> Json {
    let value = |index: usize| match row.get(index) {
        Value::Null => Json::Null,
        Value::Int(value) => json!(value),
        Value::UInt(value) => json!(value),
        Value::Decimal(text) => json!(text),
        Value::Text(text) if text.len() > 200 => {
            json!({"length": text.len(), "sha256": hex(text)})
        }
        Value::Text(text) => json!(std::str::from_utf8(text).unwrap()),
        Value::DateTime(DateTime { date, hour, minute, second, micros: 0 }) => {
            json!(format!("{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}", date.year, date.month, date.day))
        }
        other => panic!("{other:?}"),
    };
    schema.columns.iter().enumerate().map(|(index, column)| (column.name.clone(), value(index))).collect::<Map<_, _>>().into()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A change in the form of `expected.json`.
fn change(body: &Body) -> Option<Json> {
    let Body::Row(change) = body else { return None };
    let op = match change.op {
        Op::Insert => "INSERT",
        Op::Update => "UPDATE",
        Op::Delete => "DELETE",
        other => panic!("{other:?}"),
    };
    let mut json = json!({"table": change.schema.id.to_string(), "op": op});
    for (name, row) in [("before", &change.before), ("after", &change.after)] {
        if let Some(row) = row {
            json[name] = cells(row, &change.schema);
        }
    }
    Some(json)
}

/// JSON as Python's `json.dumps` writes it, with sorted keys.
fn dumped(json: &Json) -> String {
    match json {
        Json::Array(items) => format!("[{}]", items.iter().map(dumped).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let sorted: std::collections::BTreeMap<_, _> = map.iter().collect();
            let items: Vec<String> = sorted.iter().map(|(key, value)| format!("{}: {}", json!(key), dumped(value))).collect();
            format!("{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// Removes the hidden key, which is not delivered.
fn without_hidden_key(rows: &Json) -> Json {
    let mut rows = rows.clone();
    for row in rows.as_array_mut().unwrap() {
        for image in ["before", "after"] {
            if let Some(cells) = row.get_mut(image) {
                cells.as_object_mut().unwrap().remove("_drds_implicit_id_");
            }
        }
    }
    rows
}

/// What was delivered, by commit timestamp and in order: the rows, and the texts of statements.
fn by_transaction(batches: &[Batch]) -> Vec<(String, Vec<Json>, Vec<String>)> {
    let mut found: Vec<(String, Vec<Json>, Vec<String>)> = Vec::new();
    for event in batches.iter().flat_map(|batch| &batch.events) {
        let tso = event.txid.as_deref().unwrap().to_owned();
        let ms = (tso[..19].parse::<i64>().unwrap()) >> 22;
        assert_eq!(event.timestamp_ms, ms, "the time of {tso}");
        if found.last().is_none_or(|(last, ..)| *last != tso) {
            found.push((tso, Vec::new(), Vec::new()));
        }
        let (_, rows, texts) = found.last_mut().unwrap();
        rows.extend(change(&event.body));
        if let Body::Schema(change) = &event.body {
            texts.push(change.statement.to_string());
        }
    }
    found
}

/// Compares what was delivered with the transactions of `expected.json` of tables.
fn compare(batches: &[Batch], transactions: &[Json]) {
    let mut found = by_transaction(batches).into_iter();
    for transaction in transactions {
        let tso = transaction["tso"].as_str().unwrap();
        if transaction["kind"] == "ddl" {
            let text = transaction["mysql"].as_str().unwrap();
            if text.split_whitespace().nth(1).is_some_and(|word| word.eq_ignore_ascii_case("TABLE")) {
                assert_eq!(found.next(), Some((tso.to_owned(), Vec::new(), vec![text.replacen(" , ADD", "  ADD", 1)])));
            }
            continue;
        }
        if let Some(rows) = transaction.get("rows") {
            let rows = without_hidden_key(rows);
            assert_eq!(found.next(), Some((tso.to_owned(), rows.as_array().unwrap().clone(), Vec::new())));
        } else {
            let (of, rows, texts) = found.next().unwrap();
            assert_eq!((of.as_str(), texts.len()), (tso, 0));
            assert_eq!((Some(&rows[0]), rows.last()), (transaction.get("first_row"), transaction.get("last_row")));
            assert_eq!(hex(dumped(&Json::Array(rows)).as_bytes()), transaction["rows_sha256"].as_str().unwrap(), "{tso}");
        }
    }
    assert_eq!(found.next(), None);
}

pub(super) const FIRST: FileOffset = FileOffset { file: 1, offset: FileOffset::FIRST };

#[test]
fn every_transaction_is_what_the_server_has_committed() {
    for set in ["small", "plain"] {
        let captured = Captured::read(set);
        let mut decoder = decoder_at(FIRST, tables());
        let (batches, failed) = decode(&mut decoder, &captured.dump(FIRST));
        assert!(failed.is_none(), "{failed:?}");
        compare(&batches, captured.transactions());
        let last = captured.transactions().last().unwrap();
        assert!(
            decoder.at() >= FileOffset::new(captured.expected["files"].as_array().unwrap().len() as u32, last["end"].as_u64().unwrap())
        );
    }
}

#[test]
fn reading_may_begin_behind_every_transaction() {
    for set in ["small", "plain"] {
        let captured = Captured::read(set);
        let mut known: HashMap<TableId, Arc<TableSchema>> = tables().into_iter().map(|schema| (schema.id.clone(), schema)).collect();
        let (all, _) = decode(&mut decoder_at(FIRST, tables()), &captured.dump(FIRST));
        let mut changes = all.iter().flat_map(|batch| &batch.events).filter_map(|event| match &event.body {
            Body::Schema(change) => Some((event.txid.clone().unwrap(), change.tables.clone())),
            _ => None,
        });
        let mut next = changes.next();
        for (index, transaction) in captured.transactions().iter().enumerate() {
            let tso = transaction["tso"].as_str().unwrap();
            while let Some((_, tables)) = next.take_if(|(at, _)| **at <= *tso) {
                known.extend(tables.into_iter().filter_map(|(table, schema)| Some((table, schema?))));
                next = changes.next();
            }
            let file: u32 = transaction["file"].as_str().unwrap()["binlog.".len()..].parse().unwrap();
            let from = FileOffset::new(file, transaction["end"].as_u64().unwrap());
            let (batches, failed) = decode(&mut decoder_at(from, known.values().cloned().collect()), &captured.dump(from));
            assert!(failed.is_none(), "{failed:?} from {from}");
            compare(&batches, &captured.transactions()[index + 1..]);
            // Behind a full phase it may begin in the middle, too. Then the rest of the transaction is passed over.
            for inside in captured.inside(from) {
                let decoder = || decoder_at(inside, known.values().cloned().collect());
                let dump = captured.dump(inside);
                let (batches, failed) = decode(&mut decoder().behind_full_phase(true), &dump);
                assert!(failed.is_none(), "{failed:?} from {inside}");
                compare(&batches, &captured.transactions()[index + 1..]);
                let is_mark = dump[1][20..].starts_with(b"CTS::");
                assert_eq!(decode(&mut decoder(), &dump).1.is_none(), is_mark, "from {inside}");
            }
        }
    }
}

/// What was delivered, as text.
fn delivered(batches: &[Batch]) -> Vec<String> {
    let events = batches.iter().flat_map(|batch| &batch.events);
    events.map(|event| format!("{:?} {:?} {:?}", event.seq, event.txid, change(&event.body))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_file_gives_an_error_and_no_wrong_row(set in prop_oneof![Just("small"), Just("plain")], at in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), change in 1u8.., cut: bool) {
        let captured = Captured::read(set);
        let mut events = captured.dump(FIRST);
        let (intact, _) = decode(&mut decoder_at(FIRST, tables()), &events);
        let intact = delivered(&intact);
        let event = at.get_mut(&mut events[..]);
        let place = byte.index(event.len());
        if cut {
            event.truncate(place);
        } else {
            event[place] ^= change;
        }
        let (batches, failed) = decode(&mut decoder_at(FIRST, tables()), &events);
        let found = delivered(&batches);
        prop_assert_eq!(&found[..], &intact[..found.len()]);
        match failed {
            Some(error) => prop_assert!(error.to_string().contains("binlog.00000") && error.code().is_some(), "{}", error),
            // The checksum of a FORMAT_DESCRIPTION does not cover its flag "in use".
            None => prop_assert_eq!(found, intact),
        }
    }
}
