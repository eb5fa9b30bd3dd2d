//! The watches of what the cluster says of itself: its nodes, what pods keep of them, and its scores.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, ApiResource};
use kube::runtime::watcher::Event;
use kube::{Client, Resource};
use parallax_crds::labels::SCORES;
use parallax_platform::Watch;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::watch::{config, follow, given_up};
use super::{AnyPod, SlimNode};
use crate::agents::Agents;

/// Pods that keep something of a node. The API server tells of one that ends as it tells of one that is deleted.
const ON_A_NODE: &str = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed";

pub(super) fn nodes(watch: Watch, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let api = |client| Api::<SlimNode>::all_with(client, &ApiResource::erase::<Node>(&()));
    let agents = Arc::clone(agents);
    follow(watch, api, tasks, move |event| match event {
        Event::Init => agents.with_index(|index| index.capacity.list_nodes()),
        // What a listing brings is told when it is complete.
        Event::InitApply(node) => drop(agents.node_seen(&node)),
        Event::Apply(node) => {
            if agents.node_seen(&node) {
                agents.tell_about_cluster();
            }
        }
        Event::Delete(node) => {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            agents.with_index(|index| index.capacity.remove_node(name));
            agents.tell_about_cluster();
        }
        Event::InitDone => {
            agents.with_index(|index| index.capacity.sweep_nodes());
            agents.tell_about_cluster();
        }
    })
}

/// What pods keep, whoever's they are: of each nothing is read but that. A member that may not see them works without.
pub(super) fn pods(client: &Client, agents: &Arc<Agents>, tasks: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let watch = Watch::new(client, "the requests of all Pods").config(config().fields(ON_A_NODE));
    let api = |client| Api::<AnyPod>::all_with(client, &ApiResource::erase::<Pod>(&()));
    let (agents, mut said) = (Arc::clone(agents), false);
    follow_if_allowed(watch, api, tasks, move |told| match told {
        Told::Event(Event::Init) => agents.with_index(|index| index.capacity.list_pods()),
        Told::Event(Event::InitApply(pod)) => drop(agents.any_pod_seen(&pod)),
        Told::Event(Event::Apply(pod)) => {
            if agents.any_pod_seen(&pod) {
                agents.tell_about_cluster();
            }
        }
        Told::Event(Event::Delete(pod)) => {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            if agents.with_index(|index| index.capacity.remove_pod(uid)) {
                agents.tell_about_cluster();
            }
        }
        Told::Event(Event::InitDone) => {
            said = false;
            agents.with_index(|index| index.capacity.sweep_pods());
            agents.tell_about_cluster();
        }
        Told::Forbidden => {
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(
                    "what is free in this cluster is not told: the member may not list and watch pods in all namespaces; \
                     apply deploy/member/rbac.yaml if the hub is to know"
                );
            }
            if agents.with_index(|index| index.capacity.forget_pods()) {
                agents.tell_about_cluster();
            }
        }
    })
}

/// The scores of the cluster: a ConfigMap that may be there.
pub(super) fn scores(
    client: &Client,
    agents: &Arc<Agents>,
    tasks: &mut JoinSet<()>,
) -> oneshot::Receiver<()> {
    let named = config().fields(&format!("metadata.name={SCORES}"));
    let watch = Watch::new(client, format!("the ConfigMap {SCORES}")).config(named);
    let api = |client| Api::<ConfigMap>::namespaced(client, agents.own_namespace());
    let agents = Arc::clone(agents);
    let mut listed = None;
    follow_if_allowed(watch, api, tasks, move |told| match told {
        Told::Event(Event::Init) => listed = None,
        Told::Event(Event::InitApply(scores)) => listed = scores.data,
        Told::Event(Event::InitDone) => agents.scores_seen(&listed.take().unwrap_or_default()),
        Told::Event(Event::Apply(scores)) => agents.scores_seen(&scores.data.unwrap_or_default()),
        Told::Event(Event::Delete(_)) | Told::Forbidden => agents.scores_seen(&BTreeMap::new()),
    })
}

/// What a watch tells without which the process works.
enum Told<K> {
    Event(Event<K>),
    /// It may not be watched, at least not now.
    Forbidden,
}

/// As [`follow`]; the receiver hears as well when it is known that nothing may be seen.
fn follow_if_allowed<K>(
    watch: Watch,
    api: impl FnOnce(Client) -> Api<K>,
    tasks: &mut JoinSet<()>,
    mut on: impl FnMut(Told<K>) + Send + 'static,
) -> oneshot::Receiver<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (known, receiver) = oneshot::channel();
    let mut events = watch.follow_closely(api);
    tasks.spawn(async move {
        use futures::StreamExt as _;
        let mut known = Some(known);
        loop {
            let told = tokio::select! {
                biased;
                () = given_up(&mut known) => return,
                told = events.next() => told,
            };
            let told = match told {
                None => return,
                Some(Ok(event)) => Told::Event(event),
                Some(Err(interruption)) if interruption.forbidden => Told::Forbidden,
                // It is tried again, and what is known stays in force.
                Some(Err(_)) => continue,
            };
            let decided = matches!(told, Told::Event(Event::InitDone) | Told::Forbidden);
            on(told);
            if decided
                && let Some(known) = known.take()
                && known.send(()).is_err()
            {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::link::ClusterReport;
    use parallax_platform::testing::{ApiServer, Refusal};
    use serde_json::{Value, json};

    use super::*;
    use crate::agents::testing::agents;

    fn node() -> Value {
        let has = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}], "capacity": has, "allocatable": has,
            },
        })
    }

    fn pod(name: &str, node: Option<&str>, phase: &str) -> Value {
        let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}});
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "any", "name": name},
            "spec": {"nodeName": node.unwrap_or_default(), "containers": [container]}, "status": {"phase": phase},
        })
    }

    /// What the hub would be told once everything is known that may be.
    async fn told(server: &ApiServer) -> ClusterReport {
        let agents = agents(server.client());
        let mut tasks = JoinSet::new();
        let client = server.client();
        for known in [
            nodes(Watch::new(&client, "Nodes"), &agents, &mut tasks),
            pods(&client, &agents, &mut tasks),
            scores(&client, &agents, &mut tasks),
        ] {
            known.await.unwrap();
        }
        let mut report = ClusterReport::default();
        agents.with_index(|index| index.tell_of_cluster(&mut report));
        report
    }

    fn free_cpu(report: &ClusterReport) -> Option<i64> {
        report.resources.as_ref().unwrap().free.as_ref().map(|free| free.cpu)
    }

    #[tokio::test]
    async fn pods_keep_what_they_request_of_their_node_until_they_end() {
        let server = ApiServer::new();
        server.put("/api/v1/nodes/n", node());
        for (name, at, phase) in [
            ("runs", Some("n"), "Running"),
            ("starts", Some("n"), "Pending"),
            ("waits", None, "Pending"),
            ("done", Some("n"), "Succeeded"),
            ("failed", Some("n"), "Failed"),
        ] {
            server.put(&format!("/api/v1/namespaces/any/pods/{name}"), pod(name, at, phase));
        }
        let report = told(&server).await;
        assert_eq!((report.nodes_total, report.nodes_ready), (1, 1));
        assert_eq!(free_cpu(&report), Some(2000));
        let lists = server.calls().into_iter().filter(|call| call.path.ends_with("/pods"));
        let queries: Vec<String> = lists.map(|call| call.query).collect();
        assert!(queries.iter().all(|query| query.contains("fieldSelector=spec.nodeName")), "{queries:?}");
    }

    #[tokio::test]
    async fn a_node_that_says_nothing_of_itself_is_one_all_the_same() {
        let server = ApiServer::new();
        server.put("/api/v1/nodes/n", node());
        server.put(
            "/api/v1/nodes/bare",
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "bare"}}),
        );
        let report = told(&server).await;
        assert_eq!((report.nodes_total, report.nodes_ready), (2, 1));
        assert_eq!(free_cpu(&report), Some(4000));
    }

    #[tokio::test]
    async fn a_member_that_may_not_see_pods_tells_the_rest() {
        let server = ApiServer::new();
        server.put("/api/v1/nodes/n", node());
        server.refuse("list", "/pods", Refusal::new(403, "Forbidden", "pods is forbidden"));
        let report = told(&server).await;
        assert_eq!(free_cpu(&report), None);
        assert_eq!(report.resources.unwrap().allocatable.cpu, 4000);
    }

    #[tokio::test]
    async fn scores_are_entries_of_a_config_map_that_may_be_there() {
        let server = ApiServer::new();
        assert_eq!(told(&server).await.scores, BTreeMap::new());
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": "parallax-system", "name": SCORES}, "data": {"cost": "40", "latency": "much"},
        });
        server.put(&format!("/api/v1/namespaces/parallax-system/configmaps/{SCORES}"), object);
        assert_eq!(told(&server).await.scores, [("cost".to_owned(), 40)].into());
    }
}
