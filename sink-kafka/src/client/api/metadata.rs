//! The request Metadata, versions 4 to 12: the brokers, and for each topic its id, the leaders of its partitions and the operations that
//! the broker allows. It is written out here because the one of rskafka ends at version 4. This request never makes a broker create a
//! missing topic.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::Int16;
use rskafka::protocol::traits::ReadError;

use super::fields::{Body, FieldWriter, Fields, malformed};
use crate::client::answer_limit::AnswerLimit;
use crate::client::error_code::ErrorCode;
use crate::client::topic_id::TopicId;

/// The first version whose leader epochs can be relied on. Brokers before Kafka 2.4, whose newest version is 8, return epochs that may be
/// too old while a partition is being moved to other brokers.
const RELIABLE_EPOCHS: i16 = 9;
/// The first version in the flexible encoding.
const FLEXIBLE: i16 = 9;
/// The value that a broker sends if it does not report the allowed operations.
const UNKNOWN_RIGHTS: i32 = i32::MIN;
/// The largest number of brokers that an answer may name. The largest clusters have some hundreds.
const MAX_BROKERS: usize = 1_000;
/// The largest length of the host name of a broker, in bytes. A name of the DNS has at most 253.
const MAX_HOST: usize = 255;
/// The largest accepted answers: about brokers only, about some topics, and about all topics of the cluster. A partition takes about 50 bytes.
const BROKERS_ANSWER_BYTES: usize = 512 << 10;
const TOPICS_ANSWER_BYTES: usize = 4 << 20;
const CLUSTER_ANSWER_BYTES: usize = 16 << 20;

/// A request about these topics; `None` requests all topics.
#[derive(Debug)]
pub(crate) struct MetadataRequest<'a> {
    pub(crate) topics: Option<&'a [Arc<str>]>,
    /// Whether the broker reports which operations on the topics it allows.
    pub(crate) with_rights: bool,
}

/// An answer to Metadata. Of the topics only those are stored that are asked for in [`MetadataResponse::describe`].
pub(crate) struct MetadataResponse {
    version: i16,
    body: Body,
}

/// The part of an answer to Metadata that this client uses.
#[derive(Debug, Default)]
pub(crate) struct ClusterDescription {
    /// The address `host:port` of each broker, by broker id.
    pub(crate) brokers: HashMap<i32, String>,
    pub(crate) controller: Option<i32>,
    pub(crate) topics: Vec<TopicDescription>,
}

/// The part of an answer to Metadata that describes one topic.
#[derive(Debug)]
pub(crate) struct TopicDescription {
    pub(crate) name: String,
    /// The id of the topic; `None` if the broker does not return it, as before Kafka 2.8.
    pub(crate) id: Option<TopicId>,
    pub(crate) code: ErrorCode,
    /// Whether the topic is an internal topic of Kafka, such as `__consumer_offsets`.
    pub(crate) is_internal: bool,
    pub(crate) partitions: Vec<PartitionDescription>,
    /// The allowed operations as a bit set: bit `n` stands for operation `n`. `None` if the broker does not report them.
    pub(crate) rights: Option<i32>,
}

/// The part of an answer to Metadata that describes one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionDescription {
    pub(crate) number: i32,
    /// The broker id of the leader; negative if there is no leader.
    pub(crate) leader: i32,
    /// A number that rises with every election of a leader; `None` if the broker does not return it reliably.
    pub(crate) leader_epoch: Option<i32>,
}

impl<'a> MetadataRequest<'a> {
    pub(crate) fn new(topics: Option<&'a [Arc<str>]>) -> Self {
        Self { topics, with_rights: false }
    }
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for MetadataRequest<'_> {
    type ResponseBody = MetadataResponse;
    const API_KEY: ApiKey = ApiKey::Metadata;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(4), version(12));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(FLEXIBLE);
    // The messenger would store the tagged fields of the header. They are skipped here instead.
    const FIRST_TAGGED_FIELD_IN_RESPONSE_VERSION: ApiVersion = version(i16::MAX);
}

impl AnswerLimit for MetadataRequest<'_> {
    fn answer_limit(&self) -> usize {
        match self.topics {
            Some([]) => BROKERS_ANSWER_BYTES,
            Some(_) => TOPICS_ANSWER_BYTES,
            None => CLUSTER_ANSWER_BYTES,
        }
    }
}

impl WriteVersionedType<Vec<u8>> for MetadataRequest<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        let v = version.0.0;
        let mut out = FieldWriter::new(out, v >= FLEXIBLE);
        out.length(self.topics.map(<[_]>::len))?;
        for topic in self.topics.unwrap_or_default() {
            if v >= 10 {
                out.uuid([0; 16]); // topics are asked for by name
            }
            out.string(topic)?;
            out.end()?;
        }
        out.bool(false)?; // whether missing topics are created
        if (8..=10).contains(&v) {
            out.bool(false)?; // whether the operations on the cluster are reported
        }
        if v >= 8 {
            out.bool(self.with_rights)?;
        }
        Ok(out.end()?)
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for MetadataResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, version: ApiVersion) -> Result<Self, ReadVersionedError> {
        let (version, body) = (version.0.0, Body::take(reader));
        let mut fields = body.fields(version >= FLEXIBLE);
        read(&mut fields, version, |_| false)?;
        fields.finish()?;
        Ok(Self { version, body })
    }
}

impl MetadataResponse {
    /// What the answer says about the brokers and about the topics for whose names `wanted` returns true. It is asked once for each topic of
    /// the answer.
    pub(crate) fn describe(&self, wanted: impl FnMut(&str) -> bool) -> ClusterDescription {
        // Invariant: the answer was read to its end before.
        read(&mut self.body.fields(self.version >= FLEXIBLE), self.version, wanted).unwrap_or_default()
    }
}

fn read(fields: &mut Fields<'_>, v: i16, mut wanted: impl FnMut(&str) -> bool) -> Result<ClusterDescription, ReadError> {
    fields.end()?; // the header
    fields.i32()?; // throttle time
    let mut brokers = HashMap::new();
    fields.each(|fields| {
        let (id, address) = read_broker(fields)?;
        brokers.insert(id, address);
        if brokers.len() > MAX_BROKERS { Err(malformed("more brokers than a cluster has")) } else { Ok(()) }
    })?;
    fields.nullable_str()?; // cluster id
    let controller = fields.i32()?;
    let mut topics = Vec::new();
    fields.each(|fields| {
        topics.extend(read_topic(fields, v, &mut wanted)?);
        Ok(())
    })?;
    if (8..=10).contains(&v) {
        fields.i32()?; // operations on the cluster
    }
    fields.end()?;
    Ok(ClusterDescription { brokers, controller: (controller >= 0).then_some(controller), topics })
}

fn read_broker(fields: &mut Fields<'_>) -> Result<(i32, String), ReadError> {
    let (id, host, port) = (fields.i32()?, fields.str()?, fields.i32()?);
    fields.nullable_str()?; // rack
    fields.end()?;
    if host.len() > MAX_HOST {
        return Err(malformed("a broker with a host name that is too long"));
    }
    Ok((id, if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }))
}

/// Reads a topic; `None` if it is not wanted.
fn read_topic(fields: &mut Fields<'_>, v: i16, wanted: &mut impl FnMut(&str) -> bool) -> Result<Option<TopicDescription>, ReadError> {
    let (code, name) = (fields.code()?, fields.str()?);
    let is_wanted = wanted(name);
    let id = if v >= 10 { TopicId::of(fields.uuid()?) } else { None };
    let is_internal = fields.bool()? || name.starts_with("__");
    let mut partitions = Vec::new();
    fields.each(|fields| {
        let partition = read_partition(fields, v)?;
        partitions.extend(is_wanted.then_some(partition));
        Ok(())
    })?;
    let rights = if v >= 8 { Some(fields.i32()?).filter(|rights| *rights != UNKNOWN_RIGHTS) } else { None };
    fields.end()?;
    Ok(is_wanted.then(|| TopicDescription { name: name.to_owned(), id, code, is_internal, partitions, rights }))
}

fn read_partition(fields: &mut Fields<'_>, v: i16) -> Result<PartitionDescription, ReadError> {
    fields.code()?; // error code of the partition
    let (number, leader) = (fields.i32()?, fields.i32()?);
    let epoch = if v >= 7 { fields.i32()? } else { -1 };
    // Two lists of broker ids, replicas and in-sync replicas; a third one, offline replicas, since version 5.
    for _ in 0..if v >= 5 { 3 } else { 2 } {
        fields.each(|fields| fields.i32().map(|_| ()))?;
    }
    fields.end()?;
    Ok(PartitionDescription { number, leader, leader_epoch: (v >= RELIABLE_EPOCHS && epoch >= 0).then_some(epoch) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: [u8; 16] = [7; 16];

    /// An answer of version `v` with one broker at an IPv6 address and one topic with two partitions, written independently of the reader.
    fn answer(v: i16) -> Vec<u8> {
        let flexible = v >= 9;
        let length = |out: &mut Vec<u8>, length: u8| if flexible { out.push(length + 1) } else { out.extend([0, 0, 0, length]) };
        let string = |out: &mut Vec<u8>, text: &str| {
            if flexible {
                out.push(text.len() as u8 + 1)
            } else {
                out.extend([0, text.len() as u8])
            }
            out.extend(text.bytes());
        };
        // A tagged field that nobody knows.
        let end = |out: &mut Vec<u8>| {
            if flexible {
                out.extend([1, 9, 2, 0xaa, 0xbb])
            }
        };
        let mut out: Vec<u8> = Vec::new();
        end(&mut out); // the header
        out.extend([0, 0, 0, 0]);
        length(&mut out, 1);
        out.extend([0, 0, 0, 5]);
        string(&mut out, "::1");
        out.extend([0, 0, 0x23, 0x84]);
        if flexible {
            out.push(0)
        } else {
            out.extend([0xff, 0xff])
        }
        end(&mut out);
        string(&mut out, "cluster");
        out.extend([0, 0, 0, 5]);
        length(&mut out, 1);
        out.extend([0, 0]);
        string(&mut out, "shop");
        if v >= 10 {
            out.extend(ID);
        }
        out.push(0);
        length(&mut out, 2);
        for (number, leader) in [(0, 5), (1, 0xff)] {
            out.extend([0, 0, 0, 0, 0, number]);
            out.extend([if leader == 0xff { 0xff } else { 0 }; 3]);
            out.push(leader);
            if v >= 7 {
                out.extend([0, 0, 1, 2]);
            }
            for _ in 0..if v >= 5 { 3 } else { 2 } {
                length(&mut out, 1);
                out.extend([0, 0, 0, 5]);
            }
            end(&mut out);
        }
        if v >= 8 {
            out.extend([0, 0, 1, 0x18]);
        }
        end(&mut out);
        if (8..=10).contains(&v) {
            out.extend([0x80, 0, 0, 0]);
        }
        end(&mut out);
        out
    }

    fn read(v: i16, bytes: Vec<u8>) -> Result<MetadataResponse, ReadVersionedError> {
        MetadataResponse::read_versioned(&mut Cursor::new(bytes), version(v))
    }

    #[test]
    fn every_version_is_read_to_its_end() {
        for v in 4..=12 {
            let bytes = answer(v);
            let found = read(v, bytes.clone()).unwrap();
            assert!(read(v, [bytes, vec![0]].concat()).is_err(), "{v}");
            assert!(found.describe(|name| name != "shop").topics.is_empty(), "{v}");
            let cluster = found.describe(|name| name == "shop");
            assert_eq!((cluster.brokers[&5].as_str(), cluster.controller), ("[::1]:9092", Some(5)), "{v}");
            let topic = &cluster.topics[0];
            assert_eq!((topic.name.as_str(), topic.code, topic.is_internal), ("shop", ErrorCode::NONE, false), "{v}");
            assert_eq!(topic.id, TopicId::of(ID).filter(|_| v >= 10), "{v}");
            assert_eq!(topic.rights, (v >= 8).then_some(1 << 8 | 1 << 4 | 1 << 3), "{v}");
            let leader_epoch = (v >= 9).then_some(258);
            let expected = [(0, 5), (1, -1)].map(|(number, leader)| PartitionDescription { number, leader, leader_epoch });
            assert_eq!(topic.partitions, expected, "{v}");
        }
    }

    #[test]
    fn the_bytes_of_a_request_are_those_of_its_version() {
        let topics: [Arc<str>; 1] = ["ab".into()];
        let bytes = |topics, v| {
            let mut out = Vec::new();
            MetadataRequest { topics, with_rights: true }.write_versioned(&mut out, version(v)).unwrap();
            out
        };
        assert_eq!(bytes(Some(&topics), 4), [&[0, 0, 0, 1, 0, 2][..], b"ab", &[0]].concat());
        assert_eq!(bytes(Some(&topics), 8), [&[0, 0, 0, 1, 0, 2][..], b"ab", &[0, 0, 1]].concat());
        assert_eq!(bytes(Some(&topics), 9), [&[2, 3][..], b"ab", &[0, 0, 0, 1, 0]].concat());
        assert_eq!(bytes(Some(&topics), 12), [&[2][..], &[0; 16], &[3], b"ab", &[0, 0, 1, 0]].concat());
        assert_eq!((bytes(None, 7), bytes(None, 12)), (vec![0xff, 0xff, 0xff, 0xff, 0], vec![0, 0, 1, 0]));
    }

    #[test]
    fn a_cluster_of_absurd_size_is_refused() {
        let answer = |brokers: i32, host: usize| {
            let mut out = [&[0; 4][..], &brokers.to_be_bytes()].concat();
            for id in 0..brokers {
                out.extend(id.to_be_bytes());
                out.extend((host as i16).to_be_bytes());
                out.extend(vec![b'h'; host]);
                out.extend([0, 0, 0x23, 0x84, 0xff, 0xff]);
            }
            out.extend([0xff, 0xff, 0, 0, 0, 5, 0, 0, 0, 0]);
            read(4, out)
        };
        assert_eq!(answer(1_000, 10).unwrap().describe(|_| true).brokers.len(), 1_000);
        assert!(answer(1_001, 10).is_err());
        assert!(answer(1, 255).is_ok() && answer(1, 256).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, v in 4i16..=12) {
            let _ = read(v, bytes);
        }

        #[test]
        fn any_damage_is_read_or_refused(v in 4i16..=12, at: prop::sample::Index, byte: u8, end: prop::sample::Index) {
            let mut bytes = answer(v);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(v, bytes.clone()).map(|found| found.describe(|_| true));
            bytes.truncate(end.index(bytes.len()));
            let _ = read(v, bytes);
        }
    }
}
