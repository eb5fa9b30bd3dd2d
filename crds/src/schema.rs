//! Bounded OpenAPI fragments for the types that Kubernetes defines. The ones that come with them have no
//! bounds, and several pages of description.
//!
//! A bound on every string, list and map is what lets the API server estimate what a CEL rule costs, and
//! what keeps an agent within one message of the link.

mod cluster;
mod metadata;
mod scheduling;
mod volumes;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A DNS-1123 label: a cluster's name, an agent's type, a region.
pub(crate) const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A DNS-1123 subdomain: the name of a Secret or ConfigMap.
pub(crate) const DNS_SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// The value of a label, or a name of that form.
pub(crate) const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// The key of a Secret or ConfigMap.
pub(crate) const CONFIG_KEY: &str = "^[-._A-Za-z0-9]+$";
/// An environment variable's name.
pub(crate) const ENV_NAME: &str = "^[A-Za-z_][-._A-Za-z0-9]*$";
/// An image reference: nothing in it that could be white space.
pub(crate) const IMAGE: &str = r"^[A-Za-z0-9\[][A-Za-z0-9._:/@+\[\]-]*$";
/// The path of a URL, and its query.
pub(crate) const URL_PATH: &str = r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$";
/// Text with no control characters but tab and line breaks. (JSON writes any other as six bytes, which the
/// sum of the bounds would have to count.)
pub(crate) const TEXT: &str = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F]*$";
/// A rule on requests and limits.
pub(crate) const REQUESTS_WITHIN_LIMITS: &str = "!has(self.requests) || !has(self.limits) \
     || self.requests.all(k, !(k in self.limits) \
     || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)";
/// A quantity that isn't negative: 2, 0.5, 250m, 512Mi, 1e3.
pub(crate) const QUANTITY: &str =
    r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?$";
/// The form of a range of addresses. Whether it is one is for a rule to say.
pub(crate) const CIDR: &str = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";
/// An absolute path, without a slash at its end.
pub(crate) const ABSOLUTE_PATH: &str = "^(/[A-Za-z0-9._-]+)+$";
/// An absolute path without `.`, `..` or a slash at its end.
pub(crate) const PLAIN_PATH: &str = r"^(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)+$";
/// A path below another, without `.` or `..`.
pub(crate) const RELATIVE_PATH: &str =
    r"^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)*$";
/// A label's key: a name of at most 63 characters, after an optional DNS prefix and '/'.
pub(crate) const LABEL_KEY: &str =
    "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

pub(crate) use cluster::{cluster_amounts, copied_labels, namespaces, reported_labels, scores};
pub(crate) use metadata::{pod_annotations, pod_labels};
pub(crate) use scheduling::{affinity, tolerations, topology_spread};
pub(crate) use volumes::{claim_volume, config_map_volume, empty_dir, projected_volume, secret_volume};

/// `priorityClassName`.
pub(crate) fn priority_class(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "pattern": DNS_SUBDOMAIN,
        "x-kubernetes-validations": [{
            "rule": "!self.startsWith('system-')",
            "message": "priorityClassName: the classes of the system are not for agents, which would drive out a cluster's own pods: choose another"
        }]
    })
}

/// The conditions of a status: a list that server-side apply merges by type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "type": "string",
                    "description": "What it is about.",
                    "maxLength": 316,
                    "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$"
                },
                "status": {
                    "type": "string",
                    "description": "Whether it holds.",
                    "enum": ["True", "False", "Unknown"]
                },
                "observedGeneration": {
                    "type": "integer",
                    "description": "The generation that it is about.",
                    "format": "int64",
                    "minimum": 0
                },
                "lastTransitionTime": {
                    "type": "string",
                    "description": "When its status last changed.",
                    "format": "date-time"
                },
                "reason": {
                    "type": "string",
                    "description": "A word for programs.",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
                },
                "message": {
                    "type": "string",
                    "description": "A sentence for people: what is the matter, and what to do.",
                    "maxLength": 32768
                }
            }
        }
    })
}

/// A moment, as RFC 3339.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// Names of clusters or regions that are given by hand, each once. An empty list is refused, since a reader
/// could take it for "none", and it would mean "all".
fn names(most: u32) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": most,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "minLength": 1, "maxLength": 63, "pattern": DNS_LABEL }
    })
}

/// `placement.clusters`.
pub(crate) fn cluster_names(_: &mut SchemaGenerator) -> Schema {
    names(128)
}

/// `placement.regions`.
pub(crate) fn regions(_: &mut SchemaGenerator) -> Schema {
    names(32)
}

/// A selector of the clusters that may run the agent.
pub(crate) fn cluster_selector(_: &mut SchemaGenerator) -> Schema {
    selector(8, 8, 8)
}

/// A selector of the clusters that share a weight. There can be many, so that each is small.
pub(crate) fn weight_selector(_: &mut SchemaGenerator) -> Schema {
    selector(4, 2, 8)
}

fn selector(labels: u32, expressions: u32, values: u32) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": described(labels_map(labels, 128), "Labels and their values, all of which must be there."),
            "matchExpressions": {
                "type": "array",
                "description": "Conditions on labels, all of which must hold.",
                "maxItems": expressions,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": label_key(128, "The label."),
                        "operator": {
                            "type": "string",
                            "description": "What must be true of its value.",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"]
                        },
                        "values": {
                            "type": "array",
                            "description": "The values that In and NotIn look in.",
                            "maxItems": values,
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE }
                        }
                    },
                    "x-kubernetes-validations": [{
                        "rule": "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
                        "message": "values: In and NotIn need at least one; Exists and DoesNotExist take none"
                    }]
                }
            }
        }
    })
}

/// A selector of pods or namespaces. There can be many, so that each is small.
pub(crate) fn peer_selector(_: &mut SchemaGenerator) -> Schema {
    selector(2, 1, 4)
}

/// Labels that a node must have.
pub(crate) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    fragment(labels_map(16, 317))
}

fn labels_map(most: u32, key: u32) -> Value {
    json!({
        "type": "object",
        "maxProperties": most,
        "additionalProperties": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE },
        "x-kubernetes-validations": [{
            "rule": format!("self.all(k, size(k) <= {key} && k.matches('{LABEL_KEY}'))"),
            "message": format!("a key must be a label's: an optional DNS prefix and '/', then letters, digits, '-', '_' and '.'; at most {key} characters")
        }]
    })
}

/// A label's key, of at most so many characters.
fn label_key(most: u32, description: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "minLength": 1,
        "maxLength": most,
        "pattern": LABEL_KEY
    })
}

fn described(schema: impl Into<Value>, description: &str) -> Value {
    let mut schema = schema.into();
    schema["description"] = description.into();
    schema
}

/// `requests` or `limits`: quantities by resource.
pub(crate) fn quantities(_: &mut SchemaGenerator) -> Schema {
    quantities_of(16, 317)
}

/// As [`quantities`], at most four of them, as there can be many.
pub(crate) fn four_quantities(_: &mut SchemaGenerator) -> Schema {
    quantities_of(4, 128)
}

fn quantities_of(most: u32, key: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": most,
        "additionalProperties": quantity(),
        "x-kubernetes-validations": [{
            "rule": format!("self.all(k, size(k) <= {key} && (k in ['cpu', 'memory', 'ephemeral-storage'] || k.startsWith('hugepages-') || k.contains('/')))"),
            "message": "a key must be cpu, memory, ephemeral-storage, hugepages-<size>, or an extended resource such as example.com/gpu"
        }]
    })
}

/// An amount that the hub has measured.
pub(crate) fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 32, "pattern": QUANTITY })
}

/// `requests` or `limits` of a container beside the agent's own. There can be many, so that each is small.
pub(crate) fn few_quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 3,
        "additionalProperties": quantity(),
        "x-kubernetes-validations": [{
            "rule": "self.all(k, size(k) <= 17 && k in ['cpu', 'memory', 'ephemeral-storage'])",
            "message": "a key must be cpu, memory or ephemeral-storage: other resources are for the agent's own container"
        }]
    })
}

/// The size of a volume.
pub(crate) fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 32,
        "pattern": QUANTITY,
        "x-kubernetes-validations": [{
            "rule": "quantity(self).isGreaterThan(quantity('0'))",
            "message": "a volume has a size above 0"
        }]
    })
}

fn quantity() -> Value {
    json!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 32,
        "minimum": 0,
        "pattern": QUANTITY
    })
}

/// Where a variable's value comes from, in the member cluster.
pub(crate) fn env_var_source(_: &mut SchemaGenerator) -> Schema {
    let key_of = |kind: &str| {
        json!({
            "type": "object",
            "description": format!("A key of a {kind} of the agent's namespace."),
            "required": ["name", "key"],
            "properties": {
                "name": {
                    "type": "string",
                    "description": format!("The {kind}'s name."),
                    "minLength": 1,
                    "maxLength": 253,
                    "pattern": DNS_SUBDOMAIN
                },
                "key": {
                    "type": "string",
                    "description": "The key in it.",
                    "minLength": 1,
                    "maxLength": 253,
                    "pattern": CONFIG_KEY
                },
                "optional": { "type": "boolean", "description": "The pod starts without it." }
            }
        })
    };
    json_schema!({
        "type": "object",
        "properties": {
            "secretKeyRef": key_of("Secret"),
            "configMapKeyRef": key_of("ConfigMap"),
            "fieldRef": {
                "type": "object",
                "description": "A field of the pod.",
                "required": ["fieldPath"],
                "properties": {
                    "apiVersion": {
                        "type": "string",
                        "description": "The version of the path; absent: v1.",
                        "maxLength": 8,
                        "pattern": "^v1$"
                    },
                    "fieldPath": {
                        "type": "string",
                        "description": "Which field, such as `status.podIP`.",
                        "minLength": 1,
                        "maxLength": 253,
                        "pattern": r"^[A-Za-z0-9._/\[\]'-]+$"
                    }
                }
            },
            "resourceFieldRef": {
                "type": "object",
                "description": "A request or limit of the agent's container.",
                "required": ["resource"],
                "properties": {
                    "containerName": {
                        "type": "string",
                        "description": "Whose; absent: the agent's container.",
                        "maxLength": 63,
                        "pattern": DNS_LABEL
                    },
                    "divisor": described(quantity(), "The unit that it is told in; absent: 1."),
                    "resource": {
                        "type": "string",
                        "description": "Which, such as `limits.memory`.",
                        "minLength": 1,
                        "maxLength": 128,
                        "pattern": "^(requests|limits)[.][a-z0-9.-]+$"
                    }
                }
            }
        },
        "x-kubernetes-validations": [{
            "rule": "(has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) + (has(self.fieldRef) ? 1 : 0) + (has(self.resourceFieldRef) ? 1 : 0) == 1",
            "message": "exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef is needed"
        }]
    })
}

fn fragment(value: Value) -> Schema {
    match value {
        Value::Object(map) => Schema::from(map),
        _ => Schema::default(),
    }
}
