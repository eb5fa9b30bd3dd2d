//! What a real API server makes of the objects that a member builds for an agent: it admits the pods under the
//! strictest Pod Security Standard, and stores every object so that the member sees no difference.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, TypeMeta};
use kube::{Api, Client};
use parallax_crds::agent::Bounds;
use parallax_crds::{AgentKey, AgentRef, AgentTemplate, ClusterName, Incarnation, SpecHash};
use parallax_e2e::FleetOptions;
use parallax_e2e::manifests;
use parallax_e2e::testing::shared_fleet;
use parallax_member_core::credentials::Binding;
use parallax_member_core::{Desired, Site, Valid, build, difference};
use serde_json::json;

const NAMESPACE: &str = "restricted";
/// An agent with every field, and one with no more than it needs.
const TEMPLATES: [&str; 2] = [
    include_str!("../../member/core/src/build/tests/full_template.yaml"),
    "{type: claude, image: 'ghcr.io/parallax/agent-claude:0.1.0'}",
];
/// A kind that Kubernetes doesn't have by itself.
const POD_MONITORS: &str = include_str!("fixtures/pod-monitors.yaml");
/// What the pods name.
const NEEDED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: restricted, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reviewer, namespace: restricted}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: restricted}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: gvisor}
handler: runsc
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: batch}
value: 10
";

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_are_admitted_where_the_strictest_standard_is_enforced() {
    let client = prepared().await;
    for template in TEMPLATES {
        let deployment = built(template).deployment;
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "writer",
                "labels": deployment["spec"]["template"]["metadata"]["labels"],
                "annotations": deployment["spec"]["template"]["metadata"]["annotations"],
            },
            "spec": deployment["spec"]["template"]["spec"],
        });
        let params = PatchParams::apply("test").validation_strict();
        let params = PatchParams { dry_run: true, ..params };
        Api::<Pod>::namespaced(client.clone(), NAMESPACE)
            .patch("writer", &params, &Patch::Apply(&pod))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_stores_is_no_difference_to_what_was_written() {
    let client = prepared().await;
    for (index, template) in TEMPLATES.iter().enumerate() {
        for mut object in built(template).children().into_iter().filter_map(|(_, object)| object) {
            let name = format!("writer-{index}");
            object["metadata"]["name"] = name.clone().into();
            // Its owner is not there, and the garbage collector would take it.
            object["metadata"].as_object_mut().unwrap().remove("ownerReferences");
            let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
            let resource = ApiResource::from_gvk(&types.try_into().unwrap());
            let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
            let params = PatchParams::apply("test").validation_strict();
            let stored = objects.patch(&name, &params, &Patch::Apply(&object)).await.unwrap();
            let stored = serde_json::to_value(stored).unwrap();
            assert_eq!(difference(&object, &stored), None, "{stored:#}");
        }
    }
}

fn built(template: &str) -> Desired {
    let template: AgentTemplate = serde_saphyr::from_str(template).unwrap();
    let assignment = Valid {
        owner_uid: "11111111-2222-3333-4444-555555555555",
        agent: AgentRef { key: AgentKey::new(NAMESPACE, "writer"), incarnation: Incarnation::new("0d5e") },
        hash: SpecHash::of(&template).unwrap(),
        replicas: 2,
        bounds: Some(Bounds { min: 1, max: 4, start: 2 }),
        asleep: false,
        led: false,
        template: &template,
    };
    let cluster = ClusterName::new("member-1").unwrap();
    let site = Site {
        cluster: &cluster,
        control_plane_namespaces: &["parallax".to_owned()],
        system_namespace: "parallax-system",
        scraper_namespaces: &["monitoring".to_owned()],
        pod_monitors: true,
        service_exports: false,
    };
    let key = template.runtime.credentials.as_ref().map(|credentials| Binding {
        secret: "keys".into(),
        key: credentials.reference().unwrap().key.clone(),
        stamp: Some("5eal".into()),
    });
    build(&assignment, site, key.as_ref(), None).unwrap()
}

async fn prepared() -> Client {
    let fleet = shared_fleet(FleetOptions::new(env!("CARGO_BIN_EXE_fleet")).of_one().control_planes_only());
    let client = fleet.client("hub").await.unwrap();
    for needed in [NEEDED, POD_MONITORS] {
        let objects: Vec<DynamicObject> = manifests::parse(needed).unwrap();
        manifests::apply(&client, &objects).await.unwrap();
    }
    client
}
