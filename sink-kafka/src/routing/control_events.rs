//! What the format writes of transaction borders and signs of life, held against the topics and the source before anything runs.

use runtime::{Body, Control, Encoder};

use crate::config::Config;
use crate::error::Error;
use crate::routing::router::TopicTemplate;

/// Settings of which nothing comes: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    pub(crate) what: String,
    pub(crate) help: String,
}

/// Refuses a format that writes messages of no table where each table has a topic of its own: they would have none.
pub(crate) fn check_topic(config: &Config, format: &str, encoder: &dyn Encoder) -> Result<(), Error> {
    let template = TopicTemplate::parse(&config.topic).is_ok_and(|topic| topic.fixed().is_none());
    let mut settings: Vec<&str> = [Body::Begin, Body::Commit, Body::Heartbeat]
        .iter()
        .filter_map(|event| match encoder.control(event) {
            Control::Written(setting) => Some(setting),
            _ => None,
        })
        .collect();
    settings.dedup();
    if !template || settings.is_empty() {
        return Ok(());
    }
    Err(Error::NoControlTopic { format: format.to_owned(), settings: settings.join(", ") })
}

/// Whether only one side was told of signs of life. `given`: whether the source gives them, as far as it is known.
pub(crate) fn idle(given: Option<bool>, format: &str, encoder: &dyn Encoder) -> Option<Idle> {
    match (encoder.control(&Body::Heartbeat), given) {
        (Control::Written(setting), Some(false)) => Some(Idle {
            what: format!("sink.kafka.format.{format} has `{setting}`, and the source gives no signs of life: none will be written"),
            help: format!("set heartbeat = {{ enabled = true }} of the source, or remove `{setting}`"),
        }),
        (Control::Left, Some(true)) => Some(Idle {
            what: format!("the source has `heartbeat = {{ enabled = true }}`, and sink.kafka.format.{format} writes no signs of life"),
            help: "remove `heartbeat` of the source, or have the format write them, where it can (`heartbeats` of dts_avro)".into(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use runtime::{Event, Kind, Message};
    use serde_json::json;

    use super::*;
    use crate::config::tests::config;

    /// Borders and signs of life, each written or left.
    struct Told(Control, Control);

    impl Encoder for Told {
        fn encode(&mut self, _: &[Event], _: &mut Message) -> runtime::Result<usize> {
            Ok(1)
        }

        fn control(&self, event: &Body) -> Control {
            if matches!(event, Body::Heartbeat) { self.1 } else { self.0 }
        }
    }

    /// Says nothing.
    struct Stranger;

    impl Encoder for Stranger {
        fn encode(&mut self, _: &[Event], _: &mut Message) -> runtime::Result<usize> {
            Ok(1)
        }
    }

    const BORDERS: Control = Control::Written("transactions = true");
    const SIGNS: Control = Control::Written("heartbeats = \"heartbeat\"");

    #[test]
    fn messages_of_no_table_need_one_topic() {
        let of = |topic: &str| config(json!({"brokers": ["k:1"], "topic": topic, "ddl_topic": "d", "format": {"any": {}}}));
        for (borders, signs, expected) in [
            (BORDERS, Control::Left, "transactions = true"),
            (Control::Left, SIGNS, "heartbeats = \"heartbeat\""),
            (BORDERS, SIGNS, "transactions = true, heartbeats = \"heartbeat\""),
        ] {
            let encoder = Told(borders, signs);
            check_topic(&of("one"), "any", &encoder).unwrap();
            let error = runtime::Error::from(check_topic(&of("t_{database}.{table}"), "any", &encoder).unwrap_err());
            assert_eq!((error.kind(), error.code()), (Kind::Config, None));
            let text = error.to_string();
            for part in ["sink.kafka.topic", "sink.kafka.format.any", expected, "template"] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(error.help().is_some());
        }
        check_topic(&of("{table}"), "any", &Told(Control::Left, Control::Left)).unwrap();
        check_topic(&of("{table}"), "any", &Stranger).unwrap();
    }

    #[test]
    fn signs_of_life_need_both_sides() {
        for (signs, given, warned) in [
            (SIGNS, Some(false), true),
            (Control::Left, Some(true), true),
            (SIGNS, Some(true), false),
            (Control::Left, Some(false), false),
            (SIGNS, None, false),
            (Control::Untold, Some(true), false),
        ] {
            assert_eq!(idle(given, "any", &Told(Control::Left, signs)).is_some(), warned, "{signs:?} {given:?}");
        }
    }
}
