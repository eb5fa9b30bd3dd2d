//! What says where in its cluster a pod goes.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{LABEL_KEY, LABEL_VALUE, described, label_key, selector};

/// Taints that a pod puts up with.
pub(crate) fn tolerations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "properties": {
                "key": label_key(317, "The taint's key; absent: any."),
                "operator": {
                    "type": "string",
                    "description": "Whether its value counts; absent: Equal.",
                    "enum": ["Equal", "Exists"]
                },
                "value": {
                    "type": "string",
                    "description": "The taint's value, under Equal.",
                    "maxLength": 63,
                    "pattern": LABEL_VALUE
                },
                "effect": {
                    "type": "string",
                    "description": "The taint's effect; absent: any.",
                    "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]
                },
                "tolerationSeconds": {
                    "type": "integer",
                    "description": "How long the pods put up with NoExecute; absent: for ever.",
                    "format": "int64"
                }
            },
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.key) || has(self.operator) && self.operator == 'Exists'",
                    "message": "key: only operator Exists can do without, and then tolerates every taint"
                },
                {
                    "rule": "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
                    "message": "value: operator Exists takes none"
                },
                {
                    "rule": "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
                    "message": "tolerationSeconds: only effect NoExecute takes them"
                }
            ]
        }
    })
}

/// Nodes and neighbours that a pod must or would rather have.
pub(crate) fn affinity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "nodeAffinity": {
                "type": "object",
                "description": "Which nodes.",
                "properties": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "type": "object",
                        "description": "A node must match one of the terms.",
                        "required": ["nodeSelectorTerms"],
                        "x-kubernetes-map-type": "atomic",
                        "properties": {
                            "nodeSelectorTerms": {
                                "type": "array",
                                "description": "The terms.",
                                "minItems": 1,
                                "maxItems": 4,
                                "x-kubernetes-list-type": "atomic",
                                "items": node_selector_term()
                            }
                        }
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution":
                        weighted("preference", &node_selector_term(), "A node that matches is worth more.")
                }
            },
            "podAffinity": neighbours("Pods to be near."),
            "podAntiAffinity": neighbours("Pods to be away from.")
        }
    })
}

fn node_selector_term() -> Value {
    json!({
        "type": "object",
        "required": ["matchExpressions"],
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchExpressions": {
                "type": "array",
                "description": "Conditions on a node's labels, all of which must hold.",
                "minItems": 1,
                "maxItems": 8,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": label_key(317, "The label."),
                        "operator": {
                            "type": "string",
                            "description": "What must be true of its value.",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
                        },
                        "values": {
                            "type": "array",
                            "description": "What it is compared with.",
                            "maxItems": 8,
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE }
                        }
                    },
                    "x-kubernetes-validations": [{
                        "rule": "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 \
                                 : self.operator in ['Gt', 'Lt'] ? has(self.values) && size(self.values) == 1 && self.values[0].matches('^[0-9]{1,18}$') \
                                 : !has(self.values) || size(self.values) == 0",
                        "message": "values: In and NotIn need at least one, Gt and Lt one whole number; Exists and DoesNotExist take none"
                    }]
                }
            }
        }
    })
}

fn neighbours(description: &str) -> Value {
    let term = json!({
        "type": "object",
        // Without a selector a term matches no pod, and would do nothing.
        "required": ["labelSelector", "topologyKey"],
        "properties": {
            "labelSelector": described(selector(4, 4, 8), "The pods, of the agent's namespace."),
            "topologyKey": label_key(317, "The nodes' label of which one value is one place.")
        }
    });
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "type": "array",
                "description": "All of them.",
                "maxItems": 4,
                "x-kubernetes-list-type": "atomic",
                "items": term
            },
            "preferredDuringSchedulingIgnoredDuringExecution":
                weighted("podAffinityTerm", &term, "A node where it holds is worth more.")
        }
    })
}

fn weighted(field: &str, term: &Value, description: &str) -> Value {
    json!({
        "type": "array",
        "description": description,
        "maxItems": 4,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["weight", field],
            "properties": {
                "weight": {
                    "type": "integer",
                    "description": "How much more it is worth.",
                    "format": "int32",
                    "minimum": 1,
                    "maximum": 100
                },
                field: described(term.clone(), "What is preferred.")
            }
        }
    })
}

/// How pods are spread over zones, nodes or the like.
pub(crate) fn topology_spread(_: &mut SchemaGenerator) -> Schema {
    let policy =
        |description| json!({ "type": "string", "description": description, "enum": ["Honor", "Ignore"] });
    json_schema!({
        "type": "array",
        "maxItems": 4,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"],
        "items": {
            "type": "object",
            "required": ["maxSkew", "topologyKey", "whenUnsatisfiable"],
            "properties": {
                "maxSkew": {
                    "type": "integer",
                    "description": "By how many pods two places may differ.",
                    "format": "int32",
                    "minimum": 1
                },
                "topologyKey": label_key(317, "The nodes' label of which one value is one place."),
                "whenUnsatisfiable": {
                    "type": "string",
                    "description": "What becomes of a pod that would make them differ by more.",
                    "enum": ["DoNotSchedule", "ScheduleAnyway"]
                },
                "minDomains": {
                    "type": "integer",
                    "description": "How many places there are at least; fewer count as if the others were empty. Absent: 1.",
                    "format": "int32",
                    "minimum": 1
                },
                "nodeAffinityPolicy": policy("Whether only nodes count that `affinity` and `nodeSelector` admit; absent: Honor."),
                "nodeTaintsPolicy": policy("Whether only nodes count whose taints are tolerated; absent: Ignore."),
                "labelSelector": described(selector(4, 4, 8), "The pods that are counted; absent: the agent's own."),
                "matchLabelKeys": {
                    "type": "array",
                    "description": "Labels of which only pods with the same values are counted together.",
                    "maxItems": 4,
                    "x-kubernetes-list-type": "atomic",
                    "items": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 317,
                        "pattern": LABEL_KEY
                    }
                }
            },
            "x-kubernetes-validations": [{
                "rule": "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
                "message": "minDomains: only whenUnsatisfiable DoNotSchedule takes it"
            }]
        }
    })
}
