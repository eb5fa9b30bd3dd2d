//! The watches that fill the index. Lists come in small pages, and nothing is kept that isn't read.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Node as NodeObject, Pod as PodObject};
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource};
use parallax_crds::AgentAssignment;
use parallax_crds::labels::{MANAGED_BY, MANAGED_BY_PARALLAX};
use parallax_platform::explain_watch;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Child, ChildKind, End, Namespace, SlimNode, SlimPod, key_of};
use crate::agents::Agents;

/// Objects in a page of a listing: the memory that a large cluster costs is this many of them.
const PAGE: u32 = 100;

/// Starts all watches in `tasks`; returns once every one has listed what there is.
pub async fn start(client: &Client, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) {
    let ours = || config().labels(&format!("{MANAGED_BY}={MANAGED_BY_PARALLAX}"));
    let all = [
        assignments(client, agents, tasks),
        children(ChildKind::Deployment, client, agents, ours(), tasks),
        children(ChildKind::Service, client, agents, ours(), tasks),
        pods(client, agents, ours(), tasks),
        namespaces(client, agents, tasks),
        nodes(client, agents, tasks),
    ];
    for filled in all {
        // A watch ends only with the process.
        let _ = filled.await;
    }
}

fn config() -> Config {
    Config::default().page_size(PAGE)
}

fn assignments(client: &Client, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let api = Api::<DeserializeGuard<AgentAssignment>>::all(client.clone());
    let agents = Arc::clone(agents);
    follow(api, config(), "AgentAssignments", tasks, move |event| {
        // One that can't be read must not stop the others.
        let read = |guarded: DeserializeGuard<AgentAssignment>| match guarded.0 {
            Ok(object) => Some(object),
            Err(invalid) => {
                let key = key_of(&invalid.metadata);
                tracing::error!(agent = %key, "an AgentAssignment can't be read and is left alone: {}", invalid.error);
                None
            }
        };
        match event {
            Event::Init => agents.with_index(super::Index::list_assignments),
            Event::Apply(object) | Event::InitApply(object) => {
                if let Some(object) = read(object) {
                    agents.assignment_seen(object);
                }
            }
            Event::Delete(object) => {
                if let Some(object) = read(object) {
                    agents.assignment_deleted(&object);
                }
            }
            Event::InitDone => {
                let gone = agents.with_index(super::Index::sweep_assignments);
                gone.iter().for_each(|gone| agents.assignment_gone(gone));
            }
        }
    })
}

fn children(
    kind: ChildKind,
    client: &Client,
    agents: &Arc<Agents>,
    config: Config,
    tasks: &mut JoinSet<()>,
) -> oneshot::Receiver<()> {
    let api = Api::<DynamicObject>::all_with(client.clone(), &kind.resource());
    let agents = Arc::clone(agents);
    follow(api, config, kind.name(), tasks, move |event| match event {
        Event::Init => agents.with_index(|index| index.list_children(kind)),
        Event::Apply(object) | Event::InitApply(object) => {
            let key = key_of(&object.metadata);
            agents.child_seen(kind, &key, Child::new(object));
        }
        Event::Delete(object) => {
            agents.child_deleted(kind, &key_of(&object.metadata), &End::of(&object.metadata));
        }
        Event::InitDone => {
            let gone = agents.with_index(|index| index.sweep_children(kind));
            gone.iter().for_each(|key| agents.child_lost(key));
        }
    })
}

fn pods(
    client: &Client,
    agents: &Arc<Agents>,
    config: Config,
    tasks: &mut JoinSet<()>,
) -> oneshot::Receiver<()> {
    let api = Api::<SlimPod>::all_with(client.clone(), &ApiResource::erase::<PodObject>(&()));
    let agents = Arc::clone(agents);
    follow(api, config, "Pods", tasks, move |event| match event {
        Event::Init => agents.with_index(super::Index::list_pods),
        Event::Apply(pod) | Event::InitApply(pod) => agents.pod_seen(&pod),
        Event::Delete(pod) => agents.pod_deleted(&pod),
        Event::InitDone => {
            let changed = agents.with_index(super::Index::sweep_pods);
            changed.iter().for_each(|key| agents.pods_lost(key));
        }
    })
}

fn namespaces(client: &Client, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let api = Api::<PartialObjectMeta<NamespaceObject>>::all(client.clone());
    let agents = Arc::clone(agents);
    follow(api, config(), "Namespaces", tasks, move |event| match event {
        Event::Init => agents.with_index(super::Index::list_namespaces),
        Event::Apply(object) | Event::InitApply(object) => {
            let going = object.metadata.deletion_timestamp.is_some();
            let state = if going { Namespace::Terminating } else { Namespace::Active };
            agents.namespace_seen(object.metadata.name.as_deref().unwrap_or_default(), state);
        }
        Event::Delete(object) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            agents.with_index(|index| index.drop_namespace(name));
        }
        Event::InitDone => agents.with_index(super::Index::sweep_namespaces),
    })
}

fn nodes(client: &Client, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let api = Api::<SlimNode>::all_with(client.clone(), &ApiResource::erase::<NodeObject>(&()));
    let agents = Arc::clone(agents);
    follow(api, config(), "Nodes", tasks, move |event| match event {
        Event::Init => agents.with_index(super::Index::list_nodes),
        Event::Apply(node) | Event::InitApply(node) => agents.node_seen(&node),
        Event::Delete(node) => {
            agents.with_index(|index| index.drop_node(node.metadata.name.as_deref().unwrap_or_default()));
            agents.tell_about_cluster();
        }
        Event::InitDone => {
            agents.with_index(super::Index::sweep_nodes);
            agents.tell_about_cluster();
        }
    })
}

/// Hands the events of a watch on, until the task is aborted; the receiver hears of the first complete list.
fn follow<K>(
    api: Api<K>,
    config: Config,
    what: &'static str,
    tasks: &mut JoinSet<()>,
    mut on: impl FnMut(Event<K>) + Send + 'static,
) -> oneshot::Receiver<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (filled, receiver) = oneshot::channel();
    tasks.spawn(async move {
        let mut filled = Some(filled);
        let mut events = pin!(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let listed = matches!(event, Event::InitDone);
                    on(event);
                    if listed && let Some(filled) = filled.take() {
                        // Nobody waits any more when the process is stopping.
                        let _ = filled.send(());
                    }
                }
                Err(error) => {
                    tracing::warn!("watching {what}: {}; trying again", explain_watch(&error));
                }
            }
        }
    });
    receiver
}
