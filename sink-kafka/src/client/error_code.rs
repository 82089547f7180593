//! Kafka's error codes: their names, and what each one means in the answer to a Produce request or to any other request.

use std::fmt;

/// An error code of Kafka's protocol; shown as `6 (NotLeaderOrFollower)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(
    /// The number of the error in Kafka's protocol.
    pub i16,
);

/// The meaning of an answer to a Produce request for the batch that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProduceResult {
    /// The batch is in the log.
    Appended,
    /// The batch was already in the log, from an earlier attempt; the broker does not say at which offset.
    Duplicate,
    /// Not appended: the batch is too large.
    TooLarge,
    /// Not appended: the broker does not accept a record of the batch.
    Rejected,
    /// Not appended: the bytes that the broker received do not fit their checksum, or it does not accept a record of the batch.
    Corrupt,
    /// Not appended: a permission is missing.
    Denied,
    /// Not appended: the broker, the topic or the task is configured wrongly.
    Misconfigured,
    /// Not appended: the broker calls the request invalid.
    InvalidRequest,
    /// Not appended: the same batch can be sent again.
    Retry,
    /// It is unknown whether the batch was appended.
    Unknown,
    /// The producer id is no longer valid; the lane must recover with a new one.
    ProducerIdExpired,
}

impl ErrorCode {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    pub(crate) const LEADER_NOT_AVAILABLE: Self = Self(5);
    pub(crate) const TOPIC_AUTHORIZATION_FAILED: Self = Self(29);
    pub(crate) const UNSUPPORTED_SASL_MECHANISM: Self = Self(33);
    pub(crate) const ILLEGAL_SASL_STATE: Self = Self(34);
    pub(crate) const TOPIC_ALREADY_EXISTS: Self = Self(36);
    pub(crate) const SASL_AUTHENTICATION_FAILED: Self = Self(58);
    pub(crate) const OFFSET_NOT_AVAILABLE: Self = Self(78);

    /// Converts an optional error of the protocol library; `None` is code 0.
    pub(super) fn of(error: Option<rskafka::protocol::error::Error>) -> Self {
        Self(rskafka::protocol::primitives::Int16::from(error).0)
    }

    /// What this code means in the answer to a Produce request. A code that is not listed counts as `Unknown`, never as "not appended".
    pub(crate) fn produce_result(self) -> ProduceResult {
        match self.0 {
            0 => ProduceResult::Appended,
            46 => ProduceResult::Duplicate,
            10 | 18 => ProduceResult::TooLarge,
            2 => ProduceResult::Corrupt,
            87 | 32 => ProduceResult::Rejected,
            29 | 31 | 58 | 53 => ProduceResult::Denied,
            17 | 21 | 33 | 34 | 35 | 43 | 44 | 76 => ProduceResult::Misconfigured,
            42 => ProduceResult::InvalidRequest,
            5 | 19 | 72 | 74 | 75 | 89 => ProduceResult::Retry,
            45 | 47 | 59 | 90 => ProduceResult::ProducerIdExpired,
            _ => ProduceResult::Unknown,
        }
    }

    /// Whether a permission is missing.
    pub(crate) fn is_denial(self) -> bool {
        self.produce_result() == ProduceResult::Denied
    }

    /// Whether a retry cannot succeed until somebody changes the configuration of the broker, the topic or the task.
    pub(crate) fn is_misconfiguration(self) -> bool {
        self.produce_result() == ProduceResult::Misconfigured
    }

    /// Whether the broker calls the request invalid, which is a defect of this client.
    pub(crate) fn is_invalid_request(self) -> bool {
        self.produce_result() == ProduceResult::InvalidRequest
    }

    /// Whether the broker does not know the topic: neither its name nor its id.
    pub(crate) fn is_unknown_topic(self) -> bool {
        matches!(self.0, 3 | 100)
    }

    /// Whether the error is about the leader of a partition: the leader must be looked up again, or the request repeated later.
    pub(crate) fn is_about_leadership(self) -> bool {
        matches!(self.0, 3 | 5 | 6 | 7 | 9 | 13 | 56 | 72 | 74 | 75 | 78 | 89)
    }

    /// Whether the broker's coordinator for producer ids is still starting.
    pub(crate) fn is_coordinator_loading(self) -> bool {
        matches!(self.0, 14..=16)
    }

    /// Whether the code means that a topic cannot be created as requested, because of its name, partitions, replication or configs, or
    /// because a policy of the brokers forbids it.
    pub(super) fn refuses_creation(self) -> bool {
        matches!(self.0, 17 | 37..=40 | 42 | 44)
    }

    /// The name of the code in Kafka's protocol, such as `NotLeaderOrFollower`.
    pub(crate) fn name(self) -> String {
        rskafka::protocol::error::Error::new(self.0).map_or_else(|| "None".into(), |error| format!("{error:?}"))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_documented_one() {
        let table: [(ProduceResult, &[i16]); 11] = [
            (ProduceResult::Appended, &[0]),
            (ProduceResult::Duplicate, &[46]),
            (ProduceResult::TooLarge, &[10, 18]),
            (ProduceResult::Corrupt, &[2]),
            (ProduceResult::Rejected, &[87, 32]),
            (ProduceResult::Denied, &[29, 31, 58, 53]),
            (ProduceResult::Misconfigured, &[17, 21, 33, 34, 35, 43, 44, 76]),
            (ProduceResult::InvalidRequest, &[42]),
            (ProduceResult::Retry, &[5, 19, 72, 74, 75, 89]),
            (ProduceResult::Unknown, &[3, 6, 7, 13, 20, 56, 57, -1, 1, 4711, i16::MIN, i16::MAX]),
            (ProduceResult::ProducerIdExpired, &[45, 47, 59, 90]),
        ];
        for (expected, codes) in table {
            for &code in codes {
                assert_eq!(ErrorCode(code).produce_result(), expected, "{code}");
            }
        }
    }
}
