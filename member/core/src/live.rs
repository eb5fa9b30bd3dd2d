//! What is read off live objects: only what decides or is told. The types leave out every other field, so
//! that a cache of them stays small.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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
    /// The state of each container that runs before the others.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// The state of each other container.
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
    /// It takes requests.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: i32,
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
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
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
                let reason = c.reason.as_deref()?;
                // Who closed the gate will open it.
                let failing = reason != "SchedulingGated";
                Some(Trouble::new(failing, reason, c.message.as_deref().unwrap_or_default()))
            });
        let whole = self
            .reason
            .as_deref()
            .map(|reason| Trouble::new(false, reason, self.message.as_deref().unwrap_or_default()));
        let all = self.init_container_statuses.iter().chain(&self.container_statuses);
        let containers = all.filter_map(ContainerStatus::trouble);
        containers.chain(unscheduled).chain(whole).max()
    }
}

/// The kubelet's words for a container that ends again and again, and for an image that can't be had.
const CRASH_LOOP: &str = "CrashLoopBackOff";
const NO_IMAGE: &str = "ImagePullBackOff";

/// A container that ran for longer does not make a crash loop when it ends: the kubelet's back-off begins anew then.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>
const BRIEF_SECONDS: i64 = 600;

impl ContainerStatus {
    /// What goes on for long is told in the same words throughout, though the kubelet's change with every try: an
    /// agent does not mend, and then fail again, because its container is being started once more.
    fn trouble(&self) -> Option<Trouble> {
        let last = self.last_state.get("terminated");
        if let Some(waiting) = self.state.get("waiting") {
            let reason = waiting.reason.as_deref()?;
            let message = waiting.message.as_deref().unwrap_or_default();
            return match reason {
                // Ordinary steps on the way up are no trouble.
                "ContainerCreating" | "PodInitializing" => None,
                CRASH_LOOP => {
                    let words = last.map_or_else(|| message.to_owned(), ContainerState::last_words);
                    Some(Trouble::new(true, CRASH_LOOP, &words))
                }
                "ErrImagePull" | NO_IMAGE => Some(Trouble::new(true, NO_IMAGE, cause(message))),
                _ => {
                    let failing = matches!(
                        reason,
                        "InvalidImageName"
                            | "ErrImageNeverPull"
                            | "CreateContainerConfigError"
                            | "CreateContainerError"
                            | "RunContainerError"
                    );
                    Some(Trouble::new(failing, reason, message))
                }
            };
        }
        let ended = self.state.get("terminated");
        let latest = ended.or(last)?;
        let ends = self.restart_count + i32::from(ended.is_some());
        if !self.ready && ends >= 2 && latest.was_brief() {
            return Some(Trouble::new(true, CRASH_LOOP, &latest.last_words()));
        }
        let ended = ended.filter(|state| state.exit_code != Some(0))?;
        Some(Trouble::new(false, ended.reason.as_deref().unwrap_or("Error"), &ended.last_words()))
    }
}

/// What went wrong, without the preamble of a kubelet that waits before it tries again.
fn cause(message: &str) -> &str {
    message.split_once(": ErrImagePull: ").map_or(message, |(_, cause)| cause)
}

impl ContainerState {
    /// What an ended container left as its message, or else how it ended.
    fn last_words(&self) -> String {
        if let Some(own) = self.message.as_deref().filter(|message| !message.trim().is_empty()) {
            return own.to_owned();
        }
        let code = self.exit_code.map(|code| format!("exit code {code}"));
        // "Error" says no more than that the code isn't 0.
        let reason = self.reason.clone().filter(|reason| reason != "Error");
        reason.into_iter().chain(code).collect::<Vec<_>>().join(", ")
    }

    fn was_brief(&self) -> bool {
        match (&self.started_at, &self.finished_at) {
            (Some(Time(started)), Some(Time(finished))) => {
                finished.duration_since(*started).as_secs() < BRIEF_SECONDS
            }
            _ => false,
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
            trouble(
                json!({"containerStatuses": [{"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]})
            ),
            None
        );
    }

    /// The one container of a pod, in a state and after an earlier end of this kind.
    fn container(state: &Value, last: &Value, restarts: i32, ready: bool) -> Option<Trouble> {
        let last = if last.is_null() { json!({}) } else { json!({"terminated": last}) };
        trouble(json!({"containerStatuses": [
            {"state": state, "lastState": last, "restartCount": restarts, "ready": ready},
        ]}))
    }

    /// The end of a container that ran for some minutes.
    fn ended(minutes: u32, message: &str) -> Value {
        json!({
            "exitCode": 1, "reason": "Error", "message": message,
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": format!("2026-01-01T00:{minutes:02}:00Z"),
        })
    }

    fn crash_loop(message: &str) -> Option<Trouble> {
        Some(Trouble { failing: true, reason: "CrashLoopBackOff".into(), message: message.into() })
    }

    #[test]
    fn a_crash_loop_tells_the_containers_last_words_in_each_of_its_steps() {
        let last = ended(1, "no API key\nsee the log");
        let waiting =
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}});
        let running = json!({"running": {"startedAt": "2026-01-01T00:02:00Z"}});
        for (state, restarts) in [(&waiting, 1), (&running, 2), (&json!({"terminated": last}), 2)] {
            assert_eq!(container(state, &last, restarts, false), crash_loop("no API key"), "{state}");
        }
    }

    #[test]
    fn a_crash_loop_without_last_words_tells_how_it_ends() {
        let waiting =
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting"}});
        assert_eq!(container(&waiting, &ended(1, ""), 1, false), crash_loop("exit code 1"));
        let killed = json!({"exitCode": 137, "reason": "OOMKilled"});
        assert_eq!(container(&waiting, &killed, 1, false), crash_loop("OOMKilled, exit code 137"));
        assert_eq!(container(&waiting, &Value::Null, 1, false), crash_loop("back-off 20s restarting"));
    }

    #[test]
    fn a_container_that_is_well_again_or_that_ran_for_long_is_in_no_crash_loop() {
        let running = json!({"running": {"startedAt": "2026-01-01T01:00:00Z"}});
        assert_eq!(container(&running, &ended(1, ""), 5, true), None, "it is ready");
        assert_eq!(container(&running, &ended(1, ""), 1, false), None, "it ended once");
        assert_eq!(container(&running, &ended(30, ""), 5, false), None, "it ran for half an hour");
        let first = container(&json!({"terminated": ended(1, "")}), &Value::Null, 0, false).unwrap();
        assert_eq!(
            (first.failing, first.reason.as_str(), first.message.as_str()),
            (false, "Error", "exit code 1")
        );
    }

    #[test]
    fn a_failed_pull_is_told_alike_while_it_is_tried_and_while_it_is_waited_for() {
        let told = |reason: &str, message: &str| {
            trouble(
                json!({"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}),
            )
        };
        let expected = Trouble {
            failing: true,
            reason: "ImagePullBackOff".into(),
            message: "failed to pull: no such host".into(),
        };
        assert_eq!(told("ErrImagePull", "failed to pull: no such host"), Some(expected.clone()));
        let waiting = "Back-off pulling image \"a:1\": ErrImagePull: failed to pull: no such host";
        assert_eq!(told("ImagePullBackOff", waiting), Some(expected));
    }

    #[test]
    fn an_init_container_may_end_well_and_not_badly() {
        let init =
            |state: Value| trouble(json!({"initContainerStatuses": [{"state": state, "ready": true}]}));
        assert_eq!(init(json!({"terminated": {"exitCode": 0, "reason": "Completed"}})), None);
        let failed = init(json!({"terminated": {"exitCode": 2, "reason": "Error"}})).unwrap();
        assert_eq!(failed.message, "exit code 2");
        assert!(init(json!({"waiting": {"reason": "CrashLoopBackOff"}})).unwrap().failing);
    }

    #[test]
    fn a_pod_behind_a_gate_waits_and_does_not_fail() {
        let gated = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"});
        let t = trouble(json!({"conditions": [gated]})).unwrap();
        assert_eq!((t.failing, t.reason.as_str()), (false, "SchedulingGated"));
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
