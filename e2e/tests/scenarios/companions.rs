//! What stands beside an agent in its pods: other containers, volumes, and variables from whole objects.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Container, Namespace, PodSpec};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};

use crate::workspace;
use crate::world::{World, of};

fn accompanied() -> Value {
    json!({
        "type": "claude", "placement": {"clusters": ["member-1"]},
        "envFrom": [{"configMapRef": {"name": "settings", "optional": true}}],
        "volumes": [
            {"name": "settings", "configMap": {"name": "settings", "optional": true}},
            {"name": "keys", "secret": {"secretName": "keys", "optional": true}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "shared", "persistentVolumeClaim": {"claimName": "shared", "readOnly": false}},
            {"name": "all", "projected": {"sources": [
                {"configMap": {"name": "settings", "optional": true}},
                {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            ]}},
        ],
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/settings", "readOnly": true},
            {"name": "keys", "mountPath": "/etc/keys", "readOnly": false},
            {"name": "scratch", "mountPath": "/scratch", "subPath": "agent"},
            {"name": "shared", "mountPath": "/shared"},
            {"name": "all", "mountPath": "/etc/all"},
        ],
        "initContainers": [{
            "name": "load", "image": "example.com/load:1",
            "volumeMounts": [{"name": "shared", "mountPath": "/work"}],
        }],
        "sidecars": [{
            "name": "proxy", "image": "example.com/proxy:1",
            "env": [{"name": "PORT", "value": "3128"}],
            "envFrom": [{"secretRef": {"name": "keys", "optional": true}}],
            "resources": {"requests": {"cpu": "10m"}},
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch", "subPath": "proxy"}],
        }],
    })
}

/// The claim that the agent names, bound to a volume of the test's.
async fn claimed(world: &World) -> Result<String> {
    let volume = workspace::volume(world).await?;
    let namespaces: Api<Namespace> = Api::all(world.members[0].clone());
    let metadata = ObjectMeta { name: Some(world.namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let claim = serde_json::from_value(json!({
        "metadata": {"name": "shared"},
        "spec": {
            "storageClassName": world.namespace, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }))?;
    workspace::claims(world).create(&PostParams::default(), &claim).await?;
    Ok(volume)
}

async fn pod(world: &World) -> Result<PodSpec> {
    let pods = world.pods(0).list(&of("whole")).await?.items;
    anyhow::ensure!(pods.len() == 1, "{} pods", pods.len());
    pods.into_iter().next().and_then(|pod| pod.spec).context("its spec")
}

fn paths(container: &Container) -> Vec<&str> {
    container.volume_mounts.iter().flatten().map(|mount| mount.mount_path.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_pods_have_all_the_containers_volumes_and_variables_that_it_names() -> Result<()> {
    let world = World::calm("companions").await?;
    let volume = claimed(&world).await?;
    world.apply("whole", accompanied()).await?;
    world.running("whole", "1/1").await?;
    let spec = pod(&world).await?;
    let beside = spec.init_containers.as_deref().context("containers beside it")?;
    let named: Vec<_> = beside.iter().map(|c| (c.name.as_str(), c.restart_policy.as_deref())).collect();
    assert_eq!(named, [("load", None), ("proxy", Some("Always"))]);
    assert_eq!(paths(&beside[0]), ["/tmp", "/work"]);
    assert_eq!(paths(&beside[1]), ["/tmp", "/scratch"]);
    let agent = &spec.containers[0];
    assert_eq!(paths(agent), ["/tmp", "/etc/settings", "/etc/keys", "/scratch", "/shared", "/etc/all"]);
    assert!(agent.env_from.is_some() && beside[1].env_from.is_some());
    for container in beside.iter().chain([agent]) {
        let context = container.security_context.as_ref().context("its restrictions")?;
        assert_eq!(context.allow_privilege_escalation, Some(false), "{}", container.name);
        assert_eq!(context.read_only_root_filesystem, Some(true), "{}", container.name);
    }

    // A change of one of them is an update, and what is named no more goes.
    let before = world.deployments(0).get("whole").await?.metadata.generation;
    let mut without = accompanied();
    for field in ["sidecars", "initContainers", "envFrom"] {
        without.as_object_mut().context("a spec")?.remove(field);
    }
    without["volumeMounts"] = json!([{"name": "scratch", "mountPath": "/scratch"}]);
    without["volumes"] = json!([{"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}]);
    world.apply("whole", without).await?;
    world
        .eventually("the new pod has the agent's container alone", || async {
            let pods = world.pods(0).list(&of("whole")).await?.items;
            let [pod] = &pods[..] else { return Ok(false) };
            let spec = pod.spec.as_ref().context("its spec")?;
            Ok(spec.init_containers.is_none() && paths(&spec.containers[0]).contains(&"/scratch"))
        })
        .await?;
    world.running("whole", "1/1").await?;
    assert_eq!(paths(&pod(&world).await?.containers[0]), ["/tmp", "/scratch"]);
    // Once, and not again and again for what an API server makes of it.
    let after = world.deployments(0).get("whole").await?.metadata.generation;
    assert_eq!(after, before.map(|generation| generation + 1));
    workspace::remove(&world, &volume).await?;
    world.finish().await
}
