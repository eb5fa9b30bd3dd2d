//! When a watch first saw what somebody waits for.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, pin_mut};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

type Moments = Arc<(Mutex<HashMap<String, Instant>>, Notify)>;

/// A watch that notes, by name, when an object first satisfied a condition.
pub struct Seen {
    moments: Moments,
    task: JoinHandle<()>,
}

impl Seen {
    /// Starts the watch, and returns once its initial list is in (so that the list is not measured).
    ///
    /// # Errors
    /// When the watch ends before its first list does.
    pub async fn start<K, F>(api: Api<K>, config: watcher::Config, holds: F) -> Result<Self>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        F: Fn(&K) -> bool + Send + 'static,
    {
        let moments: Moments = Arc::default();
        let (ready, listed) = oneshot::channel();
        let mut ready = Some(ready);
        let noted = moments.clone();
        let task = tokio::spawn(async move {
            let events = watcher(api, config);
            pin_mut!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object))
                        if holds(&object) =>
                    {
                        let now = Instant::now();
                        noted.0.lock().entry(object.name_any()).or_insert(now);
                        noted.1.notify_waiters();
                    }
                    Ok(watcher::Event::InitDone) => {
                        if let Some(ready) = ready.take() {
                            // Nobody listens any more when `start` was cancelled.
                            let _ = ready.send(());
                        }
                    }
                    _ => {}
                }
            }
        });
        listed.await.context("the watch ended before its first list")?;
        Ok(Self { moments, task })
    }

    /// When `name` was seen; waits for it.
    ///
    /// # Errors
    /// When it isn't seen within `limit`.
    pub async fn when(&self, name: &str, limit: Duration) -> Result<Instant> {
        tokio::time::timeout(limit, async {
            loop {
                let notified = self.moments.1.notified();
                pin_mut!(notified);
                notified.as_mut().enable();
                let moment = self.moments.0.lock().get(name).copied();
                match moment {
                    Some(moment) => return moment,
                    None => notified.await,
                }
            }
        })
        .await
        .with_context(|| format!("{name} was not seen within {limit:?}"))
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.task.abort();
    }
}
