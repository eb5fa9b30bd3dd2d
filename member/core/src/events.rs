//! What an agent's user is told of as it happens.

use parallax_crds::Phase;
use parallax_crds::link::{AgentReport, MemberEvent};

use crate::sync::Sync;

/// What stands before the first report on an agent that nothing was ever told of.
#[must_use]
pub fn beginning(first: &AgentReport) -> AgentReport {
    AgentReport { phase: Phase::Pending, synced: true, reason: String::new(), ..first.clone() }
}

/// The event that the step from one report to the next is worth; `sync` is what the new one was made of. What was so
/// already when the member started is not worth one.
#[must_use]
pub fn transition(old: Option<&AgentReport>, new: &AgentReport, sync: Option<&Sync>) -> Option<MemberEvent> {
    let old = old.filter(|o| o.agent == new.agent)?;
    let event = |warning, reason: &str, message: String| {
        Some(MemberEvent { agent: new.agent.clone(), warning, reason: reason.to_owned(), message })
    };
    if let Some(blocked) = sync.and_then(Sync::why_not)
        && (old.synced || old.reason != new.reason)
        && new.phase != Phase::Terminating
    {
        return event(blocked.cause.is_fault(), &new.reason, new.message.clone());
    }
    if fails(new) && (!fails(old) || old.reason != new.reason) {
        let colon = if new.message.is_empty() { "" } else { ": " };
        return event(true, "PodFailed", format!("{}{colon}{}", new.reason, new.message));
    }
    if new.phase == Phase::Running
        && (old.phase != Phase::Running || old.hash != new.hash)
        && new.reason.is_empty()
    {
        return event(false, "RolledOut", rolled_out(new));
    }
    None
}

fn rolled_out(report: &AgentReport) -> String {
    match (report.ready, report.chosen.unwrap_or(report.desired)) {
        (_, 0) => "no replicas are wanted".to_owned(),
        (1, 1) => "1 of 1 replica is ready".to_owned(),
        (ready, desired) => format!("{ready} of {desired} replicas are ready"),
    }
}

/// Pods fail, and none that is wanted is ready. While those of an earlier template serve, the agent hasn't failed, but
/// its update doesn't get through.
fn fails(report: &AgentReport) -> bool {
    let moving = matches!(report.phase, Phase::Scaling | Phase::Running);
    let trouble = report.synced && !matches!(report.reason.as_str(), "" | "Progressing");
    report.phase == Phase::Failed || (moving && trouble && report.ready == 0 && report.serving > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Cause;
    use crate::sync::tests::applied;
    use parallax_crds::fixtures;
    use parallax_crds::link::{Held, Scale};

    fn report(phase: Phase, synced: bool, reason: &str) -> AgentReport {
        let agent = fixtures::agent("team/writer", "u");
        let held = Held { scale: Scale::fixed(2), ..fixtures::held(&fixtures::order(agent)) };
        AgentReport { phase, synced, reason: reason.into(), message: "why".into(), ..fixtures::report(&held) }
    }

    fn told(old: &AgentReport, new: &AgentReport) -> Option<(bool, String, String)> {
        told_of(old, new, &applied())
    }

    fn told_of(old: &AgentReport, new: &AgentReport, sync: &Sync) -> Option<(bool, String, String)> {
        transition(Some(old), new, Some(sync)).map(|e| (e.warning, e.reason, e.message))
    }

    #[test]
    fn what_was_so_at_the_start_is_not_told() {
        assert_eq!(
            transition(None, &report(Phase::Failed, true, "CrashLoopBackOff"), Some(&applied())),
            None
        );
    }

    #[test]
    fn a_new_agent_whose_first_report_is_a_failure_is_told_of() {
        for (first, told_as) in [
            (report(Phase::Failed, true, "Unschedulable"), Some("PodFailed")),
            (report(Phase::Running, true, ""), Some("RolledOut")),
            (report(Phase::Pending, true, "Progressing"), None),
        ] {
            let event = told(&beginning(&first), &first).map(|(_, reason, _)| reason);
            assert_eq!(event.as_deref(), told_as);
        }
        let conflict = report(Phase::Pending, false, "NameConflict");
        let taken = Sync::blocked(Cause::NameConflict, "why");
        let event = told_of(&beginning(&conflict), &conflict, &taken).map(|(_, reason, _)| reason);
        assert_eq!(event.as_deref(), Some("NameConflict"));
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
        for (ready, desired, text) in [(1, 1, "1 of 1 replica is ready"), (3, 0, "no replicas are wanted")] {
            let running = AgentReport { ready, desired, ..running.clone() };
            assert_eq!(told(&pending, &running), Some((false, "RolledOut".into(), text.into())));
        }
        assert_eq!(told(&pending, &failed), Some((true, "PodFailed".into(), "ImagePullBackOff: why".into())));
        let taken = Sync::blocked(Cause::NameConflict, "why");
        assert_eq!(told_of(&pending, &conflict, &taken), Some((true, "NameConflict".into(), "why".into())));
        for same in [&running, &failed] {
            assert_eq!(told(same, same), None);
        }
        assert_eq!(told_of(&conflict, &conflict, &taken), None);
    }

    #[test]
    fn a_predecessor_on_its_way_out_is_no_warning() {
        let pending = report(Phase::Pending, true, "Progressing");
        let replacing = report(Phase::Pending, false, "ReplacingPredecessor");
        let step = Sync::blocked(Cause::ReplacingPredecessor, "why");
        assert_eq!(
            told_of(&pending, &replacing, &step),
            Some((false, "ReplacingPredecessor".into(), "why".into()))
        );
    }

    #[test]
    fn an_update_whose_pods_fail_is_told_of_while_the_old_ones_serve() {
        let updating = AgentReport { ready: 0, ..report(Phase::Scaling, true, "Progressing") };
        let failing = AgentReport { ready: 0, ..report(Phase::Scaling, true, "ImagePullBackOff") };
        let stuck = AgentReport { phase: Phase::Running, ..failing.clone() };
        assert_eq!(
            told(&updating, &failing),
            Some((true, "PodFailed".into(), "ImagePullBackOff: why".into()))
        );
        assert_eq!(told(&failing, &stuck), None, "once is enough");
        let partly = AgentReport { ready: 1, ..failing };
        assert_eq!(told(&updating, &partly), None, "some of the new ones are ready");
    }
}
