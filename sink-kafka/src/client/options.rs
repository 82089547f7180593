//! The settings with which a session connects to a cluster.

use std::sync::Arc;
use std::time::Duration;

use super::denial::Denials;
use super::security::Security;

/// The settings with which a session connects to a cluster.
#[derive(Clone)]
pub(crate) struct ClientOptions {
    /// The brokers that are contacted first, as `host:port`. The other brokers of the cluster are found through them.
    pub(crate) brokers: Vec<String>,
    /// The TLS and SASL settings.
    pub(crate) security: Arc<Security>,
    pub(crate) timeouts: Timeouts,
    /// The size of the largest record batch that is written and read, in bytes.
    pub(crate) max_batch_bytes: usize,
    /// The successes and refusals so far, which decide how a refusal is treated. The value outlives the session.
    pub(crate) denials: Arc<Denials>,
}

/// The time limits of the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// The limit for opening a connection, including TLS, SASL and the negotiation of API versions.
    pub(crate) connect: Duration,
    /// How long a broker may neither take nor send a byte before it has answered a Produce, CreateTopics or Fetch request. This is longer than
    /// the 30 s that a broker waits for its replicas.
    pub(crate) request: Duration,
    /// The same for any other request, which a broker answers from memory.
    pub(crate) quick_request: Duration,
    /// How long a batch is sent again until it counts as failed.
    pub(crate) resend: Duration,
    /// How long to wait for leaders, coordinators and high watermarks.
    pub(crate) patience: Duration,
    /// How long a topic is looked for that should exist but that the brokers do not know, or that has fewer partitions than before. A
    /// broker that has just started, or that is cut off from the others, does not know what they know.
    pub(crate) propagation: Duration,
    /// How long the high watermark is observed before it counts as the end of the log. Used if a broker does not return the end of its log.
    pub(crate) settle: Duration,
    /// How long to wait for an answer to Produce before asking the other brokers whether the leader has changed.
    pub(crate) suspect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            request: seconds(40),
            quick_request: seconds(10),
            resend: seconds(120),
            patience: seconds(60),
            propagation: seconds(30),
            settle: seconds(45),
            suspect: seconds(5),
        }
    }
}
