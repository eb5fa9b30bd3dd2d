#![allow(clippy::unwrap_used)]

mod examples;
mod properties;
mod rollouts;
mod writes;

use parallax_crds::agent::{Bounds, Placement, PlacementTarget, Rollout};
use parallax_crds::conditions::{CREDENTIALS_READY, DEGRADED, IDLE, PLACED, READY, SYNCED};
use parallax_crds::link::{CredentialsReport, Outcome};
use parallax_crds::{SpecHash, fixtures};

use super::*;
use crate::phase::PROGRESS_DEADLINE;
use crate::placement::{Amounts, ClusterFacts, Request, place};
use crate::rollout::{Asked, Change};

/// One cluster of a fixture.
#[derive(Debug, Clone)]
struct Member {
    name: ClusterName,
    wanted: Option<i32>,
    leaving: i32,
    wave: usize,
    waits: bool,
    bounds: Option<Bounds>,
    persisted: Option<bool>,
    suspended: bool,
    result: Option<OrderResult>,
    heard: bool,
    report: Option<AgentReport>,
    generation: Option<i64>,
    freshness: Freshness,
}

/// An agent of generation 1 with a decision, and what its clusters say.
#[derive(Debug, Clone)]
struct Fixture {
    agent: AgentRef,
    generation: i64,
    deleting: bool,
    spec: ParallaxAgentSpec,
    unresolved: bool,
    decision: Option<PlacementDecision>,
    explanation: Option<Explanation>,
    /// To the second revision, in waves.
    rollout: Option<Rollout>,
    members: Vec<Member>,
    quiet: Duration,
}

fn agent() -> AgentRef {
    fixtures::agent("default/coder", "uid-1")
}

/// A cluster with a share that was just decided on.
fn member(name: &str, wanted: i32) -> Member {
    Member {
        name: ClusterName::new(name).unwrap(),
        wanted: Some(wanted),
        leaving: 0,
        wave: 0,
        waits: false,
        bounds: None,
        persisted: Some(false),
        suspended: false,
        result: None,
        heard: true,
        report: None,
        generation: None,
        freshness: Freshness::Fresh,
    }
}

impl Member {
    fn persisted(mut self) -> Self {
        self.persisted = Some(true);
        self
    }

    /// It reports on generation 1.
    fn says(mut self, phase: Phase, ready: i32, reason: &str) -> Self {
        self.persisted = Some(true);
        self.generation = Some(1);
        self.report = Some(AgentReport {
            agent: agent(),
            hash: SpecHash::of(&"one").ok(),
            phase,
            desired: self.wanted.unwrap_or(0),
            chosen: None,
            replicas: self.wanted.unwrap_or(0).max(ready),
            ready,
            serving: ready,
            synced: true,
            reason: reason.into(),
            message: if reason.is_empty() { String::new() } else { format!("about {reason}") },
            credentials: None,
            endpoint: None,
            last_activity: None,
            traceparent: None,
        });
        self
    }

    /// The agent is reached there.
    fn reached_at(mut self, endpoint: &str) -> Self {
        self.report.as_mut().unwrap().endpoint = Some(endpoint.to_owned());
        self
    }

    /// It was last active then.
    fn active(mut self, at: i64) -> Self {
        self.report.as_mut().unwrap().last_activity = Some(at);
        self
    }

    /// Beside what is ready, so many of an earlier hash are.
    fn and_earlier(mut self, earlier: i32) -> Self {
        let report = self.report.as_mut().unwrap();
        report.serving = report.ready + earlier;
        report.replicas = report.replicas.max(report.serving);
        self
    }

    /// What it says of the agent's API key; no reason: it is there.
    fn on_the_key(mut self, reason: &str) -> Self {
        let ready = reason.is_empty();
        self.report.as_mut().unwrap().credentials = Some(CredentialsReport {
            ready,
            reason: if ready { "Found".into() } else { reason.into() },
            message: if ready { String::new() } else { format!("about {reason}") },
        });
        self
    }

    /// Its autoscaler, which may choose from 1 to `most`, has chosen.
    fn chose(mut self, replicas: i32, most: i32) -> Self {
        self.bounds = Some(Bounds { min: 1, max: most, start: 1 });
        self.report.as_mut().unwrap().chosen = Some(replicas);
        self
    }

    /// Nobody calls it there.
    fn sleeps(mut self) -> Self {
        self.report.as_mut().unwrap().chosen = Some(0);
        self
    }

    /// Its whole share is ready.
    fn ready(self) -> Self {
        let wanted = self.wanted.unwrap_or(0);
        self.says(Phase::Running, wanted, "")
    }

    fn answers(mut self, outcome: Outcome, reason: &str) -> Self {
        self.result = Some(OrderResult {
            agent: agent(),
            hash: None,
            outcome,
            reason: reason.into(),
            message: format!("about {reason}"),
        });
        self
    }

    fn lost(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// So many of its replicas leave when those that replace them are ready.
    fn leaving(mut self, replicas: i32) -> Self {
        self.leaving = replicas;
        self
    }

    fn stays(&self) -> bool {
        self.leaving == 0 || self.wanted != Some(self.leaving)
    }

    fn withdrawing(mut self) -> Self {
        self.wanted = None;
        self
    }

    /// As a hub that has just started sees it.
    fn unheard(self) -> Self {
        Self { persisted: None, result: None, heard: false, report: None, generation: None, ..self }
    }

    fn input(&self) -> ClusterInput<'_> {
        ClusterInput {
            name: &self.name,
            wanted: self.wanted.map(|replicas| Scale { replicas, bounds: self.bounds, wake: None }),
            leaving: self.leaving,
            stays: self.stays(),
            wave: self.wave,
            waits: self.waits,
            has_it: false,
            persisted: self.persisted,
            suspended: self.suspended,
            result: self.result.as_ref(),
            word: match &self.report {
                Some(report) => Word::Report { report, generation: self.generation },
                None if self.heard => Word::Silent,
                None => Word::Unheard,
            },
            freshness: self.freshness,
            last_reported: None,
            usage: None,
        }
    }
}

/// The agent over these clusters, under Divide.
fn over(members: &[Member]) -> Fixture {
    let replicas: i32 = members.iter().filter_map(|member| Some(member.wanted? - member.leaving)).sum();
    let spec = ParallaxAgentSpec { replicas, ..serde_json::from_str(r#"{"type": "claude"}"#).unwrap() };
    Fixture {
        agent: agent(),
        generation: 1,
        deleting: false,
        spec,
        unresolved: false,
        decision: None,
        explanation: None,
        rollout: None,
        members: members.to_vec(),
        quiet: Duration::ZERO,
    }
    .decided()
}

impl Fixture {
    /// With the decision and the explanation that its shares amount to.
    fn decided(mut self) -> Self {
        let target = |member: &Member| {
            Some(PlacementTarget {
                cluster: member.name.as_str().to_owned(),
                replicas: member.wanted? - member.leaving,
            })
        };
        let leaving = |member: &Member| {
            let replicas = Some(member.leaving).filter(|leaving| *leaving > 0)?;
            Some(PlacementTarget { cluster: member.name.as_str().to_owned(), replicas })
        };
        self.decision = Some(PlacementDecision {
            generation: self.generation,
            targets: self.members.iter().filter(|m| m.stays()).filter_map(target).collect(),
            leaving: self.members.iter().filter_map(leaving).collect(),
            ..PlacementDecision::default()
        });
        let facts = self.cluster_facts();
        self.explained(&facts, None)
    }

    /// What placement sees of its clusters: nothing is wrong with them.
    fn cluster_facts(&self) -> Vec<ClusterFacts> {
        let facts = |member: &Member| ClusterFacts::open(member.name.clone());
        self.members.iter().map(facts).collect()
    }

    /// With the explanation that these clusters amount to, for an agent that holds `current`.
    fn explained(mut self, facts: &[ClusterFacts], current: Option<&BTreeMap<ClusterName, i32>>) -> Self {
        let request = Request {
            incarnation: &self.agent.incarnation,
            namespace: self.agent.key.namespace(),
            replicas: self.spec.replicas,
            requests: &Amounts::default(),
            otherwise: &BTreeMap::new(),
            placement: self.spec.placement.as_ref(),
            rebalance: false,
        };
        self.explanation = Some(place(&request, facts, current, Timestamp::UNIX_EPOCH).explanation);
        self
    }

    fn replicated(mut self) -> Self {
        self.spec.replicas = self.members.first().and_then(|member| member.wanted).unwrap_or(1);
        self.spec.placement = Some(Placement { strategy: Strategy::Replicate, ..Placement::default() });
        self.decided()
    }

    /// With a key that the agent needs.
    fn with_a_key(mut self) -> Self {
        let credentials = serde_json::json!({ "secretRef": { "name": "keys", "key": "KEY" } });
        self.spec.runtime.credentials = Some(serde_json::from_value(credentials).unwrap());
        self
    }

    fn quiet(mut self, seconds: u64) -> Self {
        self.quiet = Duration::from_secs(seconds);
        self
    }

    fn now_with(&self, members: &[Member]) -> Self {
        Self { members: members.to_vec(), ..self.clone() }
    }

    fn waves(&self) -> Option<Waves<'_>> {
        let change = Change { revision: 2, from: 1, from_generation: 1, is_safe: true };
        let waves = |rollout| Waves { rollout, revision: 2, change: Some(change), asked: Asked::default() };
        self.rollout.as_ref().map(waves)
    }

    fn aggregate(&self, previous: Option<&ParallaxAgentStatus>, second: i64) -> Aggregated {
        let inputs: Vec<ClusterInput<'_>> = self.members.iter().map(Member::input).collect();
        let error = ResolveError::NoImage { agent_type: "custom".into() };
        let input = AggregateInput {
            agent: &self.agent,
            generation: self.generation,
            deleting: self.deleting,
            spec: &self.spec,
            unresolved: self.unresolved.then_some(&error),
            decision: self.decision.as_ref(),
            explanation: self.explanation.as_ref(),
            rollout: self.waves(),
            clusters: &inputs,
            quiet: self.quiet,
            deadline: PROGRESS_DEADLINE,
        };
        aggregate(&input, previous, at(second))
    }

    /// The status, 1,000 s after the epoch, without a previous one.
    fn first(&self) -> ParallaxAgentStatus {
        self.aggregate(None, 1_000).status
    }

    /// The status a while later.
    fn then(&self, previous: &ParallaxAgentStatus, second: i64) -> ParallaxAgentStatus {
        self.aggregate(Some(previous), second).status
    }
}

/// A moment, with a fraction of a second that no status may show.
fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 123_456_789).unwrap()
}

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

/// Status, reason and message of a condition.
fn condition<'a>(status: &'a ParallaxAgentStatus, type_: &str) -> (&'a str, &'a str, &'a str) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (&condition.status, &condition.reason, &condition.message)
}

/// Status and reason of a condition.
fn brief<'a>(status: &'a ParallaxAgentStatus, type_: &str) -> (&'a str, &'a str) {
    let (status, reason, _) = condition(status, type_);
    (status, reason)
}

fn row<'a>(status: &'a ParallaxAgentStatus, name: &str) -> &'a ClusterRow {
    status.clusters.iter().find(|row| row.name == name).unwrap()
}
