//! What is read off a live Deployment.

use parallax_crds::labels::INCARNATION;
use parallax_crds::{Incarnation, SpecHash};
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
