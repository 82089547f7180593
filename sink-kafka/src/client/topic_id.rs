//! The id of a topic.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The id of a topic, which a topic of the same name that is created later does not have. Shown as Kafka's tools show it, such as
/// `AAAAAAAAAAAAAAAAAAAAAQ`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TopicId([u8; 16]);

impl TopicId {
    /// The id with these bytes; `None` for sixteen zero bytes, which stand for "no id".
    pub(crate) fn of(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shown_as_kafka_shows_them() {
        let mut bytes = [0; 16];
        assert_eq!(TopicId::of(bytes), None);
        bytes[15] = 1;
        assert_eq!(TopicId::of(bytes).unwrap().to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        bytes[0] = 0xff;
        assert_eq!(TopicId::of(bytes).unwrap().to_string(), "_wAAAAAAAAAAAAAAAAAAAQ");
    }
}
