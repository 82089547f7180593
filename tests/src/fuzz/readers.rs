//! Reads whole and broken messages with the checker's readers, which must return a result or a failure and never panic.

use fastrand::Rng;
use formats::canal_json::CanalJson;
use formats::dts_avro::DtsAvro;
use runtime::{Encoder, Message};

use super::mutation::mutate;
use super::{events, settings};
use crate::Result;
use crate::checker::{Format, Header};

/// The longest length in a message that the Avro library believes. No message of a round is longer.
const MAX_LENGTH: usize = 8 << 20;

/// A message may have a wrong length, and the library allocates by it. The first call of a process sets the limit, and the first use of the
/// library sets one, too, so this comes before the first round of any target.
pub(super) fn limit_lengths() {
    apache_avro::util::max_allocation_bytes(MAX_LENGTH);
}

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let (_, canal) = settings::canal(random)?;
    let (_, avro) = settings::avro(random)?;
    let canal = messages(random, &mut CanalJson::new(canal));
    let avro = messages(random, &mut DtsAvro::new(avro));
    for (format, messages) in [(Format::CanalJson, &canal), (Format::DtsAvro, &avro)] {
        for message in messages {
            // The settings decide whether the reader can read the message, so the result is ignored. Only a panic is a failure.
            let _ = format.decode(message);
            for _ in 0..4 {
                let mut broken = message.clone();
                let other = if random.bool() { message } else { &canal[0] };
                mutate(random, &mut broken, other);
                let _ = format.decode(&broken);
            }
        }
    }
    let mut header = vec![1; 30];
    header[1..].fill_with(|| random.u8(..));
    let _ = Header::parse(&header);
    mutate(random, &mut header, &avro[0]);
    let _ = Header::parse(&header);
    Ok(())
}

/// The messages of some random events, and an empty message at the end. So there is at least one message.
fn messages(random: &mut Rng, encoder: &mut dyn Encoder) -> Vec<Vec<u8>> {
    let events = events::slice(random, false);
    let mut messages = Vec::new();
    for event in &events {
        let mut message = Message::default();
        if encoder.encode(event, &mut message).is_ok() {
            messages.push(message.value);
        }
    }
    messages.push(Vec::new());
    messages
}
