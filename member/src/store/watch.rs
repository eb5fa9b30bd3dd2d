//! The watches that fill the index. Lists come in small pages, and nothing is kept that isn't read.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Pod as PodObject};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Config, Event};
use kube::{Client, Resource};
use parallax_crds::labels::{ACTIVATOR, MANAGED_BY, MANAGED_BY_PARALLAX};
use parallax_crds::{AgentAssignment, AgentKey};
use parallax_member_core::ChildKind;
use parallax_member_core::build::SERVICE_NAME;
use parallax_platform::{Readiness, Watch, readable};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::child::foreign;
use super::{Child, End, Namespace, SlimPod, cluster, owner_of, resource};
use crate::agents::Agents;

/// Objects in a page of a listing: the memory that a large cluster costs is this many of them.
const PAGE: u32 = 100;

/// Starts all watches in `tasks`; returns once every one has listed what there is.
///
/// # Errors
/// When one has ended before: what it watches is not known, and nothing may be done by what isn't there.
pub async fn start(
    client: &Client,
    readiness: &Readiness,
    agents: &Arc<Agents>,
    tasks: &mut JoinSet<()>,
) -> Result<(), oneshot::error::RecvError> {
    let watch = |what: &str| Watch::new(client, what).config(config()).shown_in(readiness);
    let of_ours = config().labels(&format!("{MANAGED_BY}={MANAGED_BY_PARALLAX}"));
    let ours = |what: &str| watch(what).config(of_ours.clone());
    let mut lists = vec![assignments(watch("AgentAssignments"), agents, tasks)];
    for kind in ChildKind::ALL {
        lists.push(match foreign(kind) {
            Some(foreign) => super::foreign::follow((kind, foreign), client, agents, &of_ours, tasks),
            None => children(kind, ours(&plural(kind)), agents, tasks),
        });
    }
    lists.push(pods(ours("Pods"), agents, tasks));
    lists.push(slices(ours("EndpointSlices"), agents, tasks));
    lists.push(activators(watch("the activators"), agents, tasks));
    lists.push(namespaces(watch("Namespaces"), agents, tasks));
    lists.push(cluster::nodes(watch("Nodes"), agents, tasks));
    lists.push(cluster::pods(client, agents, tasks));
    lists.push(cluster::scores(client, agents, tasks));
    all(lists).await
}

/// What several objects of a kind are called.
pub(super) fn plural(kind: ChildKind) -> String {
    let name = kind.name();
    name.strip_suffix('y').map_or_else(|| format!("{name}s"), |stem| format!("{stem}ies"))
}

async fn all(lists: Vec<oneshot::Receiver<()>>) -> Result<(), oneshot::error::RecvError> {
    for filled in lists {
        filled.await?;
    }
    Ok(())
}

/// How every watch lists.
pub fn config() -> Config {
    Config::default().page_size(PAGE)
}

fn assignments(watch: Watch, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let agents = Arc::clone(agents);
    follow(watch, Api::all, tasks, move |event| assignment(&agents, event))
}

/// What becomes of an assignment. One that can't be read stops no other one, and stays what it last was.
fn assignment(agents: &Agents, event: Event<DeserializeGuard<AgentAssignment>>) {
    match event {
        Event::Init => agents.with_index(super::Index::list_assignments),
        Event::Apply(object) | Event::InitApply(object) => match readable(object) {
            Ok(object) => agents.assignment_seen(object),
            Err(meta) => {
                let uid = meta.uid.as_deref().unwrap_or_default();
                agents.with_index(|index| index.keep_assignment(&AgentKey::of(&meta), uid));
            }
        },
        // Its metadata says all that its end does.
        Event::Delete(object) => agents.assignment_deleted(object.meta()),
        Event::InitDone => {
            let gone = agents.with_index(super::Index::sweep_assignments);
            gone.iter().for_each(|gone| agents.assignment_gone(gone));
        }
    }
}

/// The watch of a kind that agents consist of.
pub(super) fn children(
    kind: ChildKind,
    watch: Watch,
    agents: &Arc<Agents>,
    tasks: &mut JoinSet<()>,
) -> oneshot::Receiver<()> {
    // They say who set a Deployment's number of replicas.
    let watch = if kind == ChildKind::Deployment { watch.with_managed_fields() } else { watch };
    let api = |client| Api::<DynamicObject>::all_with(client, &resource(kind));
    let agents = Arc::clone(agents);
    follow(watch, api, tasks, move |event| match event {
        Event::Init => agents.with_index(|index| index.list_children(kind)),
        Event::Apply(object) | Event::InitApply(object) => {
            if let Some(key) = owner_of(kind, &object.metadata) {
                agents.child_seen(kind, &key, Child::new(kind, object));
            }
        }
        Event::Delete(object) => {
            if let Some(key) = owner_of(kind, &object.metadata) {
                agents.child_deleted(kind, &key, &End::of(&object.metadata));
            }
        }
        Event::InitDone => {
            let gone = agents.with_index(|index| index.sweep_children(kind));
            gone.iter().for_each(|key| agents.child_lost(key));
        }
    })
}

fn pods(watch: Watch, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let api = |client| Api::<SlimPod>::all_with(client, &ApiResource::erase::<PodObject>(&()));
    let agents = Arc::clone(agents);
    follow(watch, api, tasks, move |event| match event {
        Event::Init => agents.with_index(super::Index::list_pods),
        Event::Apply(pod) | Event::InitApply(pod) => agents.pod_seen(&pod),
        Event::Delete(pod) => agents.pod_deleted(&pod),
        Event::InitDone => {
            let changed = agents.with_index(super::Index::sweep_pods);
            changed.iter().for_each(|key| agents.pods_lost(key));
        }
    })
}

/// Kubernetes' own slices bear the labels of their Service, and so those of the agents'.
fn slices(watch: Watch, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let api = |client| Api::<DynamicObject>::all_with(client, &ApiResource::erase::<EndpointSlice>(&()));
    let agents = Arc::clone(agents);
    follow(watch, api, tasks, move |event| match event {
        Event::Init => agents.with_index(super::Index::list_slices),
        Event::Apply(slice) | Event::InitApply(slice) => agents.slice_seen(slice),
        Event::Delete(slice) => agents.slice_deleted(&slice.metadata),
        Event::InitDone => {
            let changed = agents.with_index(super::Index::sweep_slices);
            changed.iter().for_each(|key| agents.child_lost(key));
        }
    })
}

/// Where the activators are: the slices of their Service.
fn activators(watch: Watch, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let watch = watch.config(config().labels(&format!("{SERVICE_NAME}={ACTIVATOR}")));
    let resource = ApiResource::erase::<EndpointSlice>(&());
    let api = |client| Api::<DynamicObject>::namespaced_with(client, agents.own_namespace(), &resource);
    let agents = Arc::clone(agents);
    follow(watch, api, tasks, move |event| match event {
        Event::Init => agents.with_index(|index| index.activators.list()),
        // What a listing brings is looked at when it is complete.
        Event::InitApply(slice) => drop(agents.activators_seen(&slice)),
        Event::Apply(slice) => {
            if agents.activators_seen(&slice) {
                agents.activators_changed();
            }
        }
        Event::Delete(slice) => {
            agents.with_index(|index| {
                index.activators.remove(slice.metadata.name.as_deref().unwrap_or_default());
            });
            agents.activators_changed();
        }
        Event::InitDone => {
            agents.with_index(|index| index.activators.sweep());
            agents.activators_changed();
        }
    })
}

fn namespaces(watch: Watch, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let agents = Arc::clone(agents);
    follow(watch, Api::<PartialObjectMeta<NamespaceObject>>::all, tasks, move |event| match event {
        Event::Init => agents.with_index(|index| index.namespaces.list()),
        Event::Apply(object) | Event::InitApply(object) => {
            let going = object.metadata.deletion_timestamp.is_some();
            let state = if going { Namespace::Terminating } else { Namespace::Active };
            agents.namespace_seen(object.metadata.name.as_deref().unwrap_or_default(), state);
        }
        Event::Delete(object) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            agents.with_index(|index| index.namespaces.remove(name));
        }
        Event::InitDone => agents.with_index(|index| index.namespaces.sweep()),
    })
}

/// Hands the events of a watch on, until the task is aborted; the receiver hears of the first complete list, and the
/// task ends when nobody waits for that any more.
pub fn follow<K>(
    watch: Watch,
    api: impl FnOnce(Client) -> Api<K>,
    tasks: &mut JoinSet<()>,
    mut on: impl FnMut(Event<K>) + Send + 'static,
) -> oneshot::Receiver<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (filled, receiver) = oneshot::channel();
    let mut events = watch.follow(api);
    tasks.spawn(async move {
        let mut filled = Some(filled);
        loop {
            let event = tokio::select! {
                biased;
                () = given_up(&mut filled) => return,
                event = events.next() => event,
            };
            let Some(event) = event else { return };
            let listed = matches!(event, Event::InitDone);
            on(event);
            if listed
                && let Some(filled) = filled.take()
                && filled.send(()).is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// Returns when nobody waits for the first list any more; never, once it was told.
pub(super) async fn given_up(filled: &mut Option<oneshot::Sender<()>>) {
    match filled {
        Some(filled) => filled.closed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use k8s_openapi::api::core::v1::Node as NodeObject;
    use parallax_platform::testing::{ApiServer, Refusal};
    use serde_json::{Value, json};

    use super::*;
    use crate::agents::testing::agents;
    use crate::store::{SlimNode, Versioned as _};

    fn object(version: u64, spec: &Value) -> DeserializeGuard<AgentAssignment> {
        let metadata =
            json!({"namespace": "team", "name": "a", "uid": "u1", "resourceVersion": version.to_string()});
        let object = json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "AgentAssignment", "metadata": metadata, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    fn good(version: u64) -> DeserializeGuard<AgentAssignment> {
        let spec = json!({
            "agent": {"namespace": "team", "name": "a", "incarnation": "i1"},
            "hub": "hub",
            "hash": "0".repeat(64),
            "replicas": 1,
            "template": {"type": "claude", "image": "example/claude:1"},
        });
        let object = object(version, &spec);
        assert!(object.0.is_ok(), "{object:?}");
        object
    }

    fn unreadable(version: u64) -> DeserializeGuard<AgentAssignment> {
        let object = object(version, &json!("of another version"));
        assert!(object.0.is_err());
        object
    }

    fn known(agents: &Agents) -> Option<u64> {
        let key = AgentKey::new("team", "a");
        agents.with_index(|index| index.assignment(&key)).map(|assignment| assignment.version())
    }

    #[tokio::test]
    async fn the_end_of_an_assignment_that_cannot_be_read_is_seen() {
        let agents = agents(ApiServer::new().client());
        assignment(&agents, Event::Apply(good(1)));
        assignment(&agents, Event::Apply(unreadable(2)));
        assert_eq!(known(&agents), Some(1), "it stays what it was");
        assignment(&agents, Event::Delete(unreadable(3)));
        assert_eq!(known(&agents), None);
    }

    #[tokio::test]
    async fn an_assignment_that_a_list_has_is_there_whether_it_can_be_read_or_not() {
        let agents = agents(ApiServer::new().client());
        assignment(&agents, Event::Apply(good(1)));
        assignment(&agents, Event::Init);
        assignment(&agents, Event::InitApply(unreadable(2)));
        assignment(&agents, Event::InitDone);
        assert_eq!(known(&agents), Some(1));
        assignment(&agents, Event::Init);
        assignment(&agents, Event::InitDone);
        assert_eq!(known(&agents), None);
    }

    fn nodes_api(client: Client) -> Api<SlimNode> {
        Api::all_with(client, &ApiResource::erase::<NodeObject>(&()))
    }

    #[test]
    fn kinds_are_called_as_their_lists_are() {
        for (kind, name) in [
            (ChildKind::Service, "Services"),
            (ChildKind::NetworkPolicy, "NetworkPolicies"),
            (ChildKind::PodDisruptionBudget, "PodDisruptionBudgets"),
        ] {
            assert_eq!(plural(kind), name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_whose_first_list_nobody_waits_for_ends() {
        let mut tasks = JoinSet::new();
        let server = ApiServer::new();
        server.refuse("list", "nodes", Refusal::new(503, "ServiceUnavailable", "busy"));
        drop(follow(Watch::new(&server.client(), "Nodes"), nodes_api, &mut tasks, |_| {}));
        let ended = tokio::time::timeout(Duration::from_secs(60), tasks.join_next()).await;
        assert!(ended.is_ok_and(|ended| ended.is_some_and(|ended| ended.is_ok())));
    }

    #[tokio::test]
    async fn a_watch_that_ends_before_its_first_list_is_not_taken_for_an_empty_one() {
        let mut tasks = JoinSet::new();
        let watch = Watch::new(&ApiServer::new().client(), "Nodes");
        let filled = follow(watch, nodes_api, &mut tasks, |_| panic!("a defect"));
        assert!(all(vec![filled]).await.is_err());
    }
}
