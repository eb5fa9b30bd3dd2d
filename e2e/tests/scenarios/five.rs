//! Five clusters of different sizes and kinds, a fleet of their own: what hints make of them, and what is done while most
//! of them are silent.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use parallax_crds::labels::{AGENT, REGION};
use parallax_crds::{Amounts, MemberCluster, ParallaxAgent};
use parallax_e2e::Component;
use serde_json::{Value, json};

use crate::world::World;

/// A cluster, by what its administrators say of it.
struct Kind {
    /// The region that its nodes say.
    region: &'static str,
    /// Whose machines they are, as the MemberCluster says.
    site: &'static str,
    /// CPUs of each of the two nodes.
    cpus: i64,
    /// The second node takes no pods.
    cordoned: bool,
    /// Only those may run there that tolerate it.
    taint: Option<&'static str>,
}

const KINDS: [Kind; 5] = [
    Kind { region: "eu", site: "own", cpus: 1, cordoned: false, taint: None },
    Kind { region: "eu", site: "cloud", cpus: 4, cordoned: false, taint: None },
    Kind { region: "us", site: "cloud", cpus: 2, cordoned: false, taint: None },
    Kind { region: "us", site: "cloud", cpus: 2, cordoned: true, taint: None },
    Kind { region: "ap", site: "cloud", cpus: 8, cordoned: false, taint: Some("gpu") },
];

impl Kind {
    /// CPUs for pods, in thousandths.
    fn free(&self) -> i64 {
        self.cpus * if self.cordoned { 1_000 } else { 2_000 }
    }
}

fn name_of(member: usize) -> String {
    format!("member-{}", member + 1)
}

/// Makes a cluster what it is to be, and waits until the hub knows.
async fn furnish(world: &World, member: usize) -> Result<()> {
    let (kind, cluster, nodes) = (&KINDS[member], name_of(member), world.nodes(member));
    let amounts = json!({"cpu": kind.cpus.to_string()});
    for (n, node) in nodes.list_metadata(&ListParams::default()).await?.iter().enumerate() {
        let labels = json!({REGION: kind.region});
        let node_is =
            json!({"metadata": {"labels": labels}, "spec": {"unschedulable": kind.cordoned && n == 1}});
        nodes.patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(&node_is)).await?;
        let has = json!({"status": {"capacity": amounts, "allocatable": amounts}});
        nodes.patch_status(&node.name_any(), &PatchParams::default(), &Patch::Merge(&has)).await?;
    }
    let taints: Vec<_> = kind.taint.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
    let cluster_is = json!({
        "metadata": {"labels": {REGION: null, "site": kind.site}},
        "spec": {"taints": taints, "copyLabels": [REGION]},
    });
    world.clusters().patch(&cluster, &PatchParams::default(), &Patch::Merge(&cluster_is)).await?;
    let told = |cluster: &MemberCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        status.labels.get(REGION).map(String::as_str) == Some(kind.region)
            && status.taints.len() == taints.len()
            && status.free.is_some_and(|free| Amounts::of(&free).cpu == kind.free())
    };
    world.cluster_until(&cluster, "the hub knows what it is", told).await?;
    Ok(())
}

/// By region.
fn sums(shares: &[Option<i32>]) -> BTreeMap<&'static str, i32> {
    let mut sums = BTreeMap::new();
    for (kind, share) in KINDS.iter().zip(shares) {
        *sums.entry(kind.region).or_default() += share.unwrap_or(0);
    }
    sums
}

/// Of replicas that request a CPU each.
fn of_one_cpu(replicas: i32, placement: &Value) -> Value {
    json!({
        "type": "claude", "replicas": replicas, "placement": placement,
        "resources": {"requests": {"cpu": "1"}},
    })
}

fn tolerating(mut placement: Value) -> Value {
    placement["tolerations"] = json!([{"key": "gpu", "operator": "Exists"}]);
    placement
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_divide_over_five_clusters_and_most_of_them_silent_freeze_failover() -> Result<()> {
    let world = World::of_its_own("five", KINDS.len()).await?;
    try_join_all((0..KINDS.len()).map(|member| furnish(&world, member))).await?;
    capacity_divides_and_groups_overflow(&world).await?;
    regions_share_alike(&world).await?;
    most_of_them_fall_silent(&world).await?;
    world.finish().await
}

/// In proportion to 2, 8, 4 and 2 CPUs that are free; then into what that has left.
async fn capacity_divides_and_groups_overflow(world: &World) -> Result<()> {
    world.apply("large", of_one_cpu(8, &json!({"division": {"mode": "Capacity"}}))).await?;
    world.running("large", "8/8").await?;
    assert_eq!(world.shares("large").await?, [Some(1), Some(4), Some(2), Some(1), None]);

    let site = |site: &str| json!({"name": site, "clusterSelector": {"matchLabels": {"site": site}}});
    let groups = json!({"groups": [site("own"), site("cloud")]});
    world.apply("ordered", of_one_cpu(4, &groups)).await?;
    world.running("ordered", "4/4").await?;
    let shares = world.shares("ordered").await?;
    let elsewhere: i32 = shares[1..].iter().flatten().sum();
    assert_eq!((shares[0], elsewhere), (Some(1), 3), "one CPU is left in the first group: {shares:?}");
    assert_eq!(shares[4], None, "what is tainted takes no overflow");

    world.apply("ordered", of_one_cpu(1, &groups)).await?;
    world.running("ordered", "1/1").await?;
    world
        .eventually("the overflow is given up first", async || {
            Ok(world.shares("ordered").await? == [Some(1), None, None, None, None])
        })
        .await
}

async fn regions_share_alike(world: &World) -> Result<()> {
    let spread = json!({"spread": [{"by": "region", "minGroups": 3, "maxSkew": 1}]});
    world
        .apply("wide", json!({"type": "claude", "replicas": 6, "placement": tolerating(spread.clone())}))
        .await?;
    world.running("wide", "6/6").await?;
    assert_eq!(sums(&world.shares("wide").await?), BTreeMap::from([("ap", 2), ("eu", 2), ("us", 2)]));

    // The third region's only cluster is tainted.
    world.apply("narrow", json!({"type": "claude", "replicas": 6, "placement": spread})).await?;
    let refused = |agent: &ParallaxAgent| {
        let placed = crate::world::agent_condition(agent, "Placed");
        placed.is_some_and(|(status, reason, message)| {
            status == "False" && reason == "Unsatisfied" && message.contains("needs 3 groups")
        })
    };
    world.agent_until("narrow", "two regions are too few", refused).await?;
    assert_eq!(world.shares("narrow").await?, [None; 5]);
    Ok(())
}

/// Three of five.
async fn most_of_them_fall_silent(world: &World) -> Result<()> {
    let placement = tolerating(json!({"failover": {"graceSeconds": 20}}));
    world.apply("stays", json!({"type": "claude", "replicas": 5, "placement": placement})).await?;
    world.running("stays", "5/5").await?;
    assert_eq!(world.shares("stays").await?, [Some(1); 5]);
    let placed = |agent: &ParallaxAgent| agent.status.as_ref().and_then(|status| status.placement.clone());
    let before = placed(&world.agents().get("stays").await?);
    let silent = [2, 3, 4].map(name_of);
    for cluster in &silent {
        world.fleet().kill(cluster, Component::ParallaxMember).await?;
    }
    for cluster in &silent {
        let said = world.cluster_says(cluster, "Connected", "False", "FailoverFrozen").await?;
        assert!(said.contains("3 of 5 clusters fell silent within a minute"), "{said}");
    }
    // It is said when they have been silent for more than twice as long as the agent waits.
    assert_eq!(placed(&world.agents().get("stays").await?), before, "nothing is placed again");

    // Most of them are there: what the two others have is placed again, and what has stayed stays.
    world.fleet().restart(&silent[0], Component::ParallaxMember).await?;
    world
        .agent_until("stays", "what the two have is placed again", |agent| {
            let Some(placement) = placed(agent) else { return false };
            let lost: Vec<_> = placement.leaving.iter().map(|row| row.cluster.as_str()).collect();
            lost == [silent[1].as_str(), silent[2].as_str()]
                && placement.targets.iter().map(|target| target.replicas).sum::<i32>() == 5
        })
        .await?;
    for cluster in &silent[1..] {
        world.cluster_says(cluster, "Connected", "False", "SessionLost").await?;
    }
    // What isn't ready elsewhere by then would go back to where it runs.
    let replaced = |agent: &ParallaxAgent| {
        let rows = agent.status.iter().flat_map(|status| &status.clusters);
        let elsewhere = rows.filter(|row| !silent[1..].contains(&row.name.to_string()));
        elsewhere.map(|row| row.ready_replicas).sum::<i32>() == 5
    };
    world.agent_until("stays", "what replaces it is ready", replaced).await?;
    for cluster in &silent[1..] {
        world.fleet().restart(cluster, Component::ParallaxMember).await?;
    }
    world.running("stays", "5/5").await?;
    world.gone_from_member(3, "stays").await?;
    world.gone_from_member(4, "stays").await?;
    let pods = ListParams::default().labels(&format!("{AGENT}=stays"));
    let mut count = 0;
    for member in 0..KINDS.len() {
        count += world.pods(member).list_metadata(&pods).await?.items.len();
    }
    assert_eq!(count, 5);
    world.connected(&silent[0]).await.context("the first that came back")
}
