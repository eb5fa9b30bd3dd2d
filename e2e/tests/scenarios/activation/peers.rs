//! Who gets through an activator.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use parallax_e2e::fleet::activator;
use serde_json::{Value, json};

use super::callers::Kept;
use super::pods::{IMAGE, Pods};
use super::{SECOND, second_activator, sleeper};
use crate::world::World;

/// Addresses of the machine's own that the test's pods call from.
const FRIEND: [u8; 4] = [127, 97, 0, 1];
const STRANGER: [u8; 4] = [127, 97, 0, 2];

impl World {
    /// A pod that has this address.
    async fn caller(&self, name: &str, labels: Value, address: [u8; 4]) -> Result<()> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "caller", "image": IMAGE}]},
        });
        let pod: Pod = serde_json::from_value(pod)?;
        self.eventually(&format!("pod {name} can be made"), || async {
            Ok(self.pods(0).create(&kube::api::PostParams::default(), &pod).await.is_ok())
        })
        .await?;
        let address = IpAddr::from(address);
        let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}});
        self.pods(0).patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await?;
        Ok(())
    }

    /// Waits until a call from that address through that port comes about, or doesn't.
    async fn gets_through(&self, from: [u8; 4], to: SocketAddr, expected: bool) -> Result<()> {
        let call = async || Kept::open_from(SocketAddr::from((from, 0)), to).await?.call("/hello").await;
        let what = format!("a call from {from:?} comes about: {expected}");
        self.eventually(&what, || async { Ok(call().await.is_ok() == expected) }).await
    }
}

fn let_in(app: &str) -> Value {
    let mut spec = sleeper(300);
    spec["network"] = json!({"ingress": [{"podSelector": {"matchLabels": {"app": app}}}]});
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_peers_reach_it_through_the_activator_and_others_do_not() -> Result<()> {
    let world = World::alone("peers").await?;
    let second = second_activator(&world, "192.0.2.0/24").await?;
    let _pods = Pods::play(world.pods(0), "sleeper");
    world.apply("sleeper", let_in("web")).await?;
    world.led_to("sleeper", 2).await?;
    let status = world.assignments(0).get_status("sleeper").await?.status.context("a status")?;
    let port = status.activators.get(SECOND).context("the second activator's word")?.port;
    let door = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?));

    world.caller("friend", json!({"app": "web"}), FRIEND).await?;
    world.caller("stranger", json!({"app": "another"}), STRANGER).await?;
    world.gets_through(FRIEND, door, true).await?;
    world.gets_through(STRANGER, door, false).await?;
    world.apply("sleeper", let_in("another")).await?;
    world.gets_through(STRANGER, door, true).await?;
    world.gets_through(FRIEND, door, false).await?;
    let label = json!({"metadata": {"labels": {"app": "another"}}});
    world.pods(0).patch("friend", &PatchParams::default(), &Patch::Merge(&label)).await?;
    world.gets_through(FRIEND, door, true).await?;
    world.apply("sleeper", sleeper(300)).await?;
    world.gets_through(FRIEND, door, false).await?;

    activator::strike(&world.members[0], SECOND).await?;
    second.stop(Duration::from_secs(15)).await;
    world.finish().await
}
