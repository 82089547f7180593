//! Messages that belong to no table: transaction borders and signs of life. Under a template they have no topic.

use std::sync::Arc;

use runtime::{Body, Encoder, Event, Message, Origin, Seq};

use crate::config::Config;
use crate::error::Error;
use crate::router::TopicTemplate;

/// Refuses a template beside a format that writes such messages. Otherwise the first of them, which may be hours of a full phase away,
/// would end the task. `encoder` is one of the format's own, and is asked for each of them.
pub(crate) fn must_have_a_topic(config: &Config, format: &str, encoder: &mut dyn Encoder) -> Result<(), Error> {
    let template = TopicTemplate::parse(&config.topic).is_ok_and(|topic| topic.fixed().is_none());
    if !template || ![Body::Begin, Body::Commit, Body::Heartbeat].into_iter().any(|body| writes(encoder, body)) {
        return Ok(());
    }
    let problem = format!(
        "is a template, and format.{format} writes transaction borders or signs of life, which belong to no table: write the name of one topic, \
         or switch them off in the format (`transactions` and `heartbeats` of dts_avro)"
    );
    Err(Error::Setting { key: "topic", problem })
}

/// Whether the format has a message for it. One that refuses events without a source says nothing.
fn writes(encoder: &mut dyn Encoder, body: Body) -> bool {
    let event = Event { seq: Seq(1), position: "".into(), timestamp_ms: 0, txid: None, origin: Arc::new(Origin::default()), body };
    let mut message = Message::default();
    encoder.encode(&[event], &mut message).is_ok() && !message.value.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::tests::config;

    /// Has messages for signs of life alone.
    struct Alive;

    impl Encoder for Alive {
        fn encode(&mut self, events: &[Event], out: &mut Message) -> runtime::Result<usize> {
            if matches!(events, [Event { body: Body::Heartbeat, .. }]) {
                out.value.push(1);
            }
            Ok(events.len())
        }
    }

    struct Silent;

    impl Encoder for Silent {
        fn encode(&mut self, events: &[Event], _: &mut Message) -> runtime::Result<usize> {
            Ok(events.len())
        }
    }

    #[test]
    fn a_template_and_messages_of_no_table_do_not_go_together() {
        let settings = |topic: &str| config(json!({"brokers": ["k:1"], "topic": topic, "ddl_topic": "d", "format": {"any": {}}}));
        let error = runtime::Error::from(must_have_a_topic(&settings("x.{table}"), "any", &mut Alive).unwrap_err());
        assert_eq!(error.kind(), runtime::Kind::Config);
        assert!(error.to_string().contains("topic") && error.to_string().contains("format.any"), "{error}");
        must_have_a_topic(&settings("x.{table}"), "any", &mut Silent).unwrap();
        must_have_a_topic(&settings("x"), "any", &mut Alive).unwrap();
    }
}
