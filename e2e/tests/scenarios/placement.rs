//! Where agents go, and what is said when they can't.

use anyhow::Result;
use serde_json::json;

use crate::world::{World, agent_condition};

#[tokio::test(flavor = "multi_thread")]
async fn five_divided_over_two_members_are_three_and_two() -> Result<()> {
    let world = World::calm("divide").await?;
    world
        .apply("five", json!({"type": "claude", "replicas": 5, "placement": {"strategy": "Divide"}}))
        .await?;
    world.running("five", "5/5").await?;
    world.shared_out("five", &[3, 2]).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicated_to_two_members_are_two_each() -> Result<()> {
    let world = World::calm("replicate").await?;
    world
        .apply("pair", json!({"type": "claude", "replicas": 2, "placement": {"strategy": "Replicate"}}))
        .await?;
    world.running("pair", "4/4").await?;
    world.shared_out("pair", &[2, 2]).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_share_out_in_proportion() -> Result<()> {
    let world = World::calm("weighted").await?;
    let by_region = |region: &str, weight: i32| json!({"clusterSelector": {"matchLabels": {"topology.kubernetes.io/region": region}}, "weight": weight});
    let division =
        json!({"mode": "Weighted", "weights": [by_region("region-1", 3), by_region("region-2", 1)]});
    world
        .apply("heavy", json!({"type": "claude", "replicas": 4, "placement": {"division": division}}))
        .await?;
    world.running("heavy", "4/4").await?;
    assert_eq!(world.shares("heavy").await?, [Some(3), Some(1)]);
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_otherwise_in_a_cluster_runs_there_and_nowhere_else() -> Result<()> {
    let world = World::calm("otherwise").await?;
    let there = json!({
        "clusterSelector": {"matchLabels": {"topology.kubernetes.io/region": "region-2"}},
        "image": "example.org/otherwise:1",
        "env": [{"name": "MODEL", "value": "small"}],
        "resources": {"requests": {"cpu": "20m"}},
    });
    let spec = |image: &str| {
        json!({
            "type": "claude", "image": image, "replicas": 2, "env": [{"name": "MODEL", "value": "large"}],
            "placement": {"overrides": [there]},
        })
    };
    world.apply("two", spec("example.org/usual:1")).await?;
    world.running("two", "2/2").await?;
    world.shared_out("two", &[1, 1]).await?;
    let ran = async |member: usize| -> Result<(String, String, String)> {
        let deployment = world.deployments(member).get("two").await?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
        let container = pod.containers.into_iter().find(|c| c.name == "agent").unwrap_or_default();
        let model = container.env.into_iter().flatten().find(|variable| variable.name == "MODEL");
        let requests = container.resources.and_then(|resources| resources.requests).unwrap_or_default();
        let cpu = requests.get("cpu").map(|quantity| quantity.0.clone()).unwrap_or_default();
        let model = model.and_then(|variable| variable.value).unwrap_or_default();
        Ok((container.image.unwrap_or_default(), model, cpu))
    };
    let of = |image: &str, model: &str, cpu: &str| (image.to_owned(), model.to_owned(), cpu.to_owned());
    assert_eq!(ran(0).await?, of("example.org/usual:1", "large", ""));
    assert_eq!(ran(1).await?, of("example.org/otherwise:1", "small", "20m"));

    let other = world.deployments(1).get("two").await?.metadata.generation;
    let edited = world.apply("two", spec("example.org/usual:2")).await?;
    world
        .agent_until("two", "the edit is everywhere", |agent| {
            let status = agent.status.as_ref();
            status.is_some_and(|status| status.observed_generation == edited.metadata.generation)
        })
        .await?;
    assert_eq!(ran(0).await?, of("example.org/usual:2", "large", ""));
    assert_eq!(world.deployments(1).get("two").await?.metadata.generation, other, "it is the same there");
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_a_name_and_a_selector_each_limit_where_an_agent_runs() -> Result<()> {
    let world = World::calm("limits").await?;
    let selector = json!({"matchExpressions": [{"key": "topology.kubernetes.io/region", "operator": "NotIn", "values": ["region-1"]}]});
    for (name, placement, shares) in [
        ("by-region", json!({"regions": ["region-2"]}), [None, Some(2)]),
        ("by-name", json!({"clusters": ["member-1"]}), [Some(2), None]),
        ("by-selector", json!({"clusterSelector": selector}), [None, Some(2)]),
    ] {
        world.apply(name, json!({"type": "claude", "replicas": 2, "placement": placement})).await?;
        world.running(name, "2/2").await?;
        assert_eq!(world.shares(name).await?, shares, "{name}");
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_fits_nowhere_says_so_with_the_reason_by_cluster() -> Result<()> {
    let world = World::calm("nowhere").await?;
    world.apply("lost", json!({"type": "claude", "placement": {"regions": ["mars"]}})).await?;
    let agent = world
        .agent_until("lost", "Placed is False", |agent| {
            agent_condition(agent, "Placed").is_some_and(|(status, ..)| status == "False")
        })
        .await?;
    let (_, _, message) = agent_condition(&agent, "Placed").unwrap();
    assert!(message.contains("2 not in region mars (member-1, member-2)"), "{message}");
    let (status, reason, _) = agent_condition(&agent, "Progressing").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NoClusterFits"));

    world.apply("lost", json!({"type": "claude", "placement": {"regions": ["region-1"]}})).await?;
    world.running("lost", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_cluster_has_is_told_of_beside_one_that_exists() -> Result<()> {
    let world = World::calm("slip").await?;
    world
        .apply("slip", json!({"type": "claude", "placement": {"clusters": ["member-1", "membr-2"]}}))
        .await?;
    let agent = world.running("slip", "1/1").await?;
    let (status, _, message) = agent_condition(&agent, "Placed").unwrap();
    assert_eq!(status, "True");
    assert!(message.contains("membr-2, which is no cluster of this fleet"), "{message}");
    world
        .eventually("an Event tells of it", || async {
            let said = world.kubectl(&["get", "events", "--field-selector=reason=UnknownCluster"]).await?;
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            Ok(said.contains("Warning") && said.contains("membr-2"))
        })
        .await?;
    world.finish().await
}
