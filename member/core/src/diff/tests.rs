#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn path(desired: &Value, live: &Value) -> String {
    difference(desired, live).map_or_else(String::new, |d| d.path)
}

#[test]
fn what_the_server_defaults_is_no_difference() {
    let desired = json!({"spec": {"template": {"spec": {"containers": [{"name": "agent", "image": "a:1", "env": [{"name": "E", "value": ""}]}]}}}});
    let live = json!({"spec": {"strategy": {"type": "RollingUpdate"}, "template": {"spec": {"dnsPolicy": "ClusterFirst",
        "containers": [{"name": "agent", "image": "a:1", "terminationMessagePath": "/dev/termination-log", "env": [{"name": "E"}]}]}}}});
    assert_eq!(path(&desired, &live), "");
}

#[test]
fn an_item_of_a_list_need_not_say_its_kind() {
    let desired = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}});
    assert_eq!(path(&desired, &json!({"spec": {"type": "ClusterIP"}})), "");
}

#[test]
fn a_changed_field_is_named() {
    let desired = json!({"spec": {"containers": [{"name": "agent", "image": "a:1"}]}});
    let live = json!({"spec": {"containers": [{"name": "agent", "image": "a:2"}]}});
    assert_eq!(path(&desired, &live), "spec.containers[agent].image");
}

#[test]
fn only_what_no_order_can_have_changed_is_drift() {
    let deployment = |hash: &str, replicas: i32, image: &str| json!({"metadata": {"annotations": {SPEC_HASH: hash}}, "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "agent", "image": image}]}}}});
    let is_drift = |desired: Value| difference(&desired, &deployment("a", 1, "a:1")).unwrap().is_drift();
    assert!(!is_drift(deployment("b", 1, "a:2")), "a new image comes with a new hash");
    assert!(!is_drift(deployment("a", 5, "a:1")), "scaled");
    assert!(is_drift(deployment("a", 1, "a:2")));
}

#[test]
fn quantities_are_compared_by_value_and_only_quantities() {
    let of = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
    assert_eq!(path(&of("1000m"), &of("1")), "");
    assert_eq!(path(&of("1001m"), &of("1")), "resources.requests.cpu");
    assert_eq!(
        path(
            &json!({"env": [{"name": "A", "value": "1000m"}]}),
            &json!({"env": [{"name": "A", "value": "1"}]})
        ),
        "env[A].value"
    );
}

#[test]
fn what_others_put_into_keyed_lists_stays() {
    let desired = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
    let live = json!({"env": [{"name": "A", "value": "1"}, {"name": "X", "value": "9"}, {"name": "B", "value": "2"}]});
    assert_eq!(path(&desired, &live), "");
}

#[test]
fn what_others_put_into_a_selector_or_into_rules_is_a_difference() {
    let of = |spec: &Value| json!({"spec": spec});
    let desired = of(&json!({"selector": {"app": "a"}}));
    assert_eq!(path(&desired, &of(&json!({"selector": {"app": "a", "x": "y"}}))), "spec.selector");
    let rule = json!({"from": [{"podSelector": {}}], "ports": [{"port": 80, "protocol": "TCP"}]});
    let desired = of(&json!({"ingress": [rule]}));
    assert_eq!(path(&desired, &desired), "");
    for live in [
        json!({"from": [{"namespaceSelector": {}}], "ports": [{"port": 80, "protocol": "TCP"}]}),
        json!({"from": [{"podSelector": {}, "namespaceSelector": {}}], "ports": [{"port": 80, "protocol": "TCP"}]}),
        json!({"from": [{"podSelector": {}}], "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]}),
        json!({"from": [{"podSelector": {}}]}),
    ] {
        assert_eq!(path(&desired, &of(&json!({"ingress": [live]}))), "spec.ingress");
        assert_eq!(path(&desired, &of(&json!({"ingress": [rule, live]}))), "spec.ingress");
    }
}

#[test]
fn the_order_of_variables_matters() {
    let desired = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}]});
    let live = json!({"env": [{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}]});
    assert_eq!(path(&desired, &live), "env[B]");
}

#[test]
fn lists_without_keys_are_ours_as_a_whole() {
    assert_eq!(path(&json!({"args": ["a"]}), &json!({"args": ["a", "b"]})), "args");
    assert_eq!(path(&json!({"args": ["a"]}), &json!({"args": ["b"]})), "args[0]");
}

#[test]
fn a_missing_volume_source_is_a_difference() {
    assert_eq!(
        path(&json!({"volumes": [{"name": "tmp", "emptyDir": {}}]}), &json!({"volumes": [{"name": "tmp"}]})),
        "volumes[tmp].emptyDir"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// What a server does to an object that it accepts: it adds fields to maps.
fn defaulted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out: Map<String, Value> = map.iter().map(|(k, v)| (k.clone(), defaulted(v))).collect();
            out.insert("defaulted-by-server".into(), json!({"x": 1}));
            Value::Object(out)
        }
        Value::Array(list) => list.iter().map(defaulted).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn an_object_covers_itself_and_what_a_server_made_of_it(value in any_json()) {
        prop_assert_eq!(difference(&value, &value), None);
        prop_assert_eq!(difference(&value, &defaulted(&value)), None);
    }

    #[test]
    fn any_changed_leaf_is_found(image in "[a-z]{1,8}", other in "[A-Z]{1,8}", replicas in 0..9) {
        let of = |image: &str, replicas: i32| json!({"spec": {"replicas": replicas, "containers": [{"name": "agent", "image": image}]}});
        prop_assert!(difference(&of(&image, replicas), &of(&other, replicas)).is_some());
        prop_assert!(difference(&of(&image, replicas), &of(&image, replicas + 1)).is_some());
    }
}
