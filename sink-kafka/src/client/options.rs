//! What a session is connected with.

use std::sync::Arc;
use std::time::Duration;

use super::denial::Denials;
use super::security::Security;

/// What a session is connected with.
#[derive(Clone)]
pub(crate) struct ClientOptions {
    /// Brokers to ask first, as `host:port`; the others are found through them.
    pub(crate) brokers: Vec<String>,
    /// TLS and SASL.
    pub(crate) security: Arc<Security>,
    pub(crate) timeouts: Timeouts,
    /// Outlives the session: decides how a refusal is taken.
    pub(crate) denials: Arc<Denials>,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a connection, with TLS, SASL and the choice of versions.
    pub(crate) connect: Duration,
    /// For an answer to Produce, CreateTopics and Fetch. Longer than the 30 s that a broker waits for its replicas.
    pub(crate) request: Duration,
    /// For an answer to any other request, which a broker gives from memory.
    pub(crate) quick_request: Duration,
    /// How long the same batch is sent again before it counts as failed.
    pub(crate) resend: Duration,
    /// How long leaders, coordinators and watermarks are waited for.
    pub(crate) patience: Duration,
    /// Where a broker does not tell the true end of its log: the time after which nothing older can appear.
    pub(crate) settle: Duration,
    /// How long an answer to Produce is waited for before the other brokers are asked whether the leader changed.
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
            settle: seconds(45),
            suspect: seconds(5),
        }
    }
}
