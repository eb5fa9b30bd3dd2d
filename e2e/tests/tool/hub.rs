//! The hub is brought down and up: agents run on without it, and with it as if it had never been away.

use std::collections::BTreeSet;
use std::net::TcpStream;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use parallax_crds::{ParallaxAgent, Phase};
use parallax_e2e::testing::TestNamespace;
use parallax_e2e::waiting::{OnTimeout, until};
use parallax_e2e::{Component, Signal, client, etcd};
use serde_json::json;

use crate::commands::{Detached, LIMIT, fleet, scratch};

/// An agent, and what a member has made of it.
struct Subject {
    agents: Api<ParallaxAgent>,
    deployments: Api<Deployment>,
    pods: Api<Pod>,
}

impl Subject {
    async fn create(fleet: &Detached) -> Self {
        let record = fleet.record();
        let connect = async |cluster: &str| -> Client {
            client::from_kubeconfig(&record.cluster(cluster).unwrap().kubeconfig).await.unwrap()
        };
        let namespace = TestNamespace::create_with(&connect("hub").await, "steady").await.unwrap();
        let member = connect("member-1").await;
        Self {
            agents: namespace.agents(),
            deployments: Api::namespaced(member.clone(), namespace.name()),
            pods: Api::namespaced(member, namespace.name()),
        }
    }

    async fn runs(&self, replicas: i32) {
        let body = json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent",
            "metadata": {"name": "steady"}, "spec": {"type": "claude", "replicas": replicas},
        });
        let summary = format!("{replicas}/{replicas}");
        self.agents.patch("steady", &PatchParams::apply("test"), &Patch::Apply(&body)).await.unwrap();
        until(&format!("{summary} are Running"), LIMIT, OnTimeout::Plain, async || {
            let agent = self.agents.get("steady").await?;
            let status = agent.status.unwrap_or_default();
            let runs = status.phase == Some(Phase::Running)
                && status.observed_generation == agent.metadata.generation
                && status.replica_summary.as_deref() == Some(&summary);
            Ok(runs.then_some(()))
        })
        .await
        .unwrap();
    }

    /// The UIDs of the Deployment and of the pods that aren't ending.
    async fn uids(&self) -> BTreeSet<String> {
        let deployment = self.deployments.get("steady").await.unwrap().uid();
        let mut pods = self.pods.list(&ListParams::default()).await.unwrap().items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods.iter().map(ResourceExt::uid).chain([deployment]).flatten().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_is_stopped_and_started_and_agents_do_not_notice() {
    let directory = scratch("hub");
    for verb in ["stop", "start"] {
        let (ok, said) = fleet(&directory, &[verb, "hub"]);
        assert!(!ok && said.contains("no fleet in") && said.contains("cargo fleet up"), "{said}");
    }
    let fleet = Detached::start(directory, &["--members", "1", "--no-demo"]);
    let hub = || fleet.process("hub", Component::ParallaxHub);
    let endpoints = fleet.record().cluster("hub").unwrap().hub.clone().unwrap();
    let ready = format!("{}/readyz", endpoints.http);
    let member = fleet.process("member-1", Component::ParallaxMember).unwrap();
    let subject = Subject::create(&fleet).await;
    subject.runs(2).await;
    let before = subject.uids().await;
    let first = hub().unwrap();

    for says in
        ["parallax-hub of hub is stopped; `cargo fleet start hub", "parallax-hub of hub is down already"]
    {
        let (ok, said) = fleet.tool(&["stop", "hub"]);
        assert!(ok && said.contains(says), "{said}");
        assert!(!first.is_alive() && hub().is_none(), "the process is gone");
    }
    for address in [endpoints.session.as_str(), endpoints.http.trim_start_matches("http://")] {
        assert!(TcpStream::connect(address).is_err(), "nobody listens on {address}");
    }
    let (all_run, status) = fleet.tool(&["status"]);
    assert!(!all_run && status.contains("stopped"), "{status}");
    assert_eq!(subject.uids().await, before);

    for says in ["parallax-hub of hub is started", "parallax-hub of hub runs already"] {
        let (ok, said) = fleet.tool(&["start", "hub"]);
        assert!(ok && said.contains(says), "{said}");
    }
    let second = hub().unwrap();
    assert!(second != first && second.is_alive());
    let answers = async || etcd::get(&ready).await.map(Some);
    until("the hub is ready where it was before", LIMIT, OnTimeout::Plain, answers).await.unwrap();
    // What is asked for from now on is done by a hub that knows what there is.
    subject.runs(3).await;
    let after = subject.uids().await;
    assert!(after.is_superset(&before) && after.len() == before.len() + 1, "{before:?} became {after:?}");

    second.signal(Signal::KILL);
    until("its end shows", LIMIT, OnTimeout::Plain, async || {
        Ok(fleet.tool(&["status"]).1.contains("ended").then_some(()))
    })
    .await
    .unwrap();
    let (ok, said) = fleet.tool(&["start", "hub"]);
    assert!(ok && said.contains("parallax-hub of hub is started"), "{said}");
    subject.runs(2).await;
    let last = until("one pod goes", LIMIT, OnTimeout::Plain, async || {
        Ok(Some(subject.uids().await).filter(|uids| uids.len() == before.len()))
    });
    assert!(last.await.unwrap().is_subset(&after), "what was there is there still");
    assert_eq!(fleet.process("member-1", Component::ParallaxMember), Some(member), "the member ran on");

    for (args, says) in [
        (["stop", "hub-1"].as_slice(), "it has hub, member-1"),
        (&["start", "hub", "parallax-member"], "hub has no parallax-member: it has etcd, "),
    ] {
        let (ok, said) = fleet.tool(args);
        assert!(!ok && said.contains(says), "{said}");
    }
}
