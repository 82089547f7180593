//! Shows the record that would be written for a row, without a broker.

use std::sync::Arc;

use runtime::{Body, Context, Encoder, Event, Message, PreviewRecord, Result};

use crate::routing::{RecordKey, Route, Router};
use crate::task::Task;

/// The record of a row of the full phase; empty if the format has none for it.
///
/// The partition is not among what is shown, because it depends on the number of partitions, which only a broker knows.
pub(crate) fn preview(task: &Task, encoder: &mut dyn Encoder, context: &Context, event: &Event) -> Result<Vec<PreviewRecord>> {
    let Body::Row(row) = &event.body else { return Ok(Vec::new()) };
    let mut router = Router::new(task.settings.rules.clone(), task.owners.clone(), context.notices().clone(), &[]);
    let mut topic: Arc<str> = "".into();
    // A router learns of a topic before it routes to it.
    while let Route::Unknown(name) = router.route(event)? {
        router.add_topic(name.clone(), 1);
        topic = name;
    }
    let mut message = Message::default();
    encoder.encode(event, &mut message)?;
    if message.value.is_empty() {
        return Ok(Vec::new());
    }
    if task.settings.rules.record_key != RecordKey::None {
        let image = row.newest().ok_or_else(|| runtime::Error::data("a row change has no image of the row"))?;
        let mut key = Vec::new();
        // The route of the table was found above.
        if router.write_row_key(&row.schema, image, &mut key)? {
            message.set_key(&key);
        }
    }
    let key = message.key().map(|key| String::from_utf8_lossy(key).into_owned());
    Ok(vec![PreviewRecord { destination: topic.to_string(), key, value: encoder.readable(&message.value)? }])
}

#[cfg(test)]
mod tests {
    use runtime::{Op, Registry, RowChange, Settings, Sink};
    use serde_json::json;

    use super::*;

    struct Plain;

    impl Encoder for Plain {
        fn encode(&mut self, event: &Event, out: &mut Message) -> Result<()> {
            out.value.extend_from_slice(format!("row {}", event.seq.0).as_bytes());
            Ok(())
        }
    }

    /// The row as it is shown by a sink whose broker cannot be reached.
    fn shown(settings: serde_json::Value) -> Result<Vec<PreviewRecord>> {
        let mut registry = Registry::new();
        registry.encoder("plain", |_: std::collections::BTreeMap<String, String>| Ok(Plain));
        crate::register(&mut registry);
        let mut all = json!({"brokers": ["127.0.0.1:1"], "format": {"plain": {}}});
        for (key, value) in settings.as_object().unwrap() {
            all[key] = value.clone();
        }
        let mut sink: Box<dyn Sink> = registry.build_sink("kafka", &Settings::from(all))?()?;
        let mut event = runtime::testing::events(7, 1).remove(0);
        let Body::Row(RowChange { op, .. }) = &mut event.body else { unreachable!() };
        *op = Op::Read;
        sink.preview(&Context::testing("shop"), &event)
    }

    #[test]
    fn a_record_is_shown_without_a_broker() {
        let record = |topic: &str, key: Option<&str>| PreviewRecord {
            destination: topic.into(),
            key: key.map(str::to_owned),
            value: "row 7".into(),
        };
        assert_eq!(shown(json!({"topic": "shop"})).unwrap(), [record("shop", None)]);
        assert_eq!(
            shown(json!({"topic": "shop", "record_key": "primary_key", "partition": "primary_key"})).unwrap(),
            [record("shop", Some(r#"["contract","rows","7"]"#))]
        );
        assert_eq!(
            shown(json!({"topic": "{database}.{table}", "record_key": "primary_key"})).unwrap(),
            [record("contract.rows", Some(r#"["7"]"#))]
        );
        let error = shown(json!({"topic": "shop", "partition_columns": {"contract.rows": ["no_such_column"]}})).unwrap_err();
        assert!(error.to_string().contains("no_such_column"), "{error}");
    }
}
