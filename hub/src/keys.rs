//! API keys that the hub hands over to members, in the namespaces for which its administrator has allowed it. Who gets
//! which is the fleet's decision; a value is here for as long as it takes to pass it on.

mod read;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::{Client, ResourceExt as _};
use parallax_crds::link::{KeyAnswer, KeyWish, Withheld};
use parallax_hub_core::fleet::SessionId;
use parallax_platform::Watch;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::read::{Read, Unread};
use self::subscriptions::{Subscriber, Subscriptions};
use crate::sessions::Registry;

/// Secrets that are read at a time.
const READERS: usize = 4;
/// Before a Secret that could not be read is tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// The type of the Secrets in which Helm keeps its releases: large, many, and nobody's API key.
const HELM_RELEASE: &str = "helm.sh/release.v1";

/// See the module.
pub struct Keys {
    client: Client,
    registry: Arc<Registry>,
    subscriptions: Mutex<Subscriptions>,
    /// Something is due.
    due: Notify,
}

impl Keys {
    /// Nobody gets anything yet.
    pub fn new(client: Client, registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self { client, registry, subscriptions: Mutex::default(), due: Notify::new() })
    }

    /// A session gets a key from now on.
    pub fn hand(&self, session: SessionId, wish: KeyWish) {
        self.subscriptions.lock().subscribe(session, wish);
        self.due.notify_one();
    }

    /// It gets it no longer, and is told why, if there is anything to tell.
    pub fn withhold(&self, session: &SessionId, wish: KeyWish, why: Option<Withheld>) {
        self.subscriptions.lock().unsubscribe(session, &wish.agent.key);
        if let Some(why) = why {
            self.answer(session, &KeyAnswer { wish, key: Err(why) });
        }
    }

    /// A session has ended.
    pub fn ended(&self, session: &SessionId) {
        self.subscriptions.lock().end(session);
    }

    /// Reads what is due, and watches these namespaces, for ever.
    pub async fn run(self: Arc<Self>, namespaces: Vec<String>) {
        let reading = futures::future::join_all((0..READERS).map(|_| self.read_all()));
        let watching = futures::future::join_all(namespaces.iter().map(|namespace| self.watch(namespace)));
        futures::future::join(reading, watching).await;
    }

    async fn read_all(&self) {
        loop {
            let Some(((namespace, name), subscribers)) = self.subscriptions.lock().begin() else {
                self.due.notified().await;
                continue;
            };
            // What is left is another reader's.
            self.due.notify_one();
            let read = Read::of(&self.client, &namespace, &name).await;
            for Subscriber { session, wish } in subscribers {
                match read.key(&namespace, &wish.reference) {
                    Ok(key) => self.answer(&session, &KeyAnswer { wish, key: Ok(key) }),
                    Err(Unread::Withheld(why)) => self.answer(&session, &KeyAnswer { wish, key: Err(why) }),
                    Err(Unread::Later(why)) => {
                        tracing::warn!(%namespace, secret = name, why, "an API key can't be read now; trying again");
                    }
                }
            }
            let again = matches!(read, Read::Later(_));
            if again {
                tokio::time::sleep(PAUSE).await;
            }
            self.subscriptions.lock().done(&namespace, &name, again);
            self.due.notify_one();
        }
    }

    fn answer(&self, session: &SessionId, answer: &KeyAnswer) {
        let KeyAnswer { wish, key } = answer;
        let word = key.as_ref().err().map_or("given", |why| &why.reason);
        tracing::debug!(agent = %wish.agent.key, cluster = %session.cluster, word, "a member is told of an API key");
        if let Some(handle) = self.registry.get(session) {
            handle.with(|machine| machine.answer_key(answer));
        }
    }

    /// Follows what happens to the Secrets of a namespace, by their metadata.
    async fn watch(&self, namespace: &str) {
        let config = Config::default().fields(&format!("type!={HELM_RELEASE}"));
        let watch = Watch::new(&self.client, format!("Secrets of {namespace}")).config(config);
        let secrets = |client| Api::<PartialObjectMeta<Secret>>::namespaced(client, namespace);
        let mut events = watch.follow(secrets);
        while let Some(event) = events.next().await {
            match event {
                Event::Init | Event::InitApply(_) => continue,
                // What happened to them meanwhile is not known, nor whether the right to read them has come.
                Event::InitDone => self.subscriptions.lock().changed_in(namespace),
                Event::Apply(secret) | Event::Delete(secret) => {
                    self.subscriptions.lock().changed(namespace, &secret.name_any());
                }
            }
            self.due.notify_one();
        }
    }
}
