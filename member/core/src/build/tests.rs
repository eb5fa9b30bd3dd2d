#![allow(clippy::unwrap_used)]
use parallax_crds::agent::{AgentRuntime, Bounds, Credentials, EnvVar, KeyReference, ScalingTargets};
use parallax_crds::assignment::AgentTemplate;
use parallax_crds::link::ApiKey;
use parallax_crds::{AgentKey, AgentRef, Incarnation, SpecHash};

use super::*;

fn built(template: &AgentTemplate, replicas: i32) -> Desired {
    built_of(&valid(template, replicas))
}

fn built_of(valid: &Valid<'_>) -> Desired {
    let key = valid.template.runtime.credentials.as_ref().map(|credentials| Binding {
        secret: "made-by-vault".into(),
        key: credentials.reference().unwrap().key.clone(),
        stamp: Some("5eal".into()),
    });
    let (cluster, namespaces) = (ClusterName::new("member-1").unwrap(), ["parallax".to_owned()]);
    build(
        valid,
        Site {
            cluster: &cluster,
            control_plane_namespaces: &namespaces,
            system_namespace: "parallax-system",
            scraper_namespaces: &["monitoring".to_owned()],
            pod_monitors: true,
            service_exports: true,
        },
        key.as_ref(),
        None,
    )
    .unwrap()
}

fn valid(template: &AgentTemplate, replicas: i32) -> Valid<'_> {
    Valid {
        owner_uid: "a8f1",
        agent: AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("0d5e") },
        hash: SpecHash::of(template).unwrap(),
        replicas,
        bounds: None,
        template,
        asleep: false,
        led: false,
    }
}

fn smallest() -> AgentTemplate {
    with(AgentRuntime::default())
}

fn with(runtime: AgentRuntime) -> AgentTemplate {
    AgentTemplate {
        runtime: AgentRuntime { agent_type: "claude".into(), ..runtime },
        image: "ghcr.io/parallax/agent-claude:0.1.0".into(),
        ..AgentTemplate::default()
    }
}

#[test]
fn the_smallest_agent_is_rendered_whole() {
    let desired = built(&smallest(), 1);
    insta::assert_yaml_snapshot!("smallest_deployment", desired.deployment);
    insta::assert_yaml_snapshot!("smallest_service", desired.service);
    insta::assert_yaml_snapshot!("smallest_network_policy", desired.network_policy);
    assert_eq!(desired.disruption_budget, None, "one replica needs none");
    assert_eq!(desired.service_export, None, "nobody asks for it");
}

#[test]
fn every_field_of_a_template_is_rendered() {
    let full: Value = serde_saphyr::from_str(include_str!("tests/full_template.yaml")).unwrap();
    for field in fields_of_a_template() {
        assert!(!full[&field].is_null(), "full_template.yaml has no {field}");
    }
    let template: AgentTemplate = serde_json::from_value(full).unwrap();
    let desired = built(&template, 3);
    insta::assert_yaml_snapshot!("full_deployment", desired.deployment);
    insta::assert_yaml_snapshot!("full_workspace", desired.workspace);
    insta::assert_yaml_snapshot!("full_network_policy", desired.network_policy);
    insta::assert_yaml_snapshot!("full_pod_monitor", desired.pod_monitor);
    insta::assert_yaml_snapshot!("full_service_export", desired.service_export);
}

/// As the schema has them.
fn fields_of_a_template() -> Vec<String> {
    let assignments = parallax_crds::definitions::all().unwrap().pop().unwrap().body;
    let schema = &assignments["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let template = &schema["properties"]["spec"]["properties"]["template"];
    template["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn no_label_of_a_users_own_takes_the_place_of_one_of_parallax() {
    let runtime = AgentRuntime {
        pod_labels: [("parallax.io/agent".to_owned(), "another".to_owned())].into(),
        ..AgentRuntime::default()
    };
    let deployment = built(&with(runtime), 1).deployment;
    assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["parallax.io/agent"], "writer");
}

#[test]
fn a_token_is_mounted_only_for_an_account_that_is_named() {
    let mounted = |account: Option<&str>| {
        let runtime =
            AgentRuntime { service_account_name: account.map(str::to_owned), ..AgentRuntime::default() };
        built(&with(runtime), 1).deployment["spec"]["template"]["spec"]["automountServiceAccountToken"]
            .clone()
    };
    assert_eq!(mounted(None), false);
    assert_eq!(mounted(Some("builder")), true);
}

#[test]
fn an_autoscaler_takes_the_number_of_replicas_over() {
    let both = ScalingTargets { target_cpu_utilization: Some(70), target_memory_utilization: Some(80) };
    let template = AgentTemplate { scaling: both, ..smallest() };
    let bounded = |template: &AgentTemplate| {
        let bounds = Some(Bounds { min: 0, max: 4, start: 3 });
        built_of(&Valid { bounds, ..valid(template, 2) })
    };
    let desired = bounded(&template);
    insta::assert_yaml_snapshot!("autoscaler", desired.autoscaler);
    assert_eq!(desired.deployment["spec"].get("replicas"), None);
    assert!(desired.disruption_budget.is_some(), "there may be more than one");

    for fixed in [built(&template, 2), bounded(&smallest())] {
        assert_eq!((fixed.autoscaler, &fixed.deployment["spec"]["replicas"]), (None, &2.into()));
    }
}

#[test]
fn more_than_one_replica_is_taken_away_one_by_one() {
    insta::assert_yaml_snapshot!("disruption_budget", built(&smallest(), 2).disruption_budget);
    assert_eq!(built(&smallest(), 0).disruption_budget, None);
}

fn keeping(retain: bool) -> AgentRuntime {
    let workspace = serde_json::json!({"size": "1Gi", "retain": retain});
    AgentRuntime { workspace: serde_json::from_value(workspace).unwrap(), ..AgentRuntime::default() }
}

#[test]
fn a_workspace_goes_with_its_agent_unless_it_is_retained() {
    let claim = |retain| built(&with(keeping(retain)), 1).workspace.unwrap();
    let (going, staying) = (claim(false), claim(true));
    assert_eq!(going["metadata"]["ownerReferences"][0]["uid"], "a8f1");
    assert_eq!(going["metadata"]["annotations"][RETAINED], Value::Null);
    assert_eq!(staying["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(staying["metadata"]["annotations"][RETAINED], "true");
    assert_eq!(built(&smallest(), 1).workspace, None);
}

/// Of an agent with metrics, at a site that has PodMonitors or not, beside a Deployment that there is.
fn measured(annotations: &[(&str, &str)], pod_monitors: bool, live: Option<&Value>) -> Desired {
    let runtime = AgentRuntime {
        metrics: serde_json::from_value(serde_json::json!({"enabled": true})).unwrap(),
        pod_annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..AgentRuntime::default()
    };
    let template = with(runtime);
    let cluster = ClusterName::new("member-1").unwrap();
    let site = Site {
        cluster: &cluster,
        control_plane_namespaces: &[],
        system_namespace: "parallax-system",
        scraper_namespaces: &[],
        pod_monitors,
        service_exports: false,
    };
    build(&valid(&template, 1), site, None, live).unwrap()
}

fn scrape_port(built: &Desired) -> Option<&str> {
    built.deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"].as_str()
}

#[test]
fn metrics_have_a_port_of_their_own_and_are_told_of_by_annotations_where_nothing_else_does() {
    let built = measured(&[("prometheus.io/path", "/stats")], false, None);
    let pods = &built.deployment["spec"]["template"];
    assert_eq!(pods["spec"]["containers"][0]["ports"][1]["containerPort"], 9090);
    assert_eq!(scrape_port(&built), Some("9090"));
    assert_eq!(pods["metadata"]["annotations"]["prometheus.io/path"], "/stats", "the user's own");
    assert_eq!(built.pod_monitor, None);

    let built = measured(&[], true, None);
    assert_eq!(scrape_port(&built), None);
    let spec = &built.pod_monitor.as_ref().unwrap()["spec"];
    assert_eq!(spec["podMetricsEndpoints"][0]["port"], "metrics");
    assert_eq!(spec["selector"], built.deployment["spec"]["selector"]);
}

#[test]
fn an_agent_whose_metrics_are_off_is_one_without() {
    let off = AgentRuntime {
        metrics: serde_json::from_value(serde_json::json!({"enabled": false})).unwrap(),
        ..AgentRuntime::default()
    };
    let built_of = |template: &AgentTemplate| built(template, 1);
    let (off, none) = (built_of(&with(off)), built_of(&smallest()));
    assert_eq!(off.deployment["spec"]["template"], none.deployment["spec"]["template"]);
    assert_eq!(off.pod_monitor, None);
}

#[test]
fn pods_that_run_are_not_replaced_because_the_cluster_gets_or_loses_podmonitors() {
    for (before, after) in [(false, true), (true, false)] {
        let live = measured(&[], before, None).deployment;
        assert_eq!(measured(&[], after, Some(&live)).deployment, live, "PodMonitors: {before}, then {after}");
        let changed = measured(&[("team", "writers")], after, Some(&live));
        assert_eq!(scrape_port(&changed).is_none(), after, "pods that are replaced anyway");
    }
}

#[test]
fn the_old_pod_lets_go_of_the_workspace_before_the_new_one_takes_it() {
    let deployment = built(&with(keeping(false)), 1).deployment;
    let strategy = &deployment["spec"]["strategy"];
    assert_eq!(strategy["type"], "Recreate");
    assert!(strategy.as_object().unwrap()["rollingUpdate"].is_null());
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][1]["persistentVolumeClaim"]["claimName"], "writer-workspace");
    assert_eq!(pod["containers"][0]["volumeMounts"][1]["mountPath"], "/workspace");
    assert_eq!(pod["securityContext"]["fsGroup"], 10_000, "an agent isn't root");
    assert_eq!(built(&smallest(), 1).deployment["spec"]["strategy"]["type"], "RollingUpdate");
}

#[test]
fn every_object_has_its_kinds_name() {
    let targets = ScalingTargets { target_cpu_utilization: Some(70), ..ScalingTargets::default() };
    let metrics = serde_json::from_value(serde_json::json!({"enabled": true})).unwrap();
    let network = serde_json::from_value(serde_json::json!({"export": true})).unwrap();
    let template =
        AgentTemplate { scaling: targets, ..with(AgentRuntime { metrics, network, ..keeping(false) }) };
    let bounds = Some(Bounds { min: 1, max: 4, start: 2 });
    for (kind, object) in built_of(&Valid { bounds, ..valid(&template, 2) }).children() {
        let object = object.unwrap();
        assert_eq!(object["kind"], kind.name());
        assert_eq!(object["metadata"]["name"], kind.object_name("writer"));
    }
}

#[test]
fn another_spec_changes_the_annotation_and_not_the_pod_template() {
    let with_role = with(AgentRuntime { role: Some(String::new()), ..AgentRuntime::default() });
    let (a, b) = (built(&smallest(), 1).deployment, built(&with_role, 1).deployment);
    assert_ne!(a["metadata"]["annotations"], b["metadata"]["annotations"]);
    assert_eq!(a["spec"], b["spec"]);
}

#[test]
fn a_variable_that_the_user_has_set_is_not_set_twice() {
    let template = with(AgentRuntime {
        credentials: Some(Credentials {
            secret_ref: Some(KeyReference { name: "keys".into(), key: "KEY".into() }),
            ..Credentials::default()
        }),
        env: vec![EnvVar { name: "ANTHROPIC_API_KEY".into(), value: Some("own".into()), value_from: None }],
        ..AgentRuntime::default()
    });
    let deployment = built(&template, 1).deployment;
    let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let names: Vec<&str> = env.iter().map(|env| env["name"].as_str().unwrap()).collect();
    assert_eq!(names[6..], ["KEY", "ANTHROPIC_API_KEY"]);
    assert_eq!(env[7]["value"], "own");
}

#[test]
fn an_agent_that_sleeps_has_no_replicas_and_keeps_its_autoscaler() {
    let targets = ScalingTargets { target_cpu_utilization: Some(70), ..ScalingTargets::default() };
    let template = AgentTemplate { scaling: targets, ..smallest() };
    let bounds = Some(Bounds { min: 0, max: 4, start: 1 });
    let build = |asleep| {
        let valid = Valid { bounds, asleep, ..valid(&template, 1) };
        built_of(&valid)
    };
    assert_eq!(build(false).deployment["spec"].get("replicas"), None);
    let asleep = build(true);
    assert_eq!(asleep.deployment["spec"]["replicas"], 0);
    assert_eq!(asleep.autoscaler, build(false).autoscaler);
}

#[test]
fn a_service_that_leads_to_the_activators_selects_nothing_and_has_a_slice_for_each() {
    let template = smallest();
    let led = Valid { led: true, ..valid(&template, 1) };
    let service = built_of(&led).service;
    assert_eq!(service["spec"].get("selector"), None);
    let routes = [("10.0.0.7".parse().unwrap(), 4001), ("fd00::7".parse().unwrap(), 4002)];
    let slices = slices(&led, &routes).unwrap();
    let names: Vec<_> = slices.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["writer-activator-10-0-0-7", "writer-activator-fd00-0-0-0-0-0-0-7"]);
    insta::assert_yaml_snapshot!("activator_slice", slices[0].1);
}

#[test]
fn what_the_hub_hands_over_is_kept_in_a_secret_that_goes_with_the_agent() {
    let template = smallest();
    let key = ApiKey::new("sk-1".into()).unwrap();
    let secret = serde_json::to_value(handed_over(&valid(&template, 1), "KEY", &key)).unwrap();
    assert_eq!(secret["metadata"]["name"], "writer-credentials");
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "a8f1");
    assert_eq!(secret["metadata"]["labels"]["parallax.io/agent"], "writer");
    assert_eq!(secret["data"], serde_json::json!({"KEY": "c2stMQ=="}));
}
