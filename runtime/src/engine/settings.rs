//! A parsed tree of settings, from which the config struct of a plugin is read.
//!
//! The tree may come from a file, from environment variables or from a program. A text is converted to the type of the struct's field:
//! values from the environment are always text, and a password such as `00123` must not become a number. An error names the key and what
//! was expected. It never contains the value, which may be a secret.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Error as _, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, forward_to_deserialize_any};
use serde_json::Value;

use super::nearest::nearest_first;
use crate::{Error, Result};

/// A parsed tree of settings.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(Value);

impl Default for Settings {
    fn default() -> Self {
        Self(Value::Object(serde_json::Map::new()))
    }
}

// Settings may hold secrets, so only the keys of the first level are shown.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::Object(map) => f.debug_set().entries(map.keys()).finish(),
            _ => f.write_str("…"),
        }
    }
}

impl From<Value> for Settings {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Settings {
    /// Reads the tree as `C`. Fails with an error of kind `Config`, which names the key. `path` is the key of the tree itself, such as
    /// `sink.kafka`.
    pub fn parse<C: DeserializeOwned>(&self, path: &str) -> Result<C> {
        serde_path_to_error::deserialize(Node(&self.0)).map_err(|error| {
            let inner = error.path().to_string();
            if path.is_empty() && inner == "." {
                return Error::config("the settings are not valid").because(error.into_inner().to_string()).with_code("E_CONFIG");
            }
            let key = match (path.is_empty(), inner == ".") {
                (true, _) => inner,
                (false, true) => path.to_owned(),
                (false, false) => format!("{path}.{inner}"),
            };
            Error::config(format!("key `{key}` is not valid")).because(error.into_inner().to_string()).with_code("E_CONFIG")
        })
    }
}

impl Settings {
    /// The same text for the same settings, whatever the order in which their keys were written. It may hold secrets.
    pub(super) fn canonical_text(&self) -> String {
        // Invariant: the keys of a map are sorted.
        self.0.to_string()
    }
}

/// One plugin chosen by name with its settings: `{ canal_json = {} }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Choice(std::collections::BTreeMap<String, Settings>);

impl Choice {
    /// The name and the settings of the chosen plugin. Fails with an error of kind `Config` unless there is exactly one. `path` is the key
    /// that the error names.
    pub fn one(&self, path: &str) -> Result<(&str, &Settings)> {
        let mut entries = self.0.iter();
        match (entries.next(), entries.next()) {
            (Some((name, settings)), None) => Ok((name, settings)),
            (None, _) => Err(Error::config(format!("key `{path}` names no plugin")).because("exactly one must be chosen here")),
            _ => {
                let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
                Err(Error::config(format!("key `{path}` names more than one plugin"))
                    .because(format!("exactly one must be chosen here, found {}", names.join(", "))))
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Node<'a>(&'a Value);

/// The error of reading a tree. Its text names keys and what was expected, and never a value, unlike the texts that serde makes by default.
#[derive(Debug)]
struct DeError(String);

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DeError {}

impl serde::de::Error for DeError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, found {}", kind_of(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, found another {}", kind_of(found).trim_start_matches("a ")))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("expected {}, found another text", one_of(found, expected)))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        Self(match expected {
            [] => format!("unknown field `{found}`: no field is known here"),
            expected => format!("unknown field `{found}`, expected {}", one_of(found, expected)),
        })
    }
}

/// The names that are accepted, with those first that are most like the one that was found.
fn one_of(found: &str, expected: &[&str]) -> String {
    let names: Vec<String> = nearest_first(found, expected.iter().copied()).iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [name] => name.clone(),
        names => format!("one of {}", names.join(", ")),
    }
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        _ => "something else",
    }
}

impl<'de> IntoDeserializer<'de, DeError> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn mismatch(expected: &str, value: &Value) -> DeError {
    DeError::custom(format!("expected {expected}, found {}", found(value)))
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $expected:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
            let number = match self.0 {
                Value::String(text) => text.trim().parse::<$type>().ok(),
                value => <$type>::deserialize(value).ok(),
            };
            match number {
                Some(number) => visitor.$visit(number),
                None => Err(match self.0 {
                    Value::Number(_) => DeError::custom(concat!("out of range: expected ", $expected)),
                    value => mismatch($expected, value),
                }),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = DeError;

    numbers! {
        deserialize_u8 visit_u8 u8, "a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number from 0 to 4294967295";
        deserialize_u64 visit_u64 u64, "a whole number, not negative";
        deserialize_i8 visit_i8 i8, "a whole number from -128 to 127";
        deserialize_i16 visit_i16 i16, "a whole number from -32768 to 32767";
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, Some(value)) => visitor.visit_f64(value),
                _ => Err(mismatch("a value", self.0)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(list) => visitor.visit_seq(SeqDeserializer::new(list.iter().map(Node))),
            Value::Object(map) => visitor.visit_map(MapDeserializer::new(map.iter().map(|(key, value)| (key.as_str(), Node(value))))),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) if text == "true" || text == "false" => visitor.visit_bool(text == "true"),
            value => Err(mismatch("true or false", value)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            value => Err(mismatch("text in quotes", value)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.0 {
            Value::Array(list) => visitor.visit_seq(SeqDeserializer::new(list.iter().map(Node))),
            // In an environment variable, a list is written as a JSON list or as words with commas between them.
            Value::String(text) if text.trim_start().starts_with('[') => {
                let list: Vec<Value> = serde_json::from_str(text).map_err(|_| mismatch("a list such as [\"a\", \"b\"]", self.0))?;
                visitor.visit_seq(SeqDeserializer::new(list.iter().map(Node).map(Owned::from)))
            }
            Value::String(text) => visitor.visit_seq(SeqDeserializer::new(text.split(',').map(str::trim).filter(|word| !word.is_empty()))),
            value => Err(mismatch("a list", value)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            Value::String(text) if text.trim_start().starts_with('{') => {
                let map: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|_| mismatch("a table such as {}", self.0))?;
                visitor.visit_map(MapDeserializer::new(map.iter().map(|(key, value)| (key.as_str(), Owned::from(Node(value))))))
            }
            value => Err(mismatch("a table", value)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match self.0 {
            Value::String(text) if variants.contains(&text.as_str()) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::String(text) => Err(DeError::unknown_variant(text, variants)),
            Value::Object(map) if map.len() == 1 => visitor.visit_enum(serde::de::value::MapAccessDeserializer::new(MapDeserializer::new(
                map.iter().map(|(key, value)| (key.as_str(), Node(value))),
            ))),
            value => Err(mismatch(&one_of("", variants), value)),
        }
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any }
}

/// A node of a tree that was parsed from a text value. It owns its strings, because they cannot be borrowed from the settings.
struct Owned(Value);

impl From<Node<'_>> for Owned {
    fn from(node: Node<'_>) -> Self {
        Self(node.0.clone())
    }
}

impl<'de> IntoDeserializer<'de, DeError> for Owned {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Owned {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.0.deserialize_any(visitor).map_err(|_| DeError::custom("the text does not hold what is expected here"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.0 {
            Value::String(text) if !variants.contains(&text.as_str()) => Err(DeError::unknown_variant(text, variants)),
            _ => self
                .0
                .deserialize_enum(name, variants, visitor)
                .map_err(|_| DeError::custom("the text does not hold what is expected here")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        port: u16,
        #[serde(default)]
        password: String,
        #[serde(default)]
        tables: Vec<String>,
        #[serde(default)]
        on: bool,
        nested: Option<Nested>,
        #[serde(default)]
        phase: Vec<Phase>,
        either: Option<Counted>,
    }

    /// A number whose own visitor refuses everything, by the texts that serde makes.
    #[derive(Debug, PartialEq)]
    struct Counted;

    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Refuses;
            impl Visitor<'_> for Refuses {
                type Value = Counted;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a number that counts")
                }

                fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Counted, E> {
                    Err(E::invalid_value(Unexpected::Unsigned(number), &self))
                }
            }
            deserializer.deserialize_any(Refuses)
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Nested {
        rows: u64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Phase {
        Full,
        Incremental,
    }

    fn parse(value: Value) -> Result<Config> {
        Settings::from(value).parse("sink.kafka")
    }

    #[test]
    fn text_becomes_what_the_struct_asks_for() {
        let config = parse(json!({
            "port": "9092", "password": "00123", "tables": "a.b, c.*", "on": "true", "nested": "{\"rows\": 7}", "phase": ["full", "incremental"]
        }))
        .unwrap();
        assert_eq!((config.port, config.password.as_str(), config.on), (9092, "00123", true));
        assert_eq!(config.tables, ["a.b", "c.*"]);
        assert_eq!(config.nested, Some(Nested { rows: 7 }));
        assert_eq!(config.phase, [Phase::Full, Phase::Incremental]);
        assert_eq!(parse(json!({"tables": "[\"a,b.c\"]"})).unwrap().tables, ["a,b.c"]);
    }

    #[test]
    fn errors_name_the_key_and_never_the_value() {
        for (value, key, reason) in [
            (json!({"password": 4711}), "sink.kafka.password", "expected text in quotes, found a number"),
            (json!({"port": "s3cret"}), "sink.kafka.port", "expected a whole number from 0 to 65535, found text"),
            (json!({"port": 70000}), "sink.kafka.port", "out of range"),
            (json!({"nested": {"rows": true}}), "sink.kafka.nested.rows", "found true or false"),
            (json!({"prot": 1}), "sink.kafka", "unknown field `prot`, expected one of `port`, "),
            (json!({"phase": ["full", "s3cret"]}), "sink.kafka.phase[1]", "expected one of `full`, `incremental`, found another text"),
            (json!({"phase": ["incremntal"]}), "sink.kafka.phase[0]", "expected one of `incremental`, `full`, found another text"),
            (json!({"phase": "[\"Incremental\"]"}), "sink.kafka.phase[0]", "expected one of `incremental`, `full`, found another text"),
            (json!({"phase": [4711]}), "sink.kafka.phase[0]", "expected one of `full`, `incremental`, found a number"),
            (json!({"either": "s3cret"}), "sink.kafka.either", "expected a number that counts, found text"),
            (json!({"either": 4711}), "sink.kafka.either", "expected a number that counts, found another number"),
        ] {
            let error = parse(value).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(key) && text.contains(reason), "{text}");
            assert!(!text.contains("4711") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_choice_is_exactly_one() {
        let choice: Choice = Settings::from(json!({"canal_json": {}})).parse("format").unwrap();
        assert_eq!(choice.one("format").unwrap().0, "canal_json");
        let two: Choice = Settings::from(json!({"a": {}, "b": {}})).parse("format").unwrap();
        assert!(two.one("format").unwrap_err().to_string().contains("a, b"));
    }
}
