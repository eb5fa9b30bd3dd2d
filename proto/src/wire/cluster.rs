//! What a cluster says of itself.

use std::collections::{BTreeMap, HashMap};

use parallax_crds::Amounts;
use parallax_crds::amounts::EXTENDED;
use parallax_crds::link::{ClusterReport, Resources};
use parallax_crds::names::is_dns_label;

use super::fields::{Malformed, clip, count, malformed, text};
use super::to_hub::ID_BYTES;
use crate::v1;

/// Bytes of a label's key, and of the name of a resource.
const KEY_BYTES: usize = 317;
/// Bytes of a label's value.
const VALUE_BYTES: usize = 63;
/// Labels in one report.
const LABELS: usize = 16;
/// Scores in one report.
const SCORES: usize = 32;

pub(crate) fn cluster_report(report: v1::ClusterReport) -> Result<ClusterReport, Malformed> {
    Ok(ClusterReport {
        kubernetes_version: text("cluster_report.kubernetes_version", report.kubernetes_version, ID_BYTES)?,
        member_version: text("cluster_report.member_version", report.member_version, ID_BYTES)?,
        nodes_total: count("cluster_report.nodes_total", report.nodes_total)?,
        nodes_ready: count("cluster_report.nodes_ready", report.nodes_ready)?,
        resources: report.resources.map(resources).transpose()?,
        labels: labels(report.labels)?,
        scores: scores(report.scores)?,
    })
}

pub(crate) fn cluster_report_message(report: &ClusterReport) -> v1::ClusterReport {
    let labels = report.labels.iter().filter(|(key, value)| is_label(key, value)).take(LABELS);
    let scores = report.scores.iter().filter(|(name, score)| is_score(name, **score)).take(SCORES);
    v1::ClusterReport {
        kubernetes_version: clip(&report.kubernetes_version, ID_BYTES),
        member_version: clip(&report.member_version, ID_BYTES),
        nodes_total: report.nodes_total.max(0),
        nodes_ready: report.nodes_ready.max(0),
        resources: report.resources.as_ref().map(resources_message),
        labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
        scores: scores.map(|(name, score)| (name.clone(), *score)).collect(),
    }
}

fn resources(said: v1::Resources) -> Result<Resources, Malformed> {
    Ok(Resources {
        capacity: amounts(said.capacity.unwrap_or_default())?,
        allocatable: amounts(said.allocatable.unwrap_or_default())?,
        free: said.free.map(amounts).transpose()?,
    })
}

fn resources_message(resources: &Resources) -> v1::Resources {
    v1::Resources {
        capacity: Some(amounts_message(&resources.capacity)),
        allocatable: Some(amounts_message(&resources.allocatable)),
        free: resources.free.as_ref().map(amounts_message),
    }
}

fn amounts(said: v1::Amounts) -> Result<Amounts, Malformed> {
    const FIELD: &str = "cluster_report.resources";
    let v1::Amounts { cpu_millicores: cpu, memory_bytes: memory, pods, extended } = said;
    if [cpu, memory, pods].into_iter().chain(extended.values().copied()).any(|amount| amount < 0) {
        return malformed(FIELD, "is negative");
    }
    if extended.len() > EXTENDED {
        return malformed(FIELD, "has too many extended resources");
    }
    if !extended.keys().all(|name| is_resource(name)) {
        return malformed(FIELD, "has an extended resource of an invalid name");
    }
    Ok(Amounts { cpu, memory, pods, extended: extended.into_iter().collect() })
}

fn amounts_message(amounts: &Amounts) -> v1::Amounts {
    let extended = amounts.extended.iter().filter(|(name, _)| is_resource(name)).take(EXTENDED);
    v1::Amounts {
        cpu_millicores: amounts.cpu.max(0),
        memory_bytes: amounts.memory.max(0),
        pods: amounts.pods.max(0),
        extended: extended.map(|(name, amount)| (name.clone(), (*amount).max(0))).collect(),
    }
}

fn labels(said: HashMap<String, String>) -> Result<BTreeMap<String, String>, Malformed> {
    const FIELD: &str = "cluster_report.labels";
    if said.len() > LABELS {
        return malformed(FIELD, "has too many labels");
    }
    if !said.iter().all(|(key, value)| is_label(key, value)) {
        return malformed(FIELD, "has what is no label");
    }
    Ok(said.into_iter().collect())
}

fn scores(said: HashMap<String, i32>) -> Result<BTreeMap<String, i32>, Malformed> {
    const FIELD: &str = "cluster_report.scores";
    if said.len() > SCORES {
        return malformed(FIELD, "has too many scores");
    }
    if !said.iter().all(|(name, score)| is_score(name, *score)) {
        return malformed(FIELD, "has what is no score from 0 to 100");
    }
    Ok(said.into_iter().collect())
}

fn is_score(name: &str, score: i32) -> bool {
    is_dns_label(name) && (0..=100).contains(&score)
}

/// An extended resource's name has a prefix: that is what makes it one.
fn is_resource(name: &str) -> bool {
    name.contains('/') && is_key(name)
}

fn is_label(key: &str, value: &str) -> bool {
    is_key(key) && value.len() <= VALUE_BYTES && (value.is_empty() || is_name(value))
}

/// A name of at most 63 characters, after an optional DNS prefix and '/'.
fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    key.len() <= KEY_BYTES
        && is_name(name)
        && name.len() <= VALUE_BYTES
        && prefix.is_none_or(|prefix| prefix.split('.').all(is_dns_label))
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn whole() -> ClusterReport {
        let amounts = |cpu| Amounts {
            cpu,
            memory: 8 << 30,
            pods: 110,
            extended: [("nvidia.com/gpu".to_owned(), 2)].into(),
        };
        let (capacity, allocatable, free) = (amounts(4000), amounts(3800), Some(amounts(0)));
        ClusterReport {
            kubernetes_version: "v1.36.3".to_owned(),
            member_version: "1".to_owned(),
            nodes_total: 2,
            nodes_ready: 1,
            resources: Some(Resources { capacity, allocatable, free }),
            labels: [("topology.kubernetes.io/region".to_owned(), "eu".to_owned())].into(),
            scores: [("cost".to_owned(), 40)].into(),
        }
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        for report in [whole(), ClusterReport::default()] {
            assert_eq!(cluster_report(cluster_report_message(&report)).unwrap(), report);
        }
    }

    #[test]
    fn a_member_that_knows_nothing_of_resources_is_read() {
        let old = v1::ClusterReport { nodes_total: 3, ..v1::ClusterReport::default() };
        let read = cluster_report(old).unwrap();
        assert_eq!((read.nodes_total, read.resources), (3, None));
    }

    #[test]
    fn what_no_member_says_is_refused() {
        let refused = |edit: fn(&mut v1::ClusterReport)| {
            let mut message = cluster_report_message(&whole());
            edit(&mut message);
            cluster_report(message).unwrap_err().problem
        };
        assert_eq!(
            refused(|r| r.resources.as_mut().unwrap().capacity.as_mut().unwrap().cpu_millicores = -1),
            "is negative"
        );
        assert_eq!(
            refused(|r| {
                let free = r.resources.as_mut().unwrap().free.as_mut().unwrap();
                free.extended.insert("nvidia.com/gpu".to_owned(), i64::MIN);
            }),
            "is negative"
        );
        for name in ["gpu", "/gpu", "a/b/c", "a b/c", "nvidia.com/"] {
            let mut message = cluster_report_message(&whole());
            let free = message.resources.as_mut().unwrap().free.as_mut().unwrap();
            free.extended.insert(name.to_owned(), 1);
            assert!(cluster_report(message).is_err(), "{name}");
        }
        assert_eq!(
            refused(|r| {
                let free = r.resources.as_mut().unwrap().free.as_mut().unwrap();
                free.extended = (0..33).map(|n| (format!("a/r{n}"), 1)).collect();
            }),
            "has too many extended resources"
        );
        assert_eq!(
            refused(|r| r.labels = (0..17).map(|n| (format!("a{n}"), String::new())).collect()),
            "has too many labels"
        );
        for (key, value) in
            [("region", "e u"), ("", "eu"), ("x/", "eu"), ("region", "-eu"), ("R\u{e4}/x", "eu")]
        {
            let mut message = cluster_report_message(&whole());
            message.labels.insert(key.to_owned(), value.to_owned());
            assert!(cluster_report(message).is_err(), "{key}={value}");
        }
        assert_eq!(
            refused(|r| r.scores = (0..33).map(|n| (format!("s{n}"), 1)).collect()),
            "has too many scores"
        );
        for (name, score) in [("cost", 101), ("cost", -1), ("Cost", 1), ("", 1)] {
            let mut message = cluster_report_message(&whole());
            message.scores.insert(name.to_owned(), score);
            assert!(cluster_report(message).is_err(), "{name}: {score}");
        }
    }

    #[test]
    fn what_the_hub_would_refuse_is_not_sent() {
        let mut report = whole();
        report.scores.insert("Cost".to_owned(), 7);
        report.labels.extend((0..40).map(|n| (format!("label-{n}"), "x y".to_owned())));
        report.resources.as_mut().unwrap().capacity.extended =
            (0..40).map(|n| (format!("example.com/r{n}"), -5)).collect();
        let read = cluster_report(cluster_report_message(&report)).unwrap();
        assert_eq!((read.scores.len(), read.labels.len()), (1, 1));
        assert_eq!(read.resources.unwrap().capacity.extended.len(), EXTENDED);
    }
}
