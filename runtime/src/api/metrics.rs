//! Metrics: counters, gauges and histograms that the runtime and the plugins of one pipeline register by name.
//!
//! A pipeline has a registry of its own; there is no global recorder.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};

use prometheus_client::encoding::text;
use prometheus_client::metrics::{counter, gauge, histogram};
use prometheus_client::registry::Registry;

use crate::sync::lock;

/// Where metrics are registered. Clones share everything.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Registered>>);

#[derive(Default)]
struct Registered {
    registry: Registry,
    counters: BTreeMap<String, Counter>,
    gauges: BTreeMap<String, Gauge>,
    histograms: BTreeMap<String, Histogram>,
}

/// A number that only rises. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Counter(counter::Counter<u64, AtomicU64>);

/// A number that rises and falls. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Gauge(gauge::Gauge<i64, AtomicI64>);

/// How often values lie under certain bounds. Clones share it.
#[derive(Clone, Debug)]
pub struct Histogram(histogram::Histogram);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.inc_by(count);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Gauge {
    /// Sets the number.
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.get()
    }
}

impl Histogram {
    /// Counts a value.
    pub fn observe(&self, value: f64) {
        self.0.observe(value);
    }
}

impl Metrics {
    /// The counter `name`, registered at the first call. In Prometheus text its name ends in `_total`.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let Registered { registry, counters, .. } = &mut *lock(&self.0);
        let register = || {
            let counter = Counter::default();
            registry.register(name, help.trim_end_matches('.'), counter.0.clone());
            counter
        };
        counters.entry(name.to_owned()).or_insert_with(register).clone()
    }

    /// The gauge `name`, registered at the first call.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let Registered { registry, gauges, .. } = &mut *lock(&self.0);
        let register = || {
            let gauge = Gauge::default();
            registry.register(name, help.trim_end_matches('.'), gauge.0.clone());
            gauge
        };
        gauges.entry(name.to_owned()).or_insert_with(register).clone()
    }

    /// The histogram `name` with these upper bounds, registered at the first call.
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        let Registered { registry, histograms, .. } = &mut *lock(&self.0);
        let register = || {
            let histogram = Histogram(histogram::Histogram::new(bounds.iter().copied()));
            registry.register(name, help.trim_end_matches('.'), histogram.0.clone());
            histogram
        };
        histograms.entry(name.to_owned()).or_insert_with(register).clone()
    }

    /// The counters and gauges now, by name.
    pub fn values(&self) -> BTreeMap<String, i64> {
        let Registered { counters, gauges, .. } = &*lock(&self.0);
        let counters = counters.iter().map(|(name, counter)| (name.clone(), i64::try_from(counter.get()).unwrap_or(i64::MAX)));
        counters.chain(gauges.iter().map(|(name, gauge)| (name.clone(), gauge.get()))).collect()
    }

    /// All metrics in the text format of OpenMetrics, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &lock(&self.0).registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_registered_once_and_read_by_name() {
        let metrics = Metrics::default();
        metrics.counter("batches", "Batches delivered.").add(2);
        metrics.clone().counter("batches", "Batches delivered.").add(3);
        metrics.gauge("lag_ms", "Age of the newest change.").set(-7);
        metrics.histogram("write_seconds", "Time of a write.", &[0.1, 1.0]).observe(0.5);
        assert_eq!(metrics.values(), BTreeMap::from([("batches".to_owned(), 5), ("lag_ms".to_owned(), -7)]));
        let text = metrics.encode();
        for line in ["# HELP batches Batches delivered.", "batches_total 5", "lag_ms -7", "write_seconds_bucket{le=\"1.0\"} 1"] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
