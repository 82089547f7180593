//! Topics and partitions of Canal's records.

use super::super::draft::{Draft, Section};
use super::super::options::{Options, item};
use super::super::patterns;
use super::super::toml::Item;

pub(super) fn import(options: &mut Options, topic: Option<String>, draft: &mut Draft) {
    let rules = options.take("canal.mq.dynamicTopic");
    let sink = &mut draft.sink;
    match template(rules.as_deref(), topic.as_deref(), sink) {
        Some(template) => sink.set("topic", Item::text(template)),
        None => {
            let topic = match &topic {
                Some(topic) => item(sink, "canal.mq.topic", topic, "KAFKA_TOPIC"),
                None => {
                    sink.missing("the file names no topic: set KAFKA_TOPIC, or write the topic here");
                    Item::env("KAFKA_TOPIC")
                }
            };
            sink.set("topic", topic);
        }
    }
    partition(options, sink);
    for option in ["canal.mq.partitionsNum", "canal.mq.dynamicTopicPartitionNum", "canal.mq.enableDynamicQueuePartition"] {
        if options.take(option).is_some() {
            draft.leave(option, "the number of partitions is that of the topic");
        }
    }
    if options.take_bool("canal.mq.databaseHash") == Some(false) {
        draft.leave("canal.mq.databaseHash", "\"table\" always chooses the partition by database and table");
    }
}

/// The one topic, or template of a topic, that the rules come to. `None` without rules, or if one topic is not enough for them.
fn template(rules: Option<&str>, topic: Option<&str>, sink: &mut Section) -> Option<String> {
    let rules = patterns::split(rules?, &[',', ';']);
    let fallback = |sink: &mut Section| {
        if topic.is_some() {
            sink.note("tables that no rule of `canal.mq.dynamicTopic` matched went to `canal.mq.topic`; here all go where the rule says");
        }
    };
    let parsed: Vec<_> = rules
        .iter()
        .map(|rule| match rule.split_once(':') {
            Some((name, expression)) => (Some(name.trim()), expression.trim()),
            None => (None, rule.as_str()),
        })
        .collect();
    let is_all = |expression: &str| patterns::table(expression).pattern == "*.*";
    // An expression without a dot is for a database, whose name is then the topic.
    let is_database = |expression: &str| !expression.contains('.') || expression == ".*";
    if let [(name, expression)] = parsed.as_slice()
        && (is_all(expression) || *expression == ".*")
    {
        return Some(match name {
            Some(name) => (*name).to_owned(),
            None if is_database(expression) => "{database}".to_owned(),
            None => "{database}_{table}".to_owned(),
        });
    }
    let names: Vec<_> = parsed.iter().filter_map(|(name, _)| *name).collect();
    if let (Some(first), true) = (names.first(), names.len() == parsed.len())
        && names.iter().all(|name| name == first)
    {
        fallback(sink);
        return Some((*first).to_owned());
    }
    if names.is_empty() && parsed.iter().all(|(_, expression)| is_database(expression)) {
        fallback(sink);
        return Some("{database}".to_owned());
    }
    if names.is_empty() && !parsed.iter().any(|(_, expression)| is_database(expression)) {
        fallback(sink);
        return Some("{database}_{table}".to_owned());
    }
    sink.missing(
        "`canal.mq.dynamicTopic` sends tables to topics of several kinds, and a task has one topic or one template of names: make a file (with a \
         name of its own) for each kind, with its tables in `tables`",
    );
    None
}

/// `table:column^column,table:$pk$,table`: by the values of columns, by the primary key, or by the name of the table.
fn partition(options: &mut Options, sink: &mut Section) {
    if options.take_int("canal.mq.partition").is_some_and(|partition| partition != 0) {
        sink.missing("the records went to a partition other than 0, which cannot be chosen by number; they go to 0 here");
    }
    let Some(text) = options.take("canal.mq.partitionHash") else {
        sink.set("partition", Item::text("zero"));
        return;
    };
    let (mut columns, mut policies) = (Vec::new(), Vec::new());
    for rule in patterns::split(&text, &[',', ';']) {
        let (expression, by) = rule.rsplit_once(':').unwrap_or((&rule, ""));
        let table = patterns::table(expression);
        let table = runtime::TablePattern::parse(&table.pattern).ok().and_then(|pattern| pattern.literal());
        match (by.trim(), table) {
            ("", _) => policies.push("table"),
            ("$pk$", _) => policies.push("primary_key"),
            (by, Some(table)) => columns.push((table.to_string(), Item::texts(by.split('^').map(str::trim)))),
            (_, None) => sink.missing(
                "`canal.mq.partitionHash` names columns for the tables of an expression; `partition_columns` takes names of tables, so write each",
            ),
        }
    }
    sink.note("the partition is computed in another way than Canal does, so a row may come into another one than before");
    let policy = match policies.as_slice() {
        [] => "zero",
        [first, rest @ ..] if rest.iter().all(|policy| policy == first) => first,
        _ => {
            sink.note("some tables were spread by their primary key and others by their name; one policy holds for all, so it is the key");
            "primary_key"
        }
    };
    sink.set("partition", Item::text(policy));
    if !columns.is_empty() {
        sink.set("partition_columns", Item::Map(columns));
    }
}
