//! A figure that somebody else keeps, read when the metrics are asked for.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// What the figure does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Course {
    /// It only ever grows.
    Grows,
    /// It comes and goes.
    Varies,
}

/// The figure, as a metric. Copies read the same.
#[derive(Clone)]
pub(crate) struct Reading {
    course: Course,
    read: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Reading {
    pub(crate) fn new(course: Course, read: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { course, read: Arc::new(read) }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("course", &self.course).finish_non_exhaustive()
    }
}

impl EncodeMetric for Reading {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let figure = (self.read)();
        match self.course {
            Course::Grows => encoder.encode_counter::<NoLabelSet, _, u64>(&figure, None),
            Course::Varies => encoder.encode_gauge(&i64::try_from(figure).unwrap_or(i64::MAX)),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self.course {
            Course::Grows => MetricType::Counter,
            Course::Varies => MetricType::Gauge,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::Metrics;

    #[test]
    fn a_figure_is_read_whenever_it_is_asked_for() {
        let metrics = Metrics::new("test", "1");
        let figure = Arc::new(AtomicU64::new(3));
        let (waiting, dropped) = (Arc::clone(&figure), Arc::clone(&figure));
        metrics.reads_gauge("waiting", "What waits", move || waiting.load(Ordering::Relaxed));
        metrics.reads_counter("dropped", "What was dropped", move || dropped.load(Ordering::Relaxed));
        for now in [3, 7] {
            figure.store(now, Ordering::Relaxed);
            let text = metrics.render();
            assert!(text.contains(&format!("\nwaiting {now}\n")), "{text}");
            assert!(text.contains(&format!("\ndropped_total {now}\n")), "{text}");
        }
        assert!(metrics.render().contains("# TYPE dropped counter\n"));
    }
}
