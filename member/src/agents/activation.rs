//! Where an agent stands between its pods and the activators: decided on what is known, written down, then acted upon.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use parallax_crds::activation::{Activation, ActivatorWord, Stage as Written};
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_member_core::activation::{
    self, Gate, Heard, Known, Listed, Stage, Standing, Ways, Word, standing,
};
use parallax_member_core::{ChildKind, Valid};
use serde_json::{Value, json};

use super::Agents;
use super::persist::Then;
use crate::failure::{Failure, within};
use crate::store::{Assignment, Index, Slot, Versioned as _};

/// Words of activators that are gone are struck out once there are so many: one that has only begun may not be listed
/// yet.
const STALE_WORDS: usize = 16;

impl Agents {
    /// Where the agent stands. What that changes for the activators has been written down by then: pods go or come only
    /// as they have been told. When it can't be written, all stays as it was.
    pub(super) async fn stand(&self, assignment: &Assignment, valid: &Valid<'_>) -> (Standing, Then) {
        let before = assignment.activation().map(gate);
        if before.is_none() && valid.sleep_delay().is_none() {
            return (apart(), Then::Nothing);
        }
        let now = now();
        let (mut standing, stale) = {
            let index = self.index.lock();
            let Some(slot) = index.slot(&valid.agent.key) else { return (apart(), Then::Nothing) };
            let activators = listed(assignment, index.activators.values().flatten());
            let known = Known {
                gate: before,
                delay: valid.sleep_delay(),
                activators: &activators,
                ways: ways(slot),
                pods: slot.pods().any(|pod| pod.staying && pod.incarnation == valid.agent.incarnation),
                wake: assignment.object.spec.wake,
            };
            (standing(&known, now), stale(assignment, &activators))
        };
        let mut then = Then::Nothing;
        if standing.gate != before || !stale.is_empty() {
            match self.write_down(assignment, standing.gate, &stale).await {
                Ok(()) => tell(&valid.agent.key, before, standing.gate),
                Err(failure) => {
                    tracing::info!(agent = %valid.agent.key, "its way to zero or back is not written down, and will be: {failure}");
                    standing.gate = before;
                    then = if failure.is_refusal() { Then::Late } else { Then::Retry };
                }
            }
        }
        if let Some(again) = standing.again {
            self.queue.add_after(&valid.agent.key, again.saturating_sub(now));
        }
        (standing, then)
    }

    /// On the version that was decided upon, so that of two members, or of two decisions, one counts.
    async fn write_down(
        &self,
        assignment: &Assignment,
        gate: Option<Gate>,
        stale: &[String],
    ) -> Result<(), Failure> {
        let struck: BTreeMap<&String, Value> = stale.iter().map(|address| (address, Value::Null)).collect();
        // Whoever listens for the agent again says so anew.
        let words = if gate.is_some() { json!(struck) } else { Value::Null };
        let body = json!({
            "metadata": { "uid": assignment.uid(), "resourceVersion": assignment.version().to_string() },
            "status": { "activation": gate.map(activation), "activators": words },
        });
        let key = &assignment.agent.key;
        let params = PatchParams { field_manager: Some(MEMBER_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.assignments(key);
        let object = within(api.patch_status(key.name(), &params, &Patch::Merge(&body))).await?;
        self.assignment_seen(object);
        Ok(())
    }
}

/// When the agent was last called, in seconds since the Unix epoch, as far as that is settled; `before` is what was known
/// before.
pub(super) fn last_called(assignment: &Assignment, before: Option<i64>) -> Option<i64> {
    let Some(activation) = assignment.activation() else { return before };
    let words = assignment.object.status.iter().flat_map(|status| status.activators.values()).map(said);
    let before = before.and_then(|at| u64::try_from(at).ok()).map(Duration::from_secs);
    let last = activation::last_called(before, gate(activation), words)?;
    i64::try_from(last.as_secs()).ok()
}

/// Somebody calls the agent.
pub(super) fn is_called(assignment: &Assignment, index: &Index) -> bool {
    assignment.activation().is_some()
        && listed(assignment, index.activators.values().flatten())
            .iter()
            .any(|one| matches!(one.heard, Heard::Word(word) if word.wanted))
}

/// No activator is in the way.
fn apart() -> Standing {
    Standing { gate: None, routes: Vec::new(), led: false, keep_ours: false, again: None }
}

fn tell(key: &parallax_crds::AgentKey, before: Option<Gate>, after: Option<Gate>) {
    let stage = |gate: Option<Gate>| gate.map(|gate| gate.stage);
    match (stage(before), stage(after)) {
        (_, Some(Stage::Closing)) => {
            tracing::info!(agent = %key, "idle: asking the activators to hold its requests");
        }
        (_, Some(Stage::Zero)) => tracing::info!(agent = %key, "idle: its pods go"),
        (Some(Stage::Zero), Some(Stage::Up)) => tracing::info!(agent = %key, "waking"),
        (Some(Stage::Closing), Some(Stage::Up)) => tracing::info!(agent = %key, "staying up"),
        (Some(_), None) => tracing::info!(agent = %key, "no activator is in the way to it any more"),
        _ => {}
    }
}

fn ways(slot: &Slot) -> Ways {
    let selects = slot.child(ChildKind::Service).live().is_some_and(|service| service.selects_pods());
    let mut ways = Ways { selects, ..Ways::default() };
    for (_, slice) in slot.slices() {
        ways.ours |= slice.ours && slice.ready;
        ways.foreign |= !slice.ours;
        ways.foreign_ready |= !slice.ours && slice.ready;
    }
    ways
}

fn listed<'a>(assignment: &Assignment, activators: impl Iterator<Item = &'a (IpAddr, bool)>) -> Vec<Listed> {
    let words = assignment.object.status.as_ref().map(|status| &status.activators);
    let listed = |(address, ready): &(IpAddr, bool)| {
        let word = words.and_then(|words| words.get(&address.to_string()));
        let port = word.and_then(|word| u16::try_from(word.port).ok());
        Listed { address: *address, ready: *ready, port, heard: word.map_or(Heard::Nothing, heard) }
    };
    let mut all: Vec<_> = activators.map(listed).collect();
    all.sort_unstable_by_key(|one| (one.address, !one.ready));
    all.dedup_by_key(|one| one.address);
    all
}

fn stale(assignment: &Assignment, activators: &[Listed]) -> Vec<String> {
    let words = assignment.object.status.as_ref().map(|status| status.activators.keys());
    let known = |name: &str| activators.iter().any(|one| one.address.to_string() == name);
    let stale: Vec<_> = words.into_iter().flatten().filter(|name| !known(name)).cloned().collect();
    if stale.len() > STALE_WORDS { stale } else { Vec::new() }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn heard(word: &ActivatorWord) -> Heard {
    Heard::Word(said(word))
}

fn said(word: &ActivatorWord) -> Word {
    let ActivatorWord { port: _, wanted, since, uncalled, closed } = word;
    Word { wanted: *wanted, since: since_epoch(since), uncalled: *uncalled, closed: *closed }
}

fn gate(activation: &Activation) -> Gate {
    let Activation { stage, serial, since, slept, woken } = activation;
    let stage = match stage {
        Written::Up => Stage::Up,
        Written::Closing => Stage::Closing,
        Written::Zero => Stage::Zero,
    };
    Gate { stage, serial: *serial, since: since_epoch(since), slept: *slept, woken: *woken }
}

fn activation(gate: Gate) -> Activation {
    let Gate { stage, serial, since, slept, woken } = gate;
    let stage = match stage {
        Stage::Up => Written::Up,
        Stage::Closing => Written::Closing,
        Stage::Zero => Written::Zero,
    };
    let since =
        Timestamp::from_second(i64::try_from(since.as_secs()).unwrap_or_default()).unwrap_or_default();
    Activation { stage, serial, since: Time(since), slept, woken }
}

fn since_epoch(time: &Time) -> Duration {
    Duration::from_secs(u64::try_from(time.0.as_second()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::activation::WakeUp;

    use super::*;

    fn assignment(words: usize) -> Assignment {
        let word = json!({"port": 4000, "wanted": false, "since": "2026-11-23T05:00:00Z", "closed": 3});
        let words: BTreeMap<String, Value> =
            (0..words).map(|n| (format!("10.0.0.{n}"), word.clone())).collect();
        let object = json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "AgentAssignment",
            "metadata": {"namespace": "team", "name": "writer"},
            "spec": {
                "agent": {"namespace": "team", "name": "writer", "incarnation": "u"}, "hub": "h", "hash": "",
                "replicas": 1, "template": {"type": "claude", "image": "i"},
            },
            "status": {"activators": words},
        });
        Assignment::new(serde_json::from_value(object).unwrap())
    }

    fn at(n: u8, ready: bool) -> (IpAddr, bool) {
        (IpAddr::from([10, 0, 0, n]), ready)
    }

    #[test]
    fn what_is_written_down_is_what_was_decided() {
        for stage in [Stage::Up, Stage::Closing, Stage::Zero] {
            let since = Duration::from_secs(1_800_000_000);
            let decided = Gate { stage, serial: 7, since, slept: 5, woken: WakeUp::asked_by("now") };
            assert_eq!(gate(&activation(decided)), decided);
        }
    }

    #[test]
    fn an_activator_in_two_slices_is_one_that_is_ready_in_either() {
        let known = [at(1, false), at(2, false), at(1, true)];
        let listed = listed(&assignment(2), known.iter());
        let seen: Vec<_> = listed.iter().map(|one| (one.ready, one.port)).collect();
        assert_eq!(seen, [(true, Some(4000)), (false, None)]);
        assert!(matches!(listed[0].heard, Heard::Word(Word { closed: Some(3), .. })));
        assert_eq!(listed[1].heard, Heard::Nothing);
    }

    #[test]
    fn words_of_those_that_are_gone_are_struck_out_once_there_are_many() {
        let (few, many) = (assignment(STALE_WORDS), assignment(STALE_WORDS + 2));
        assert!(stale(&few, &[]).is_empty());
        let listed = listed(&many, [at(1, true)].iter());
        let stale = stale(&many, &listed);
        assert!(stale.len() == STALE_WORDS + 1 && !stale.contains(&"10.0.0.1".to_owned()));
    }
}
