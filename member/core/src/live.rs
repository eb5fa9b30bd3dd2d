//! What is read off live objects: only what decides or is told. The types leave out every other field, so
//! that a cache of them stays small.

use std::collections::BTreeMap;

use parallax_crds::labels::INCARNATION;
use parallax_crds::{Incarnation, SpecHash};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::build::SPEC_HASH;
use crate::replicas::{LiveCount, Owners, STARTED};

/// What is known of a live Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentFacts {
    /// Whose pods it selects; none when it is not one of ours.
    pub incarnation: Option<Incarnation>,
    /// The hash of the template that it was built from.
    pub hash: Option<SpecHash>,
    /// Its controller has seen its newest generation, so that the counts are about that.
    pub observed: bool,
    /// Pods that exist.
    pub replicas: i32,
    /// Of these, of its newest template.
    pub updated: i32,
    /// Of `replicas`, ready.
    pub ready: i32,
    /// The message of a missed progress deadline.
    pub deadline_exceeded: Option<String>,
    /// How many pods it is to have, and who says so.
    pub count: LiveCount,
    /// Reason and message of pods that can't be created (quota, admission policy).
    pub replica_failure: Option<(String, String)>,
}

impl DeploymentFacts {
    /// The facts of a Deployment's JSON, whatever is missing in it. Whose its count is stands in its managed fields.
    #[must_use]
    pub fn of(deployment: &Value) -> Self {
        let status = &deployment["status"];
        let count = |field: &str| status[field].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let condition = |type_: &str| {
            let all = status["conditions"].as_array().into_iter().flatten();
            all.clone().find(|c| c["type"] == type_)
        };
        let progressing = condition("Progressing").filter(|c| c["reason"] == "ProgressDeadlineExceeded");
        let failure = condition("ReplicaFailure").filter(|c| c["status"] == "True");
        let generation = deployment["metadata"]["generation"].as_i64();
        Self {
            incarnation: deployment["spec"]["selector"]["matchLabels"][INCARNATION]
                .as_str()
                .map(Incarnation::new),
            hash: deployment["metadata"]["annotations"][SPEC_HASH].as_str().and_then(|h| h.parse().ok()),
            observed: status["observedGeneration"].as_i64() >= generation,
            replicas: count("replicas"),
            updated: count("updatedReplicas"),
            ready: count("readyReplicas"),
            count: LiveCount {
                replicas: deployment["spec"]["replicas"]
                    .as_i64()
                    .and_then(|n| i32::try_from(n).ok())
                    .unwrap_or(0),
                started: deployment["metadata"]["annotations"][STARTED].as_str().and_then(|s| s.parse().ok()),
                owners: Owners::default(),
            },
            deadline_exceeded: progressing.map(|c| text(&c["message"])),
            replica_failure: failure.map(|c| (text(&c["reason"]), text(&c["message"]))),
        }
    }

    /// Pods that are ready and of the newest template: exact when the old pods are ready (which is what a
    /// rollout waits for), too low rather than too high otherwise.
    #[must_use]
    pub fn ready_of_newest(&self) -> i32 {
        let old = (self.replicas - self.updated).max(0);
        (self.ready - old).clamp(0, self.updated.max(0))
    }
}

/// The status of a pod, as far as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// A word of the kubelet for the whole pod ("Evicted").
    pub reason: Option<String>,
    /// What goes with it.
    pub message: Option<String>,
    /// Of these only `PodScheduled` is read.
    pub conditions: Vec<PodCondition>,
    /// The state of each container.
    pub container_statuses: Vec<ContainerStatus>,
}

/// A condition of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// "True", "False" or "Unknown".
    pub status: String,
    /// A word for it.
    pub reason: Option<String>,
    /// A sentence for it.
    pub message: Option<String>,
}

/// The state of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// What it does now: exactly one of "waiting", "running", "terminated".
    pub state: BTreeMap<String, ContainerState>,
    /// How it last ended.
    pub last_state: BTreeMap<String, ContainerState>,
}

/// Why a container waits, or how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// A word for it.
    pub reason: Option<String>,
    /// What goes with it.
    pub message: Option<String>,
    /// Of an ended container.
    pub exit_code: Option<i32>,
}

/// What is known of a live pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// The label `pod-template-hash`: which template of the Deployment it is of.
    pub template: String,
    /// Creation, in seconds since 1970.
    pub created: i64,
    /// What keeps it from running; none when nothing is wrong.
    pub trouble: Option<Trouble>,
}

/// What keeps a pod from running. The order is the severity: the last is the worst.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// It won't run without help.
    pub failing: bool,
    /// A CamelCase word of Kubernetes.
    pub reason: String,
    /// The first line of what goes with it.
    pub message: String,
}

impl Trouble {
    fn new(failing: bool, reason: &str, message: &str) -> Self {
        Self { failing, reason: reason.to_owned(), message: first_line(message) }
    }
}

/// The first line, cut to 256 bytes at the boundary of a character.
pub(crate) fn first_line(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    line[..line.floor_char_boundary(256)].to_owned()
}

impl PodStatus {
    /// What keeps the pod from running.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let unscheduled =
            self.conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False").and_then(|c| {
                Some(Trouble::new(true, c.reason.as_deref()?, c.message.as_deref().unwrap_or_default()))
            });
        let whole = self
            .reason
            .as_deref()
            .map(|reason| Trouble::new(false, reason, self.message.as_deref().unwrap_or_default()));
        let containers = self.container_statuses.iter().filter_map(ContainerStatus::trouble);
        containers.chain(unscheduled).chain(whole).max()
    }
}

impl ContainerStatus {
    fn trouble(&self) -> Option<Trouble> {
        if let Some(waiting) = self.state.get("waiting") {
            let reason = waiting.reason.as_deref()?;
            // Ordinary steps on the way up are no trouble.
            if matches!(reason, "ContainerCreating" | "PodInitializing") {
                return None;
            }
            let failing = matches!(
                reason,
                "CrashLoopBackOff"
                    | "ImagePullBackOff"
                    | "InvalidImageName"
                    | "ErrImageNeverPull"
                    | "CreateContainerConfigError"
                    | "CreateContainerError"
                    | "RunContainerError"
            );
            return Some(Trouble::new(failing, reason, &self.last_words(waiting)));
        }
        let ended = self.state.get("terminated").filter(|s| s.exit_code != Some(0))?;
        Some(Trouble::new(false, ended.reason.as_deref().unwrap_or("Error"), &self.last_words(ended)))
    }

    /// The container's own message says more than the kubelet's "back-off 5m0s restarting".
    fn last_words(&self, state: &ContainerState) -> String {
        let ended = self.last_state.get("terminated");
        if let Some(own) = ended.and_then(|e| e.message.as_deref()).filter(|m| !m.trim().is_empty()) {
            return own.to_owned();
        }
        match (&state.message, state.exit_code.or(ended.and_then(|e| e.exit_code))) {
            (Some(message), _) => message.clone(),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn trouble(status: Value) -> Option<Trouble> {
        serde_json::from_value::<PodStatus>(status).unwrap().trouble()
    }

    #[test]
    fn a_starting_pod_is_in_no_trouble() {
        assert_eq!(trouble(json!({})), None);
        assert_eq!(
            trouble(json!({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]})),
            None
        );
        assert_eq!(
            trouble(json!({"containerStatuses": [{"state": {"running": {"startedAt": "now"}}}]})),
            None
        );
    }

    #[test]
    fn a_crash_loop_tells_the_containers_last_words() {
        let t = trouble(json!({"containerStatuses": [{
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "no API key\nsee the log"}},
        }]}))
        .unwrap();
        assert_eq!(
            t,
            Trouble { failing: true, reason: "CrashLoopBackOff".into(), message: "no API key".into() }
        );
    }

    #[test]
    fn an_unschedulable_pod_says_why() {
        let t = trouble(json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"},
        ]}))
        .unwrap();
        assert_eq!(
            (t.failing, t.reason.as_str(), t.message.as_str()),
            (true, "Unschedulable", "0/3 nodes are available")
        );
    }

    #[test]
    fn what_wont_run_without_help_is_worse_than_what_may() {
        let t = trouble(json!({"containerStatuses": [
            {"state": {"waiting": {"reason": "ImagePullBackOff"}}},
            {"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
        ]}))
        .unwrap();
        assert_eq!(t.reason, "ImagePullBackOff");
    }

    #[test]
    fn old_pods_are_not_counted_as_ready_in_a_rollout() {
        let of =
            |replicas, updated, ready| DeploymentFacts { replicas, updated, ready, ..Default::default() };
        assert_eq!(of(3, 1, 2).ready_of_newest(), 0);
        assert_eq!(of(3, 2, 3).ready_of_newest(), 2);
        assert_eq!(of(2, 2, 2).ready_of_newest(), 2);
        assert_eq!(of(0, 0, 0).ready_of_newest(), 0);
    }

    #[test]
    fn a_deployment_without_a_status_has_not_been_observed() {
        let facts = DeploymentFacts::of(&json!({"metadata": {"generation": 1}}));
        assert_eq!(facts, DeploymentFacts::default());
        assert!(
            DeploymentFacts::of(&json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2}}))
                .observed
        );
    }
}
