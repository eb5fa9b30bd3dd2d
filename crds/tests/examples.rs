//! The examples under `crds/examples`, as far as they can be judged without an API server: the types read
//! every accepted one, and the CEL rules accept and refuse what they should. (The end-to-end suite puts
//! all of them to a real API server.)
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::LazyLock;
use std::thread;

use kube::core::cel::Validator;
use parallax_crds::definitions::{self, Definition};
use parallax_crds::{AgentAssignment, MemberCluster, ParallaxAgent};
use serde_json::Value;

#[test]
fn the_types_read_every_accepted_example_and_lose_nothing() {
    for (name, text) in examples("accepted") {
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let read = match value["kind"].as_str().unwrap() {
            "ParallaxAgent" => round_trip::<ParallaxAgent>(&value),
            "MemberCluster" => round_trip::<MemberCluster>(&value),
            "AgentAssignment" => round_trip::<AgentAssignment>(&value),
            other => panic!("{name}: {other} is no kind of ours"),
        };
        assert_contains(&read, &value, &name);
    }
}

#[test]
fn the_rules_hold_for_every_accepted_example() {
    for (name, text) in examples("accepted") {
        let value = pruned(serde_saphyr::from_str(&text).unwrap());
        let refusals = refusals(&value, None);
        assert!(refusals.is_empty(), "{name}: {refusals:?}");
    }
}

#[test]
fn every_rule_of_an_agent_refuses_an_example_with_its_message() {
    let mut unproven = messages(&schema_for(&serde_json::json!({"kind": "ParallaxAgent"})));
    for (name, text) in examples("rejected") {
        let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        let value = pruned(serde_saphyr::from_str(&text).unwrap());
        if !messages(&schema_for(&value)).iter().any(|message| message.contains(expected)) {
            continue; // Refused by the schema's bounds, which need an API server.
        }
        let found = refusals(&value, None);
        assert!(found.iter().any(|message| message.contains(expected)), "{name}: {found:?}");
        unproven.retain(|message| !message.contains(expected));
    }
    for (name, text) in examples("rejected-changes") {
        let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        let (before, after) = text.split_once("\n---\n").unwrap();
        let [before, after] = [before, after].map(|text| pruned(serde_saphyr::from_str(text).unwrap()));
        let found = refusals(&after, Some(&before));
        assert!(found.iter().any(|message| message.contains(expected)), "{name}: {found:?}");
        unproven.retain(|message| !message.contains(expected));
    }
    assert!(unproven.is_empty(), "rules without an example that they refuse: {unproven:#?}");
}

/// `Claude` may be a slip of `claude`, which has an image: it is refused for its form alone.
#[test]
fn a_type_of_the_wrong_form_breaks_no_rule_beside() {
    let (_, text) =
        examples("rejected").into_iter().find(|(name, _)| name == "type-upper-case.yaml").unwrap();
    let value = pruned(serde_saphyr::from_str(&text).unwrap());
    let refusals = refusals(&value, None);
    assert!(refusals.is_empty(), "{refusals:?}");
}

/// What the CEL rules have against a value that replaces another.
///
/// The rule on an agent's texts is a sum of a hundred terms. The evaluator goes down such a sum by a call for each term,
/// and one takes 36 KiB where it is not optimised: together that is twice what a test's thread has.
fn refusals(value: &Value, before: Option<&Value>) -> Vec<String> {
    let refusals = || match Validator::new().validate_with_defaults(&schema_for(value), value, before) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.as_slice().iter().map(ToString::to_string).collect(),
    };
    thread::scope(|scope| {
        let roomy = thread::Builder::new().stack_size(16 << 20);
        roomy.spawn_scoped(scope, refusals).unwrap().join().unwrap()
    })
}

fn examples(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(folder);
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn schema_for(value: &Value) -> Value {
    static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| definitions::all().unwrap());
    let definition = DEFINITIONS.iter().find(|d| d.body["spec"]["names"]["kind"] == value["kind"]);
    definition.unwrap().body["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Without nulls, as an API server stores it.
fn pruned(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|_, field| !field.is_null());
            map.values_mut().for_each(|field| *field = pruned(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = pruned(item.take())),
        _ => {}
    }
    value
}

fn round_trip<K: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) -> Value {
    let read: K = serde_json::from_value(value.clone()).unwrap();
    serde_json::to_value(read).unwrap()
}

/// Whether `written` is in `read`. The types add defaults, leave empty lists out and hold quantities as text.
fn assert_contains(read: &Value, written: &Value, path: &str) {
    match written {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, field) in fields {
                assert_contains(&read[name], field, &format!("{path}.{name}"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert_contains(&read[index], item, &format!("{path}[{index}]"));
            }
        }
        Value::Number(number) if read.is_string() => {
            assert_eq!(read, &Value::String(number.to_string()), "{path}");
        }
        _ => assert_eq!(read, written, "{path}"),
    }
}

fn messages(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match schema {
        Value::Object(fields) => {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                found.push(rule["message"].as_str().unwrap().to_owned());
            }
            found.extend(fields.values().flat_map(messages));
        }
        Value::Array(items) => found.extend(items.iter().flat_map(messages)),
        _ => {}
    }
    found.sort();
    found.dedup();
    found
}
