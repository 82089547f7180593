//! The sink: what the runtime sees.

use std::sync::Arc;

use runtime::{Batch, Encoder, Finding, Receipt, Result, Sink, Stop, async_trait};
use tokio::sync::Mutex;

use crate::check;
use crate::codec::Codec;
use crate::delivery::send::Tag;
use crate::delivery::writer::Lane;
use crate::error::Error;
use crate::resume::receipt;
use crate::resume::recovery::Opening;
use crate::routing::router::Router;
use crate::task::Cluster;

/// Writes the events of one lane to Kafka.
///
/// `write` returns when all replicas in sync have every record. Lanes of a task share connections and the state of partitions.
pub struct KafkaSink {
    cluster: Arc<Cluster>,
    // Locked by nobody: the wrapper lets `check` borrow a sink whose encoder cannot be shared between threads.
    encoder: Mutex<Option<Box<dyn Encoder>>>,
    open: Mutex<Option<(Opening, Lane)>>,
    stop: Stop,
}

impl KafkaSink {
    /// A sink for one lane of the task that `cluster` belongs to.
    pub(crate) fn new(cluster: Arc<Cluster>, encoder: Box<dyn Encoder>) -> Self {
        Self { cluster, encoder: Mutex::new(Some(encoder)), open: Mutex::new(None), stop: Stop::default() }
    }
}

#[async_trait]
impl Sink for KafkaSink {
    fn heed(&mut self, stop: Stop) {
        self.stop = stop;
    }

    async fn open(&mut self, lane: &runtime::Lane<'_>, last: &Receipt) -> Result<Receipt> {
        let known = receipt::parse(last)?;
        let session = self.cluster.session().await?;
        let config = &self.cluster.config;
        // One instance serves one run of one split.
        let encoder = self.encoder.get_mut().take().ok_or(Error::NotOpen)?;
        let tag = Tag { run: lane.run, epoch: lane.epoch, split: lane.number };
        let codec = Codec::new(config.compression).map_err(|problem| Error::RecordBatch { problem })?;
        let mut lane = Lane::new(
            session,
            tag,
            lane.split.kind,
            Router::new(config, self.cluster.memory.owners.clone())?,
            encoder,
            codec,
            config.record_batch_bytes,
        );
        lane.framed = self.cluster.schemas.is_some();
        let opening = Opening::new(self.cluster.clone(), known, self.stop.clone());
        opening.prepare(&mut lane).await?;
        let receipt = lane.receipt();
        *self.open.get_mut() = Some((opening, lane));
        Ok(receipt)
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<Receipt> {
        let (opening, lane) = self.open.get_mut().as_mut().ok_or(Error::NotOpen)?;
        while let Some(topic) = lane.place_events(&batch.events)? {
            opening.need(lane, &topic).await?;
        }
        lane.write(batch).await?;
        Ok(lane.receipt())
    }

    async fn close(&mut self) -> Result<()> {
        *self.open.get_mut() = None;
        Ok(())
    }

    async fn check(&mut self) -> Vec<Finding> {
        check::check(&self.cluster).await
    }
}
