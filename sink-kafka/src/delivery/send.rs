//! Delivers sealed batches: stamps them, sends one request per broker, handles the answers, and sends a batch again if the broker can
//! recognise it.
//!
//! While a batch is in flight, its partition is locked. So at most one batch per partition is in flight, whichever lane sends it. A
//! delivery returns when the outcome of all its batches is known, or it invalidates the producer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::outcome::{Delivered, Next, Pending, Sender, fit, not_sent, resend_if_idempotent, settle, unanswered};
use super::producer::Partition;
use super::record_batch::SealedBatch;
use crate::client::{ClientError, ErrorCode, PartitionRecords, Pauses, Purpose, TopicPartition, produce};
use crate::error::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A sealed batch and the partition that it goes to.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) partition: Arc<Partition>,
    pub(super) batch: SealedBatch,
}

/// Delivers batches, at most one per partition. On `Err` the producer is invalid, and the next recovery finds out which batches were
/// delivered.
pub(super) async fn deliver(sender: Sender, mut deliveries: Vec<Delivery>) -> Result<Vec<Delivered>, Error> {
    // Invariant: all lanes lock partitions in the same order, so there is no deadlock between two lanes.
    deliveries.sort_by(|a, b| a.partition.id.cmp(&b.partition.id));
    let mut pending = Vec::with_capacity(deliveries.len());
    for Delivery { partition, batch } in deliveries {
        pending.push(Pending::new(partition, batch).await);
    }
    // Invariant: nothing is sent on an invalid producer, because its sequence numbers may be wrong.
    if !sender.producer.is_valid() {
        return Err(Error::ProducerInvalidated);
    }
    match drive(&sender, &mut pending).await {
        Ok(()) => {
            sender.producer.session().denials().note_success();
            Ok(pending.into_iter().map(|pending| pending.delivered).collect())
        }
        Err(error) => {
            // The producer is invalidated before the partitions are unlocked, so the next lane that locks them sees that it is invalid.
            sender.producer.invalidate();
            Err(error)
        }
    }
}

async fn drive(sender: &Sender, pending: &mut [Pending]) -> Result<(), Error> {
    let session = sender.producer.session();
    let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        for pending in &mut *pending {
            fit(pending, session.max_batch_bytes())?;
        }
        // One request per broker, and one for each batch that may be too large for its broker.
        let mut groups: BTreeMap<(Option<i32>, Option<usize>), Vec<usize>> = BTreeMap::new();
        for (index, pending) in pending.iter().enumerate().filter(|(_, pending)| !pending.queue.is_empty()) {
            let leader = session.leader(&pending.id().topic, pending.id().partition);
            groups.entry((leader, pending.is_suspect().then_some(index))).or_default().push(index);
        }
        if groups.is_empty() {
            return Ok(());
        }
        let (mut first_error, mut resend) = (None, false);
        for ((broker, _), members) in groups {
            let answers = match broker {
                Some(broker) => send(sender, broker, pending, &members).await,
                None => Err(ClientError::NoLeader { partition: pending[members[0]].id().clone() }),
            };
            for index in members {
                let pending = &mut pending[index];
                let result = match &answers {
                    Ok(answers) => match answers.get(&index) {
                        Some((code, base_offset)) => settle(sender, pending, *code, *base_offset).await,
                        None => resend_if_idempotent(sender, pending, "the answer does not mention it".into()),
                    },
                    Err(error) if error.may_have_arrived() => unanswered(sender, pending, broker, error).await,
                    Err(error) if !error.is_transient() => Err(error.clone().into()),
                    Err(error) => not_sent(sender, pending, || error.clone()),
                };
                match result {
                    Ok(Next::Done) => {}
                    Ok(Next::Resend) => resend = true,
                    // The remaining answers of this round are still handled, because they are valid despite this error.
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
        }
        if let Some(error) = first_error {
            return Err(error);
        }
        if resend {
            // There is no time limit for this loop, because each batch has its own.
            pauses.pause().await;
            refresh_leaders(sender, pending).await?;
        } else {
            pauses.restart();
        }
    }
}

async fn refresh_leaders(sender: &Sender, pending: &[Pending]) -> Result<(), Error> {
    let unsent = pending.iter().filter(|pending| !pending.queue.is_empty());
    let partitions: Vec<TopicPartition> = unsent.map(|pending| pending.id().clone()).collect();
    Ok(sender.producer.session().refresh_leaders(&partitions).await?)
}

/// The error code and the base offset for each batch, by index of the batch.
type Answers = BTreeMap<usize, (ErrorCode, i64)>;

/// Stamps the first batch of each member and sends all of them in one request. `members` are indexes into `pending`.
async fn send(sender: &Sender, broker: i32, pending: &mut [Pending], members: &[usize]) -> Result<Answers, ClientError> {
    let producer = &sender.producer;
    let connection = producer.session().connection(broker, Purpose::Write).await?;
    for &index in members {
        let Pending { state, queue, .. } = &mut pending[index];
        if let Some(batch) = queue.front_mut() {
            let sequence = if producer.is_idempotent() { state.next_sequence } else { -1 };
            batch.stamp(producer.id, sequence);
        }
    }
    let partitions: Vec<TopicPartition> = members.iter().map(|&index| pending[index].id().clone()).collect();
    let records: Vec<PartitionRecords<'_>> = members
        .iter()
        .filter_map(|&index| {
            let (id, batch) = (pending[index].id(), pending[index].queue.front()?);
            Some(PartitionRecords { topic: &id.topic, partition: id.index(), records: batch.bytes() })
        })
        .collect();
    connection.obey_throttle().await;
    let answers = tokio::select! {
        biased;
        answers = produce(&connection, &records, producer.zstd) => answers?,
        // A broker that hangs may stay silent for longer than this lane can wait. The other brokers elect a new leader long before that.
        () = producer.session().leader_changed(broker, &partitions) => {
            connection.cut();
            return Err(ClientError::LeaderChanged { address: connection.address().to_owned() });
        }
    };
    let index_of: HashMap<(&str, i32), usize> =
        partitions.iter().zip(members).map(|(id, &index)| ((&*id.topic, id.index()), index)).collect();
    let index = |topic: &str, partition| index_of.get(&(topic, partition)).copied();
    Ok(answers.iter().filter_map(|answer| Some((index(&answer.topic, answer.partition)?, (answer.code, answer.base_offset)))).collect())
}
