//! The ConfigMaps and Secrets that agents' pods can't start without: a watch of metadata, per kind and namespace in
//! which an agent needs one. Where the member may not watch, it says nothing of them: a pod's own status does, in part.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::{Client, Resource, ResourceExt as _};
use parallax_crds::AgentKey;
use parallax_member_core::needs::{Kind, Need, Presence};
use parallax_platform::Watch;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::queue::Queue;

/// Objects in a page of a listing.
const PAGE: u32 = 100;

/// See the module.
pub struct Needs {
    client: Client,
    queue: Arc<Queue>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    presence: Presence,
    /// Dropping a guard ends its watch.
    watched: HashMap<(Kind, Box<str>), DropGuard>,
}

impl Needs {
    /// Nothing is needed yet. Agents for which something comes or goes are put in the queue.
    pub fn new(client: Client, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self { client, queue, state: Mutex::default() })
    }

    /// The agent needs these from now on, and nothing else; what of it is known to be missing.
    pub fn look(self: &Arc<Self>, agent: &AgentKey, needs: BTreeSet<Need>) -> Vec<Need> {
        let mut state = self.state.lock();
        state.presence.need(agent, needs);
        for kind in [Kind::ConfigMap, Kind::Secret] {
            let place = (kind, agent.namespace().into());
            if state.presence.is_needed(kind, agent.namespace()) {
                state.watched.entry(place).or_insert_with(|| self.watch(kind, agent.namespace()));
            } else {
                state.watched.remove(&place);
            }
        }
        state.presence.missing(agent)
    }

    /// The agent is no more.
    pub fn forget(self: &Arc<Self>, agent: &AgentKey) {
        self.look(agent, BTreeSet::new());
    }

    fn watch(self: &Arc<Self>, kind: Kind, namespace: &str) -> DropGuard {
        let ended = CancellationToken::new();
        let (needs, place) = (Arc::downgrade(self), (kind, namespace.to_owned()));
        let watch = Watch::new(&self.client, format!("{}s of {namespace}", kind.name()))
            .config(Config::default().page_size(PAGE));
        match kind {
            Kind::ConfigMap => {
                let api = |client| Api::<PartialObjectMeta<ConfigMap>>::namespaced(client, namespace);
                tokio::spawn(follow(watch.follow(api), place, needs, ended.clone()));
            }
            Kind::Secret => {
                let api = |client| Api::<PartialObjectMeta<Secret>>::namespaced(client, namespace);
                tokio::spawn(follow(watch.follow(api), place, needs, ended.clone()));
            }
        }
        ended.drop_guard()
    }

    fn told<K: Resource<DynamicType = ()>>(
        &self,
        (kind, namespace): &(Kind, String),
        event: &Event<PartialObjectMeta<K>>,
    ) {
        let (kind, mut state) = (*kind, self.state.lock());
        let presence = &mut state.presence;
        let news = match event {
            Event::Init => {
                presence.list(kind, namespace);
                Vec::new()
            }
            Event::InitApply(object) => {
                presence.lists(kind, namespace, &object.name_any());
                Vec::new()
            }
            Event::InitDone => presence.listed(kind, namespace),
            Event::Apply(object) => presence.seen(kind, namespace, &object.name_any()),
            Event::Delete(object) => presence.gone(kind, namespace, &object.name_any()),
        };
        drop(state);
        news.iter().for_each(|agent| self.queue.add(agent));
    }
}

async fn follow<K: Resource<DynamicType = ()>>(
    mut events: BoxStream<'static, Event<PartialObjectMeta<K>>>,
    place: (Kind, String),
    needs: Weak<Needs>,
    ended: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            event = events.next() => event,
        };
        let (Some(needs), Some(event)) = (needs.upgrade(), event) else { return };
        needs.told(&place, &event);
    }
}
