//! A Kafka client: connections, leaders, topics, and requests with typed errors. It does not depend on tasks, events or settings files.
//!
//! This is the only folder that uses `rskafka`. It uses the messenger and the protocol types of that library directly. The library's public
//! client does not fit: it repeats requests on its own, and it lacks time-outs, idempotent batches and `TCP_NODELAY`.

mod answer_limit;
mod api;
mod batch_reader;
mod connect_error;
mod connection;
mod connections;
mod denial;
mod diagnosis;
mod error;
mod error_code;
mod log_ends;
mod log_reader;
mod metadata;
mod options;
mod record_reader;
#[cfg(test)]
pub(crate) mod reference;
mod retry;
mod sasl;
mod scram;
mod security;
mod session;
mod stream;
mod tls;
mod topic_id;
mod topic_partition;
pub(crate) mod topics;

pub use api::answer::Answer;
pub(crate) use api::init_producer_id::InitProducerIdRequest;
#[cfg(test)]
pub(crate) use api::list_offsets::{Boundary, list_offsets};
pub(crate) use api::produce::{PartitionRecords, produce};
pub(crate) use batch_reader::read_batches;
pub use connect_error::ConnectError;
pub(crate) use connect_error::Server;
pub(crate) use connection::Connection;
pub(crate) use connections::Purpose;
pub use denial::Denial;
pub(crate) use denial::Denials;
pub use error::{ClientError, ServerText};
pub use error_code::ErrorCode;
pub(crate) use error_code::ProduceResult;
pub(crate) use log_ends::{LogRange, log_ranges};
pub(crate) use log_reader::{LogPart, read_log};
pub(crate) use options::{ClientOptions, Timeouts};
pub(crate) use record_reader::RecordHead;
pub(crate) use retry::{Pauses, Retry};
pub(crate) use security::Security;
pub use security::{Mechanism, Sasl};
pub(crate) use session::{ExpectedTopic, Permission, Session};
pub use tls::Tls;
pub(crate) use tls::{ClientTls, TlsError};
pub use topic_partition::TopicPartition;
