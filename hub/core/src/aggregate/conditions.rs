//! The conditions of an agent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use parallax_crds::ParallaxAgentStatus;
use parallax_crds::agent::{RolloutState, RolloutStatus};
use parallax_crds::conditions::{
    CREDENTIALS_READY, DEGRADED, IDLE, PLACED, PROGRESSING, READY, SYNCED, Wanted, find, truth,
};

use super::AggregateInput;
use super::row::{Row, Unsynced};
use super::text::{first_line, word};
use crate::phase::Movement;
use crate::placement::Coverage;
use crate::scaling::start;

/// The reason of `Progressing=False` when nothing has changed for too long.
pub const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
const UNREACHABLE: &str = "ClusterUnreachable";
const SUSPENDED: &str = "ClusterSuspended";
const NO_ORDERS: &str = "the cluster is suspended, so that the current order waits for its resumption";
const ASLEEP: &str = "nobody calls it, so that it has no replicas; a request wakes it";
const HALTED: &str = "RolloutHalted";
const PROGRESS: &str = "Progressing";
const TERMINATING: &str = "Terminating";

/// What the conditions speak of.
pub(super) struct Facts<'a> {
    pub(super) input: &'a AggregateInput<'a>,
    pub(super) previous: Option<&'a ParallaxAgentStatus>,
    pub(super) movement: Movement,
    pub(super) desired: i32,
    /// Ready at the current generation.
    pub(super) ready: i32,
    /// Something is ready, of whatever generation.
    pub(super) serves: bool,
    /// How far a change is on its way through the waves.
    pub(super) rollout: Option<&'a RolloutStatus>,
    /// The clusters with a share, the worst first.
    pub(super) targets: &'a [Row<'a>],
    /// The clusters within sight that have more than their share until the replicas that replace it are ready.
    pub(super) leaving: &'a [Row<'a>],
}

/// A status, a reason and a message.
type Saying = (Option<bool>, String, String);

impl Facts<'_> {
    /// All of them, in the order in which they are listed.
    pub(super) fn conditions(&self) -> Vec<Wanted> {
        let placed = self.placed();
        let ready = self.ready(&placed);
        let sayings = [
            (READY, ready.clone()),
            (PLACED, placed.clone()),
            (SYNCED, self.synced()),
            (PROGRESSING, self.progressing(&placed)),
            (DEGRADED, self.degraded(ready)),
        ];
        let credentials = self.credentials().map(|saying| (CREDENTIALS_READY, saying));
        let idle = self.may_sleep().then(|| (IDLE, self.idle()));
        sayings
            .into_iter()
            .chain(credentials)
            .chain(idle)
            .map(|(type_, (status, reason, message))| Wanted { type_, status, reason, message })
            .collect()
    }

    fn ready(&self, placed: &Saying) -> Saying {
        if self.input.deleting {
            return saying(Some(false), TERMINATING, "the agent is being deleted");
        }
        match self.movement {
            Movement::Settled if self.input.spec.suspend => {
                saying(Some(true), "Suspended", "no replicas are wanted while spec.suspend is true")
            }
            Movement::Settled if self.is_idle() => saying(Some(true), "Idle", ASLEEP),
            Movement::Settled if self.desired == 0 => {
                saying(Some(true), "NoReplicasWanted", "spec.replicas is 0")
            }
            Movement::Settled => saying(Some(true), "AllReplicasReady", are_ready(self.ready, self.desired)),
            Movement::Unreachable => saying(None, UNREACHABLE, self.lost_sessions()),
            Movement::Held => self.held().unwrap_or_else(|| self.shortfall(placed)),
            Movement::Moving | Movement::AllFailed | Movement::DeadlineOver => self.shortfall(placed),
        }
    }

    /// Why not everything is ready: the worst of it.
    fn shortfall(&self, placed: &Saying) -> Saying {
        if let Some(error) = self.input.unresolved {
            return saying(Some(false), "InvalidSpec", error.to_string());
        }
        let Some(worst) = self.targets.first().filter(|row| !row.is_ready()) else {
            return (Some(false), placed.1.clone(), placed.2.clone());
        };
        let (reason, message) = complaint(worst);
        saying(Some(false), reason, message)
    }

    fn lost_sessions(&self) -> String {
        let mut lost = self.targets.iter().filter(|row| !row.is_fresh());
        let first = lost.next().map_or("its cluster", |row| row.name);
        match lost.count() {
            0 => format!("{first}: the session is lost, so that nobody knows what is ready there"),
            more => {
                format!(
                    "{first} and {more} more: the sessions are lost, so that nobody knows what is ready there"
                )
            }
        }
    }

    fn placed(&self) -> Saying {
        let Some(explanation) = self.input.explanation else {
            return self.before(PLACED).map_or_else(
                || saying(None, "Undecided", "no placement has been decided yet"),
                |c| (truth(c), c.reason.clone(), c.message.clone()),
            );
        };
        let (status, reason) = match explanation.coverage() {
            Coverage::Whole => (true, "Placed"),
            Coverage::Partly => (false, "PartlyPlaced"),
            Coverage::Unsatisfied => (false, "Unsatisfied"),
            Coverage::Nowhere => (false, "NoClusterFits"),
        };
        saying(Some(status), reason, explanation.summary())
    }

    fn synced(&self) -> Saying {
        if self.input.deleting {
            return saying(None, TERMINATING, "the agent is being deleted");
        }
        if let Some(error) = self.input.unresolved {
            return saying(Some(false), "InvalidSpec", error.to_string());
        }
        let all = self.targets.len();
        let worst = self
            .targets
            .iter()
            .filter_map(|row| Some((row.unsynced?, row.name, row)))
            .min_by(|(a, a_name, _), (b, b_name, _)| (a, a_name).cmp(&(b, b_name)));
        match worst {
            None if all == 0 => saying(None, "NotPlaced", "there is no cluster to send an order to"),
            None => saying(Some(true), "Synced", format!("{} the current order", have(all, all))),
            Some((Unsynced::Unreachable, name, _)) => saying(
                Some(false),
                UNREACHABLE,
                format!("{name}: the session is lost, so that the current order waits for it"),
            ),
            Some((Unsynced::Suspended, name, _)) => saying(Some(false), SUSPENDED, about(name, NO_ORDERS)),
            Some((Unsynced::Dispatching, ..)) => {
                let done = self.targets.iter().filter(|row| row.unsynced.is_none()).count();
                saying(None, "Dispatching", format!("{} the current order", have(done, all)))
            }
            Some((unsynced @ (Unsynced::Rejected | Unsynced::Blocked | Unsynced::Waiting), name, row)) => {
                let fallback = if unsynced == Unsynced::Rejected { "Rejected" } else { "Waiting" };
                let reason = if row.reason.is_empty() { fallback } else { row.reason };
                saying(Some(false), reason, about(name, row.message))
            }
        }
    }

    /// Whether its clusters have its API key; none where it needs none.
    fn credentials(&self) -> Option<Saying> {
        self.input.spec.runtime.credentials.as_ref()?;
        if self.input.deleting {
            return Some(saying(None, TERMINATING, "the agent is being deleted"));
        }
        let said = || self.targets.iter().filter_map(|row| Some((row.name, row.credentials?)));
        let missing = said().filter(|(_, said)| !said.ready).min_by_key(|(name, _)| *name);
        if let Some((name, said)) = missing {
            let reason = word(&said.reason).unwrap_or("Missing");
            return Some(saying(Some(false), reason, about(name, &said.message)));
        }
        let (all, there) = (self.targets.len(), said().count());
        if all == 0 {
            return Some(saying(None, "NotPlaced", "no cluster is to run it"));
        }
        let clusters = if all == 1 { "cluster has" } else { "clusters have" };
        let message = format!("{there} of {all} {clusters} the key");
        if there == all {
            return Some(saying(Some(true), "Found", message));
        }
        // A hub that has just started knows no better than the one before, of those that it hasn't heard from.
        let unheard = self.targets.iter().any(|row| row.credentials.is_none() && row.unsynced.is_none());
        let before = self.before(CREDENTIALS_READY).filter(|before| {
            unheard
                && before.observed_generation == Some(self.input.generation)
                && (there == 0 || truth(before) == Some(true))
        });
        Some(before.map_or_else(
            || saying(None, "Unreported", message),
            |c| (truth(c), c.reason.clone(), c.message.clone()),
        ))
    }

    fn progressing(&self, placed: &Saying) -> Saying {
        if self.input.deleting {
            return saying(Some(true), TERMINATING, "its clusters are letting go of it");
        }
        let stopped = !matches!(self.movement, Movement::Settled | Movement::Moving | Movement::Unreachable);
        if let Some(held) = self.held().filter(|_| stopped) {
            return held;
        }
        match self.movement {
            Movement::Settled => saying(Some(false), "Settled", "everything is as wanted"),
            Movement::Moving | Movement::Held => self.waits_for_help(placed).unwrap_or_else(|| {
                saying(
                    Some(true),
                    PROGRESS,
                    format!(
                        "{} at the current generation{}{}{}",
                        are_ready(self.ready, self.desired),
                        self.meanwhile(),
                        self.stay(),
                        self.on_its_way()
                    ),
                )
            }),
            Movement::AllFailed => saying(
                Some(false),
                "AllFailed",
                "every cluster that lags has failed, so that it waits for help",
            ),
            Movement::DeadlineOver => saying(
                Some(false),
                DEADLINE_EXCEEDED,
                format!("nothing ready has changed for {} s{}", self.input.deadline.as_secs(), self.stay()),
            ),
            Movement::Unreachable => saying(None, UNREACHABLE, self.lost_sessions()),
        }
    }

    /// What it lacks doesn't come by itself: a spec that can be sent, or a cluster for replicas that have none, when
    /// all the others are ready.
    fn waits_for_help(&self, placed: &Saying) -> Option<Saying> {
        if let Some(error) = self.input.unresolved {
            return Some(saying(Some(false), "InvalidSpec", error.to_string()));
        }
        let unplaced = placed.0 == Some(false) && self.targets.iter().all(Row::is_ready);
        unplaced.then(|| placed.clone())
    }

    fn degraded(&self, ready: Saying) -> Saying {
        let halted = self.held().filter(|(_, reason, _)| reason == HALTED);
        match (self.movement, halted) {
            _ if self.input.deleting => saying(Some(false), TERMINATING, "the agent is being deleted"),
            (_, Some((_, reason, message))) => (Some(true), reason, message),
            (Movement::AllFailed | Movement::DeadlineOver, None) => {
                let missing = format!("{}{}", are_ready(self.ready, self.desired), self.meanwhile());
                let message = if ready.2.is_empty() { missing } else { format!("{missing}; {}", ready.2) };
                (Some(true), ready.1, message)
            }
            (Movement::Unreachable, None) => (None, ready.1, ready.2),
            (Movement::Settled | Movement::Moving | Movement::Held, None) => {
                saying(Some(false), "NotDegraded", "it has not stopped short of what is wanted")
            }
        }
    }

    /// What a rollout waits for that doesn't go on by itself.
    fn held(&self) -> Option<Saying> {
        let rollout = self.rollout.filter(|rollout| rollout.state.is_held())?;
        let reason = match rollout.state {
            RolloutState::WaitingForApproval => "WaitingForApproval",
            RolloutState::Paused => "RolloutPaused",
            _ => HALTED,
        };
        Some(saying(Some(false), reason, rollout.message.clone().unwrap_or_default()))
    }

    /// How far a rollout is.
    fn on_its_way(&self) -> String {
        let unfinished = self.rollout.filter(|rollout| rollout.state != RolloutState::Complete);
        let message = unfinished.and_then(|rollout| rollout.message.as_ref());
        message.map(|message| format!("; {message}")).unwrap_or_default()
    }

    fn may_sleep(&self) -> bool {
        self.input.spec.scaling.is_some_and(|scaling| scaling.sleep().is_some())
    }

    /// No replicas are wanted, though some are ordered.
    fn is_idle(&self) -> bool {
        self.may_sleep() && self.desired == 0 && !self.input.spec.suspend && start(self.input.spec) > 0
    }

    fn idle(&self) -> Saying {
        match self.movement {
            _ if self.input.deleting => saying(Some(false), TERMINATING, "the agent is being deleted"),
            Movement::Unreachable => saying(None, UNREACHABLE, self.lost_sessions()),
            _ if self.is_idle() => saying(Some(true), "NobodyCalls", ASLEEP),
            _ => saying(Some(false), "Awake", ""),
        }
    }

    /// Nothing of the current generation is ready, and yet it isn't down.
    fn meanwhile(&self) -> &'static str {
        if self.ready == 0 && self.serves { ", while earlier ones serve" } else { "" }
    }

    /// What is in the middle of a move, and what for.
    fn stay(&self) -> String {
        let staying: i32 = self.leaving.iter().map(|row| row.leaving).fold(0, i32::saturating_add);
        let names: Vec<_> = self.leaving.iter().map(|row| row.name).collect();
        let Some((first, more)) = names.split_first() else { return String::new() };
        let clusters = match more.len() {
            0 => (*first).to_owned(),
            more => format!("{first} and {more} more"),
        };
        let lacks = |row: &&Row<'_>| row.leaving == 0 && !row.is_ready();
        let lacking = self
            .targets
            .iter()
            .find(lacks)
            .map(|row| format!(" (in {}, {} of {} are)", row.name, row.ready, row.wanted.unwrap_or(0)));
        let stay = if staying == 1 { "replica stays" } else { "replicas stay" };
        format!(
            "; {staying} {stay} in {clusters} until as many are ready elsewhere{}",
            lacking.unwrap_or_default()
        )
    }

    fn before(&self, type_: &str) -> Option<&Condition> {
        find(&self.previous?.conditions, type_)
    }
}

fn saying(status: Option<bool>, reason: &str, message: impl Into<String>) -> Saying {
    (status, reason.to_owned(), message.into())
}

/// What a row that isn't ready says.
fn complaint<'a>(row: &Row<'a>) -> (&'a str, String) {
    if !row.is_fresh() {
        let message = "the session is lost, so that what is ready there isn't counted";
        return (UNREACHABLE, about(row.name, message));
    }
    let (reason, otherwise) = match row.unsynced {
        Some(Unsynced::Suspended) => (SUSPENDED, NO_ORDERS.to_owned()),
        Some(Unsynced::Dispatching) => ("Dispatching", "the current order is on its way".to_owned()),
        _ => (PROGRESS, are_ready(row.ready, row.wanted.unwrap_or(0))),
    };
    let reason = if row.reason.is_empty() { reason } else { row.reason };
    (reason, about(row.name, if row.message.trim().is_empty() { &otherwise } else { row.message }))
}

fn about(cluster: &str, message: &str) -> String {
    first_line(message).map_or_else(|| cluster.to_owned(), |line| format!("{cluster}: {line}"))
}

fn have(some: usize, all: usize) -> String {
    format!("{some} of {all} {} persisted", if all == 1 { "cluster has" } else { "clusters have" })
}

fn are_ready(ready: i32, desired: i32) -> String {
    let are = if desired == 1 { "replica is" } else { "replicas are" };
    format!("{ready} of {desired} {are} ready")
}
