//! The ConfigMaps and Secrets without which an agent's pods don't start, besides its API key.

mod presence;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EnvVarSource, VolumeProjection};
use parallax_crds::agent::{AgentRuntime, EnvFrom, EnvVar, Volume};

use crate::live::{Trouble, first_line};

pub use self::presence::Presence;

/// A kind of object that pods can't start without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl Kind {
    /// As Kubernetes calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// The CamelCase word for one that isn't there.
    fn missing(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMapMissing",
            Self::Secret => "SecretMissing",
        }
    }
}

/// An object of the agent's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Need {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Box<str>,
}

/// What the pods can't start without: what `env`, `envFrom` and `volumes` name, unless it is optional.
#[must_use]
pub fn needs(runtime: &AgentRuntime) -> BTreeSet<Need> {
    let companions = || runtime.init_containers.iter().chain(&runtime.sidecars);
    let env =
        runtime.env.iter().chain(companions().flat_map(|companion| &companion.env)).flat_map(of_variable);
    let env_from = runtime
        .env_from
        .iter()
        .chain(companions().flat_map(|companion| &companion.env_from))
        .filter_map(of_all);
    env.chain(env_from).chain(runtime.volumes.iter().flat_map(of_volume)).collect()
}

fn need(kind: Kind, name: &str, optional: Option<bool>) -> Option<Need> {
    (optional != Some(true) && !name.is_empty()).then(|| Need { kind, name: name.into() })
}

fn of_variable(variable: &EnvVar) -> impl Iterator<Item = Need> + use<> {
    let EnvVarSource { config_map_key_ref, secret_key_ref, .. } =
        variable.value_from.clone().unwrap_or_default();
    let map = config_map_key_ref.and_then(|key| need(Kind::ConfigMap, &key.name, key.optional));
    map.into_iter().chain(secret_key_ref.and_then(|key| need(Kind::Secret, &key.name, key.optional)))
}

fn of_all(EnvFrom { prefix: _, secret_ref, config_map_ref }: &EnvFrom) -> Option<Need> {
    let map = config_map_ref.as_ref().and_then(|map| need(Kind::ConfigMap, &map.name, map.optional));
    map.or_else(|| secret_ref.as_ref().and_then(|secret| need(Kind::Secret, &secret.name, secret.optional)))
}

fn of_volume(volume: &Volume) -> Vec<Need> {
    let Volume { name: _, config_map, empty_dir: _, persistent_volume_claim: _, projected, secret } = volume;
    let map = config_map.as_ref().and_then(|map| need(Kind::ConfigMap, &map.name, map.optional));
    let secret = secret.as_ref().and_then(|secret| {
        need(Kind::Secret, secret.secret_name.as_deref().unwrap_or_default(), secret.optional)
    });
    let sources = projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let projected = sources.flat_map(|VolumeProjection { config_map, secret, .. }| {
        let map = config_map.as_ref().and_then(|map| need(Kind::ConfigMap, &map.name, map.optional));
        map.into_iter()
            .chain(secret.as_ref().and_then(|secret| need(Kind::Secret, &secret.name, secret.optional)))
    });
    map.into_iter().chain(secret).chain(projected).collect()
}

/// Why pods of that namespace don't start while these are missing; none when nothing is. A kubelet says as much of what
/// is in `env`, and of volumes nothing in a pod's status.
#[must_use]
pub fn trouble(namespace: &str, missing: &[Need]) -> Option<Trouble> {
    let reason = missing.first()?.kind.missing().to_owned();
    let names: Vec<_> =
        missing.iter().map(|Need { kind, name }| format!("{} {namespace}/{name}", kind.name())).collect();
    let rest = if let [_] = missing {
        "does not exist in this cluster; create it, or say optional: true where it is named"
    } else {
        "do not exist in this cluster; create them"
    };
    Some(Trouble { failing: true, reason, message: first_line(&format!("{} {rest}", names.join(", "))) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn named(runtime: serde_json::Value) -> Vec<String> {
        let runtime: AgentRuntime = serde_json::from_value(runtime).unwrap();
        needs(&runtime).iter().map(|need| format!("{} {}", need.kind.name(), need.name)).collect()
    }

    #[test]
    fn everything_that_pods_wait_for_is_found_once() {
        let one = |name: &str| json!({"name": name, "key": "k"});
        let found = named(json!({
            "type": "claude",
            "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": one("env-map")}},
                {"name": "B", "valueFrom": {"secretKeyRef": one("env-secret")}},
                {"name": "C", "value": "plain"},
                {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "all-map"}}, {"secretRef": {"name": "all-secret"}}],
            "volumes": [
                {"name": "a", "configMap": {"name": "volume-map"}},
                {"name": "b", "secret": {"secretName": "volume-secret"}},
                {"name": "c", "emptyDir": {}},
                {"name": "d", "projected": {"sources": [
                    {"configMap": {"name": "projected-map"}}, {"secret": {"name": "projected-secret"}},
                ]}},
            ],
            "initContainers": [{"name": "i", "image": "i", "envFrom": [{"configMapRef": {"name": "all-map"}}]}],
            "sidecars": [{"name": "s", "image": "s", "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": one("sidecar-secret")}},
            ]}],
        }));
        assert_eq!(
            found,
            [
                "ConfigMap all-map",
                "ConfigMap env-map",
                "ConfigMap projected-map",
                "ConfigMap volume-map",
                "Secret all-secret",
                "Secret env-secret",
                "Secret projected-secret",
                "Secret sidecar-secret",
                "Secret volume-secret",
            ]
        );
    }

    #[test]
    fn what_is_optional_is_waited_for_by_nobody() {
        let found = named(json!({
            "type": "claude",
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k", "optional": true}}}],
            "envFrom": [{"secretRef": {"name": "b", "optional": true}}],
            "volumes": [
                {"name": "c", "configMap": {"name": "c", "optional": true}},
                {"name": "d", "secret": {"secretName": "d", "optional": true}},
                {"name": "e", "projected": {"sources": [{"configMap": {"name": "e", "optional": true}}]}},
            ],
        }));
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn all_that_is_missing_is_named_with_what_to_do() {
        let need = |kind, name: &str| Need { kind, name: name.into() };
        assert_eq!(trouble("team", &[]), None);
        let one = trouble("team", &[need(Kind::ConfigMap, "settings")]).unwrap();
        assert_eq!((one.failing, one.reason.as_str()), (true, "ConfigMapMissing"));
        assert_eq!(
            one.message,
            "ConfigMap team/settings does not exist in this cluster; create it, or say optional: true where it is named"
        );
        let two = trouble("team", &[need(Kind::Secret, "a"), need(Kind::Secret, "b")]).unwrap();
        assert_eq!(two.reason, "SecretMissing");
        assert_eq!(two.message, "Secret team/a, Secret team/b do not exist in this cluster; create them");
    }
}
