//! Conditions by the Kubernetes API conventions: a map by type, whose `lastTransitionTime` moves only
//! when the status does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Of an agent: it serves all that is wanted of it.
pub const READY: &str = "Ready";
/// Of an agent: everything that is wanted has a cluster.
pub const PLACED: &str = "Placed";
/// Of an agent: every cluster with a share has taken the current order up.
pub const SYNCED: &str = "Synced";
/// Of an agent: every cluster with a share has its API key. Only agents that name one have this condition.
pub const CREDENTIALS_READY: &str = "CredentialsReady";
/// Of an agent: it is on its way to what is wanted.
pub const PROGRESSING: &str = "Progressing";
/// Of an agent: it stopped short of what is wanted.
pub const DEGRADED: &str = "Degraded";
/// Of an agent: nobody calls it, so that it has no replicas. Only an agent that may go to zero has it.
pub const IDLE: &str = "Idle";

/// Of a cluster: its administrator wants it in the fleet, and it is the one that was accepted.
pub const ACCEPTED: &str = "Accepted";
/// Of a cluster: its member has a session.
pub const CONNECTED: &str = "Connected";
/// Of a cluster: nodes there are ready.
pub const HEALTHY: &str = "Healthy";
/// Of a cluster: its member's certificate has not ended. Only clusters whose member has one have this condition.
pub const CERTIFICATE_VALID: &str = "CertificateValid";
/// Of a cluster: removals are held until an administrator approves them.
pub const PRUNE_BLOCKED: &str = "PruneBlocked";

/// A condition as it should be; [`merge`] gives it its transition time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The condition's type, in CamelCase.
    pub type_: &'static str,
    /// `Some(true)` is "True", `Some(false)` "False", `None` "Unknown".
    pub status: Option<bool>,
    /// A CamelCase word for programs.
    pub reason: String,
    /// A sentence for people; it may be empty.
    pub message: String,
}

/// The text of a condition's status.
#[must_use]
pub fn status_text(status: Option<bool>) -> &'static str {
    match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

/// The condition of a type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// What a condition's status says: `None` is "Unknown".
#[must_use]
pub fn truth(condition: &Condition) -> Option<bool> {
    match condition.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// The new list of conditions, in the order wanted: a condition whose status stays keeps its transition
/// time. Types that are not wanted are dropped.
#[must_use]
pub fn merge(
    current: &[Condition],
    wanted: &[Wanted],
    observed_generation: i64,
    now: &Time,
) -> Vec<Condition> {
    wanted
        .iter()
        .map(|w| {
            let status = status_text(w.status);
            let since = current.iter().find(|c| c.type_ == w.type_ && c.status == status);
            Condition {
                type_: w.type_.to_owned(),
                status: status.to_owned(),
                reason: w.reason.clone(),
                message: w.message.clone(),
                observed_generation: Some(observed_generation),
                last_transition_time: since.map_or_else(|| now.clone(), |c| c.last_transition_time.clone()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wanted(type_: &'static str, status: Option<bool>, reason: &str) -> Wanted {
        Wanted { type_, status, reason: reason.to_owned(), message: String::new() }
    }

    fn time(text: &str) -> Time {
        Time(text.parse().unwrap())
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let (first, later) = (time("2026-11-23T05:00:00Z"), time("2026-11-23T06:00:00Z"));
        let current = merge(&[], &[wanted("Ready", Some(false), "Starting")], 1, &first);
        assert_eq!(current[0].last_transition_time, first);

        let same = merge(&current, &[wanted("Ready", Some(false), "Crashing")], 2, &later);
        assert_eq!((same[0].reason.as_str(), same[0].observed_generation), ("Crashing", Some(2)));
        assert_eq!(same[0].last_transition_time, first);

        let moved = merge(&same, &[wanted("Ready", None, "Unreachable")], 2, &later);
        assert_eq!((moved[0].status.as_str(), &moved[0].last_transition_time), ("Unknown", &later));
    }

    #[test]
    fn what_is_not_wanted_goes_and_the_order_is_the_wanted_one() {
        let now = time("2026-11-23T05:00:00Z");
        let current =
            merge(&[], &[wanted("Old", Some(true), "X"), wanted("Ready", Some(true), "X")], 1, &now);
        let next =
            merge(&current, &[wanted("Ready", Some(true), "X"), wanted("Placed", Some(true), "X")], 1, &now);
        let types: Vec<&str> = next.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(types, ["Ready", "Placed"]);
    }
}
