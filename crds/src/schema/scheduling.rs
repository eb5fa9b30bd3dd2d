//! What says where in its cluster a pod goes.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{LABEL_KEY, LABEL_VALUE, selector};

/// Taints that a pod puts up with.
pub(crate) fn tolerations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "properties": {
                "key": { "type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY },
                "operator": { "type": "string", "enum": ["Equal", "Exists"] },
                "value": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE },
                "effect": { "type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"] },
                "tolerationSeconds": { "type": "integer", "format": "int64" }
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
                "minItems": 1,
                "maxItems": 8,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": { "type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY },
                        "operator": { "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] },
                        "values": {
                            "type": "array",
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
            "labelSelector": selector(4, 4, 8),
            "topologyKey": { "type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY }
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
                "weight": { "type": "integer", "format": "int32", "minimum": 1, "maximum": 100 },
                field: term
            }
        }
    })
}

/// How pods are spread over zones, nodes or the like.
pub(crate) fn topology_spread(_: &mut SchemaGenerator) -> Schema {
    let policy = json!({ "type": "string", "enum": ["Honor", "Ignore"] });
    json_schema!({
        "type": "array",
        "maxItems": 4,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"],
        "items": {
            "type": "object",
            "required": ["maxSkew", "topologyKey", "whenUnsatisfiable"],
            "properties": {
                "maxSkew": { "type": "integer", "format": "int32", "minimum": 1 },
                "topologyKey": { "type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY },
                "whenUnsatisfiable": { "type": "string", "enum": ["DoNotSchedule", "ScheduleAnyway"] },
                "minDomains": { "type": "integer", "format": "int32", "minimum": 1 },
                "nodeAffinityPolicy": policy,
                "nodeTaintsPolicy": policy,
                "labelSelector": selector(4, 4, 8),
                "matchLabelKeys": {
                    "type": "array",
                    "maxItems": 4,
                    "x-kubernetes-list-type": "atomic",
                    "items": { "type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY }
                }
            },
            "x-kubernetes-validations": [{
                "rule": "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
                "message": "minDomains: only whenUnsatisfiable DoNotSchedule takes it"
            }]
        }
    })
}
