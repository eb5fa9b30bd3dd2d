//! How pods get the key.

use parallax_crds::agent::{Credentials, Rotation};
use parallax_crds::link::CredentialsReport;
use serde_json::Value;

use super::found::{Found, Missing, told};
use crate::build::CREDENTIALS_STAMP;

/// Where pods get the key from, and what of it is in their template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The Secret.
    pub secret: String,
    /// The key in it.
    pub key: String,
    /// What rolls the pods when the value changes; none where nothing should.
    pub stamp: Option<String>,
}

impl Binding {
    /// How the pods of a Deployment, as JSON, get what they know as `variable`.
    #[must_use]
    pub fn of(deployment: &Value, variable: &str) -> Option<Self> {
        let template = &deployment["spec"]["template"];
        let containers = template["spec"]["containers"].as_array()?;
        let agent = containers.iter().find(|container| container["name"] == "agent")?;
        let variables = agent["env"].as_array()?;
        let source = &variables.iter().find(|env| env["name"] == variable)?["valueFrom"]["secretKeyRef"];
        Some(Self {
            secret: source["name"].as_str()?.to_owned(),
            key: source["key"].as_str()?.to_owned(),
            stamp: template["metadata"]["annotations"][CREDENTIALS_STAMP].as_str().map(str::to_owned),
        })
    }

    /// Whether the pods of a Deployment, as JSON, have a variable from that Secret.
    #[must_use]
    pub fn is_of(deployment: &Value, secret: &str) -> bool {
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
        let variables = containers.into_iter().flatten().flat_map(|c| c["env"].as_array()).flatten();
        variables.into_iter().any(|env| env["valueFrom"]["secretKeyRef"]["name"] == secret)
    }
}

/// No pod may start: the key isn't there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// A CamelCase word.
    pub reason: &'static str,
    /// A sentence that says what to do.
    pub message: String,
}

/// How the pods are to get the key, and what is told of it.
///
/// While it isn't there, pods that run with the same order keep what they have (their Deployment is looked after as
/// ever), and no others are made. `unfound`: the Secret that it would be in.
///
/// # Errors
/// When no pod may start now.
pub fn bind(
    credentials: &Credentials,
    found: Result<Found, Missing>,
    unfound: &str,
    live: Option<Binding>,
    same_order: bool,
    replicas: i32,
) -> (Result<Option<Binding>, Held>, CredentialsReport) {
    let told = told(&found);
    let Some(reference) = credentials.reference() else { return (Ok(None), told) };
    let kept = live.as_ref().and_then(|live| live.stamp.clone());
    let bound = match found {
        Ok(Found { secret, stamp }) => {
            let stamp = match credentials.rotation.unwrap_or(Rotation::Restart) {
                Rotation::Restart => Some(stamp),
                // A change of this field alone rolls nothing either.
                Rotation::None => kept,
            };
            Ok(Some(Binding { secret, key: reference.key.clone(), stamp }))
        }
        Err(missing) => match live.filter(|_| same_order) {
            Some(live) => Ok(Some(live)),
            // There is no pod to lack it.
            None if replicas == 0 => {
                let (secret, key) = (unfound.to_owned(), reference.key.clone());
                Ok(Some(Binding { secret, key, stamp: kept }))
            }
            None => Err(Held { reason: missing.reason(), message: missing.to_string() }),
        },
    };
    (bound, told)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::agent::KeyReference;
    use serde_json::json;

    use super::*;

    fn credentials(rotation: Option<Rotation>) -> Credentials {
        Credentials {
            external_secret_ref: Some(KeyReference { name: "vault".to_owned(), key: "KEY".to_owned() }),
            rotation,
            ..Credentials::default()
        }
    }

    fn found(stamp: &str) -> Result<Found, Missing> {
        Ok(Found { secret: "made".to_owned(), stamp: stamp.to_owned() })
    }

    fn missing() -> Result<Found, Missing> {
        Err(Missing::ExternalSecret { namespace: "team".to_owned(), name: "vault".to_owned() })
    }

    fn binding(secret: &str, stamp: Option<&str>) -> Binding {
        Binding { secret: secret.to_owned(), key: "KEY".to_owned(), stamp: stamp.map(str::to_owned) }
    }

    #[test]
    fn a_changed_value_rolls_the_pods_unless_that_is_not_wanted() {
        let live = || Some(binding("made", Some("old")));
        let (bound, told) = bind(&credentials(None), found("new"), "vault", live(), true, 1);
        assert_eq!(bound, Ok(Some(binding("made", Some("new")))));
        assert!(told.ready);
        let none = credentials(Some(Rotation::None));
        assert_eq!(
            bind(&none, found("new"), "vault", live(), true, 1).0,
            Ok(Some(binding("made", Some("old"))))
        );
        assert_eq!(bind(&none, found("new"), "vault", None, true, 1).0, Ok(Some(binding("made", None))));
    }

    #[test]
    fn no_pod_starts_without_the_key() {
        let (bound, told) = bind(&credentials(None), missing(), "vault", None, false, 1);
        assert_eq!(bound.unwrap_err().reason, "ExternalSecretMissing");
        assert_eq!((told.ready, told.reason.as_str()), (false, "ExternalSecretMissing"));
        let (of_another_order, _) =
            bind(&credentials(None), missing(), "vault", Some(binding("made", Some("old"))), false, 1);
        assert!(of_another_order.is_err());
    }

    #[test]
    fn pods_that_run_keep_what_they_have_when_it_goes() {
        let live = binding("made", Some("old"));
        let (bound, told) = bind(&credentials(None), missing(), "vault", Some(live.clone()), true, 3);
        assert_eq!((bound, told.ready), (Ok(Some(live)), false));
    }

    #[test]
    fn an_agent_without_pods_needs_no_key() {
        let (bound, told) = bind(&credentials(None), missing(), "vault", None, false, 0);
        assert_eq!((bound, told.ready), (Ok(Some(binding("vault", None))), false));
    }

    #[test]
    fn a_binding_is_read_off_a_live_deployment() {
        let deployment = json!({"spec": {"template": {
            "metadata": {"annotations": {CREDENTIALS_STAMP: "s"}},
            "spec": {"containers": [
                {"name": "mesh", "env": [{"name": "KEY", "value": "another's"}]},
                {"name": "agent", "env": [
                    {"name": "AGENT_NAME", "value": "writer"},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "made", "key": "KEY"}}},
                ]},
            ]},
        }}});
        assert_eq!(Binding::of(&deployment, "KEY"), Some(binding("made", Some("s"))));
        assert_eq!(Binding::of(&deployment, "AGENT_NAME"), None);
        assert_eq!(Binding::of(&json!({}), "KEY"), None);
        assert!(Binding::is_of(&deployment, "made") && !Binding::is_of(&deployment, "another"));
        assert!(!Binding::is_of(&json!({}), "made"));
    }
}
