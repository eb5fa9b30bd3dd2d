//! Conditions by the Kubernetes API conventions: a map by type, whose `lastTransitionTime` moves only
//! when the status does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

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
