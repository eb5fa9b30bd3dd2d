//! The shipped rights: a snapshot, so that each widening is a reviewed change, and what no right may be.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[test]
fn the_rights_are_the_reviewed_ones() {
    let mut rendered = String::new();
    for file in manifests() {
        for object in documents(&file) {
            for rule in object["rules"].as_array().into_iter().flatten() {
                let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
                let list = |key: &str| words(&rule[key]).join(",");
                write!(
                    rendered,
                    "{kind} {name}: {} {} in [{}]",
                    list("verbs"),
                    list("resources"),
                    list("apiGroups")
                )
                .unwrap();
                if rule["resourceNames"].is_array() {
                    write!(rendered, " named {}", list("resourceNames")).unwrap();
                }
                rendered.push('\n');
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rights.txt");
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        rendered == reviewed,
        "the rights in deploy/ are not the reviewed ones; if they should be, {} is to be:\n{rendered}",
        path.display()
    );
}

#[test]
fn no_right_is_a_wildcard_or_a_way_to_more_rights() {
    for file in manifests() {
        for object in documents(&file) {
            for rule in object["rules"].as_array().into_iter().flatten() {
                for key in ["apiGroups", "resources", "verbs", "resourceNames", "nonResourceURLs"] {
                    for word in words(&rule[key]) {
                        assert!(!word.contains('*'), "{}: {rule}", file.display());
                    }
                }
                for verb in words(&rule["verbs"]) {
                    let forbidden = ["escalate", "bind", "impersonate", "deletecollection"];
                    assert!(!forbidden.contains(&verb.as_str()), "{}: {rule}", file.display());
                }
                let (resources, names) = (words(&rule["resources"]), words(&rule["resourceNames"]));
                if resources.iter().any(|resource| resource == "secrets" || resource == "configmaps") {
                    // An administrator binds these to namespaces: the test below.
                    let verbs = words(&rule["verbs"]);
                    let sees = match text(&object["metadata"]["name"]).as_str() {
                        "parallax-member-credentials" if resources == ["configmaps"] => {
                            verbs == ["list", "watch"]
                        }
                        "parallax-member-credentials" | "parallax-hub-credentials" => {
                            verbs == ["get", "list", "watch"] && resources == ["secrets"]
                        }
                        "parallax-member-credentials-from-hub" => resources == ["secrets"],
                        _ => false,
                    };
                    assert!(
                        sees || !names.is_empty(),
                        "{}: Secrets and ConfigMaps by name only: {rule}",
                        file.display()
                    );
                }
            }
        }
    }
}

/// With a right to all Secrets of a cluster, a member would have the hub's in the cluster that they share.
#[test]
fn nobody_is_given_the_secrets_of_every_namespace_by_default() {
    for file in manifests() {
        let optional = file.parent().is_some_and(|folder| folder.ends_with("optional"));
        for object in documents(&file) {
            let role = text(&object["roleRef"]["name"]);
            if role.contains("-credentials") {
                let only = role == "parallax-member-credentials";
                assert!(optional && only, "{} binds {role}", file.display());
            }
        }
    }
}

#[test]
fn a_hub_and_a_member_fit_in_one_cluster() {
    let mut seen: BTreeMap<(String, String, String), Value> = BTreeMap::new();
    for file in manifests() {
        for object in documents(&file) {
            let name = |key: &str| text(&object["metadata"][key]);
            let key = (text(&object["kind"]), name("namespace"), name("name"));
            if let Some(other) = seen.insert(key.clone(), object.clone()) {
                assert!(key.0 == "Namespace" && other == object, "{key:?} is in two files, and differs");
            }
        }
    }
    assert!(seen.contains_key(&(
        "Namespace".to_owned(),
        String::new(),
        parallax_crds::labels::SYSTEM_NAMESPACE.to_owned()
    )));
}

#[test]
fn every_binding_is_of_a_shipped_role_to_a_shipped_service_account() {
    let objects: Vec<Value> = manifests().iter().flat_map(|file| documents(file)).collect();
    let has = |kind: &Value, name: &Value, namespace: &Value| {
        objects.iter().any(|o| {
            o["kind"] == *kind && o["metadata"]["name"] == *name && o["metadata"]["namespace"] == *namespace
        })
    };
    for binding in objects.iter().filter(|o| text(&o["kind"]).ends_with("RoleBinding")) {
        let role = &binding["roleRef"];
        assert!(has(&role["kind"], &role["name"], &binding["metadata"]["namespace"]), "{binding}");
        for subject in binding["subjects"].as_array().unwrap() {
            assert!(has(&subject["kind"], &subject["name"], &subject["namespace"]), "{binding}");
        }
    }
}

#[test]
fn every_object_says_what_it_is_part_of() {
    for file in manifests() {
        for object in documents(&file) {
            let label = &object["metadata"]["labels"]["app.kubernetes.io/part-of"];
            assert_eq!(text(label), "parallax", "{}: {}", file.display(), object["metadata"]["name"]);
        }
    }
}

fn manifests() -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                into.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy"), &mut found);
    found.sort();
    assert!(!found.is_empty());
    found
}

fn documents(file: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}
