//! Makes the cluster's objects what an assignment orders: validate → build → compare → apply.

mod credentials;
mod one;
mod predecessor;
mod replicas;
mod requests;
mod stubborn;
mod unwanted;
mod verdict;
mod ways;

use std::time::Instant;

use parallax_crds::link::MemberEvent;
use parallax_member_core::credentials::Held;
use parallax_member_core::needs::needs;
use parallax_member_core::sync::Cause;
use parallax_member_core::{ChildKind, Site, Sync, Valid, build, validate};
use parallax_platform::Stage;
use tracing::Instrument as _;

use self::credentials::Key;
pub use self::stubborn::Stubborn;
use self::verdict::Made;
use super::Agents;
use super::persist::Then;
use crate::queue::Turn;
use crate::store::{Assignment, Versioned as _};

/// How far an assignment came.
struct Brought {
    /// What became of it; none when it goes on in another turn.
    verdict: Option<(Sync, Then)>,
    /// The Deployment was written, for pods to come.
    written: bool,
}

impl Agents {
    /// Brings the objects of an assignment to what it orders, as far as that goes now and the turn may last.
    pub(super) async fn apply(&self, assignment: &Assignment, turn: &mut Turn) -> Then {
        let stage = self.stage(Stage::AssignmentApply, &assignment.agent.key, assignment.traceparent());
        let Brought { verdict, written } =
            self.bring_about(assignment, turn).instrument(stage.span().clone()).await;
        let key = &assignment.agent.key;
        let missing = self.needs.look(key, needs(&assignment.object.spec.template.runtime));
        if let Some(slot) = self.index.lock().slot_mut(key) {
            slot.missing = missing;
        }
        if written && let Some(slot) = self.index.lock().slot_mut(key) {
            slot.applied = Some(Instant::now());
        }
        let Some((sync, then)) = verdict else { return Then::Nothing };
        if let Some(slot) = self.index.lock().slot_mut(key) {
            if let Some(blocked) = sync.why_not()
                && slot.sync.as_ref().is_none_or(|(_, _, before)| *before != sync)
            {
                let (reason, message) = (blocked.cause.word(), &blocked.message);
                if blocked.cause.is_fault() {
                    tracing::warn!(agent = %key, reason, "not applied: {message}");
                } else {
                    tracing::info!(agent = %key, reason, "{message}");
                }
            }
            slot.sync = Some((assignment.uid().into(), assignment.generation(), sync));
        }
        self.refresh(key);
        then
    }

    async fn bring_about(&self, assignment: &Assignment, turn: &mut Turn) -> Brought {
        let Some(cluster) = self.cluster.get() else {
            let message = "this cluster has no name in a fleet yet; give the member a join token";
            return blocked(Cause::NotEnrolled, message);
        };
        let mut valid = match validate::assignment(&assignment.object, &self.settings.own_namespace) {
            Ok(valid) => valid,
            Err(rejection) => return blocked(Cause::Refused(rejection.reason), rejection.message),
        };
        let (standing, and_then) = self.stand(assignment, &valid).await;
        (valid.asleep, valid.led) = (standing.is_asleep(), standing.led);
        let Key { binding, mut held, mut then } = self.key(&valid).await;
        then = then.max(and_then);
        let has = |kind| self.index.lock().served.contains(&kind);
        let site = Site {
            cluster,
            control_plane_namespaces: &self.settings.control_plane_namespaces,
            scraper_namespaces: &self.settings.scraper_namespaces,
            system_namespace: &self.settings.own_namespace,
            pod_monitors: has(ChildKind::PodMonitor),
            service_exports: has(ChildKind::ServiceExport),
        };
        // Only then does it matter, and reading it costs time.
        let measured = valid.template.runtime.metrics_port().is_some();
        let live = measured.then(|| self.own_deployment(&valid)).flatten().map(|live| live.json());
        let desired = match build(&valid, site, binding.as_ref(), live.as_ref()) {
            Ok(desired) => desired,
            Err(error) => return blocked(Cause::InvalidTemplate, error.to_string()),
        };
        let (mut verdicts, mut written) = (Vec::new(), false);
        for (kind, desired) in desired.children() {
            let first = kind == ChildKind::Deployment;
            let handed_over = !first || self.is_handed_over(&valid);
            // Pods that go need no key.
            let mut made = if first
                && !valid.asleep
                && let Some(held) = &held
            {
                Made::Held(held.clone())
            } else if handed_over && self.is_right(kind, &valid, desired.as_ref()) {
                Made::Right { written: false }
            } else if first {
                self.deployment(&valid, desired).await
            } else if kind < ChildKind::Deployment || turn.may_linger() {
                self.child(kind, &valid, desired).await
            } else {
                // What is left follows in a turn that may last.
                break;
            };
            // A slice belongs to its Service.
            if kind == ChildKind::Service
                && matches!(made, Made::Right { .. })
                && let Err(failure) = self.lead(&valid, &standing).await
            {
                made = Made::Failed(failure);
            }
            match made {
                Made::Right { written: true } if first => {
                    written = !valid.asleep;
                    self.tell_applied(&valid);
                }
                // The other objects stay with the pods that there are.
                Made::Waiting(message) if first => return blocked(Cause::ReplacingPredecessor, message),
                _ => {}
            }
            if kind == ChildKind::PersistentVolumeClaim {
                held = held.or_else(|| self.without_claim(&valid, &made));
            }
            if matches!(made, Made::Right { .. }) {
                self.conflicts.end_one(kind, &valid.agent.key);
            }
            let (verdict, and_then) = made.verdict(kind, &valid.agent.key);
            verdicts.push((kind, verdict));
            then = then.max(and_then);
        }
        Brought { verdict: Sync::of(&verdicts).map(|sync| (sync, then)), written }
    }

    /// Why no pod may start while the claim was not made: an update would end the old pods, for new ones that can't run
    /// or that write into what is another's. A claim that couldn't be changed is no such reason.
    fn without_claim(&self, valid: &Valid<'_>, made: &Made) -> Option<Held> {
        let kind = ChildKind::PersistentVolumeClaim;
        let known = self.index.lock().child(&valid.agent.key, kind);
        let missing = matches!(made, Made::Taken | Made::Failed(_))
            && !known.is_some_and(|claim| claim.is_ours(valid.owner_uid));
        let name = kind.object_name(valid.agent.key.name());
        missing.then(|| Held {
            reason: "WorkspaceMissing",
            message: format!("the pods wait for PersistentVolumeClaim {name}"),
        })
    }

    fn tell_applied(&self, valid: &Valid<'_>) {
        let (reason, message) = if valid.asleep {
            ("Idle", "nobody calls it, so that its pods go; a request wakes it".to_owned())
        } else {
            ("Applied", format!("{} replicas of {} are ordered", valid.replicas, valid.template.image))
        };
        let event =
            MemberEvent { agent: valid.agent.clone(), warning: false, reason: reason.into(), message };
        self.uplink().tell(|link| link.event(event));
    }
}

fn blocked(cause: Cause, message: impl Into<String>) -> Brought {
    Brought { verdict: Some((Sync::blocked(cause, message), Then::Nothing)), written: false }
}

#[cfg(test)]
mod tests;
