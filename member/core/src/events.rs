//! What an agent's user is told of as it happens.

use parallax_crds::Phase;
use parallax_crds::link::{AgentReport, MemberEvent};

/// The event that the step from one report to the next is worth. What was so already when the member
/// started is not worth one.
#[must_use]
pub fn transition(old: Option<&AgentReport>, new: &AgentReport) -> Option<MemberEvent> {
    let old = old.filter(|o| o.agent == new.agent)?;
    let event = |warning, reason: &str, message: String| {
        Some(MemberEvent { agent: new.agent.clone(), warning, reason: reason.to_owned(), message })
    };
    if !new.synced && (old.synced || old.reason != new.reason) && new.phase != Phase::Terminating {
        // Taking the predecessor away is a step on the way, not a fault.
        return event(new.reason != "ReplacingPredecessor", &new.reason, new.message.clone());
    }
    if new.phase == Phase::Failed && (old.phase != Phase::Failed || old.reason != new.reason) {
        let colon = if new.message.is_empty() { "" } else { ": " };
        return event(true, "PodFailed", format!("{}{colon}{}", new.reason, new.message));
    }
    if new.phase == Phase::Running
        && (old.phase != Phase::Running || old.hash != new.hash)
        && new.reason.is_empty()
    {
        return event(false, "RolledOut", format!("{} of {} replicas are ready", new.ready, new.desired));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use parallax_crds::{AgentKey, AgentRef, Incarnation};

    fn report(phase: Phase, synced: bool, reason: &str) -> AgentReport {
        AgentReport {
            agent: AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u") },
            hash: None,
            phase,
            desired: 2,
            replicas: 2,
            ready: 2,
            synced,
            reason: reason.into(),
            message: "why".into(),
            traceparent: None,
        }
    }

    fn told(old: &AgentReport, new: &AgentReport) -> Option<(bool, String, String)> {
        transition(Some(old), new).map(|e| (e.warning, e.reason, e.message))
    }

    #[test]
    fn what_was_so_at_the_start_is_not_told() {
        assert_eq!(transition(None, &report(Phase::Failed, true, "CrashLoopBackOff")), None);
    }

    #[test]
    fn a_rollout_a_failure_and_a_conflict_are_told_once() {
        let pending = report(Phase::Pending, true, "Progressing");
        let running = report(Phase::Running, true, "");
        let failed = report(Phase::Failed, true, "ImagePullBackOff");
        let conflict = report(Phase::Pending, false, "NameConflict");
        assert_eq!(
            told(&pending, &running),
            Some((false, "RolledOut".into(), "2 of 2 replicas are ready".into()))
        );
        assert_eq!(told(&pending, &failed), Some((true, "PodFailed".into(), "ImagePullBackOff: why".into())));
        assert_eq!(told(&pending, &conflict), Some((true, "NameConflict".into(), "why".into())));
        for same in [&running, &failed, &conflict] {
            assert_eq!(told(same, same), None);
        }
    }
}
