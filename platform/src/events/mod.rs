//! Kubernetes Events: told by anybody at any time, written at a bounded rate, never waited for.

mod series;
mod throttle;

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{Metrics, explain};
use series::Series;
use throttle::{Key, Throttle};

/// Told but not looked at yet; more are dropped.
const QUEUE: usize = 1024;
/// How long one write may take. The next ones wait for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last events may take once the process ends.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// An API server takes notes of less than 1 KiB, reasons of at most 128 characters.
const MAX_NOTE: usize = 1023;

/// Writes Events of one controller. Cheap to clone.
///
/// For each object and reason at most one write a minute: what is told in between replaces what waits, and
/// the last one is always written. 50 a second over all. What exceeds the bounds on memory is dropped and
/// counted in `parallax_events_dropped_total`.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::Sender<(Key, String)>,
    dropped: Counter,
}

impl Events {
    /// Starts writing as `controller`, until `shutdown` and for at most 2 s more what waits and is due.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        client: Client,
        controller: &'static str,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        let (sender, told) = mpsc::channel(QUEUE);
        let dropped = metrics.counter(
            "parallax_events_dropped",
            "Kubernetes Events that were not written, because too many waited or the API server refused them",
        );
        let writer = Writer {
            client,
            reporter: controller.into(),
            throttle: Throttle::default(),
            origin: Instant::now(),
            series: Series::new(),
            dropped: dropped.clone(),
        };
        tokio::spawn(writer.run(told, shutdown));
        Self { sender, dropped }
    }

    /// Something happened to `object` as it should. `reason` is CamelCase, `note` is for people.
    pub fn normal(&self, object: ObjectReference, reason: &str, note: &str) {
        self.tell(object, false, reason, note);
    }

    /// Something is not as it should be with `object`.
    pub fn warning(&self, object: ObjectReference, reason: &str, note: &str) {
        self.tell(object, true, reason, note);
    }

    fn tell(&self, object: ObjectReference, warning: bool, reason: &str, note: &str) {
        let key = Key::new(object, warning, reason);
        let note = note[..note.floor_char_boundary(MAX_NOTE)].to_owned();
        if self.sender.try_send((key, note)).is_err() {
            self.dropped.inc();
        }
    }
}

struct Writer {
    client: Client,
    reporter: Reporter,
    throttle: Throttle,
    origin: Instant,
    series: Series<Recorder>,
    dropped: Counter,
}

impl Writer {
    async fn run(mut self, mut told: mpsc::Receiver<(Key, String)>, shutdown: CancellationToken) {
        loop {
            let due = self.throttle.deadline().map(|due| self.origin + due);
            tokio::select! {
                () = shutdown.cancelled() => break,
                told = told.recv() => match told {
                    Some((key, note)) => self.offer(key, note),
                    None => return,
                },
                () = async { sleep_until(due.unwrap_or(self.origin)).await }, if due.is_some() => {
                    self.write_next().await;
                }
            }
        }
        told.close();
        while let Ok((key, note)) = told.try_recv() {
            self.offer(key, note);
        }
        // What is not out by then, nobody waits for.
        let _ = timeout(LAST_WRITES, async { while self.write_next().await {} }).await;
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn offer(&mut self, key: Key, note: String) {
        if !self.throttle.offer(key, note, self.now()) {
            self.dropped.inc();
        }
    }

    /// Writes the next event that is due; false when there is none.
    async fn write_next(&mut self) -> bool {
        let now = self.now();
        let Some((key, note)) = self.throttle.next(now) else { return false };
        let known = self.series.take(&key, &note, now);
        let recorder = known.unwrap_or_else(|| Recorder::new(self.client.clone(), self.reporter.clone()));
        let event = Event {
            type_: if key.warning { EventType::Warning } else { EventType::Normal },
            reason: key.reason.clone(),
            note: Some(note.clone()),
            action: key.reason.clone(),
            secondary: None,
        };
        let failed = match timeout(WRITE_TIMEOUT, recorder.publish(&event, &key.object)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(explain(&error)),
            Err(_) => Some(format!("no answer within {WRITE_TIMEOUT:?}")),
        };
        if let Some(error) = failed {
            // Not kept: the Event may have been deleted, and the next one begins a new series.
            self.dropped.inc();
            tracing::debug!(reason = key.reason, error, "an Event was not written");
        } else {
            self.series.put(key, note, recorder, now);
        }
        true
    }
}

#[cfg(test)]
mod tests;
