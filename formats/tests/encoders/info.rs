//! Checks that `Encoder::info` describes what the encoders do.

use formats::canal_json::{self, CanalJson, RowsPerMessage};
use formats::dts_avro::{self, DtsAvro, Heartbeats};
use runtime::{Body, Control, Encoder, Value};

use crate::support::{column, encode, event, insert, table};

fn check(mut encoder: impl Encoder) {
    let info = encoder.info();
    for (body, control) in [(Body::Begin, info.begin), (Body::Commit, info.commit), (Body::Heartbeat, info.heartbeat)] {
        let is_empty = encode(&mut encoder, &event(body)).unwrap().is_empty();
        assert_eq!(is_empty, control == Control::Ignored);
        assert_eq!(!is_empty, matches!(control, Control::Emitted { .. }));
    }
}

#[test]
fn of_control_events() {
    check(CanalJson::default());
    check(DtsAvro::default());
    check(DtsAvro::new(dts_avro::Config::default().transactions(true)));
    for heartbeats in [Heartbeats::Heartbeat, Heartbeats::Checkpoint] {
        let encoder = DtsAvro::new(dts_avro::Config::default().heartbeats(heartbeats));
        let Control::Emitted { setting } = encoder.info().heartbeat else { panic!("heartbeats are emitted") };
        let config: dts_avro::Config =
            serde_json::from_str(&format!("{{{}}}", setting.replace("heartbeats =", "\"heartbeats\":"))).unwrap();
        assert_eq!(config, dts_avro::Config::default().heartbeats(heartbeats), "the setting stands in a file as {setting}");
        check(encoder);
    }
}

#[test]
fn of_many_rows_and_schemas() {
    assert!(!CanalJson::default().info().many_rows && !DtsAvro::default().info().many_rows);
    assert!(CanalJson::new(canal_json::Config::default().rows(RowsPerMessage::Event)).info().many_rows);
    assert_eq!(CanalJson::default().info().schema, None);
    assert!(DtsAvro::default().info().schema.is_some_and(|schema| schema.contains("com.alibaba.dts.formats.avro")));
}

#[test]
fn a_clone_never_repeats_an_id() {
    let schema = table(vec![column("c", "int(11)")]);
    let mut first = CanalJson::default();
    let mut second = first.clone();
    let mut ids = std::collections::BTreeSet::new();
    for value in 0..200 {
        for encoder in [&mut first, &mut second] {
            let bytes = encode(encoder, &insert(&schema, [Value::Int(value)])).unwrap();
            let parsed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert!(ids.insert(parsed["id"].as_i64().unwrap()));
        }
    }
}
