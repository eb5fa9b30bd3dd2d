//! Ends of the link that speak no version of the protocol in common.

use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use parallax_e2e::Component;
use parallax_proto::tls::session_channel;
use parallax_proto::v1;
use parallax_proto::v1::fleet_client::FleetClient;
use serde_json::json;

use crate::pretender::{FalseHub, fleet_ca, identity, welcome};
use crate::stand_in::{Member, StandIn};
use crate::world::World;

/// A version that nobody speaks yet.
const UNKNOWN: u32 = 99;

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_an_unknown_version_is_refused_with_both_versions_named() -> Result<()> {
    let world = World::calm("version").await?;
    let log = world.log("hub", Component::ParallaxHub)?;
    let ca = fleet_ca(&world).await?;
    let newcomer = identity(&ca, &world.namespace, Duration::from_secs(3600), Timestamp::now())?;
    let channel = session_channel(&world.fleet().hub_endpoints()?.session, &newcomer).await?;

    let hello = v1::Hello {
        versions: vec![UNKNOWN],
        cluster_uid: "somewhere".to_owned(),
        boot_id: "1".to_owned(),
        set_hash: parallax_proto::digest::SetDigest::default().bytes().to_vec().into(),
        member_version: "9.9.9".to_owned(),
        ..v1::Hello::default()
    };
    let hello = v1::FromMember { frame: Some(v1::from_member::Frame::Hello(hello)) };
    // The stream stays open: it is the hub that ends it.
    let said = futures::StreamExt::chain(tokio_stream::once(hello), tokio_stream::pending());
    let mut answers = FleetClient::new(channel).session(said).await?.into_inner();
    let frame = answers.message().await?.and_then(|answer| answer.frame).context("no answer to Hello")?;
    let v1::from_hub::Frame::Terminate(v1::Terminate { reason, message }) = frame else {
        anyhow::bail!("not refused but {frame:?}");
    };
    assert_eq!(reason, "VersionMismatch");
    for words in ["[99]", "[1]", "9.9.9", "upgrade the older one"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(answers.message().await?, None, "nothing follows a refusal");
    log.says(&world, &["WARN", &world.namespace, "VersionMismatch", "[99]", "[1]", "upgrade"]).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_of_an_unknown_version_is_not_obeyed_and_both_versions_are_named() -> Result<()> {
    let world = World::alone("hub-version").await?;
    world.apply("calm", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("calm", "1/1").await?;
    let before = world.fingerprint().await?;

    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    let greeting = v1::Welcome { version: UNKNOWN, ..welcome("a hub of the future", "member-1") };
    let hub = FalseHub::start(&fleet_ca(&world).await?, greeting).await?;
    let address = hub.address.to_string();
    let stand_in = StandIn::member(
        &world,
        &Member { cluster: "member-1", hub: &address, namespace: None, token: None },
    )?;
    stand_in.log.says(&world, &["ERROR", "VersionMismatch", "99", "[1]", "upgrade the older one"]).await?;
    assert_eq!(stand_in.log.line(&["connected to the hub"]), None, "it was obeyed");
    assert_eq!(stand_in.log.line(&["the hub refuses"]), None, "it is the member that refuses");
    stand_in.kill().await;

    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.running("calm", "1/1").await?;
    assert_eq!(world.fingerprint().await?, before);
    world.finish().await
}
