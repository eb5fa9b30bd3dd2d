//! What an administrator says of a cluster, and what it says of itself.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::{amount, fragment, label_key, labels_map, names};
use crate::amounts::EXTENDED;

/// The namespaces whose agents a cluster takes, or doesn't.
pub(crate) fn namespaces(_: &mut SchemaGenerator) -> Schema {
    names(128)
}

/// Keys of labels that a cluster may give itself.
pub(crate) fn copied_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "set",
        "items": label_key(317, "The label's key.")
    })
}

/// Labels that a cluster reports.
pub(crate) fn reported_labels(_: &mut SchemaGenerator) -> Schema {
    fragment(labels_map(16, 317))
}

/// Amounts of a cluster, by resource: cpu, memory, pods, and extended ones.
pub(crate) fn cluster_amounts(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": EXTENDED + 3,
        "additionalProperties": amount(generator),
        "x-kubernetes-validations": [{
            "rule": "self.all(k, size(k) <= 317 && (k in ['cpu', 'memory', 'pods'] || k.contains('/')))",
            "message": "a key is cpu, memory, pods, or an extended resource such as example.com/gpu"
        }]
    })
}

/// Scores by name.
pub(crate) fn scores(_: &mut SchemaGenerator) -> Schema {
    let score = json!({ "type": "integer", "format": "int32", "minimum": 0, "maximum": 100 });
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": score,
        "x-kubernetes-validations": [{
            "rule": "self.all(k, size(k) <= 63 && k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
            "message": "a score's name is of lower-case letters, digits and '-'"
        }]
    })
}
