//! The state of a fleet as text, for the message of a failed test.

use std::fmt::Write as _;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;

use crate::Fleet;
use crate::layout::{ClusterRecord, Component};

/// A dump of a broken fleet must not hang.
const LIMIT: Duration = Duration::from_secs(10);
/// Lines of the hub's and each member's log.
const LINES: usize = 40;

/// Kinds that are shown: group, version, kind, and whether their status is shown whole.
const KINDS: [(&str, &str, &str, bool); 7] = [
    ("parallax.io", "v1alpha1", "MemberCluster", true),
    ("parallax.io", "v1alpha1", "ParallaxAgent", true),
    ("parallax.io", "v1alpha1", "AgentAssignment", true),
    ("apps", "v1", "Deployment", false),
    ("", "v1", "Service", false),
    ("", "v1", "Pod", false),
    ("events.k8s.io", "v1", "Event", false),
];

/// What every cluster holds and what the hub and the members said last.
pub async fn dump(fleet: &Fleet) -> String {
    let mut text = String::new();
    for cluster in fleet.record().clusters {
        let _ = writeln!(text, "\n===== {} =====", cluster.name);
        match tokio::time::timeout(LIMIT, objects(fleet, &cluster)).await {
            Ok(Ok(objects)) => text.push_str(&objects),
            Ok(Err(error)) => drop(writeln!(text, "its objects can't be read: {error:#}")),
            Err(_) => drop(writeln!(text, "its API server does not answer")),
        }
        for component in [Component::ParallaxHub, Component::ParallaxMember, Component::ParallaxActivator] {
            let tail = fleet.log_tail(&cluster.name, component, LINES);
            if !tail.is_empty() {
                let _ = writeln!(text, "--- the end of {component}'s log\n{tail}");
            }
        }
    }
    for (cluster, component, tail) in fleet.crashed() {
        let _ = writeln!(text, "\n===== {component} of {cluster} has ended =====\n{tail}");
    }
    text
}

async fn objects(fleet: &Fleet, cluster: &ClusterRecord) -> anyhow::Result<String> {
    let client = fleet.client(&cluster.name).await?;
    let mut text = String::new();
    for (group, version, kind, whole) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        // A cluster has only the kinds of its role.
        let Ok(list) = api.list(&ListParams::default()).await else {
            continue;
        };
        for object in list.items {
            line(&mut text, kind, &object, whole);
        }
    }
    Ok(text)
}

fn line(text: &mut String, kind: &str, object: &DynamicObject, whole: bool) {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let deleting = if object.metadata.deletion_timestamp.is_some() { " (being deleted)" } else { "" };
    let generation = object.metadata.generation.unwrap_or_default();
    let _ = write!(text, "{kind} {namespace}/{name}{deleting} generation {generation}");
    let data = &object.data;
    let _ = match kind {
        "Event" => writeln!(text, " {}: {}", data["reason"], data["note"]),
        _ if whole => writeln!(text, "\n    spec {}\n    status {}", data["spec"], data["status"]),
        "Pod" => writeln!(text, " {} on {}", data["status"]["phase"], data["spec"]["nodeName"]),
        "Deployment" => {
            writeln!(text, " wants {} ready {}", data["spec"]["replicas"], data["status"]["readyReplicas"])
        }
        _ => writeln!(text),
    };
}
