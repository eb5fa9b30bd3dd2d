//! The one truth about an agent in this cluster.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::agent::ScalingTargets;
use parallax_crds::assignment::AgentAssignmentStatus;
use parallax_crds::conditions::{self, Wanted};
use parallax_crds::link::{AgentReport, CredentialsReport, Scale};
use parallax_crds::{AgentRef, Phase, SpecHash};

use crate::live::{DeploymentFacts, PodFacts, Trouble};
use crate::needs::{self, Need};
use crate::replicas::Autoscaled;
use crate::sync::Sync;

/// What a report is made of.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Which agent.
    pub agent: &'a AgentRef,
    /// The hash of the order.
    pub hash: Option<SpecHash>,
    /// The replicas of the order.
    pub scale: Scale,
    /// What the load is measured by, where the scale has bounds.
    pub targets: ScalingTargets,
    /// It is idle, and its pods are to go.
    pub asleep: bool,
    /// The assignment is being deleted.
    pub deleting: bool,
    /// What became of its objects, when they were last looked at; none when they haven't been.
    pub sync: Option<&'a Sync>,
    /// The live Deployment of the agent's name.
    pub deployment: Option<&'a DeploymentFacts>,
    /// The live pods of the agent that are not ending.
    pub pods: &'a [&'a PodFacts],
    /// The hash that was last reported to run.
    pub previous: Option<SpecHash>,
    /// Whether its API key is there; none when it needs none.
    pub credentials: Option<&'a CredentialsReport>,
    /// What its pods can't start without and isn't there.
    pub missing: &'a [Need],
    /// Where it is reached; none while it has no Service.
    pub endpoint: Option<String>,
    /// When it was last known to be called or at work, in seconds since the Unix epoch.
    pub last_activity: Option<i64>,
    /// W3C traceparent of the change that the order came with.
    pub traceparent: Option<&'a str>,
}

/// The truth about an agent, from what is known of its objects.
#[must_use]
pub fn report(facts: &Facts<'_>) -> AgentReport {
    let ours = facts.deployment.filter(|d| d.incarnation.as_ref() == Some(&facts.agent.incarnation));
    // Until its controller has seen the newest generation, a Deployment's counts are about the one before.
    let hash = ours.and_then(|d| if d.observed { d.hash } else { facts.previous });
    let ready = match ours {
        Some(d) if d.observed => d.ready_of_newest(),
        Some(d) if hash.is_some() => d.ready,
        _ => 0,
    };
    // Pods of an earlier template serve until their successors are ready.
    let serving = ours.map_or(0, |d| d.ready.max(0));
    let settled = ours.is_some_and(|d| d.observed && d.hash == facts.hash);
    let trouble = ours.and_then(|d| if settled { worst(d, facts) } else { None });
    let chosen = if facts.asleep { Some(0) } else { chosen(facts, ours) };
    let wanted = facts.scale.with(chosen);
    let phase = phase(facts, wanted, ours, (ready, serving), settled, trouble.as_ref());
    let (reason, message) = why(facts, phase, ready >= wanted, trouble);
    AgentReport {
        agent: facts.agent.clone(),
        hash,
        phase,
        desired: facts.scale.replicas,
        chosen: chosen.map(|_| wanted),
        replicas: ours.map_or(0, |d| d.replicas),
        ready,
        serving,
        synced: facts.sync.is_some_and(Sync::is_applied),
        reason,
        message,
        credentials: facts.credentials.filter(|_| !facts.deleting).cloned(),
        endpoint: facts.endpoint.clone().filter(|_| !facts.deleting),
        last_activity: facts.last_activity,
        traceparent: facts.traceparent.map(str::to_owned),
    }
}

/// What an autoscaler has made of the order, once it is its turn.
fn chosen(facts: &Facts<'_>, ours: Option<&DeploymentFacts>) -> Option<i32> {
    let Scale { replicas: share, bounds, wake: _ } = facts.scale;
    let autoscaled = Autoscaled { bounds: bounds?, targets: facts.targets, share };
    let count = &ours?.count;
    (!facts.targets.is_empty() && autoscaled.has_begun(count))
        .then(|| autoscaled.bounds.clamp(count.replicas))
}

fn phase(
    facts: &Facts<'_>,
    wanted: i32,
    ours: Option<&DeploymentFacts>,
    (ready, serving): (i32, i32),
    settled: bool,
    trouble: Option<&Trouble>,
) -> Phase {
    let stuck = ours.is_some_and(|d| d.deadline_exceeded.is_some());
    if facts.deleting {
        Phase::Terminating
    } else if settled && (wanted == 0 || ready == wanted || (serving > 0 && stuck)) {
        Phase::Running
    } else if serving > 0 {
        Phase::Scaling
    } else if trouble.is_some_and(|t| t.failing) {
        Phase::Failed
    } else {
        Phase::Pending
    }
}

/// What is worst about the Deployment's newest pods; one that waits longer than it may counts as failing.
fn worst(deployment: &DeploymentFacts, facts: &Facts<'_>) -> Option<Trouble> {
    // Whatever else a pod shows, it won't start before this is there.
    if let Some(missing) = needs::trouble(facts.agent.key.namespace(), facts.missing) {
        return Some(missing);
    }
    let pods = facts.pods;
    // Creation is told in whole seconds: where templates have pods of the same one, any of them may be the newest.
    let last = pods.iter().map(|p| p.created).max();
    let newest: BTreeSet<&str> =
        pods.iter().filter(|p| Some(p.created) == last).map(|p| p.template.as_str()).collect();
    let pods = pods.iter().filter(|p| newest.contains(p.template.as_str()));
    let refused = deployment.replica_failure.as_ref().map(|(reason, message)| Trouble {
        failing: false,
        reason: reason.clone(),
        message: crate::live::first_line(message),
    });
    let late = deployment.deadline_exceeded.as_ref().map(|message| Trouble {
        failing: true,
        reason: "ProgressDeadlineExceeded".into(),
        message: crate::live::first_line(message),
    });
    let known = pods.filter_map(|p| p.trouble.clone()).chain(refused).max();
    match (known, late) {
        (Some(known), Some(_)) => Some(Trouble { failing: true, ..known }),
        (known, late) => known.or(late),
    }
}

fn why(facts: &Facts<'_>, phase: Phase, all_ready: bool, trouble: Option<Trouble>) -> (String, String) {
    let blocked = facts.sync.and_then(Sync::why_not);
    match (blocked, trouble) {
        _ if phase == Phase::Terminating => ("Terminating".into(), String::new()),
        (Some(blocked), _) => (blocked.cause.word().into(), blocked.message.clone()),
        // All that is wanted is ready: an old pod's trouble is not the agent's.
        (None, _) if phase == Phase::Running && all_ready => Default::default(),
        (None, Some(trouble)) => (trouble.reason, trouble.message),
        (None, None) => ("Progressing".into(), String::new()),
    }
}

/// The status of the assignment that says the same as a report. Equal to `current` when nothing changed.
#[must_use]
pub fn status(
    report: &AgentReport,
    generation: i64,
    current: Option<&AgentAssignmentStatus>,
    now: &Time,
) -> AgentAssignmentStatus {
    let desired = report.chosen.unwrap_or(report.desired);
    let is_ready = report.phase == Phase::Running && report.ready >= desired;
    let word = |ok: bool, yes: &str| match (ok, report.reason.is_empty()) {
        (true, _) => yes.to_owned(),
        (false, true) => "Progressing".to_owned(),
        (false, false) => report.reason.clone(),
    };
    let sentence = |ok: bool| if ok { String::new() } else { report.message.clone() };
    let wanted = [
        Wanted {
            type_: "Ready",
            status: Some(is_ready),
            reason: word(is_ready, "Running"),
            message: sentence(is_ready),
        },
        Wanted {
            type_: "Synced",
            status: Some(report.synced),
            reason: word(report.synced, "Applied"),
            message: sentence(report.synced),
        },
    ];
    let credentials = report.credentials.iter().map(|said| Wanted {
        type_: "CredentialsReady",
        status: Some(said.ready),
        reason: said.reason.clone(),
        message: said.message.clone(),
    });
    let wanted: Vec<Wanted> = wanted.into_iter().chain(credentials).collect();
    let before = current.map_or(&[][..], |s| &s.conditions);
    AgentAssignmentStatus {
        phase: Some(report.phase),
        desired_replicas: desired,
        replicas: report.replicas,
        ready_replicas: report.ready,
        observed_hash: report.hash.map(|h| h.to_string()),
        observed_generation: Some(generation),
        last_activity_time: report.last_activity.and_then(|at| Timestamp::from_second(at).ok()).map(Time),
        activation: current.and_then(|s| s.activation.clone()),
        activators: current.map(|s| s.activators.clone()).unwrap_or_default(),
        conditions: conditions::merge(before, &wanted, generation, now),
    }
}

#[cfg(test)]
mod tests;
