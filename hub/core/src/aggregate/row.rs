//! One cluster's row: what it says, how bad that is, and how it is shown.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::Phase;
use parallax_crds::agent::{ClusterRow, Freshness};
use parallax_crds::link::{CredentialsReport, Outcome, Scale};

use super::text::{first_line, word};
use super::{AggregateInput, ClusterInput, Word};
use crate::phase::ClusterPhase;

/// The reason of a row whose replicas are about to leave.
const LEAVING: &str = "Leaving";
const AWAY: &str = "it is away: what it has beyond its share is judged when it is back";
const STAYS: &str =
    "what it has beyond its share stays until the replicas that replace it are ready elsewhere";

/// What keeps pods from running for good, though those of an earlier revision serve.
const HELPLESS: [&str; 8] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ProgressDeadlineExceeded",
];

/// How bad a row is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Failed,
    Unreachable,
    Stale,
    Waiting,
    Pending,
    Scaling,
    Behind,
    Withdrawing,
    Fine,
}

/// Why a cluster hasn't taken the current order up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsynced {
    Rejected,
    Blocked,
    Waiting,
    Unreachable,
    Suspended,
    Dispatching,
}

/// What is known of one cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) wanted: Option<i32>,
    /// Of these, those that leave as soon as the ones that replace them are ready.
    pub(super) leaving: i32,
    /// It has a share, so that not all of it leaves.
    pub(super) stays: bool,
    /// Its autoscaler may choose what is wanted.
    autoscaled: bool,
    pub(super) phase: Phase,
    pub(super) replicas: i32,
    pub(super) ready: i32,
    /// As `ready`, and those of earlier hashes with it.
    pub(super) serving: i32,
    pub(super) observed: Option<i64>,
    pub(super) freshness: Freshness,
    /// It runs the current generation.
    pub(super) current: bool,
    /// It isn't its turn yet: it was ordered an earlier revision.
    pub(super) waits: bool,
    /// Its session is up, and it hasn't told of the agent since the hub's start.
    pub(super) unheard: bool,
    pub(super) suspended: bool,
    /// Which wave of a rollout it belongs to, from 0.
    pub(super) wave: usize,
    /// It runs the current revision, or was ordered to.
    pub(super) has_it: bool,
    /// Only a change of the spec, or help, mends what the current generation does there.
    pub(super) fails: bool,
    /// Only a change of the spec, or help, can mend it.
    pub(super) failed: bool,
    pub(super) unsynced: Option<Unsynced>,
    /// CamelCase, or empty.
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    /// Whether the agent's API key is there, by its last word on the current order.
    pub(super) credentials: Option<&'a CredentialsReport>,
    /// Where the agent is reached there.
    endpoint: Option<&'a str>,
    reported: bool,
    last_reported: Option<Timestamp>,
}

impl<'a> Row<'a> {
    /// What is known of `cluster`; `shown` is its row in the previous status.
    pub(super) fn of(
        input: &AggregateInput<'a>,
        cluster: &ClusterInput<'a>,
        shown: Option<&'a ClusterRow>,
    ) -> Self {
        let mut row = Self::heard(cluster, shown);
        row.wanted = cluster.wanted.map(|scale| scale.with(chosen(input, cluster, shown, scale)));
        let persisted_zero = row.wanted == Some(0) && cluster.persisted == Some(true);
        row.current = row.observed == Some(input.generation) || persisted_zero;
        row.unsynced = unsynced(cluster, row.current || row.waits);
        // Where the order isn't the current one, the key may be another.
        row.credentials = row.credentials.filter(|_| row.unsynced.is_none_or(|u| u == Unsynced::Blocked));
        let mut rejected = false;
        if let Some(result) = cluster.result
            && matches!(result.outcome, Outcome::Rejected | Outcome::Waiting)
        {
            (row.reason, row.message) = (&result.reason, &result.message);
            if result.outcome == Outcome::Rejected {
                rejected = true;
                // Its last good version stays, with the phase that it has.
                row.phase = if row.serving > 0 { row.phase } else { Phase::Failed };
            }
        }
        if cluster.wanted.is_none() || input.deleting {
            row.phase = Phase::Terminating;
        }
        if row.leaving > 0 && row.wanted.is_some() && row.reason.is_empty() && !input.deleting {
            (row.reason, row.message) = (LEAVING, if row.is_fresh() { STAYS } else { AWAY });
        }
        row.failed = rejected || row.phase == Phase::Failed || input.unresolved.is_some();
        let short = row.wanted.is_some_and(|wanted| row.ready < wanted);
        let helpless = row.phase == Phase::Failed || HELPLESS.contains(&row.reason);
        row.fails = rejected || (row.current && short && helpless);
        row.reason = word(row.reason).unwrap_or_default();
        row
    }

    fn heard(cluster: &ClusterInput<'a>, shown: Option<&'a ClusterRow>) -> Self {
        let nothing = Self {
            name: cluster.name.as_str(),
            wanted: None,
            leaving: cluster.leaving,
            stays: cluster.stays,
            autoscaled: cluster.wanted.is_some_and(|scale| scale.bounds.is_some()),
            phase: Phase::Pending,
            replicas: 0,
            ready: 0,
            serving: 0,
            observed: None,
            freshness: cluster.freshness,
            current: false,
            waits: cluster.waits,
            unheard: matches!(cluster.word, Word::Unheard),
            suspended: cluster.suspended,
            wave: cluster.wave,
            has_it: cluster.has_it,
            fails: false,
            failed: false,
            unsynced: None,
            reason: "",
            message: "",
            credentials: None,
            endpoint: None,
            reported: false,
            last_reported: cluster.last_reported,
        };
        match (cluster.word, shown) {
            (Word::Report { report, generation }, _) => Self {
                phase: report.phase,
                replicas: report.replicas.max(0),
                ready: report.ready.max(0),
                serving: report.serving.max(0),
                observed: generation,
                reason: &report.reason,
                message: &report.message,
                credentials: report.credentials.as_ref(),
                endpoint: report.endpoint.as_deref(),
                reported: true,
                ..nothing
            },
            (Word::Unheard, Some(shown)) => Self {
                phase: shown.phase,
                replicas: shown.replicas,
                ready: shown.ready_replicas,
                serving: shown.ready_replicas.max(i32::from(serves(shown))),
                observed: shown.observed_generation,
                reason: shown.reason.as_deref().unwrap_or_default(),
                message: shown.message.as_deref().unwrap_or_default(),
                endpoint: shown.endpoint.as_deref(),
                ..nothing
            },
            (Word::Unheard, None) | (Word::Silent, _) => nothing,
        }
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.freshness == Freshness::Fresh
    }

    /// What the agent's phase is derived from; none while the agent is being withdrawn from the cluster.
    /// `halted`: a rollout doesn't count on what fails.
    pub(super) fn phase_facts(&self, halted: bool) -> Option<ClusterPhase> {
        Some(ClusterPhase {
            wanted: self.wanted?,
            ready: self.ready,
            serving: self.serving,
            current: self.current,
            waits: self.waits,
            failed: self.failed || (halted && self.fails),
            fresh: self.is_fresh(),
        })
    }

    /// Its share is ready, at the current generation, and it says so now.
    pub(super) fn is_ready(&self) -> bool {
        self.is_fresh() && self.current && self.wanted == Some(self.ready)
    }

    pub(super) fn severity(&self) -> Severity {
        match (self.freshness, self.phase) {
            _ if self.wanted.is_none() => Severity::Withdrawing,
            (Freshness::Unreachable, _) => Severity::Unreachable,
            (Freshness::Stale, _) => Severity::Stale,
            (Freshness::Fresh, _) if self.failed => Severity::Failed,
            (Freshness::Fresh, _) if self.unsynced.is_some_and(|u| u <= Unsynced::Waiting) => {
                Severity::Waiting
            }
            (Freshness::Fresh, _) if self.is_ready() => Severity::Fine,
            (Freshness::Fresh, Phase::Pending) => Severity::Pending,
            (Freshness::Fresh, Phase::Scaling) => Severity::Scaling,
            (Freshness::Fresh, _) => Severity::Behind,
        }
    }

    /// The row as the status shows it. Its time moves when a fresh row changes, or loses its freshness.
    pub(super) fn show(&self, shown: Option<&ClusterRow>, now: &Time) -> ClusterRow {
        let mut row = ClusterRow {
            name: self.name.to_owned(),
            phase: self.phase,
            desired_replicas: self.wanted.filter(|_| self.autoscaled),
            replicas: self.replicas,
            ready_replicas: self.ready,
            observed_generation: self.observed,
            freshness: self.freshness,
            endpoint: self.endpoint.map(str::to_owned),
            last_reported: shown.and_then(|shown| shown.last_reported.clone()),
            reason: (!self.reason.is_empty()).then(|| self.reason.to_owned()),
            message: first_line(self.message),
        };
        match shown {
            Some(shown) => {
                let was_fresh = shown.freshness == Freshness::Fresh;
                if row != *shown && (self.is_fresh() || was_fresh) {
                    row.last_reported = Some(now.clone());
                }
            }
            None if self.is_fresh() && self.reported => row.last_reported = Some(now.clone()),
            None => row.last_reported = self.last_reported.map(|at| Time(super::whole_seconds(at))),
        }
        row
    }
}

/// What the cluster's autoscaler has chosen, as far as its last word is about the present order.
fn chosen(
    input: &AggregateInput<'_>,
    cluster: &ClusterInput<'_>,
    shown: Option<&ClusterRow>,
    scale: Scale,
) -> Option<i32> {
    match (cluster.word, shown) {
        (Word::Report { report, .. }, _) => {
            let may_sleep = input.spec.scaling.is_some_and(|scaling| scaling.sleep().is_some());
            let may = |chosen: &i32| report.desired == scale.replicas && (*chosen > 0 || may_sleep);
            report.chosen.filter(may)
        }
        (Word::Unheard, Some(shown)) => {
            let of_this = cluster.waits || shown.observed_generation == Some(input.generation);
            shown.desired_replicas.filter(|_| of_this)
        }
        (Word::Unheard, None) | (Word::Silent, _) => None,
    }
}

/// Whether something is ready where this row was shown. It doesn't count pods of earlier hashes, but its phase tells of
/// them.
fn serves(shown: &ClusterRow) -> bool {
    shown.replicas > 0 && matches!(shown.phase, Phase::Running | Phase::Scaling)
}

fn unsynced(cluster: &ClusterInput<'_>, current: bool) -> Option<Unsynced> {
    cluster.wanted?;
    match cluster.result.map(|result| result.outcome) {
        Some(Outcome::Rejected) => return Some(Unsynced::Rejected),
        Some(Outcome::Waiting) => return Some(Unsynced::Waiting),
        Some(Outcome::Persisted | Outcome::Removing | Outcome::Gone) | None => {}
    }
    // Before anything is heard, what ran at the current generation counts as persisted.
    if !cluster.persisted.unwrap_or(current) {
        if cluster.suspended {
            return Some(Unsynced::Suspended);
        }
        let fresh = cluster.freshness == Freshness::Fresh;
        return Some(if fresh { Unsynced::Dispatching } else { Unsynced::Unreachable });
    }
    match cluster.word {
        Word::Report { report, .. } if !report.synced && !report.reason.is_empty() => Some(Unsynced::Blocked),
        _ => None,
    }
}
