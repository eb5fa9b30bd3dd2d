//! A namespace that the member makes for agents: which of the hub's labels it gets.

use std::collections::BTreeMap;

use parallax_crds::labels::{MANAGED_BY, MANAGED_BY_PARALLAX};
use parallax_crds::names::is_dns_label;

/// Where Pod Security's labels are. Their strictest level is taken from the hub, whoever sends it: it can't loosen what
/// the cluster has by default. Any other could.
const POD_SECURITY: &str = "pod-security.kubernetes.io/";
const STRICTEST: &str = "restricted";

/// The labels of a namespace that is made here, given those that it has on the hub, and the keys whose values this
/// cluster's administrator takes from there.
#[must_use]
pub fn labels(hub: &BTreeMap<String, String>, taken: &[String]) -> BTreeMap<String, String> {
    let takes = |key: &str, value: &str| match key.strip_prefix(POD_SECURITY) {
        Some("enforce" | "audit" | "warn") => value == STRICTEST,
        Some(_) => false,
        None => taken.iter().any(|listed| listed == key),
    };
    let mut labels: BTreeMap<_, _> = hub
        .iter()
        .filter(|(key, value)| takes(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    labels.insert(MANAGED_BY.to_owned(), MANAGED_BY_PARALLAX.to_owned());
    labels
}

/// Why an administrator can't take a key's values from the hub; none: that is possible.
#[must_use]
pub fn refused(key: &str) -> Option<&'static str> {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if !prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label))
        || !is_name(name)
    {
        return Some("no label has such a key: write keys with commas between, and no spaces");
    }
    if key.starts_with(POD_SECURITY) {
        return Some(
            "the level restricted is always taken from the hub, and no other: set others on the namespace itself",
        );
    }
    let own = prefix.is_some_and(|prefix| prefix == "parallax.io" || prefix.ends_with(".parallax.io"));
    (own || key == MANAGED_BY || key == "kubernetes.io/metadata.name")
        .then_some("the label is not the hub's to set: leave it out")
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(hub: &[(&str, &str)], taken: &[&str]) -> Vec<(String, String)> {
        let hub = hub.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let taken: Vec<_> = taken.iter().map(|key| (*key).to_owned()).collect();
        let mut labels = labels(&hub, &taken);
        assert_eq!(labels.remove(MANAGED_BY).as_deref(), Some(MANAGED_BY_PARALLAX), "who made it");
        labels.into_iter().collect()
    }

    #[test]
    fn only_listed_keys_are_taken_and_none_that_says_who_made_it() {
        let hub = [("team", "writers"), ("cost", "7"), (MANAGED_BY, "Helm")];
        assert_eq!(made(&hub, &["team", "absent"]), [("team".to_owned(), "writers".to_owned())]);
        assert_eq!(made(&hub, &[]), []);
    }

    #[test]
    fn pod_security_is_made_stricter_by_the_hub_and_never_looser() {
        let restricted: Vec<_> = ["audit", "enforce", "warn"]
            .map(|mode| (format!("{POD_SECURITY}{mode}"), "restricted".to_owned()))
            .into();
        let hub: Vec<_> = restricted.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(made(&hub, &[]), restricted);
        let enforce = &*format!("{POD_SECURITY}enforce");
        let version = &*format!("{POD_SECURITY}enforce-version");
        for looser in [(enforce, "privileged"), (enforce, "baseline"), (version, "v1.20")] {
            assert_eq!(made(&[looser], &[enforce, version]), [], "{looser:?}");
        }
    }

    #[test]
    fn keys_that_are_not_the_hubs_to_set_are_refused_with_a_reason() {
        for key in ["team", "example.org/cost-centre", "istio-injection", "a.b/C_d.e"] {
            assert_eq!(refused(key), None, "{key}");
        }
        for key in ["", "-a", "a b", "/a", "a/", "A_B/c", "a/b/c", &"x".repeat(64)] {
            assert!(refused(key).is_some_and(|why| why.contains("commas")), "{key:?}");
        }
        assert!(refused("pod-security.kubernetes.io/enforce").is_some_and(|why| why.contains("restricted")));
        for key in ["parallax.io/agent", "x.parallax.io/y", MANAGED_BY, "kubernetes.io/metadata.name"] {
            assert!(refused(key).is_some_and(|why| why.contains("leave it out")), "{key}");
        }
    }
}
