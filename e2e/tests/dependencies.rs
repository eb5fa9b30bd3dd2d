//! Dependencies point one way: hub → hub-core, platform, proto, crds; member likewise; the cores → crds only;
//! crds uses kube without its client.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Which crates of ours each crate may use. A new crate is a new line.
const MAY_USE: &[(&str, &[&str])] = &[
    ("parallax-crds", &[]),
    ("parallax-proto", &["parallax-crds"]),
    ("parallax-platform", &[]),
    ("parallax-hub-core", &["parallax-crds"]),
    ("parallax-member-core", &["parallax-crds"]),
    ("parallax-hub", &["parallax-hub-core", "parallax-platform", "parallax-proto", "parallax-crds"]),
    ("parallax-member", &["parallax-member-core", "parallax-platform", "parallax-proto", "parallax-crds"]),
    ("kubectl-parallax", &["parallax-hub-core", "parallax-platform", "parallax-crds"]),
    ("parallax-e2e", &["parallax-crds"]),
    ("parallax-e2e-agent", &[]),
];

/// What must not be in a crate's whole tree: decisions are pure, and the kinds are plain data.
const MUST_NOT_REACH: &[(&str, &[&str])] = &[
    ("parallax-crds", &["kube-client", "kube-runtime", "tokio", "hyper", "tonic", "rustls"]),
    ("parallax-hub-core", &["kube-client", "kube-runtime", "tokio", "hyper", "tonic", "rustls"]),
    ("parallax-member-core", &["kube-client", "kube-runtime", "tokio", "hyper", "tonic", "rustls"]),
    ("parallax-proto", &["kube-client", "kube-runtime"]),
];

#[test]
fn our_crates_depend_on_each_other_in_one_direction() {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_USE.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();

    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(allowed) = allowed.get(name) else {
            panic!("{name} is not in this test's table: say there what it may use");
        };
        let used = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().unwrap())
            .filter(|dependency| dependency.starts_with("parallax-"));
        for dependency in used {
            assert!(allowed.contains(dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_pure_crates_reach_no_client_no_runtime_and_no_network() {
    for (package, forbidden) in MUST_NOT_REACH {
        let tree = cargo(&[
            "tree",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let reached: BTreeSet<&str> =
            tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(reached.contains(package), "cargo tree shows nothing of {package}");
        for name in *forbidden {
            assert!(
                !reached.contains(name),
                "{package} must not reach {name}: cargo tree -p {package} -e normal -i {name}"
            );
        }
    }
}

fn cargo(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
