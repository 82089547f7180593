//! The fingerprint of the settings that decide what a record is and where it goes. It is kept with what was delivered, so that a task that
//! continues with other settings can name them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const DDL_TOPIC: &str = "ddl_topic";
/// The options of the format decide only what a value looks like.
const FORMAT_OPTIONS: &str = "format_options";
/// How the settings begin that hold the later names of the columns of `partition_columns`. Behind it are the table, the column's place and
/// the name's place.
pub(crate) const LATER_NAME: &str = "partition_columns ";

/// For each setting that is set, the CRC32C of its value as eight hexadecimal digits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fingerprint {
    settings: BTreeMap<String, String>,
    /// Whether the topics of rows come from a template.
    #[serde(skip)]
    template: bool,
}

impl Fingerprint {
    /// An empty fingerprint. `template` says whether the topics of rows come from a template.
    pub(crate) fn new(template: bool) -> Self {
        Self { settings: BTreeMap::new(), template }
    }

    /// The same with one more setting. The value's text must stay the same over versions, because its checksum is stored.
    #[must_use]
    pub(crate) fn with(mut self, setting: &str, value: &str) -> Self {
        self.settings.insert(setting.to_owned(), format!("{:08x}", crc32c::crc32c(value.as_bytes())));
        self
    }

    /// The part that a stream keeps: what decides where a record goes, and which records there are of a row.
    #[must_use]
    pub(crate) fn of_stream(mut self) -> Self {
        self.settings.remove(FORMAT_OPTIONS);
        self
    }

    /// Names the settings that are not as they were `before` and must be; `None` if there are none. These may be added later:
    ///
    /// - `ddl_topic` with a template: it does not change where rows go, and a task that stopped at a DDL statement without a topic needs it
    ///   to continue;
    /// - a further name of a column in `partition_columns`: no row of a table without the former names was delivered.
    pub(crate) fn conflict(&self, before: &Self) -> Option<String> {
        let names = self.settings.keys().chain(before.settings.keys().filter(|name| !self.settings.contains_key(*name)));
        let may_be_added = |name: &str| name.starts_with(LATER_NAME) || (name == DDL_TOPIC && self.template);
        let differ = |name: &&String| match before.settings.get(*name) {
            None => !may_be_added(name),
            noted => self.settings.get(*name) != noted,
        };
        let mut names: Vec<&String> = names.filter(differ).collect();
        names.sort();
        let mut named: Vec<_> = names.into_iter().map(|name| shown(name)).collect();
        named.dedup();
        (!named.is_empty()).then(|| named.join(", "))
    }
}

fn shown(name: &str) -> Cow<'_, str> {
    match name {
        "transforms" => "the transforms".into(),
        "format" => "the format".into(),
        FORMAT_OPTIONS => "the options of the format".into(),
        name if name.starts_with(LATER_NAME) => "`partition_columns`".into(),
        name => format!("`{name}`").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_differ_are_named() {
        let base = || Fingerprint::new(true).with("topic", "{table}").with("record_key", "None");
        let named = |now: Fingerprint, before: Fingerprint| now.conflict(&before);
        assert_eq!(named(base(), base()), None);
        assert_eq!(named(base().with("topic", "a").with("transforms", "x"), base()).as_deref(), Some("`topic`, the transforms"));
        assert_eq!(named(base(), base().with("schema_registry", "")).as_deref(), Some("`schema_registry`"));
        assert_eq!(named(base().with(DDL_TOPIC, "d"), base()), None);
        assert_eq!(named(base(), base().with(DDL_TOPIC, "d")).as_deref(), Some("`ddl_topic`"));
        let splitting = || base().with("key_change", "split");
        assert_eq!(named(splitting(), base()).as_deref(), Some("`key_change`"));
        assert_eq!(named(base(), splitting()).as_deref(), Some("`key_change`"));
        let mut fixed = base().with(DDL_TOPIC, "d");
        fixed.template = false;
        assert_eq!(named(fixed, base()).as_deref(), Some("`ddl_topic`"));
        let columns = |more: &[&str]| more.iter().fold(base(), |base, name| base.with(&format!("{LATER_NAME}{name}"), "x"));
        assert_eq!(named(columns(&["a.b.0.1", "a.b.0.2"]), columns(&["a.b.0.1"])), None, "a column was renamed");
        assert_eq!(named(base(), columns(&["a.b.0.1", "a.b.0.2"])).as_deref(), Some("`partition_columns`"));
        let keyed = || base().with("record_key", "PrimaryKey").with("tombstones", "true").with(FORMAT_OPTIONS, "{}");
        assert_eq!(
            named(keyed().of_stream(), base().with("tombstones", "false").of_stream()).as_deref(),
            Some("`record_key`, `tombstones`")
        );
        assert_eq!(named(keyed().of_stream(), keyed().with(FORMAT_OPTIONS, "x").of_stream()), None);
        assert_eq!(named(keyed(), keyed().with(FORMAT_OPTIONS, "x")).as_deref(), Some("the options of the format"), "in the full phase");
        let without_keys = Fingerprint::new(true).with("topic", "{table}");
        assert_eq!(named(keyed().of_stream(), without_keys).as_deref(), Some("`record_key`, `tombstones`"), "nothing is taken for granted");
    }

    #[test]
    fn the_text_is_the_documented_one() {
        let text = serde_json::to_string(&Fingerprint::new(false).with("topic", "shop").with("partition", "Zero")).unwrap();
        assert_eq!(text, r#"{"partition":"f9f1e3fc","topic":"b7af0651"}"#);
    }
}
