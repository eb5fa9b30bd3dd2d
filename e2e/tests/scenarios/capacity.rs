//! What a cluster says of itself, as its MemberCluster shows it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use parallax_crds::agent::PlacementTarget;
use parallax_crds::labels::{REGION, SCORES, SYSTEM_NAMESPACE};
use parallax_crds::{Amounts, MemberClusterStatus, ParallaxAgent, ParallaxAgentStatus, Phase};
use serde_json::json;

use crate::world::{World, agent_condition};

impl World {
    /// Waits until the status of member-1 is so.
    async fn said_until(
        &self,
        what: &str,
        holds: impl Fn(&MemberClusterStatus) -> bool,
    ) -> Result<MemberClusterStatus> {
        let cluster = self.cluster_until("member-1", what, |c| c.status.as_ref().is_some_and(&holds)).await?;
        cluster.status.context("a moment ago, member-1 had a status")
    }
}

fn free(status: &MemberClusterStatus) -> Option<Amounts> {
    status.free.as_ref().map(Amounts::of)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nodes_have_and_pods_leave_of_it_is_in_the_status() -> Result<()> {
    let world = World::alone("capacity").await?;
    let status = world.said_until("member-1 says what is free", |status| status.free.is_some()).await?;
    let [capacity, allocatable, before] =
        [status.capacity, status.allocatable, status.free].map(|amounts| Amounts::of(&amounts.unwrap()));
    assert!(capacity.cpu >= allocatable.cpu && allocatable.cpu >= before.cpu && before.cpu > 0);
    assert!(capacity.memory > 0 && allocatable.pods > 0, "{capacity:?} {allocatable:?}");
    assert_eq!(status.labels.get(REGION).map(String::as_str), Some("region-1"));
    assert!(!status.labels.keys().any(|key| key.ends_with("/zone")), "its nodes are in two");

    // An eighth of everything, by a pod of nobody's that no scheduler has to place.
    let node = world.nodes(0).list_metadata(&ListParams::default()).await?.items.remove(0);
    // (The namespace of the agents is the hub's alone before there are any.)
    let pods: Api<Pod> = Api::namespaced(world.members[0].clone(), "default");
    let name = &world.namespace;
    let large: Pod = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "nodeName": node.metadata.name,
            "containers": [{
                "name": "c",
                "image": "fleet.test/large:1",
                "resources": {"requests": {"cpu": format!("{}m", allocatable.cpu / 8)}},
            }],
        },
    }))?;
    world
        .until("the pod is there", async || {
            // The service account may have yet to come.
            Ok(Some(pods.create(&PostParams::default(), &large).await?))
        })
        .await?;
    world
        .said_until("the pod has taken its part", |status| {
            free(status).is_some_and(|free| free.cpu <= before.cpu - allocatable.cpu / 8)
        })
        .await?;
    pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
    world
        .said_until("the pod has given its part back", |status| {
            free(status).is_some_and(|free| free.cpu > before.cpu - allocatable.cpu / 16)
        })
        .await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scores_of_a_cluster_are_what_its_administrator_writes() -> Result<()> {
    let world = World::alone("scores").await?;
    let maps: Api<ConfigMap> = Api::namespaced(world.members[0].clone(), SYSTEM_NAMESPACE);
    let scores = |cost: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SCORES},
            "data": {"cost": cost, "latency": "not a number"},
        })
    };
    let (params, expected) =
        (PatchParams::apply("test").force(), |cost: i32| BTreeMap::from([("cost".to_owned(), cost)]));
    for cost in [40, 60] {
        maps.patch(SCORES, &params, &Patch::Apply(&scores(&cost.to_string())))
            .await
            .context("writing the scores")?;
        world.said_until("the scores are told", |status| status.scores == expected(cost)).await?;
    }
    maps.delete(SCORES, &DeleteParams::default()).await?;
    world.said_until("there are none any more", |status| status.scores.is_empty()).await?;
    world.finish().await
}

/// What nodes have so many of as a test wants.
const SLOTS: &str = "fleet.test/slots";

impl World {
    /// The first node of a member has so many slots, or none at all.
    async fn slots(&self, member: usize, count: Option<i64>) -> Result<()> {
        let nodes = self.nodes(member);
        let node = nodes.list_metadata(&ListParams::default()).await?.items.remove(0);
        let name = node.metadata.name.context("a node has a name")?;
        let slots = json!({SLOTS: count.map(|count| count.to_string())});
        let status = json!({"status": {"capacity": slots, "allocatable": slots}});
        nodes.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        let cluster = format!("member-{}", member + 1);
        self.cluster_until(&cluster, &format!("{cluster} tells of its slots"), |cluster| {
            let told = cluster.status.as_ref().and_then(free);
            told.is_some_and(|free| free.extended.get(SLOTS).copied() == count)
        })
        .await?;
        Ok(())
    }

    /// Waits until so many replicas are in each of the members, all of them run, and the other agents say what they lack.
    async fn taken(&self, slots: [i32; 2], waiting: usize) -> Result<Vec<ParallaxAgent>> {
        let what = format!("{slots:?} slots are taken, and {waiting} agents wait");
        self.until(&what, async || {
            let agents = self.agents().list(&ListParams::default()).await?.items;
            let mut taken = [0; 2];
            for target in agents.iter().flat_map(targets) {
                taken[usize::from(target.cluster == "member-2")] += target.replicas;
            }
            let runs = agents.iter().filter(|agent| agent.status.as_ref().is_some_and(runs)).count();
            let lacks = |agent: &&ParallaxAgent| {
                agent_condition(agent, "Placed")
                    .is_some_and(|(status, _, message)| status == "False" && message.contains(SLOTS))
            };
            let waits = agents.iter().filter(lacks).count();
            let all = taken == slots && waits == waiting && runs + waits == agents.len();
            Ok(all.then_some(agents))
        })
        .await
    }
}

fn targets(agent: &ParallaxAgent) -> &[PlacementTarget] {
    let placement = agent.status.as_ref().and_then(|status| status.placement.as_ref());
    placement.map(|placement| placement.targets.as_slice()).unwrap_or_default()
}

fn runs(status: &ParallaxAgentStatus) -> bool {
    status.phase == Some(Phase::Running) && status.replica_summary.as_deref() == Some("1/1")
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_come_at_once_are_not_promised_the_same_room() -> Result<()> {
    let world = World::alone("slots").await?;
    for (member, count) in [(0, 4), (1, 6)] {
        world.slots(member, Some(count)).await?;
    }
    let spec = json!({"type": "claude", "resources": {"limits": {SLOTS: "1"}}});
    let names: Vec<String> = (0..14).map(|n| format!("x{n:02}")).collect();
    futures::future::try_join_all(names.iter().map(|name| world.apply(name, spec.clone()))).await?;
    let agents = world.taken([4, 6], 4).await?;

    // Room that one of them leaves is given once, to one of those that wait.
    let in_first = |agent: &&ParallaxAgent| targets(agent).iter().any(|target| target.cluster == "member-1");
    let leaves = agents.iter().find(in_first).context("four are in member-1")?;
    world.delete(leaves.metadata.name.as_deref().context("an agent has a name")?).await?;
    world.taken([4, 6], 3).await?;
    for name in &names {
        if world.agents().get_opt(name).await?.is_some() {
            world.delete(name).await?;
        }
    }
    for member in [0, 1] {
        world.slots(member, None).await?;
    }
    world.finish().await
}
