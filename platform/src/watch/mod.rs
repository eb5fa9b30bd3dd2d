//! Watches that survive: an interruption is said once and shown in `/readyz`, one object that can't be read stalls
//! nothing, and of each object only what somebody reads is handed on.

mod health;

use std::fmt::Debug;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, future};
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::Readiness;
use health::Health;

/// kubectl's copy of what was applied: nobody here reads it, and it is as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A watch that is to begin.
pub struct Watch {
    client: Client,
    config: Config,
    health: Health,
    managed_fields: bool,
}

impl Watch {
    /// Of what is called `what` in logs, such as `Pods`.
    #[must_use]
    pub fn new(client: &Client, what: impl Into<String>) -> Self {
        let health = Health::new(what.into());
        Self { client: health.client(client), config: Config::default(), health, managed_fields: false }
    }

    /// Its check is from now on in `/readyz`, not ready before the first list is complete and while it is interrupted.
    #[must_use]
    pub fn shown_in(self, readiness: &Readiness) -> Self {
        self.health.show_in(readiness);
        self
    }

    /// How it lists, and which objects.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Objects keep `metadata.managedFields`, which are large.
    #[must_use]
    pub fn with_managed_fields(self) -> Self {
        Self { managed_fields: true, ..self }
    }

    /// The events of the watch of the `api` that is made of the given client. It goes on for ever.
    ///
    /// It is ready once the event that ended the list has been dealt with, that is when the next one is asked for.
    pub fn follow<K>(self, api: impl FnOnce(Client) -> Api<K>) -> BoxStream<'static, Event<K>>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        self.follow_closely(api).filter_map(|event| future::ready(event.ok())).boxed()
    }

    /// As [`Self::follow`], with each interruption, for whoever waits for the first word. It has been said already.
    pub fn follow_closely<K>(
        self,
        api: impl FnOnce(Client) -> Api<K>,
    ) -> BoxStream<'static, Result<Event<K>, Interruption>>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let Self { client, config, health, managed_fields } = self;
        let events = watcher(api(client), config).default_backoff().boxed();
        stream::unfold((events, health, false), move |(mut events, health, listed)| async move {
            if listed {
                health.listed();
            }
            let event = match events.next().await? {
                Ok(event) => Ok(lean(event, managed_fields)),
                Err(error) => Err(health.interrupted(&error)),
            };
            let listed = matches!(event, Ok(Event::InitDone));
            Some((event, (events, health, listed)))
        })
        .boxed()
    }
}

/// Why a watch is interrupted. It goes on by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// In a sentence.
    pub message: String,
    /// The process has no right to it.
    pub forbidden: bool,
}

/// The event, its object without what nobody reads.
fn lean<K: Resource>(mut event: Event<K>, managed_fields: bool) -> Event<K> {
    if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = &mut event {
        let meta = object.meta_mut();
        if !managed_fields {
            meta.managed_fields = None;
        }
        if let Some(annotations) = &mut meta.annotations {
            annotations.remove(LAST_APPLIED);
        }
    }
    event
}

/// An object that a watch shows, when it can be read. A line names one that can't: for whoever watches, it stays what it
/// was, and is there.
///
/// # Errors
/// Its metadata, when the rest can't be read.
pub fn readable<K>(object: DeserializeGuard<K>) -> Result<K, Box<ObjectMeta>>
where
    K: Resource,
    K::DynamicType: Default,
{
    object.0.map_err(|invalid| {
        tracing::error!(
            kind = %K::kind(&K::DynamicType::default()),
            namespace = invalid.metadata.namespace.as_deref().unwrap_or_default(),
            name = invalid.metadata.name.as_deref().unwrap_or_default(),
            error = %invalid.error,
            "an object can't be read and stays as it was; apply the CRDs of this version, then the object again"
        );
        Box::new(invalid.metadata)
    })
}

#[cfg(test)]
mod tests;
