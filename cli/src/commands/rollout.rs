//! Changes on their way through the waves.

use parallax_crds::ParallaxAgent;
use parallax_crds::agent::{RolloutState, RolloutStatus, RolloutStrategy};
use parallax_crds::labels::{APPROVE, RESUME_ROLLOUT};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::{Form, answer, say, table};

/// How far the agent's last change is.
pub async fn status(hub: &Hub, name: &str, form: Form) -> Result<(), CliError> {
    let agent = hub.agent(name).await?;
    let rollout = under_way(&agent)?;
    answer(form, rollout, || text(&agent, rollout))
}

/// No more clusters get the change.
pub async fn pause(hub: &Hub, name: &str) -> Result<(), CliError> {
    let agent = hub.agent(name).await?;
    in_waves(&agent)?;
    hub.patch_agent(name, &json!({"spec": {"rollout": {"paused": true}}})).await?;
    say(&format!("the rollouts of {name} are paused"));
    Ok(())
}

/// The change goes on: after a pause, and past what has failed.
pub async fn resume(hub: &Hub, name: &str) -> Result<(), CliError> {
    let agent = hub.agent(name).await?;
    in_waves(&agent)?;
    let rollout = agent.status.as_ref().and_then(|status| status.rollout.as_ref());
    let halted = rollout.filter(|rollout| rollout.state == RolloutState::Halted);
    hub.patch_agent(name, &resumed(halted)).await?;
    say(&match halted {
        Some(rollout) => {
            format!("the rollout of {name} goes on past what has failed up to wave {}", rollout.wave)
        }
        None => format!("the rollouts of {name} go on"),
    });
    Ok(())
}

/// The wave that waits for it may begin.
pub async fn approve(hub: &Hub, name: &str) -> Result<(), CliError> {
    let agent = hub.agent(name).await?;
    let rollout = under_way(&agent)?;
    if rollout.state != RolloutState::WaitingForApproval {
        return Err(CliError::NothingToApprove(name.to_owned(), rollout.state));
    }
    hub.patch_agent(name, &json!({"metadata": {"annotations": {APPROVE: position(rollout)}}})).await?;
    say(&format!("wave {} of revision {} of {name} is approved", rollout.wave, rollout.revision));
    Ok(())
}

/// A merge patch: null in it would delete what is there.
fn resumed(halted: Option<&RolloutStatus>) -> Value {
    let mut patch = json!({"spec": {"rollout": {"paused": false}}});
    if let Some(rollout) = halted {
        patch["metadata"] = json!({"annotations": {RESUME_ROLLOUT: position(rollout)}});
    }
    patch
}

fn position(rollout: &RolloutStatus) -> String {
    format!("{}/{}", rollout.revision, rollout.wave)
}

fn in_waves(agent: &ParallaxAgent) -> Result<(), CliError> {
    let waves = |strategy| strategy == RolloutStrategy::Waves;
    if agent.spec.rollout.as_ref().is_some_and(|rollout| waves(rollout.strategy)) {
        return Ok(());
    }
    Err(CliError::NoWaves(agent.metadata.name.clone().unwrap_or_default()))
}

fn under_way(agent: &ParallaxAgent) -> Result<&RolloutStatus, CliError> {
    in_waves(agent)?;
    let rollout = agent.status.as_ref().and_then(|status| status.rollout.as_ref());
    rollout.ok_or_else(|| CliError::NoRollout(agent.metadata.name.clone().unwrap_or_default()))
}

fn text(agent: &ParallaxAgent, rollout: &RolloutStatus) -> String {
    let RolloutStatus { revision, from, wave, waves, state, since, updated, total, message, .. } = rollout;
    let complete = *state == RolloutState::Complete;
    let mut lines = vec![if complete {
        format!("revision {revision}: Complete since {}, in {total} clusters", since.0)
    } else {
        format!(
            "revision {revision}, after {from}: {state} since {}, in wave {wave} of {waves}, with {updated} of {total} clusters ready",
            since.0
        )
    }];
    lines.extend(message.clone());
    let turn = |name: &String| if complete || rollout.clusters.contains(name) { "come" } else { "waits" };
    let rows = agent.status.iter().flat_map(|status| &status.clusters).map(|row| {
        let reason = row.reason.clone().unwrap_or_default();
        let ready = format!("{}/{}", row.ready_replicas, row.replicas);
        [row.name.clone(), turn(&row.name).to_owned(), ready, row.phase.to_string(), reason]
    });
    lines.push(table(["CLUSTER", "TURN", "READY", "PHASE", "REASON"], rows));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn agent(rollout: &serde_json::Value) -> ParallaxAgent {
        let rows = json!([
            {"name": "a", "phase": "Scaling", "replicas": 2, "readyReplicas": 0, "freshness": "Fresh", "reason": "ImagePullBackOff"},
            {"name": "b", "phase": "Running", "replicas": 2, "readyReplicas": 2, "freshness": "Fresh"},
        ]);
        let spec =
            json!({"type": "claude", "rollout": {"strategy": "Waves", "waves": [{"clusterSelector": {}}]}});
        serde_json::from_value(json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent", "metadata": {"name": "x"},
            "spec": spec, "status": {"clusters": rows, "rollout": rollout},
        }))
        .unwrap()
    }

    #[test]
    fn a_halted_rollout_is_told_with_its_reason_and_whose_turn_it_is() {
        let agent = agent(&json!({
            "revision": 3, "from": 1, "fromGeneration": 4, "wave": 1, "waves": 2, "state": "Halted",
            "since": "2026-01-01T00:00:00Z", "updated": 0, "total": 2, "message": "a: ImagePullBackOff", "plan": "p",
            "clusters": ["a"],
        }));
        let rollout = under_way(&agent).unwrap();
        let text = text(&agent, rollout);
        assert!(
            text.starts_with("revision 3, after 1: Halted since 2026-01-01T00:00:00Z, in wave 1 of 2"),
            "{text}"
        );
        let words = |n: usize| text.lines().nth(n).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(1), ["a:", "ImagePullBackOff"]);
        assert_eq!(words(3), ["a", "come", "0/2", "Scaling", "ImagePullBackOff"]);
        assert_eq!(words(4), ["b", "waits", "2/2", "Running"]);
        assert_eq!(position(rollout), "3/1");
        let going_on = json!({"annotations": {RESUME_ROLLOUT: "3/1"}});
        assert_eq!(resumed(Some(rollout))["metadata"], going_on);
    }

    #[test]
    fn what_is_not_halted_is_resumed_without_a_word_on_annotations() {
        assert_eq!(resumed(None), json!({"spec": {"rollout": {"paused": false}}}));
    }

    #[test]
    fn what_has_no_waves_or_no_rollout_yet_is_told_so() {
        let mut agent = agent(&serde_json::Value::Null);
        assert!(matches!(under_way(&agent), Err(CliError::NoRollout(name)) if name == "x"));
        agent.spec.rollout = None;
        assert!(matches!(under_way(&agent), Err(CliError::NoWaves(name)) if name == "x"));
    }
}
