//! Who says how many replicas a Deployment has: the member or an autoscaler, one of them at a time.
//!
//! A count that server-side apply owns in one hand only is gone when that hand drops it, and the API server's default
//! of 1 takes its place. So the count goes through a third hand, [`HANDOVER_MANAGER`]: it sets the number to start from,
//! the member's own hand drops the field, and the autoscaler takes it with its first own choice. On the way back the
//! autoscaler goes first, and the member takes the field.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use parallax_crds::agent::{Bounds, ScalingTargets};
use parallax_crds::labels::MEMBER_MANAGER;
use serde_json::{Value, json};

use crate::validate::Valid;

/// The field manager that sets the number which an autoscaler begins with.
pub const HANDOVER_MANAGER: &str = "parallax-member-handover";

/// On a Deployment: the last [`Start`] that was applied.
pub const STARTED: &str = "parallax.io/replicas-started";

/// What a number of replicas was set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// `spec.replicas` of the agent.
    pub fleet: i32,
    /// The cluster's share of it.
    pub share: i32,
}

/// Text that isn't a [`Start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not FLEET/SHARE")]
pub struct InvalidStart;

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.fleet, self.share)
    }
}

impl FromStr for Start {
    type Err = InvalidStart;
    fn from_str(text: &str) -> Result<Self, InvalidStart> {
        let (fleet, share) = text.split_once('/').ok_or(InvalidStart)?;
        let number = |text: &str| text.parse().map_err(|_| InvalidStart);
        Ok(Self { fleet: number(fleet)?, share: number(share)? })
    }
}

/// Whose `spec.replicas` of a Deployment is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owners {
    /// The member applies it.
    pub member: bool,
    /// Somebody else applies or updates it: the hand-over's own hand, the autoscaler, a person.
    pub others: bool,
}

impl Owners {
    /// As an object's managed fields have it.
    #[must_use]
    pub fn of(fields: &[ManagedFieldsEntry]) -> Self {
        let mut owners = Self::default();
        for entry in fields {
            let has = |fields: &Value| fields["f:spec"].get("f:replicas").is_some();
            if entry.fields_v1.as_ref().is_some_and(|fields| has(&fields.0)) {
                let member = entry.manager.as_deref() == Some(MEMBER_MANAGER)
                    && entry.operation.as_deref() == Some("Apply")
                    && entry.subresource.as_deref().unwrap_or_default().is_empty();
                owners.member |= member;
                owners.others |= !member;
            }
        }
        owners
    }
}

/// What is known of a live Deployment's number of replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveCount {
    /// `spec.replicas`.
    pub replicas: i32,
    /// What it was last set for.
    pub started: Option<Start>,
    /// Whose it is.
    pub owners: Owners,
}

/// An agent whose load chooses the number of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoscaled {
    /// Between these.
    pub bounds: Bounds,
    /// By these.
    pub targets: ScalingTargets,
    /// Where the count starts.
    pub share: i32,
}

/// A number of replicas to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// So many.
    pub replicas: i32,
    /// It follows from the live number, so that another one must not be overwritten.
    pub from_live: bool,
}

impl Autoscaled {
    fn start(&self) -> Start {
        Start { fleet: self.bounds.start, share: self.share }
    }

    /// Whether the live number is the autoscaler's business: nothing of the order is still to be applied to it.
    #[must_use]
    pub fn has_begun(&self, live: &LiveCount) -> bool {
        live.started == Some(self.start())
    }

    /// The number to set before the autoscaler goes on, if there is one. A changed `spec.replicas` is applied as it is.
    /// When only the cluster's share of it has changed, a higher number that load has asked for stays.
    #[must_use]
    pub fn set(&self, live: &LiveCount) -> Option<Set> {
        // Autoscalers stand down at 0 and never come back by themselves.
        let stopped = live.replicas == 0;
        if self.has_begun(live) && live.owners.others && !stopped {
            return None;
        }
        let anew = live.owners.member
            || stopped
            || live.started.is_some_and(|started| started.fleet != self.bounds.start);
        let replicas = if anew { self.share } else { self.bounds.clamp(live.replicas).max(self.share) };
        Some(Set { replicas, from_live: !anew })
    }

    /// The body of the apply that sets it, under [`HANDOVER_MANAGER`], on the Deployment of that UID.
    #[must_use]
    pub fn body(&self, set: Set, assignment: &Valid<'_>, (uid, version): (&str, u64)) -> Value {
        let mut body = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "namespace": assignment.agent.key.namespace(),
                "name": assignment.agent.key.name(),
                "uid": uid,
                "annotations": { STARTED: self.start().to_string() },
            },
            "spec": { "replicas": set.replicas },
        });
        if set.from_live {
            body["metadata"]["resourceVersion"] = version.to_string().into();
        }
        body
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const MEMBER: Owners = Owners { member: true, others: false };
    const OTHERS: Owners = Owners { member: false, others: true };

    /// A share of 2 of 4 replicas, between 1 and 6.
    fn autoscaled() -> Autoscaled {
        let bounds = Bounds { min: 1, max: 6, start: 4 };
        Autoscaled { bounds, targets: ScalingTargets::default(), share: 2 }
    }

    fn live(replicas: i32, started: Option<(i32, i32)>, owners: Owners) -> LiveCount {
        let started = started.map(|(fleet, share)| Start { fleet, share });
        LiveCount { replicas, started, owners }
    }

    fn set(live: LiveCount) -> Option<(i32, bool)> {
        autoscaled().set(&live).map(|set| (set.replicas, set.from_live))
    }

    #[test]
    fn what_load_has_chosen_stays() {
        assert_eq!(set(live(5, Some((4, 2)), OTHERS)), None);
        assert_eq!(
            set(live(9, Some((4, 2)), OTHERS)),
            None,
            "bringing it within its bounds is the autoscaler's"
        );
    }

    #[test]
    fn the_member_hands_its_own_number_over() {
        assert_eq!(set(live(2, None, MEMBER)), Some((2, false)));
        assert_eq!(set(live(3, None, MEMBER)), Some((2, false)), "its order was another before");
        assert_eq!(set(live(2, Some((4, 2)), MEMBER)), Some((2, false)), "an earlier hand-over is over");
        let both = Owners { member: true, others: true };
        assert_eq!(set(live(2, Some((4, 2)), both)), None, "the member has only to drop it");
    }

    #[test]
    fn a_new_deployment_starts_with_its_share() {
        assert_eq!(set(live(1, None, Owners::default())), Some((2, true)));
    }

    #[test]
    fn changed_replicas_are_applied_and_a_moved_share_takes_nothing_away() {
        assert_eq!(set(live(5, Some((9, 2)), OTHERS)), Some((2, false)));
        assert_eq!(set(live(5, Some((4, 1)), OTHERS)), Some((5, true)));
        assert_eq!(set(live(1, Some((4, 1)), OTHERS)), Some((2, true)));
    }

    #[test]
    fn an_autoscaler_that_was_stopped_goes_on() {
        assert_eq!(set(live(0, Some((4, 2)), OTHERS)), Some((2, false)));
    }

    #[test]
    fn owners_are_read_off_managed_fields() {
        let entry = |manager: &str, operation: &str, subresource: &str, fields: Value| {
            json!({
                "manager": manager, "operation": operation, "subresource": subresource,
                "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields,
            })
        };
        let owners = |entries: Value| Owners::of(&serde_json::from_value::<Vec<_>>(entries).unwrap());
        let replicas = json!({ "f:spec": { "f:replicas": {} } });
        let other = json!({ "f:spec": { "f:template": {} } });
        assert_eq!(owners(json!([])), Owners::default());
        assert_eq!(owners(json!([entry(MEMBER_MANAGER, "Apply", "", other)])), Owners::default());
        assert_eq!(owners(json!([entry(MEMBER_MANAGER, "Apply", "", replicas.clone())])), MEMBER);
        for (manager, operation, subresource) in [
            ("kube-controller-manager", "Update", "scale"),
            (HANDOVER_MANAGER, "Apply", ""),
            (MEMBER_MANAGER, "Update", ""),
        ] {
            assert_eq!(owners(json!([entry(manager, operation, subresource, replicas.clone())])), OTHERS);
        }
    }

    proptest! {
        #[test]
        fn a_start_comes_back(fleet in 0..i32::MAX, share in 0..i32::MAX) {
            let start = Start { fleet, share };
            prop_assert_eq!(start.to_string().parse(), Ok(start));
        }

        #[test]
        fn other_text_is_no_start(text in "[0-9/a]{0,6}") {
            let parts: Vec<_> = text.split('/').map(str::parse::<i32>).collect();
            prop_assert_eq!(text.parse::<Start>().is_ok(), parts.len() == 2 && parts.iter().all(Result::is_ok));
        }

        #[test]
        fn once_it_is_set_and_dropped_it_is_left_alone(
            replicas in 0..20_i32,
            started in prop::option::of((0..6_i32, 0..6_i32)),
            member: bool,
            others: bool,
        ) {
            if let Some(set) = autoscaled().set(&live(replicas, started, Owners { member, others })) {
                prop_assert!(autoscaled().bounds.clamp(set.replicas) == set.replicas);
                let after = LiveCount { replicas: set.replicas, started: Some(autoscaled().start()), owners: OTHERS };
                prop_assert_eq!(autoscaled().set(&after), None);
            }
        }
    }
}
