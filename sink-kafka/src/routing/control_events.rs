//! Checks before the start whether the format emits messages for BEGIN, COMMIT and heartbeat events, and whether this fits the topics and
//! the source.

use runtime::{Control, EncoderInfo};

use super::topic_template::TopicTemplate;
use crate::error::Error;

/// Refuses a format that emits BEGIN, COMMIT or heartbeat messages if the topic is a template. These messages belong to no table, so there
/// would be no topic for them.
pub(crate) fn refuse_control_events_without_topic(topic: &TopicTemplate, format: &str, info: &EncoderInfo) -> Result<(), Error> {
    let mut settings: Vec<&str> = [info.begin, info.commit, info.heartbeat]
        .into_iter()
        .filter_map(|control| match control {
            Control::Emitted { setting } => Some(setting),
            _ => None,
        })
        .collect();
    settings.dedup();
    if topic.fixed().is_some() || settings.is_empty() {
        return Ok(());
    }
    Err(Error::NoControlTopic { format: format.to_owned(), settings: settings.join(", ") })
}

/// A heartbeat setting that has no effect, because only the source or only the format supports heartbeats. `what` is the problem and `help`
/// the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IneffectiveSetting {
    pub(crate) what: String,
    pub(crate) help: String,
}

/// Returns a problem if only the source or only the format has heartbeats. `sent` says whether the source sends heartbeats; `None` if this
/// is unknown.
pub(crate) fn heartbeats_have_no_effect(sent: Option<bool>, format: &str, info: &EncoderInfo) -> Option<IneffectiveSetting> {
    match (info.heartbeat, sent) {
        (Control::Emitted { setting }, Some(false)) => Some(IneffectiveSetting {
            what: format!("`sink.kafka.format.{format}` has `{setting}`, but the source sends no heartbeats: none will be written"),
            help: format!("set heartbeat = {{ enabled = true }} of the source, or remove `{setting}`"),
        }),
        (Control::Ignored, Some(true)) => Some(IneffectiveSetting {
            what: format!("the source has `heartbeat = {{ enabled = true }}`, but `sink.kafka.format.{format}` ignores heartbeats"),
            help: "remove `heartbeat` of the source, or let the format write heartbeats, where it can (`heartbeats` of dts_avro)".into(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use runtime::Kind;

    use super::*;

    fn info(transactions: Control, heartbeat: Control) -> EncoderInfo {
        let mut info = EncoderInfo::default();
        (info.begin, info.commit, info.heartbeat) = (transactions, transactions, heartbeat);
        info
    }

    const TRANSACTIONS: Control = Control::Emitted { setting: "transactions = true" };
    const HEARTBEATS: Control = Control::Emitted { setting: "heartbeats = \"heartbeat\"" };

    #[test]
    fn messages_of_no_table_need_one_topic() {
        let check =
            |topic: &str, info: &EncoderInfo| refuse_control_events_without_topic(&TopicTemplate::parse(topic).unwrap(), "any", info);
        for (transactions, heartbeat, expected) in [
            (TRANSACTIONS, Control::Ignored, "transactions = true"),
            (Control::Ignored, HEARTBEATS, "heartbeats = \"heartbeat\""),
            (TRANSACTIONS, HEARTBEATS, "transactions = true, heartbeats = \"heartbeat\""),
        ] {
            let info = info(transactions, heartbeat);
            check("one", &info).unwrap();
            let error = runtime::Error::from(check("t_{database}.{table}", &info).unwrap_err());
            assert_eq!((error.kind(), error.code()), (Kind::Config, None));
            let (text, help) = (error.to_string(), error.help().unwrap());
            assert!(text.contains("sink.kafka.format.any") && text.contains(expected) && text.contains("template"), "{text}");
            assert!(help.contains("topic") && help.contains(expected), "{help}");
        }
        check("{table}", &info(Control::Ignored, Control::Ignored)).unwrap();
        check("{table}", &EncoderInfo::default()).unwrap();
    }

    #[test]
    fn heartbeats_need_both_sides() {
        for (heartbeat, sent, warned) in [
            (HEARTBEATS, Some(false), true),
            (Control::Ignored, Some(true), true),
            (HEARTBEATS, Some(true), false),
            (Control::Ignored, Some(false), false),
            (HEARTBEATS, None, false),
            (Control::Unknown, Some(true), false),
        ] {
            let info = info(Control::Ignored, heartbeat);
            assert_eq!(heartbeats_have_no_effect(sent, "any", &info).is_some(), warned, "{heartbeat:?} {sent:?}");
        }
    }
}
