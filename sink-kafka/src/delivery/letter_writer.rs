//! Writes dead letters to their topic.
//!
//! Letters are not in the order of their events, and one that was written before a failure is written again. So nothing is skipped, and no
//! receipt says what was delivered.

use std::ops::Range;
use std::sync::Arc;

use runtime::{Body, Cause, Encoder, Letter, Message};

use super::outcome::Sender;
use super::producer::Partition;
use super::record_batch::{Record, RecordBatchBuilder};
use super::send::{self, Delivery};
use crate::codec::Codec;
use crate::resume::TransactionBytes;
use crate::resume::record_header::{self, NOT_EXACT};
use crate::routing::{Route, Router};

/// The header that says what the value of a letter is.
const VALUE: &str = "dts.error.value";
/// The header with the size in bytes of a value that is left out.
const VALUE_BYTES: &str = "dts.error.value_bytes";

/// Writes the letters of one lane to the partitions of one topic.
pub(crate) struct LetterWriter {
    sender: Sender,
    partitions: Vec<Arc<Partition>>,
    router: Router,
    encoder: Box<dyn Encoder>,
    codec: Codec,
    record_batch_bytes: usize,
    message: Message,
    key: Vec<u8>,
    header: Vec<u8>,
    transaction: TransactionBytes,
}

impl LetterWriter {
    /// A writer to these partitions. `router` knows the topic.
    pub(crate) fn new(
        sender: Sender,
        partitions: Vec<Arc<Partition>>,
        router: Router,
        encoder: Box<dyn Encoder>,
        codec: Codec,
        record_batch_bytes: usize,
    ) -> Self {
        Self {
            sender,
            partitions,
            router,
            encoder,
            codec,
            record_batch_bytes,
            message: Message::default(),
            key: Vec::new(),
            header: Vec::new(),
            transaction: TransactionBytes::default(),
        }
    }

    /// Writes letters. On `Ok` all of them are durable. A letter that is too large for the topic is written without its value.
    pub(crate) async fn write(&mut self, letters: &[Letter]) -> Result<(), runtime::Error> {
        let (mut from, mut without_value) = (0, None);
        while from < letters.len() {
            let (delivery, of) = self.seal(letters, from, without_value)?;
            from = of.end;
            for delivered in send::deliver(self.sender.clone(), vec![delivery]).await? {
                let Some((refused, error)) = delivered.rejected else { continue };
                // Everything before it is delivered, and nothing behind it was sent.
                let index = refused.start as usize;
                if error.cause() != Some(Cause::TooLarge) || without_value == Some(index) {
                    let error = runtime::Error::from(error);
                    return Err(match letters.get(index) {
                        Some(letter) => error.of_event(&letter.event),
                        None => error,
                    });
                }
                (from, without_value) = (index, Some(index));
            }
        }
        Ok(())
    }

    /// A batch of the letters from `from` on that go to the same partition, and which these are.
    fn seal(&mut self, letters: &[Letter], from: usize, without_value: Option<usize>) -> Result<(Delivery, Range<usize>), runtime::Error> {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        let (mut number, mut to) = (0, from);
        for (index, letter) in letters.iter().enumerate().skip(from) {
            let partition = self.encode(letter, without_value == Some(index));
            if index > from && (partition != number || builder.len() + self.message.value.len() > self.record_batch_bytes) {
                break;
            }
            number = partition;
            to = index + 1;
            let record = Record {
                key: self.message.key(),
                value: Some(&self.message.value),
                message: Some(&self.message),
                position: &self.header,
                ..Record::default()
            };
            builder.push(&record, index as u32..to as u32, letter.event.seq);
        }
        let partition = self.partitions.get(number).or(self.partitions.first()).cloned();
        let partition = partition.ok_or_else(|| runtime::Error::fatal("the topic for dead letters has no partition"))?;
        let (batch, _) = builder.seal(&mut self.codec, Vec::new())?;
        Ok((Delivery { partition, batch }, from..to))
    }

    /// Makes the record of a letter: key, value and headers in the message, and the position header. Returns the partition.
    fn encode(&mut self, letter: &Letter, without_value: bool) -> usize {
        let Self { message, header, key, .. } = self;
        message.clear();
        let encoded = self.encoder.encode(&letter.event, message);
        let what = match encoded {
            Ok(()) if !message.value.is_empty() => "encoded",
            _ => {
                message.clear();
                message.value = letter.to_json().to_string().into_bytes();
                "json"
            }
        };
        // Whatever the router finds wrong with the row may be the reason why it became a letter.
        let partition = match self.router.route(&letter.event) {
            Ok(Route::To(target) | Route::Moved { to: target, .. }) => target.partition,
            _ => 0,
        };
        if let Body::Row(row) = &letter.event.body
            && let Some(image) = row.newest()
            && self.router.find_route(&row.schema).is_ok_and(|missing| missing.is_none())
            && self.router.write_row_key(&row.schema, image, key).is_ok_and(|has_key| has_key)
        {
            message.set_key(key);
        }
        for (name, value) in letter.headers() {
            message.add_header(name, value);
        }
        if without_value {
            message.add_header(VALUE, "left_out");
            message.add_header(VALUE_BYTES, message.value.len().to_string());
            message.value.clear();
        } else {
            message.add_header(VALUE, what);
        }
        header.clear();
        record_header::write_prefix(header, self.sender.lane);
        header.extend_from_slice(&letter.event.seq.0.to_be_bytes());
        // Letters repeat and are in no order. This flag alone tells readers never to ignore the record.
        header.push(NOT_EXACT);
        header.extend_from_slice(self.transaction.of(letter.event.txid.as_ref()));
        partition
    }
}
