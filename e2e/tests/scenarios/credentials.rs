//! Agents' API keys: found where they are, waited for where they aren't, and nowhere to be read.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Discovery, verbs};
use kube::{Api, Client};
use parallax_crds::{ParallaxAgent, Phase};
use parallax_e2e::layout::Layout;
use parallax_e2e::{Component, etcd};
use serde_json::{Value, json};

use crate::world::{World, agent_condition};

const STAMP: &str = "parallax.io/credentials-stamp";
const RIGHTS: &str = "parallax-member-credentials";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_its_key_and_starts_when_it_is_there() -> Result<()> {
    let world = World::calm("key").await?;
    world.apply("keyed", of_one(json!({"secretRef": {"name": "keys", "key": "CLAUDE_API_KEY"}}))).await?;
    let message = says(&world, "keyed", "False", "SecretMissing").await?;
    for words in ["member-1", "keys", "CLAUDE_API_KEY", "create it"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    world
        .eventually("what needs no key is made", || async {
            Ok(world.services(0).get_opt("keyed").await?.is_some())
        })
        .await?;
    assert!(world.deployments(0).get_opt("keyed").await?.is_none(), "pods without their key");
    let agent = world
        .agent_until("keyed", "the phase has its reason", |agent| {
            agent_condition(agent, "Ready").is_some_and(|(_, reason, _)| reason == "SecretMissing")
        })
        .await?;
    let status = agent.status.context("a status")?;
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Pending), Some("0/1")));
    assert_eq!(status.clusters[0].reason.as_deref(), Some("SecretMissing"));

    put(&world, "keys", &[("OTHER", "x")]).await?;
    says(&world, "keyed", "False", "KeyMissing").await?;
    put(&world, "keys", &[("CLAUDE_API_KEY", "")]).await?;
    says(&world, "keyed", "False", "KeyEmpty").await?;
    put(&world, "keys", &[("CLAUDE_API_KEY", "sk-ant-1")]).await?;
    says(&world, "keyed", "True", "Found").await?;
    world.running("keyed", "1/1").await?;

    let deployment = world.deployments(0).get("keyed").await?;
    for variable in ["CLAUDE_API_KEY", "ANTHROPIC_API_KEY"] {
        assert_eq!(
            source(&deployment, variable),
            Some(("keys".into(), "CLAUDE_API_KEY".into())),
            "{variable}"
        );
    }
    let key = json!({"secretRef": {"name": "keys", "key": "CLAUDE_API_KEY"}, "envName": "TOKEN"});
    world.apply("keyed", of_one(key)).await?;
    world
        .eventually("the key arrives as the chosen variable alone", || async {
            let deployment = world.deployments(0).get("keyed").await?;
            Ok(source(&deployment, "TOKEN").is_some() && source(&deployment, "ANTHROPIC_API_KEY").is_none())
        })
        .await?;
    world.running("keyed", "1/1").await?;

    // An update to a key that isn't there changes nothing of what runs.
    let before = world.deployments(0).get("keyed").await?;
    world.apply("keyed", of_one(json!({"secretRef": {"name": "keys", "key": "NEXT"}}))).await?;
    says(&world, "keyed", "False", "KeyMissing").await?;
    assert_eq!(template(&world.deployments(0).get("keyed").await?), template(&before));
    put(&world, "keys", &[("CLAUDE_API_KEY", "sk-ant-1"), ("NEXT", "sk-ant-2")]).await?;
    world.running("keyed", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_replaces_the_pods_where_that_is_wanted() -> Result<()> {
    let world = World::calm("rotate").await?;
    let key = |rotation: &str| json!({"secretRef": {"name": "keys", "key": "KEY"}, "rotation": rotation});
    world.apply("rolls", of_one(key("Restart"))).await?;
    world.apply("stays", of_one(key("None"))).await?;
    for name in ["rolls", "stays"] {
        says(&world, name, "False", "SecretMissing").await?;
    }
    put(&world, "keys", &[("KEY", "one"), ("OTHER", "one")]).await?;
    for name in ["rolls", "stays"] {
        world.running(name, "1/1").await?;
    }
    let before = [world.deployments(0).get("rolls").await?, world.deployments(0).get("stays").await?];

    // Another key of the Secret is not the agent's.
    put(&world, "keys", &[("KEY", "one"), ("OTHER", "two")]).await?;
    put(&world, "keys", &[("KEY", "two"), ("OTHER", "two")]).await?;
    world
        .eventually("the pods with the former value are replaced", || async {
            let deployment = world.deployments(0).get("rolls").await?;
            let status = deployment.status.clone().unwrap_or_default();
            Ok(stamp(&deployment) != stamp(&before[0])
                && status.observed_generation == deployment.metadata.generation
                && (status.replicas, status.updated_replicas, status.ready_replicas)
                    == (Some(1), Some(1), Some(1)))
        })
        .await?;
    let rolled = world.deployments(0).get("rolls").await?;
    assert_eq!(rolled.metadata.generation, before[0].metadata.generation.map(|g| g + 1), "rolled once");

    // When the Secret goes, both are told so, and the pods that run stay.
    secrets(&world).delete("keys", &DeleteParams::default()).await?;
    for name in ["rolls", "stays"] {
        says(&world, name, "False", "SecretMissing").await?;
        world.running(name, "1/1").await?;
    }
    assert_eq!(world.deployments(0).get("rolls").await?.metadata.generation, rolled.metadata.generation);
    let stayed = world.deployments(0).get("stays").await?;
    assert_eq!(stayed.metadata.generation, before[1].metadata.generation, "its pods were to be left alone");
    assert_eq!(stamp(&stayed), None);
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_members_restart_replaces_no_pod() -> Result<()> {
    let world = World::alone("same-key").await?;
    world.apply("keyed", of_one(json!({"secretRef": {"name": "keys", "key": "KEY"}}))).await?;
    says(&world, "keyed", "False", "SecretMissing").await?;
    put(&world, "keys", &[("KEY", "one")]).await?;
    world.running("keyed", "1/1").await?;
    let before = world.deployments(0).get("keyed").await?;

    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    put(&world, "keys", &[("KEY", "two")]).await?;
    world
        .eventually("the next value is noticed", || async {
            Ok(stamp(&world.deployments(0).get("keyed").await?) != stamp(&before))
        })
        .await?;
    put(&world, "keys", &[("KEY", "one")]).await?;
    world
        .eventually("the first value has the stamp that it had before the restart", || async {
            Ok(stamp(&world.deployments(0).get("keyed").await?) == stamp(&before))
        })
        .await?;
    let after = world.deployments(0).get("keyed").await?;
    assert_eq!(after.metadata.generation, before.metadata.generation.map(|g| g + 2), "rolled for no reason");
    world.running("keyed", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_one_namespaces_secrets_is_enough_for_its_agents() -> Result<()> {
    let world = World::alone("right").await?;
    let everywhere: Api<ClusterRoleBinding> = Api::all(world.members[0].clone());
    let mut shipped = everywhere.get(RIGHTS).await?;
    everywhere.delete(RIGHTS, &DeleteParams::default()).await?;
    world.apply("keyed", of_one(json!({"secretRef": {"name": "keys", "key": "KEY"}}))).await?;
    let message = says(&world, "keyed", "False", "Forbidden").await?;
    assert!(message.contains("keys") && message.contains(RIGHTS), "{message}");
    put(&world, "keys", &[("KEY", "one")]).await?;

    let here: Api<RoleBinding> = Api::namespaced(world.members[0].clone(), &world.namespace);
    let mut binding = RoleBinding {
        role_ref: shipped.role_ref.clone(),
        subjects: shipped.subjects.clone(),
        ..RoleBinding::default()
    };
    binding.metadata.name = Some(RIGHTS.to_owned());
    here.create(&PostParams::default(), &binding).await?;
    says(&world, "keyed", "True", "Found").await?;
    world.running("keyed", "1/1").await?;

    shipped.metadata.resource_version = None;
    shipped.metadata.uid = None;
    everywhere.create(&PostParams::default(), &shipped).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_secrets_target_is_used_and_without_that_kind_the_secret_of_its_name() -> Result<()> {
    let world = World::calm("external").await?;
    world.apply("vaulted", of_one(json!({"externalSecretRef": {"name": "vault", "key": "api_key"}}))).await?;
    says(&world, "vaulted", "False", "SecretMissing").await?;
    put(&world, "vault", &[("api_key", "by-name")]).await?;
    world.running("vaulted", "1/1").await?;
    let by_name = world.deployments(0).get("vaulted").await?;
    assert_eq!(source(&by_name, "api_key"), Some(("vault".into(), "api_key".into())));

    let definitions: Api<CustomResourceDefinition> = Api::all(world.members[0].clone());
    let params = PatchParams::apply("scenario").force();
    definitions.patch(EXTERNAL_SECRETS, &params, &Patch::Apply(&definition())).await?;
    says(&world, "vaulted", "False", "ExternalSecretMissing").await?;
    world.running("vaulted", "1/1").await?;
    assert_eq!(template(&world.deployments(0).get("vaulted").await?), template(&by_name));

    let externals = externals(&world);
    let external = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": "vault"}, "spec": {"target": {"name": "made-by-vault"}},
    });
    externals.patch("vault", &params, &Patch::Apply(&external)).await?;
    says(&world, "vaulted", "False", "ExternalSecretNotReady").await?;
    ready(&externals, "False", "SecretSyncedError").await?;
    world
        .agent_until("vaulted", "its own reason is told", |agent| {
            agent_condition(agent, "CredentialsReady").is_some_and(|(.., m)| m.contains("SecretSyncedError"))
        })
        .await?;
    put(&world, "made-by-vault", &[("api_key", "from-vault")]).await?;
    ready(&externals, "True", "SecretSynced").await?;
    says(&world, "vaulted", "True", "Found").await?;
    world
        .eventually("the pods use the Secret that the ExternalSecret makes", || async {
            let deployment = world.deployments(0).get("vaulted").await?;
            Ok(source(&deployment, "ANTHROPIC_API_KEY") == Some(("made-by-vault".into(), "api_key".into())))
        })
        .await?;
    world.running("vaulted", "1/1").await?;

    definitions.delete(EXTERNAL_SECRETS, &DeleteParams::default()).await?;
    world
        .eventually("without the kind, the Secret of its name is used again", || async {
            let deployment = world.deployments(0).get("vaulted").await?;
            Ok(source(&deployment, "api_key") == Some(("vault".into(), "api_key".into())))
        })
        .await?;
    world.running("vaulted", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_in_no_object_but_its_secret_and_in_no_log() -> Result<()> {
    // Alone: no kind of another test comes or goes while all objects are looked at.
    let world = World::alone("canary").await?;
    log_everything(&world).await?;
    let canaries = ["canary-5f1c0a97", "canary-b2d84e36"];
    world.apply("canary", of_one(json!({"secretRef": {"name": "keys", "key": "KEY"}}))).await?;
    says(&world, "canary", "False", "SecretMissing").await?;
    put(&world, "keys", &[("KEY", canaries[0])]).await?;
    world.running("canary", "1/1").await?;
    let before = stamp(&world.deployments(0).get("canary").await?);
    put(&world, "keys", &[("KEY", canaries[1])]).await?;
    world
        .eventually("the change is noticed", || async {
            Ok(stamp(&world.deployments(0).get("canary").await?) != before)
        })
        .await?;
    put(&world, "keys", &[("OTHER", canaries[1])]).await?;
    says(&world, "canary", "False", "KeyMissing").await?;

    let encoded = ["Y2FuYXJ5LTVmMWMwYTk3", "Y2FuYXJ5LWIyZDg0ZTM2"];
    assert!(everything(&world.members[0], true).await?.iter().any(|(_, text)| text.contains(encoded[1])));
    nowhere(&world, &[canaries, encoded].concat()).await?;
    log_no_more(&world).await?;
    world.finish().await
}

/// What may see a key: the hub, and what runs in member-1.
const CONFIDANTS: [(&str, Component); 3] = [
    ("hub", Component::ParallaxHub),
    ("member-1", Component::ParallaxMember),
    ("member-1", Component::ParallaxActivator),
];

/// Starts them again, so that they and all that they are made of log whatever there is to say.
pub(crate) async fn log_everything(world: &World) -> Result<()> {
    for (cluster, component) in CONFIDANTS {
        world.fleet().kill(cluster, component).await?;
        world.fleet().restart_with(cluster, component, &["--log-level=trace"]).await?;
    }
    Ok(())
}

/// Starts them again as they were. They have logged everything until then.
pub(crate) async fn log_no_more(world: &World) -> Result<()> {
    let layout = Layout::new(world.fleet().directory())?;
    for (cluster, component) in CONFIDANTS {
        let text = std::fs::read_to_string(layout.log(cluster, component)).context("a log")?;
        anyhow::ensure!(text.contains(" TRACE "), "{component} of {cluster} has not logged everything");
        world.fleet().kill(cluster, component).await?;
        world.fleet().restart(cluster, component).await?;
    }
    Ok(())
}

/// A built-in agent in member-1 that needs this key.
pub(crate) fn of_one(credentials: Value) -> Value {
    let mut spec = json!({"type": "claude", "placement": {"clusters": ["member-1"]}});
    spec["credentials"] = credentials;
    spec
}

pub(crate) fn secrets(world: &World) -> Api<Secret> {
    Api::namespaced(world.members[0].clone(), &world.namespace)
}

/// Makes a Secret of member-1 hold exactly this.
async fn put(world: &World, name: &str, data: &[(&str, &str)]) -> Result<()> {
    put_in(&secrets(world), name, data).await
}

/// Makes a Secret hold exactly this.
pub(crate) async fn put_in(secrets: &Api<Secret>, name: &str, data: &[(&str, &str)]) -> Result<()> {
    let data: BTreeMap<_, _> =
        data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes())).collect();
    let data = data.into_iter().map(|(key, value)| (key, k8s_openapi::ByteString(value.to_vec())));
    let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    let params = PatchParams::apply("scenario").force();
    secrets.patch(name, &params, &Patch::Apply(&secret)).await?;
    Ok(())
}

/// Waits until the agent's `CredentialsReady` is this, and returns its message.
pub(crate) async fn says(world: &World, name: &str, status: &str, reason: &str) -> Result<String> {
    let is = |agent: &ParallaxAgent| {
        agent_condition(agent, "CredentialsReady").filter(|(s, r, _)| s == status && r == reason)
    };
    let what = format!("{name} has CredentialsReady={status}, {reason}");
    let agent = world.agent_until(name, &what, |agent| is(agent).is_some()).await?;
    Ok(is(&agent).with_context(|| format!("a moment ago, {what}"))?.2)
}

pub(crate) fn template(deployment: &Deployment) -> Option<&k8s_openapi::api::core::v1::PodTemplateSpec> {
    deployment.spec.as_ref().map(|spec| &spec.template)
}

pub(crate) fn stamp(deployment: &Deployment) -> Option<String> {
    template(deployment)?.metadata.as_ref()?.annotations.as_ref()?.get(STAMP).cloned()
}

/// The Secret and the key from which the agent's container has a variable.
pub(crate) fn source(deployment: &Deployment, variable: &str) -> Option<(String, String)> {
    let env = template(deployment)?.spec.as_ref()?.containers.first()?.env.as_ref()?;
    let selector =
        env.iter().find(|env| env.name == variable)?.value_from.as_ref()?.secret_key_ref.as_ref()?;
    Some((selector.name.clone(), selector.key.clone()))
}

const EXTERNAL_SECRETS: &str = "externalsecrets.external-secrets.io";

/// As much of external-secrets.io's definition as a test needs.
fn definition() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": EXTERNAL_SECRETS},
        "spec": {
            "group": "external-secrets.io", "scope": "Namespaced",
            "names": {"kind": "ExternalSecret", "plural": "externalsecrets", "singular": "externalsecret"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema, "status": schema}}},
            }],
        },
    })
}

fn externals(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("external-secrets.io", "v1", "ExternalSecret");
    let resource = ApiResource::from_gvk_with_plural(&kind, "externalsecrets");
    Api::namespaced_with(world.members[0].clone(), &world.namespace, &resource)
}

/// What the operator of external-secrets.io would write.
async fn ready(externals: &Api<DynamicObject>, status: &str, reason: &str) -> Result<()> {
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": status, "reason": reason}]}});
    externals.patch_status("vault", &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// No object of any cluster but Secrets, no log and no metric has one of these values.
pub(crate) async fn nowhere(world: &World, values: &[&str]) -> Result<()> {
    let told = |text: &str, place: &str| {
        for value in values {
            assert!(!text.contains(value), "{place} has {value}");
        }
    };
    for client in [&world.hub, &world.members[0], &world.members[1]] {
        for (place, text) in everything(client, false).await? {
            told(&text, &place);
        }
    }
    let fleet = world.fleet();
    let layout = Layout::new(fleet.directory())?;
    for (cluster, component) in [
        ("hub", Component::ParallaxHub),
        ("member-1", Component::ParallaxMember),
        ("member-2", Component::ParallaxMember),
        ("member-1", Component::ParallaxActivator),
    ] {
        let text = std::fs::read_to_string(layout.log(cluster, component)).context("a log")?;
        assert!(!text.is_empty(), "{component} of {cluster} has logged nothing");
        told(&text, &format!("the log of {component} in {cluster}"));
    }
    for url in [
        fleet.hub_endpoints()?.metrics,
        fleet.member_endpoints("member-1")?.metrics,
        fleet.member_endpoints("member-2")?.metrics,
    ] {
        told(&etcd::get(&url).await?, &url);
    }
    Ok(())
}

/// Every object of a cluster as JSON, with what it is; of Secrets only, or of everything else.
pub(crate) async fn everything(client: &Client, only_secrets: bool) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for group in Discovery::new(client.clone()).run_aggregated().await?.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let is_secret = resource.group.is_empty() && resource.kind == "Secret";
            if !capabilities.supports_operation(verbs::LIST) || is_secret != only_secrets {
                continue;
            }
            let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
            for object in api.list(&ListParams::default()).await? {
                let name = object.metadata.name.clone().unwrap_or_default();
                found.push((format!("{} {name}", resource.kind), serde_json::to_string(&object)?));
            }
        }
    }
    Ok(found)
}
