//! The fingerprint of the settings that decide what a record is and where it goes. It is kept with what was delivered, so that a task that
//! continues with other settings can name them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const DDL_TOPIC: &str = "ddl_topic";
const KEY_CHANGE: &str = "key_change";
const RECORD_KEY: &str = "record_key";
/// How the settings begin that hold the later names of the columns of `partition_columns`. Behind it are the table, the column's place and
/// the name's place.
pub(crate) const LATER_NAME: &str = "partition_columns ";
/// The settings that decide what a record is, but not where it goes. The record key decides both if updates that change it are split.
const OF_BYTES: [&str; 3] = ["format_options", RECORD_KEY, "tombstones"];

/// For each setting that is set, the CRC32C of its value as eight hexadecimal digits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fingerprint {
    settings: BTreeMap<String, String>,
    /// Whether the topics of rows come from a template.
    #[serde(skip)]
    template: bool,
    /// Whether an update that changes the record key is split.
    #[serde(skip)]
    splits_by_key: bool,
}

impl Fingerprint {
    /// An empty fingerprint. `template` says whether the topics of rows come from a template, `splits_by_key` whether an update that changes
    /// the record key is split.
    pub(crate) fn new(template: bool, splits_by_key: bool) -> Self {
        Self { settings: BTreeMap::new(), template, splits_by_key }
    }

    /// The same with one more setting. The value's text must stay the same over versions, because its checksum is stored.
    #[must_use]
    pub(crate) fn with(mut self, setting: &str, value: &str) -> Self {
        self.settings.insert(setting.to_owned(), format!("{:08x}", crc32c::crc32c(value.as_bytes())));
        self
    }

    /// The part that decides where a record goes.
    #[must_use]
    pub(crate) fn routing(mut self) -> Self {
        let splits_by_key = self.splits_by_key;
        self.settings.retain(|setting, _| !OF_BYTES.contains(&setting.as_str()) || (setting == RECORD_KEY && splits_by_key));
        self
    }

    /// Names the settings that are not as they were `before` and must be; `None` if there are none. These may be added later:
    ///
    /// - `ddl_topic` with a template: it does not change where rows go, and a task that stopped at a DDL statement without a topic needs it
    ///   to continue;
    /// - a further name of a column in `partition_columns`: no row of a table without the former names was delivered;
    /// - the splitting of updates, by all settings that decide it. The other way round a half of a split update that was not delivered would
    ///   be lost.
    pub(crate) fn conflict(&self, before: &Self) -> Option<String> {
        let names = self.settings.keys().chain(before.settings.keys().filter(|name| !self.settings.contains_key(*name)));
        let may_differ = |name: &str| match before.settings.get(name) {
            None => matches!(name, KEY_CHANGE | RECORD_KEY) || name.starts_with(LATER_NAME) || (name == DDL_TOPIC && self.template),
            Some(_) => false,
        };
        let differ = |name: &&String| self.settings.get(*name) != before.settings.get(*name) && !may_differ(name);
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
        "format_options" => "the options of the format".into(),
        name if name.starts_with(LATER_NAME) => "`partition_columns`".into(),
        name => format!("`{name}`").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_differ_are_named() {
        let base = || Fingerprint::new(true, false).with("topic", "{table}").with(RECORD_KEY, "None");
        let named = |now: Fingerprint, before: Fingerprint| now.conflict(&before);
        assert_eq!(named(base(), base()), None);
        assert_eq!(named(base().with("topic", "a").with("transforms", "x"), base()).as_deref(), Some("`topic`, the transforms"));
        assert_eq!(named(base(), base().with("schema_registry", "")).as_deref(), Some("`schema_registry`"));
        assert_eq!(named(base().with(DDL_TOPIC, "d").with(KEY_CHANGE, "split"), base()), None);
        assert_eq!(named(base(), base().with(DDL_TOPIC, "d").with(KEY_CHANGE, "split")).as_deref(), Some("`ddl_topic`, `key_change`"));
        let mut fixed = base().with(DDL_TOPIC, "d");
        fixed.template = false;
        assert_eq!(named(fixed, base()).as_deref(), Some("`ddl_topic`"));
        let columns = |more: &[&str]| more.iter().fold(base(), |base, name| base.with(&format!("{LATER_NAME}{name}"), "x"));
        assert_eq!(named(columns(&["a.b.0.1", "a.b.0.2"]), columns(&["a.b.0.1"])), None, "a column was renamed");
        assert_eq!(named(base(), columns(&["a.b.0.1", "a.b.0.2"])).as_deref(), Some("`partition_columns`"));
        let keyed = || Fingerprint { splits_by_key: true, ..base().with(RECORD_KEY, "PrimaryKey") };
        assert_eq!(named(base().with(RECORD_KEY, "Table").routing(), base().routing()), None);
        assert_eq!(named(keyed().routing(), base().routing()), None, "more updates are split than before");
        assert_eq!(named(base().routing(), keyed().routing()).as_deref(), Some("`record_key`"));
        assert_eq!(named(keyed(), base()).as_deref(), Some("`record_key`"), "in the full phase");
    }

    #[test]
    fn the_text_is_the_documented_one() {
        let text = serde_json::to_string(&Fingerprint::new(false, false).with("topic", "shop").with("partition", "Zero")).unwrap();
        assert_eq!(text, r#"{"partition":"f9f1e3fc","topic":"b7af0651"}"#);
    }
}
