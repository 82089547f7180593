//! How long the answer to each request may be. A longer one ends the connection before memory is allocated for it.

use rskafka::protocol::messages::SaslHandshakeRequest;

/// The largest accepted answer, in bytes, to a request without a limit of its own. Those before the login have none.
pub(super) const SMALL_ANSWER_BYTES: usize = 64 << 10;
/// The most bytes of an answer about one partition, with the name of its topic, which has at most 249 characters.
pub(super) const PARTITION_ANSWER_BYTES: usize = 384;

/// How long the answer to a request may be.
pub(crate) trait AnswerLimit {
    /// The largest answer that a broker has reason to send, in bytes.
    fn answer_limit(&self) -> usize {
        SMALL_ANSWER_BYTES
    }
}

impl<T: AnswerLimit> AnswerLimit for &T {
    fn answer_limit(&self) -> usize {
        T::answer_limit(self)
    }
}

impl AnswerLimit for SaslHandshakeRequest {}
