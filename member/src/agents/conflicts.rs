//! Objects of others that have an agent's name: each is watched until it goes.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use parallax_crds::AgentKey;
use parallax_member_core::ChildKind;
use parallax_platform::Watch;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Agents;
use crate::queue::Queue;
use crate::store::resource;

/// The conflicts that are watched; dropping a guard ends its watch.
#[derive(Default)]
pub struct Conflicts(Mutex<HashMap<(ChildKind, AgentKey), DropGuard>>);

impl Conflicts {
    /// No object of the agent is in conflict any more.
    pub fn end(&self, key: &AgentKey) {
        self.0.lock().retain(|(_, of), _| of != key);
    }

    /// This object is not in conflict any more.
    pub fn end_one(&self, kind: ChildKind, key: &AgentKey) {
        self.0.lock().remove(&(kind, key.clone()));
    }
}

impl Agents {
    /// Looks at the agent again when the object of its name changes hands or goes.
    pub(super) fn watch_conflict(&self, kind: ChildKind, key: &AgentKey) {
        let mut watched = self.conflicts.0.lock();
        if watched.contains_key(&(kind, key.clone())) {
            return;
        }
        let ended = CancellationToken::new();
        watched.insert((kind, key.clone()), ended.clone().drop_guard());
        let (client, queue, key) = (self.client.clone(), Arc::clone(&self.queue), key.clone());
        tokio::spawn(follow(kind, client, key, queue, ended));
    }
}

async fn follow(kind: ChildKind, client: Client, key: AgentKey, queue: Arc<Queue>, ended: CancellationToken) {
    let name = kind.object_name(key.name());
    let watch =
        Watch::new(&client, format!("{} {}/{name}, which is in conflict", kind.name(), key.namespace()))
            .config(Config::default().fields(&format!("metadata.name={name}")));
    let api = |client| {
        Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(client, key.namespace(), &resource(kind))
    };
    let mut events = watch.follow(api);
    let mut listed = false;
    loop {
        let event = tokio::select! {
            () = ended.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Event::Init) => listed = false,
            Some(Event::InitApply(_)) => listed = true,
            Some(Event::InitDone) if listed => {}
            Some(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => queue.add(&key),
        }
    }
}
