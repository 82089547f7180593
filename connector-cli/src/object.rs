//! JSON objects whose members keep their order, unlike those of `serde_json::Value`.

use serde::de::IgnoredAny;

/// The text of an object that is being written, without its last brace.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a member. `json` is the JSON text of its value, without line breaks.
    pub(crate) fn with(mut self, name: &str, json: impl AsRef<str>) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&text(name));
        self.0.push(':');
        self.0.push_str(json.as_ref());
        self
    }

    /// The JSON text.
    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// The JSON text of a list of JSON texts.
pub(crate) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// The JSON text of a text.
pub(crate) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text that is JSON as it is, but in one line; any other as the JSON text of a text.
pub(crate) fn json_or_text(value: &str) -> String {
    match serde_json::from_str::<IgnoredAny>(value) {
        // A line break in JSON is never part of a text.
        Ok(_) => value.trim().replace(['\n', '\r'], " "),
        Err(_) => text(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order() {
        let inner = Object::new().with("z", json_or_text("{\"y\":1,\n\"b\":2}\n")).with("a\"", "null");
        let object = Object::new().with("inner", inner.end()).with("list", list([text("x\n"), json_or_text("x y")].into_iter()));
        assert_eq!(object.end(), r#"{"inner":{"z":{"y":1, "b":2},"a\"":null},"list":["x\n","x y"]}"#);
        assert_eq!(Object::new().end(), "{}");
        assert_eq!(list(std::iter::empty()), "[]");
    }
}
