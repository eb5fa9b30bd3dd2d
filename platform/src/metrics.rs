//! One registry per process, served as OpenMetrics text.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use crate::process::Process;
use crate::reading::{Course, Reading};

/// From a millisecond to a minute: an API call, a pod's start.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Histograms of seconds by labels.
pub type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Histograms of seconds by labels, whose buckets name an example of what they counted.
pub type ExemplarHistograms<L, E> = Family<L, HistogramWithExemplars<E>, fn() -> HistogramWithExemplars<E>>;

/// The metrics of this process. Cheap to clone; all clones are the same registry.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// A registry with the process's own figures (memory, CPU, descriptors) and `parallax_build_info`.
    #[must_use]
    pub fn new(program: &'static str, version: &'static str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::start()));
        let build = Info::new([("program", program), ("version", version)]);
        registry.register("parallax_build", "What runs here", build);
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Registers a metric of any kind under its full name (without `_total`), and hands it back.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// A new counter; shown as `<name>_total`.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// New counters by labels; shown as `<name>_total`.
    #[must_use]
    pub fn counters<L: Label>(&self, name: &str, help: &str) -> Family<L, Counter> {
        self.register(name, help, Family::default())
    }

    /// A new gauge.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(name, help, Gauge::default())
    }

    /// New gauges by labels.
    #[must_use]
    pub fn gauges<L: Label>(&self, name: &str, help: &str) -> Family<L, Gauge> {
        self.register(name, help, Family::default())
    }

    /// A gauge of a figure that somebody else keeps.
    pub fn reads_gauge(&self, name: &str, help: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.register(name, help, Reading::new(Course::Varies, read));
    }

    /// A counter of a figure that somebody else keeps; shown as `<name>_total`.
    pub fn reads_counter(&self, name: &str, help: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.register(name, help, Reading::new(Course::Grows, read));
    }

    /// New histograms of seconds by labels, from 1 ms to 60 s. By convention `name` ends in `_seconds`.
    #[must_use]
    pub fn histograms<L: Label>(&self, name: &str, help: &str) -> Histograms<L> {
        self.register(name, help, Family::new_with_constructor(seconds as fn() -> Histogram))
    }

    /// As [`Self::histograms`], with exemplars labelled `E`, of together at most 128 characters.
    #[must_use]
    pub fn exemplar_histograms<L: Label, E: Label>(
        &self,
        name: &str,
        help: &str,
    ) -> ExemplarHistograms<L, E> {
        let new: fn() -> HistogramWithExemplars<E> = || HistogramWithExemplars::new(SECONDS.into_iter());
        self.register(name, help, Family::new_with_constructor(new))
    }

    /// A new histogram of seconds, as [`Self::histograms`].
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str) -> Histogram {
        self.register(name, help, seconds())
    }

    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry.lock()).is_err() {
            // Only a collector of ours can fail, and none does.
            tracing::error!("a metric could not be written");
        }
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

/// What a set of labels must be.
pub trait Label: EncodeLabelSet + Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static {}
impl<L: EncodeLabelSet + Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static> Label for L {}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}
