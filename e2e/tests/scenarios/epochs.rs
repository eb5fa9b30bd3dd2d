//! Members obey the highest epoch of their hub that they have seen, and nobody of a lower one.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use parallax_crds::labels::SYSTEM_NAMESPACE;
use parallax_e2e::Component;
use serde_json::json;

use crate::pretender::{FalseHub, fleet_ca, welcome};
use crate::stand_in::{Member, StandIn};
use crate::world::World;

/// An hour, in the unit of epochs.
const HOUR: u64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_epoch_is_adopted_and_nothing_is_touched() -> Result<()> {
    let world = World::alone("epoch-up").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 4})).await?;
    world.running("calm", "4/4").await?;
    world.recorded(0, "calm", 2).await?;
    world.recorded(1, "calm", 2).await?;
    let before = world.fingerprint().await?;
    let marks = [world.fleet().audit("member-1")?.len(), world.fleet().audit("member-2")?.len()];

    let higher = raise_to_come(&world).await?;
    adopted_everywhere(&world, higher).await?;
    // A change that goes all the way shows that everything before it has been dealt with.
    world
        .apply("after", json!({"type": "claude", "replicas": 2, "placement": {"strategy": "Replicate"}}))
        .await?;
    world.running("after", "4/4").await?;
    world.running("calm", "4/4").await?;

    let mut after = world.fingerprint().await?;
    after.retain(|object, _| !object.contains(" after"));
    assert_eq!(before, after);
    for (cluster, mark) in ["member-1", "member-2"].into_iter().zip(marks) {
        let writes = world.writes_since(cluster, "parallax-member", mark)?;
        let others: Vec<_> = writes
            .iter()
            .filter(|w| w.object_ref.name != "after" && w.object_ref.namespace == world.namespace)
            .filter(|w| w.object_ref.resource != "events")
            .collect();
        assert!(others.is_empty(), "{cluster}: {others:#?}");
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_record_was_restored_goes_above_what_its_members_have_obeyed() -> Result<()> {
    let world = World::alone("epoch-back").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 2})).await?;
    world.running("calm", "2/2").await?;
    let before = world.fingerprint().await?;
    let backup = hub_epoch(&world).await?;
    let higher = raise_to_come(&world).await?;
    adopted_everywhere(&world, higher).await?;

    let log = world.log("hub", Component::ParallaxHub)?;
    world.fleet().kill("hub", Component::ParallaxHub).await?;
    set_hub_epoch(&world, backup).await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    adopted_everywhere(&world, higher + 1).await?;
    assert_eq!(hub_epoch(&world).await?, higher + 1);
    log.says(&world, &["WARN", &(higher + 1).to_string(), "backup"]).await?;
    let events: Api<Event> = Api::all(world.hub.clone());
    world
        .eventually("an Event tells of the restored hub", || async {
            let all = events.list(&ListParams::default()).await?;
            let told = |e: &Event| {
                e.reason.as_deref() == Some("HubRolledBack")
                    && e.note.as_deref().is_some_and(|note| note.contains(&higher.to_string()))
            };
            Ok(all.items.iter().any(told))
        })
        .await?;
    world.running("calm", "2/2").await?;
    assert_eq!(world.fingerprint().await?, before);
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_far_ahead_of_the_clock_is_refused_until_somebody_decides() -> Result<()> {
    let world = World::alone("epoch-ahead").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 2})).await?;
    world.running("calm", "2/2").await?;
    let before = world.fingerprint().await?;

    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    let absurd = json!({"data": {"maxEpoch": (now() + 48 * HOUR).to_string()}});
    member_states(&world, 0)
        .patch("parallax-member-state", &PatchParams::default(), &Patch::Merge(&absurd))
        .await?;
    let (hub, member) =
        (world.log("hub", Component::ParallaxHub)?, world.log("member-1", Component::ParallaxMember)?);
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    let message = world.cluster_says("member-1", "Connected", "False", "EpochAhead").await?;
    assert!(message.contains("parallax-member-state") && message.contains("restart"), "{message}");
    hub.says(&world, &["WARN", "member-1", "EpochAhead", "parallax-member-state"]).await?;
    member.says(&world, &["ERROR", "EpochAhead", "parallax-member-state"]).await?;

    // As the message says.
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    member_states(&world, 0).delete("parallax-member-state", &DeleteParams::default()).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.cluster_says("member-1", "Connected", "True", "SessionUp").await?;
    world.running("calm", "2/2").await?;
    assert_eq!(world.fingerprint().await?, before);
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_does_not_obey_a_hub_of_an_older_epoch() -> Result<()> {
    let world = World::alone("epoch-old").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 2})).await?;
    world.running("calm", "2/2").await?;
    let before = world.fingerprint().await?;
    let obeyed = member_epoch(&world, 0).await?;

    // As a leader that was frozen, and thaws after its members have met the next one.
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    let uid = hub_record(&world).await?.remove("uid").context("the hub has no uid")?;
    let old = FalseHub::start(&fleet_ca(&world).await?, welcome(&uid, "member-1")).await?;
    let address = old.address.to_string();
    let stand_in = StandIn::member(
        &world,
        &Member { cluster: "member-1", hub: &address, namespace: None, token: None },
    )?;
    let epoch = obeyed.to_string();
    stand_in.log.says(&world, &["WARN", "epoch 1 is older than", &epoch, "another leader"]).await?;
    assert_eq!(stand_in.log.line(&["connected to the hub"]), None, "it was obeyed");
    stand_in.kill().await;

    assert_eq!(member_epoch(&world, 0).await?, obeyed);
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.running("calm", "2/2").await?;
    assert_eq!(world.fingerprint().await?, before);
    world.finish().await
}

/// Restarts the hub with a record that is an hour ahead; the epoch that it then begins.
async fn raise_to_come(world: &World) -> Result<u64> {
    world.fleet().kill("hub", Component::ParallaxHub).await?;
    let higher = hub_epoch(world).await?.max(now()) + HOUR;
    set_hub_epoch(world, higher).await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    Ok(higher + 1)
}

/// Waits until every member has persisted this epoch.
async fn adopted_everywhere(world: &World, epoch: u64) -> Result<()> {
    for member in 0..world.members.len() {
        let what = format!("member-{} obeys epoch {epoch}", member + 1);
        world.eventually(&what, || async { Ok(member_epoch(world, member).await? == epoch) }).await?;
    }
    Ok(())
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap()
}

fn config_maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), SYSTEM_NAMESPACE)
}

fn member_states(world: &World, member: usize) -> Api<ConfigMap> {
    config_maps(&world.members[member])
}

async fn member_epoch(world: &World, member: usize) -> Result<u64> {
    let data = member_states(world, member).get("parallax-member-state").await?.data.unwrap_or_default();
    Ok(data.get("maxEpoch").context("no epoch yet")?.parse()?)
}

async fn hub_record(world: &World) -> Result<std::collections::BTreeMap<String, String>> {
    Ok(config_maps(&world.hub).get("parallax-hub-state").await?.data.unwrap_or_default())
}

async fn hub_epoch(world: &World) -> Result<u64> {
    Ok(hub_record(world).await?.get("epoch").context("the hub has no epoch")?.parse()?)
}

async fn set_hub_epoch(world: &World, epoch: u64) -> Result<()> {
    let patch = json!({"data": {"epoch": epoch.to_string()}});
    config_maps(&world.hub)
        .patch("parallax-hub-state", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}
