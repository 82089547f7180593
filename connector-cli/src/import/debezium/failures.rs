//! What Kafka Connect does about records that fail, and for how long it retries.

use super::super::draft::Draft;
use super::super::options::{Options, item};
use super::super::toml::Item;

const TOLERANCE: &str = "errors.tolerance";
const TOPIC: &str = "errors.deadletterqueue.topic.name";
const REPLICATION: &str = "errors.deadletterqueue.topic.replication.factor";
const HEADERS: &str = "errors.deadletterqueue.context.headers.enable";
const RETRY: &str = "errors.retry.timeout";

/// The longest `retry.window_seconds`.
const LONGEST_RETRY_SECONDS: i64 = 86_400;

/// Runs behind the import of the sink, whose brokers and format dead letters share.
pub(super) fn import(options: &mut Options, draft: &mut Draft) {
    let tolerates = options.take(TOLERANCE).is_some_and(|text| text.eq_ignore_ascii_case("all"));
    let (topic, replication) = (options.take(TOPIC), options.take_int(REPLICATION).filter(|number| *number > 0));
    let headers = options.take(HEADERS).is_some();
    match (tolerates, topic) {
        (true, Some(topic)) => {
            draft.errors.note(
                "Kafka Connect passes over the failing records of a source connector, whatever topic is named; here they become dead letters",
            );
            draft.errors.set("on_data_error", Item::text("dead_letters"));
            letters(&topic, replication, draft);
        }
        (true, None) => {
            draft.errors.note("rows are skipped up to `max_rejected`; then the task stops");
            draft.errors.set("on_data_error", Item::text("skip"));
        }
        (false, Some(_)) => {
            draft.leave(TOPIC, "without errors.tolerance = all a record that fails stops the connector, and the task as well")
        }
        (false, None) => {}
    }
    if headers {
        draft.leave(HEADERS, "dead letters always have headers that say why, see docs/operations.md");
    }
    retry(options, draft);
}

/// The section of dead letters: another topic on the same brokers, in the same format.
fn letters(topic: &str, replication: Option<i64>, draft: &mut Draft) {
    for key in ["brokers", "sasl", "tls", "compression", "format.dts_avro", "format.canal_json"] {
        if let Some(value) = draft.sink.get(key).cloned() {
            draft.letters.set(key, value);
        }
    }
    let topic = item(&mut draft.letters, TOPIC, topic, "DEAD_LETTER_TOPIC");
    draft.letters.set("topic", topic);
    draft.letters.set("record_key", Item::text("primary_key"));
    let mut creation = vec![("enabled", Item::Bool(true))];
    creation.extend(replication.map(|number| ("replication", Item::Int(number))));
    draft.letters.set("create_topics", Item::map(creation));
}

fn retry(options: &mut Options, draft: &mut Draft) {
    // Without the option, and with 0, Kafka Connect does not retry. Here failures of connections are among what is retried.
    let Some(milliseconds) = options.take_int(RETRY).filter(|number| *number != 0) else { return };
    if milliseconds < 0 {
        draft.retry.note("the connector retried for ever");
    }
    let seconds = if milliseconds < 0 { LONGEST_RETRY_SECONDS } else { (milliseconds / 1000).clamp(1, LONGEST_RETRY_SECONDS) };
    draft.retry.set("window_seconds", Item::Int(seconds));
}
