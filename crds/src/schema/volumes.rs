//! What volumes are made from. Each is of the agent's own namespace, or of the pod.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{CONFIG_KEY, DNS_SUBDOMAIN, RELATIVE_PATH, described, fragment, quantity};

/// The keys of a ConfigMap, as files.
pub(crate) fn config_map_volume(_: &mut SchemaGenerator) -> Schema {
    let mut schema = keys_of("ConfigMap", "name", 8);
    schema["properties"]["defaultMode"] = mode("The files' mode, in decimal; absent: 420, which is 0644.");
    fragment(schema)
}

/// The keys of a Secret, as files.
pub(crate) fn secret_volume(_: &mut SchemaGenerator) -> Schema {
    let mut schema = keys_of("Secret", "secretName", 8);
    schema["properties"]["defaultMode"] = mode("The files' mode, in decimal; absent: 420, which is 0644.");
    fragment(schema)
}

/// An empty directory. Null is one without settings: that is what server-side apply makes of one whose only setting is
/// taken away.
pub(crate) fn empty_dir(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "nullable": true,
        "properties": {
            "medium": {
                "type": "string",
                "description": "Memory: it is kept there, and counts as the containers'. Absent: on the node's disk.",
                "enum": ["", "Memory"]
            },
            "sizeLimit": described(quantity(), "The most that it may hold; absent: what the node has.")
        }
    })
}

/// A claim.
pub(crate) fn claim_volume(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["claimName"],
        "properties": {
            "claimName": name("The claim's name."),
            "readOnly": { "type": "boolean", "description": "No container can write there; absent: they can." }
        }
    })
}

/// Several sources in one directory.
pub(crate) fn projected_volume(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["sources"],
        "properties": {
            "defaultMode": mode("The files' mode, in decimal; absent: 420, which is 0644."),
            "sources": {
                "type": "array",
                "description": "The sources.",
                "minItems": 1,
                "maxItems": 4,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "properties": {
                        "configMap": described(keys_of("ConfigMap", "name", 4), "The keys of a ConfigMap."),
                        "downwardAPI": downward_api(),
                        "secret": described(keys_of("Secret", "name", 4), "The keys of a Secret."),
                        "serviceAccountToken": token()
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(has(self.configMap) ? 1 : 0) + (has(self.downwardAPI) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.serviceAccountToken) ? 1 : 0) == 1",
                        "message": "a source is exactly one of configMap, downwardAPI, secret and serviceAccountToken"
                    }]
                }
            }
        }
    })
}

fn downward_api() -> Value {
    json!({
        "type": "object",
        "description": "Fields of the pod.",
        "required": ["items"],
        "properties": {
            "items": {
                "type": "array",
                "description": "Which, and where.",
                "minItems": 1,
                "maxItems": 4,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["path", "fieldRef"],
                    "properties": {
                        "path": path("The file."),
                        "fieldRef": {
                            "type": "object",
                            "description": "The field.",
                            "required": ["fieldPath"],
                            "properties": {
                                "fieldPath": {
                                    "type": "string",
                                    "description": "Which, such as `metadata.labels`.",
                                    "minLength": 1,
                                    "maxLength": 253,
                                    "pattern": r"^[A-Za-z0-9._/\[\]'-]+$"
                                }
                            }
                        },
                        "mode": mode("The file's mode, in decimal; absent: the volume's.")
                    }
                }
            }
        }
    })
}

fn token() -> Value {
    json!({
        "type": "object",
        "description": "A token of the agent's `serviceAccountName`.",
        "required": ["path"],
        "properties": {
            "audience": {
                "type": "string",
                "description": "Whom it is for; absent: the API server.",
                "minLength": 1,
                "maxLength": 253,
                "pattern": "^[A-Za-z0-9._:/-]+$"
            },
            "expirationSeconds": {
                "type": "integer",
                "description": "How long it is good for; absent: 3,600.",
                "format": "int64",
                "minimum": 600,
                "maximum": 4_294_967_296_i64
            },
            "path": path("The file.")
        }
    })
}

fn keys_of(kind: &str, named: &str, most: u32) -> Value {
    json!({
        "type": "object",
        "required": [named],
        "properties": {
            named: name(&format!("The {kind}'s name.")),
            "optional": { "type": "boolean", "description": "The pod starts without it." },
            "items": {
                "type": "array",
                "description": "Which keys; absent: all, each as a file of its name.",
                "maxItems": most,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "path"],
                    "properties": {
                        "key": {
                            "type": "string",
                            "description": "The key.",
                            "minLength": 1,
                            "maxLength": 253,
                            "pattern": CONFIG_KEY
                        },
                        "path": path("The file."),
                        "mode": mode("The file's mode, in decimal; absent: the volume's.")
                    }
                }
            }
        }
    })
}

fn name(description: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "minLength": 1,
        "maxLength": 253,
        "pattern": DNS_SUBDOMAIN
    })
}

fn path(description: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "minLength": 1,
        "maxLength": 256,
        "pattern": RELATIVE_PATH
    })
}

fn mode(description: &str) -> Value {
    json!({
        "type": "integer",
        "description": description,
        "format": "int32",
        "minimum": 0,
        "maximum": 511
    })
}
