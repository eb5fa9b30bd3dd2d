//! Labels and annotations of a user's own.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{LABEL_KEY, TEXT, fragment, labels_map};
use crate::labels::{APP_INSTANCE, APP_NAME, CONTROL_PLANE, MANAGED_BY};

/// `podLabels`.
pub(crate) fn pod_labels(_: &mut SchemaGenerator) -> Schema {
    let (app, control_plane) = CONTROL_PLANE;
    let mut labels = labels_map(16, 317);
    if let Some(rules) = labels["x-kubernetes-validations"].as_array_mut() {
        rules.extend::<[Value; 2]>([
            json!({
                "rule": format!("self.all(k, !k.startsWith('parallax.io/') && !(k in ['{MANAGED_BY}', '{APP_NAME}', '{APP_INSTANCE}', 'pod-template-hash']))"),
                "message": format!("podLabels: parallax.io/…, {MANAGED_BY}, {APP_NAME}, {APP_INSTANCE} and pod-template-hash are set by Parallax and Kubernetes: choose other keys")
            }),
            json!({
                "rule": format!("!('{app}' in self) || self['{app}'] != '{control_plane}'"),
                "message": format!("podLabels: {app}={control_plane} marks the control plane, whose pods every agent lets in: choose another value")
            }),
        ]);
    }
    fragment(labels)
}

/// `podAnnotations`.
pub(crate) fn pod_annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 4096, "pattern": TEXT },
        "x-kubernetes-validations": [
            {
                "rule": format!("self.all(k, size(k) <= 317 && k.matches('{LABEL_KEY}'))"),
                "message": "podAnnotations: a key is an optional DNS prefix and '/', then letters, digits, '-', '_' and '.'; at most 317 characters"
            },
            {
                "rule": "self.all(k, !k.startsWith('parallax.io/'))",
                "message": "podAnnotations: parallax.io/… is set by Parallax: choose other keys"
            },
            {
                "rule": "self.all(k, !k.startsWith('container.apparmor.security.') && !k.startsWith('seccomp.security.') && !k.startsWith('container.seccomp.security.'))",
                "message": "podAnnotations: no annotation changes the profiles of AppArmor and seccomp, which are the runtime's own: remove it"
            }
        ]
    })
}
