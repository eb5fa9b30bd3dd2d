//! The generated definitions: current, bounded, and small enough.
#![allow(clippy::unwrap_used)]

mod generated;

use std::path::Path;

use parallax_crds::budget;
use parallax_crds::definitions::{self, Definition};
use serde_json::Value;

/// What an agent's spec may have in bytes, so that it fits one message of the link.
const BUDGET: u64 = 256 * 1024;

#[test]
fn the_yaml_in_the_repository_is_what_the_types_say() {
    let all = definitions::all().unwrap().into_iter();
    let files = all.map(|definition| (definition.file.clone(), definition.to_yaml().unwrap()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    generated::assert_current(&folder, "crds/yaml", files);
}

#[test]
fn the_bounds_of_an_agents_spec_add_up_to_less_than_one_message() {
    let schema = schema_of("ParallaxAgent");
    let spec = &schema["properties"]["spec"];
    let texts = budget::texts();
    assert!(rules(spec).any(|rule| rule == texts.rule()), "the rule on texts is gone");

    let placement = budget::placement();
    assert!(
        rules(&spec["properties"]["placement"]).any(|rule| rule == placement.rule()),
        "the rule on labels is gone"
    );

    let rollout = budget::rollout();
    assert!(
        rules(&spec["properties"]["rollout"]).any(|rule| rule == rollout.rule()),
        "the rule on waves is gone"
    );

    // A character of the texts takes at most four bytes, one of a label one.
    let total = bytes(spec, "spec") + 4 * u64::from(texts.most) + u64::from(placement.most + rollout.most);
    assert!(total < BUDGET, "an agent's spec may have {total} bytes, which is not below {BUDGET}");
}

#[test]
fn every_string_list_and_map_of_every_kind_is_bounded() {
    for kind in ["ParallaxAgent", "MemberCluster", "AgentAssignment"] {
        let schema = schema_of(kind);
        for part in ["spec", "status"] {
            bytes(&schema["properties"][part], part);
        }
    }
}

#[test]
fn no_field_but_an_empty_dir_takes_null_and_no_number_is_unsigned() {
    for definition in definitions::all().unwrap() {
        let text = definition.body.to_string();
        let times = |field: &str| text.matches(&format!("\"{field}\":")).count();
        assert_eq!(times("nullable"), times("emptyDir"), "{}", definition.file);
        for unwanted in ["\"uint32\"", "\"uint64\"", "\"int\""] {
            assert!(!text.contains(unwanted), "{} has {unwanted}", definition.file);
        }
    }
}

#[test]
fn no_field_of_an_agent_names_another_namespace() {
    const PEERS: [&str; 2] =
        ["spec.network.ingress.namespaceSelector", "spec.network.egress.namespaceSelector"];
    fn walk(schema: &Value, path: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                let path = format!("{path}.{name}");
                // Those whom an agent lets in, or goes to: nothing is read or run there.
                let peer = PEERS.contains(&path.as_str());
                assert!(peer || !name.to_lowercase().contains("namespace"), "{path}");
                walk(property, &path);
            }
        }
        if schema["items"].is_object() {
            walk(&schema["items"], path);
        }
    }
    walk(&schema_of("ParallaxAgent")["properties"]["spec"], "spec");
}

/// The member checks an assignment's template against its hash: what the API server added would not match.
#[test]
fn the_api_server_adds_nothing_to_an_assignments_template() {
    let template = &schema_of("AgentAssignment")["properties"]["spec"]["properties"]["template"];
    assert!(template["properties"].is_object());
    assert!(!template.to_string().contains("\"default\""));
}

#[test]
fn the_rule_on_images_knows_every_built_in_type() {
    let types: Vec<String> = parallax_crds::agent::BUILT_IN_TYPES.iter().map(|t| format!("'{t}'")).collect();
    let list = format!("[{}]", types.join(", "));
    let schema = schema_of("ParallaxAgent");
    assert!(
        rules(&schema["properties"]["spec"])
            .any(|rule| rule.starts_with(&format!("has(self.image) || self.type in {list} || ")))
    );
}

fn definition(kind: &str) -> Definition {
    definitions::all().unwrap().into_iter().find(|d| d.body["spec"]["names"]["kind"] == kind).unwrap()
}

fn schema_of(kind: &str) -> Value {
    definition(kind).body["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn rules(schema: &Value) -> impl Iterator<Item = &str> {
    schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["rule"].as_str())
}

/// The most bytes that a value of this schema takes as JSON, punctuation included.
fn bytes(schema: &Value, path: &str) -> u64 {
    let bound = |name: &str| schema[name].as_u64().unwrap_or_else(|| panic!("{path} has no {name}"));
    if schema["x-kubernetes-int-or-string"] == true {
        return bound("maxLength") + 2;
    }
    match schema["type"].as_str().unwrap_or_else(|| panic!("{path} has no type")) {
        "boolean" => 5,
        "integer" => 20,
        "string" => string_bytes(schema, path),
        "array" => bound("maxItems") * (bytes(&schema["items"], &format!("{path}[]")) + 1) + 2,
        "object" if schema["additionalProperties"].is_object() => {
            if shares(&format!("{path}{{}}")) {
                return bound("maxProperties") * (2 + 1 + 2 + 1) + 2;
            }
            let key =
                rules(schema).find_map(key_bound).unwrap_or_else(|| panic!("{path} has unbounded keys"));
            let value = bytes(&schema["additionalProperties"], &format!("{path}.*"));
            bound("maxProperties") * (key + 2 + 1 + value + 1) + 2
        }
        "object" => {
            let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{path} is open"));
            let one_of: Vec<&str> = rules(schema).find_map(alternatives).unwrap_or_default();
            let (mut all, mut largest) = (0, 0);
            for (name, property) in properties {
                let size = name.len() as u64 + 2 + 1 + bytes(property, &format!("{path}.{name}")) + 1;
                if one_of.contains(&name.as_str()) {
                    largest = size.max(largest);
                } else {
                    all += size;
                }
            }
            2 + all + largest
        }
        other => panic!("{path} has the type {other}"),
    }
}

fn string_bytes(schema: &Value, path: &str) -> u64 {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| value.to_string().len() as u64).max().unwrap_or_default();
    }
    if schema["format"] == "date-time" {
        return "\"2026-11-23T05:28:13.123456+00:00\"".len() as u64;
    }
    let length = schema["maxLength"].as_u64().unwrap_or_else(|| panic!("{path} has no maxLength"));
    if shares(path) {
        return 2;
    }
    // Patterns either list the ASCII characters that they admit, none of which JSON escapes, or the control
    // characters that they don't: then a character takes at most four bytes.
    let factor = match schema["pattern"].as_str() {
        Some(pattern) if !pattern.starts_with("^[^") => 1,
        Some(_) => 4,
        // Only the hub and the member write these.
        None if path.starts_with("status") || path == "spec.hub" => 6,
        None => panic!("{path} has no pattern"),
    };
    length * factor + 2
}

/// Whether a text's characters are counted with those of others.
fn shares(path: &str) -> bool {
    let among = |budget: budget::Budget, above: &str| {
        path.strip_prefix(above).is_some_and(|path| budget.paths.iter().any(|p| p == path))
    };
    among(budget::texts(), "spec.")
        || among(budget::placement(), "spec.placement.")
        || among(budget::rollout(), "spec.rollout.")
}

/// The fields in a rule `(has(self.a) ? 1 : 0) + … == 1`, or `<= 1`, of which an object has one.
fn alternatives(rule: &str) -> Option<Vec<&str>> {
    let counts = rule.strip_suffix(" == 1").or_else(|| rule.strip_suffix(" <= 1"))?.split(" + ");
    counts.map(|count| count.strip_prefix("(has(self.")?.strip_suffix(") ? 1 : 0)")).collect()
}

/// The bound in a rule `self.all(k, size(k) <= 317 && …)`.
fn key_bound(rule: &str) -> Option<u64> {
    let digits = rule.strip_prefix("self.all(k, size(k) <= ")?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
