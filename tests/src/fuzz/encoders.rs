//! Encodes random events with both encoders and checks every result.

use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use fastrand::Rng;
use formats::canal_json::CanalJson;
use formats::dts_avro::DtsAvro;
use runtime::{Body, Encoder, Event, Kind, Message};

use super::cells::SECRET;
use super::{events, settings};
use crate::{Failure, Result};

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let bad = random.bool();
    let events = events::slice(random, bad);
    let (text, config) = settings::canal(random)?;
    let context = |failure: Failure| failure.context(format!("canal_json {text}"));
    each(&mut CanalJson::new(config), &events, bad, is_json).map_err(context)?;
    let (text, config) = settings::avro(random)?;
    let context = |failure: Failure| failure.context(format!("dts_avro {text}"));
    each(&mut DtsAvro::new(config), &events, bad, is_avro).map_err(context)
}

/// Encodes all events and checks every result. Each call of the encoder gets all events that are left, as a call by a sink does.
fn each(encoder: &mut dyn Encoder, events: &[Event], bad: bool, check: fn(&[u8]) -> Result<()>) -> Result<()> {
    let mut message = Message::default();
    let mut rest = events;
    while !rest.is_empty() {
        message.clear();
        let taken = match encoder.encode_many(rest, &mut message) {
            Ok(taken) if taken == 0 || taken > rest.len() => return Failure::err(format!("{taken} of {} events were taken", rest.len())),
            Ok(taken) => {
                if !message.value.is_empty() {
                    check(&message.value)?;
                }
                taken
            }
            Err(error) => {
                refused(&error, &message, rest, bad)?;
                1
            }
        };
        rest = &rest[taken..];
    }
    Ok(())
}

/// Checks that an error has the kind `Data`, leaves no partial message and contains no value of a cell. Valid events must not cause an
/// error.
fn refused(error: &runtime::Error, message: &Message, events: &[Event], bad: bool) -> Result<()> {
    if error.kind() != Kind::Data {
        return Failure::err(format!("an error of kind {:?}: {error}", error.kind()));
    }
    if !message.value.is_empty() {
        return Failure::err(format!("a partial message after: {error}"));
    }
    if names_have_no_secret(&events[0]) && format!("{error:?} {error} {:?}", error.help()).contains(SECRET) {
        return Failure::err(format!("a cell in an error: {error}"));
    }
    if !bad {
        return Failure::err(format!("a good event was refused: {error}"));
    }
    Ok(())
}

/// Whether the names and types of the event's table are free of [`SECRET`]. An error that contains the secret then shows the value of a
/// cell.
fn names_have_no_secret(event: &Event) -> bool {
    match &event.body {
        Body::Row(change) => !format!("{:?}", change.schema).contains(SECRET),
        _ => false,
    }
}

fn is_json(bytes: &[u8]) -> Result<()> {
    let value: serde_json::Value = serde_json::from_slice(bytes)?;
    for key in ["database", "es", "id", "isDdl", "table", "ts", "type"] {
        if value.get(key).is_none() {
            return Failure::err(format!("a message without {key}"));
        }
    }
    Ok(())
}

/// Checks that apache-avro can read the message with the schema that the encoder provides.
fn is_avro(bytes: &[u8]) -> Result<()> {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    static READER: OnceLock<GenericDatumReader<'static>> = OnceLock::new();
    if READER.get().is_none() {
        let encoder = DtsAvro::new(formats::dts_avro::Config::default());
        let schema = Schema::parse_str(&encoder.info().schema.ok_or_else(|| Failure::new("dts_avro has no schema"))?)?;
        let reader = GenericDatumReader::builder(SCHEMA.get_or_init(|| schema)).build()?;
        READER.get_or_init(|| reader);
    }
    let Some(reader) = READER.get() else { return Failure::err("no reader") };
    let mut rest = bytes;
    reader.read_value(&mut rest)?;
    if rest.is_empty() { Ok(()) } else { Failure::err(format!("{} bytes after the record", rest.len())) }
}
