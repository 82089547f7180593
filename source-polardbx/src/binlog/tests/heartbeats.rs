//! Tests of heartbeats.

use super::*;
use crate::binlog::testing::EventBytes;

/// A heartbeat event of a server whose binlog ends at the offset `at`.
fn server_heartbeat(at: u64) -> Vec<u8> {
    let mut bytes = EventBytes::new(27).body(b"binlog.000001").ending_at(at).finish();
    let end = bytes.len() - 4;
    bytes[..4].fill(0);
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn next_heartbeat(decoder: &mut Decoder, read_ms: i64) -> Option<(String, i64)> {
    let batch = decoder.heartbeat(read_ms)?;
    let [event] = &batch.events[..] else { panic!("{batch:?}") };
    assert!(matches!(event.body, Body::Heartbeat) && batch.resume.is_some() && event.origin.read_ms == read_ms, "{batch:?}");
    assert_eq!(event.origin.offset, event.origin.safe_offset);
    assert_eq!(event.seq, runtime::Seq(0), "a heartbeat has no number");
    Some((event.position.to_string(), event.timestamp_ms))
}

#[test]
fn a_heartbeat_says_where_the_stream_is_and_when() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    let mut decoder = decoder(start(), schema(&cells), 1 << 20);
    assert!(next_heartbeat(&mut decoder, 1).is_none(), "no time of the source is known yet");
    let (inside, commit) = log.events.split_at(log.events.len() - 1);
    for event in inside {
        decoder.event(event, 5).unwrap();
    }
    assert!(next_heartbeat(&mut decoder, 1).is_none(), "inside a transaction");
    decoder.event(&commit[0], 5).unwrap();
    assert!(next_heartbeat(&mut decoder, 1).is_none(), "the transaction is not handed on yet");
    decoder.flush().unwrap();
    // The heartbeat has the time of the last event, until the server reports that it has no newer events.
    let end = decoder.at().offset;
    let place = format!("binlog.000001:{end}");
    assert_eq!(next_heartbeat(&mut decoder, 1).unwrap(), (place.clone(), 1_700_000_000_000));
    let now = 1_700_000_123_456;
    decoder.event(&server_heartbeat(end), now).unwrap();
    assert_eq!(next_heartbeat(&mut decoder, now).unwrap(), (place, now));
    // The time does not change if the clock goes back, or if a heartbeat of the server is for another position.
    decoder.event(&server_heartbeat(end), now - 5_000).unwrap();
    decoder.event(&server_heartbeat(end + 1), now + 5_000).unwrap();
    assert_eq!(next_heartbeat(&mut decoder, now).unwrap().1, now);
}

#[test]
fn a_stream_that_lags_behind_its_server_does_not_report_the_current_time() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.query("BEGIN").table(5, "other", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    // The time of the commit mark is 2023-11-14 22:13:20 UTC.
    log.add(29, format!("\u{1}CTS::7130316800000000000{}", "0".repeat(35)).as_bytes());
    let mut decoder =
        Decoder::new(DecoderOptions { profile: ServerProfile::new("5.7.25-PXC-5.4.20"), ..options(start(), schema(&cells), 1 << 20) });
    for event in &log.events {
        decoder.event(event, 5).unwrap();
    }
    decoder.event(&server_heartbeat(decoder.at().offset), 1_800_000_000_000).unwrap();
    assert_eq!(next_heartbeat(&mut decoder, 1).unwrap().1, 1_700_000_000_000);
}

#[test]
fn the_first_heartbeat_after_a_restart_is_not_in_the_past() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    let mut decoder = decoder(start(), schema(&cells), 1 << 20);
    for event in &log.events {
        decoder.event(event, 5).unwrap();
    }
    decoder.flush().unwrap();
    let resume = decoder.heartbeat(1).unwrap().resume.unwrap();
    // After a restart, the decoder reads the last transaction again to compare it.
    let position = StreamPosition::parse(resume.as_str()).unwrap();
    let again = dump(&log, Decoder::dump_from(&position));
    assert!(again.events.iter().any(|event| event[4] == 30), "its rows are there");
    let mut next = super::decoder(position, schema(&cells), 1 << 20);
    for event in &again.events {
        next.event(event, 5).unwrap();
    }
    assert!(next_heartbeat(&mut next, 1).is_none(), "the time of an old transaction does not count");
    let now = 1_700_000_123_456;
    next.event(&server_heartbeat(next.at().offset), now).unwrap();
    assert_eq!(next_heartbeat(&mut next, now).unwrap().1, now);
}
