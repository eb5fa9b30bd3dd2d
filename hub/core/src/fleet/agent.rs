//! What the fleet knows of one agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_crds::activation::WakeUp;
use parallax_crds::agent::{Bounds, Freshness, Lent, PlacementDecision, PlacementTarget};
use parallax_crds::link::{AgentReport, AgentUsage, Order, OrderResult, Scale};
use parallax_crds::trace::TraceContext;
use parallax_crds::{
    AgentKey, AgentRef, ClusterName, Incarnation, ParallaxAgent, ParallaxAgentStatus, SpecHash, labels,
};

use super::rollouts::{Waiting, progress_deadline};
use super::stored::Stored;
use super::tellers::Tellers;
use super::templates::{Templates, otherwise};
use super::usage::Counted;
use crate::aggregate::remembered_quiet;
use crate::overrides::of;
use crate::placement::{Amounts, ClusterFacts, Explanation, Request};
use crate::resolve::{FleetDefaults, ResolveError};
use crate::revisions::Revisions;
use crate::scaling::{bounds, lent_out, start};

/// What an agent requests whose spec can't be resolved.
static NOTHING: Amounts = Amounts { cpu: 0, memory: 0, pods: 0, extended: BTreeMap::new() };

/// How much of the annotations `parallax.io/rebalance` and `parallax.io/refresh` is remembered (the CRD's bound on
/// `rebalanced`).
const LONGEST_WISH: usize = 64;
/// How many (generation, hash) pairs are kept: enough for a member that lags some edits behind, also where overrides make
/// several of one generation.
const GENERATIONS: usize = 32;

/// An agent whose object exists, or did when it was last seen.
#[derive(Debug)]
pub(super) struct Agent {
    pub stored: Stored<ParallaxAgent>,
    pub uid: String,
    pub incarnation: Incarnation,
    pub finalizer: bool,
    pub life: Life,
    /// Which specs its pods were made of, and are.
    pub revisions: Revisions,
    /// What is pinned of the fleet's defaults, or would be.
    pub defaults: Arc<FleetDefaults>,
    /// What its clusters are sent; or why they can't be.
    pub templates: Result<Templates, ResolveError>,
    /// What those of them are sent that wait for their turn.
    pub waiting: Waiting,
    /// Newest last.
    pub generations: Vec<(i64, SpecHash)>,
    pub decision: Decision,
    pub record: Record,
    /// Why it is decided so; kept until the status says it.
    pub explanation: Option<Box<Explanation>>,
    pub rows: BTreeMap<ClusterName, Box<Row>>,
    /// Clusters without a share that were heard to hold it.
    pub elsewhere: BTreeSet<ClusterName>,
    /// What people are told of the last status that was sent, once it is known to be stored.
    pub untold: Option<Box<Untold>>,
    /// When the wish, or anything ready, last changed, and for how long it hadn't before that instant.
    pub quiet: (Duration, Duration),
    /// When its status changes by time alone.
    pub timer: Option<Duration>,
    /// When it is placed anew by time alone.
    pub revisit: Option<Duration>,
    /// When it has waited for long enough for a cluster that is lost.
    pub failover_timer: Option<Duration>,
    /// When what its clusters have told counts again.
    pub move_timer: Option<Duration>,
    /// When clusters gave up some of its maximum last, and when they may be asked again.
    pub gave_up: Option<Duration>,
    pub lending_timer: Option<Duration>,
    /// Which clusters have told what since the last edit.
    pub tellers: Tellers,
}

/// What a status that was sent means to people.
#[derive(Debug)]
pub(super) struct Untold {
    pub status: ParallaxAgentStatus,
    pub events: Vec<Tiding>,
}

/// An Event to be.
#[derive(Debug)]
pub(super) struct Tiding {
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Life {
    Living,
    /// It was seen with a deletionTimestamp and our finalizer.
    Deleting {
        /// The CRD was read and stays; before that nothing is removed.
        confirmed: bool,
        /// Who has to let go of it, and how that is made sure.
        waits: BTreeMap<ClusterName, Wait>,
    },
    /// The finalizer may go, or is gone.
    Released {
        /// The members keep what they have: the CRD went, not the agent.
        kept: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The cluster is connected: for its word.
    Gone,
    /// It isn't: for the tombstone to be stored.
    Tombstone,
    /// The prune guard holds the removal.
    Held,
}

/// Whether it is written where the agent may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// It is, or the agent was never placed.
    Kept,
    /// It may have been, and isn't any more.
    Lost,
    /// It was lost, and is made up for by what clusters hold; some haven't told yet.
    Partial,
}

/// Where the replicas are to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// None: never placed.
    pub generation: Option<i64>,
    pub targets: BTreeMap<ClusterName, i32>,
    /// What clusters have beyond that until it is ready.
    pub leaving: BTreeMap<ClusterName, i32>,
    /// Of these clusters, those that are out of reach, by the last look.
    pub away: BTreeSet<ClusterName>,
    /// What clusters have of the maximum of scaling beyond their share, or below 0 what they have given up of it.
    pub lent: BTreeMap<ClusterName, i32>,
    /// Of the clusters whose autoscaler may choose; they follow from the shares, the spec and what is lent.
    pub bounds: BTreeMap<ClusterName, Bounds>,
    pub all_matching: bool,
    /// The wish to be placed anew that was followed last.
    pub rebalanced: Option<String>,
    pub withdrawing: BTreeSet<ClusterName>,
    /// A cluster that connects may change it: shares are missing, or every matching cluster gets one.
    pub open: bool,
    /// A write of it was sent: orders and removals go beside it, not before it, or a crash could leave copies that nobody
    /// wrote down, and a hub that starts could bring back what has left.
    pub issued: bool,
}

/// One cluster's side of it.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// What was sent in the current session.
    pub sent: Option<(SpecHash, Scale)>,
    /// The hash that was sent last, in whichever session: what a cluster was given isn't taken back for its turn.
    pub given: Option<SpecHash>,
    /// The current session was admitted with what was sent, and nothing else was said of it since.
    pub admitted: bool,
    /// Orders that were sent in the current session, and of which the member hasn't said what became. Of two that followed
    /// each other closely the session may send the second alone: then there is one word less to come.
    pub unanswered: u32,
    /// Removals that were sent in the current session, and whose `Gone` hasn't come.
    pub removals: u32,
    /// Of the current session's removals, those that an order followed before their `Gone` came: so many times that
    /// word may be of the copy before the order.
    pub overtaken: u32,
    /// The cluster may hold it: something was sent once, maybe by an earlier process.
    pub touched: bool,
    /// What the cluster has persisted.
    pub persisted: Persisted,
    /// The cluster was ordered to have less, or nothing: until then, what it was last heard to have ready may be gone.
    pub doubted: Option<Duration>,
    /// The last word on an order, unless all is well.
    pub trouble: Option<Box<OrderResult>>,
    pub report: Option<AgentReport>,
    /// The report is of the current session.
    pub heard: bool,
    /// When it was reported.
    pub reported: Option<Timestamp>,
    pub freshness: Freshness,
    /// What the agent uses there, by its session's word.
    pub usage: Option<Box<AgentUsage>>,
    pub counted: Option<Box<Counted>>,
}

impl Row {
    /// Whether what the cluster tells now is of what it was ordered last, and not of an order or a copy before.
    pub fn is_up_to_date(&self) -> bool {
        let answered = self.unanswered == 0 && self.overtaken == 0;
        answered && self.sent.is_some() && self.persisted.is(self.sent) == Some(true)
    }

    /// The cluster may hold it, and it has to do with what this process has sent or heard. What an earlier one wrote down it
    /// may never have sent.
    pub fn is_told_of(&self) -> bool {
        let heard = self.persisted != Persisted::Unknown || self.report.is_some();
        self.touched && (heard || self.sent.is_some())
    }

    /// The session is over: what was sent in it is as if it had never been.
    pub fn session_lost(&mut self) {
        (self.sent, self.admitted, self.heard, self.usage) = (None, false, false, None);
        (self.unanswered, self.removals, self.overtaken) = (0, 0, 0);
    }
}

/// What of an order is in the member's API server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Persisted {
    /// Not heard of since this process began.
    #[default]
    Unknown,
    /// Nothing of what this process ordered.
    Nothing,
    /// This hash with so many replicas.
    Order(SpecHash, Scale),
}

/// The key and the UID of an object; none for what can't have come from an API server.
pub(super) fn has_finalizer(object: &ParallaxAgent) -> bool {
    object.metadata.finalizers.as_ref().is_some_and(|all| all.iter().any(|f| f == labels::FINALIZER))
}

impl Agent {
    pub fn new(
        object: Arc<ParallaxAgent>,
        uid: String,
        defaults: Arc<FleetDefaults>,
        facts: &[ClusterFacts],
        now: Duration,
    ) -> Self {
        let annotation =
            |key: &str| object.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        let incarnation = Incarnation::new(&annotation(labels::INCARNATION).unwrap_or_else(|| uid.clone()));
        let status = object.status.as_ref();
        let decision = status.and_then(|s| s.placement.as_ref()).map(Decision::stored).unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or(0);
        let quiet = (now, remembered_quiet(status, generation, progress_deadline(&object.spec)));
        // An agent that is new has neither a finalizer nor a predecessor's incarnation.
        let known = has_finalizer(&object) || annotation(labels::INCARNATION).is_some();
        let record = match status.and_then(|s| s.placement.as_ref()) {
            Some(stored) if stored.incomplete => Record::Partial,
            None if known => Record::Lost,
            _ => Record::Kept,
        };
        let shown = status.map(|s| s.clusters.as_slice()).unwrap_or_default();
        let freshness =
            |name: &ClusterName| shown.iter().find(|row| row.name == name.as_str()).map(|row| row.freshness);
        let earlier = decision.shares().map(|(name, _)| name.clone()).chain(decision.withdrawing.clone());
        let row = |name: &ClusterName| Row {
            touched: true,
            freshness: freshness(name).unwrap_or_default(),
            ..Row::default()
        };
        let rows = earlier.map(|name| (name.clone(), Box::new(row(&name)))).collect();
        let mut agent = Self {
            finalizer: has_finalizer(&object),
            life: Life::Living,
            templates: Templates::new(
                &object.spec,
                &defaults,
                facts,
                decision.shares().map(|(name, _)| name),
            ),
            revisions: Revisions::default(),
            defaults,
            waiting: Waiting::default(),
            generations: Vec::new(),
            decision,
            record,
            explanation: None,
            rows,
            elsewhere: BTreeSet::new(),
            untold: None,
            quiet,
            timer: None,
            revisit: None,
            failover_timer: None,
            move_timer: None,
            gave_up: None,
            lending_timer: None,
            tellers: Tellers::default(),
            stored: Stored::new(object),
            uid,
            incarnation,
        };
        agent.note_generation();
        agent.divide_bounds();
        agent
    }

    pub fn generation(&self) -> i64 {
        self.stored.object.metadata.generation.unwrap_or(0)
    }

    pub fn reference(&self, key: &AgentKey) -> AgentRef {
        AgentRef { key: key.clone(), incarnation: self.incarnation.clone() }
    }

    /// Takes in the spec's current generation.
    pub fn resolve(&mut self, facts: &[ClusterFacts]) {
        self.resolve_templates(facts);
        self.divide_bounds();
        self.tellers.forget();
    }

    /// Which overrides apply follows from the clusters that the agent has, and from their labels.
    pub fn resolve_templates(&mut self, facts: &[ClusterFacts]) {
        let clusters = self.decision.shares().map(|(name, _)| name);
        self.templates = Templates::new(&self.stored.object.spec, &self.defaults, facts, clusters);
        self.note_generation();
        self.resolve_waiting(facts);
    }

    /// Whether it is the same in all clusters.
    pub fn is_overridden(&self) -> bool {
        !of(&self.stored.object.spec).is_empty()
    }

    fn note_generation(&mut self) {
        let generation = self.generation();
        let Ok(templates) = &self.templates else { return };
        for hash in templates.hashes().collect::<Vec<_>>() {
            self.note(generation, hash);
        }
    }

    /// The generation resolves to this, somewhere.
    pub fn note(&mut self, generation: i64, hash: SpecHash) {
        if !self.generations.contains(&(generation, hash)) {
            // Most agents have one for long.
            self.generations.reserve_exact(1);
            self.generations.push((generation, hash));
        }
        let surplus = self.generations.len().saturating_sub(GENERATIONS);
        self.generations.drain(..surplus);
    }

    /// The newest generation that resolves to `hash` for a cluster.
    pub fn generation_of(&self, cluster: &ClusterName, hash: SpecHash) -> Option<i64> {
        let known = self.generations.iter().rev().find(|(_, h)| *h == hash).map(|(g, _)| *g)?;
        let current = self.hash(cluster);
        // What other clusters have of this generation is none of its own.
        let newest = if current == Some(hash) { i64::MAX } else { self.generation() - 1 };
        Some(known.min(newest))
    }

    /// The hash of what a cluster is sent.
    pub fn hash(&self, cluster: &ClusterName) -> Option<SpecHash> {
        Some(self.template(cluster)?.hash)
    }

    /// What a replica requests in a cluster that has the agent.
    pub fn requests_in(&self, cluster: &ClusterName) -> &Amounts {
        let template = self.template(cluster);
        let any = template.or_else(|| Some(self.templates.as_ref().ok()?.of(cluster)));
        any.map_or(&NOTHING, |template| &template.requests)
    }

    /// What a replica requests in clusters where that is otherwise.
    pub fn requests_otherwise(&self, facts: &[ClusterFacts]) -> BTreeMap<ClusterName, Amounts> {
        otherwise(&self.stored.object.spec, &self.defaults, facts)
    }

    /// What placement is asked of it, where its replicas request what [`Self::requests_otherwise`] says.
    pub fn request<'a>(
        &'a self,
        key: &'a AgentKey,
        otherwise: &'a BTreeMap<ClusterName, Amounts>,
    ) -> Request<'a> {
        let spec = &self.stored.object.spec;
        Request {
            incarnation: &self.incarnation,
            namespace: key.namespace(),
            replicas: start(spec),
            requests: self.templates.as_ref().map_or(&NOTHING, |templates| &templates.plain().requests),
            otherwise,
            placement: spec.placement.as_ref(),
            rebalance: false,
        }
    }

    /// Orders may be given: it lives, and its deletion can't slip by.
    pub fn is_orderable(&self) -> bool {
        self.finalizer && self.decision.issued && self.life == Life::Living
    }

    /// The user's last wish to have it placed as if it ran nowhere, as the decision remembers it.
    pub fn rebalance(&self) -> Option<String> {
        self.wish(labels::REBALANCE)
    }

    /// The user's last wish of a kind, as it is remembered.
    pub fn wish(&self, annotation: &str) -> Option<String> {
        Some(self.annotation(annotation)?.chars().take(LONGEST_WISH).collect())
    }

    /// The order for a cluster with a share.
    pub fn order(&self, key: &AgentKey, cluster: &ClusterName) -> Option<Order> {
        let template = self.template(cluster)?;
        Some(Order {
            agent: self.reference(key),
            hash: template.hash,
            scale: self.scale(cluster)?,
            template: template.json.clone(),
            traceparent: Some(self.traceparent()),
        })
    }

    /// What is ordered of a cluster; none: it has no share.
    pub fn scale(&self, cluster: &ClusterName) -> Option<Scale> {
        let share = self.decision.share(cluster)?;
        if self.stored.object.spec.suspend {
            return Some(Scale::fixed(0));
        }
        Some(Scale {
            replicas: share,
            bounds: self.decision.bounds.get(cluster).copied(),
            wake: self.annotation(labels::WAKE).and_then(WakeUp::asked_by),
        })
    }

    /// Divides the bounds of scaling as the replicas are divided now, so that in the middle of a move they are whole too.
    pub fn divide_bounds(&mut self) {
        let away = &self.decision.away;
        let within_reach = self.decision.shares().filter(|(name, _)| !away.contains(*name));
        let mut shares: BTreeMap<_, _> = within_reach.map(|(name, share)| (name.clone(), share)).collect();
        // A cluster that is away counts with what it is to have in the end: what it has besides leaves when it is back.
        let ends = away.iter().filter_map(|name| Some((name.clone(), *self.decision.targets.get(name)?)));
        shares.extend(ends);
        let bounds = bounds(&self.stored.object.spec, &self.incarnation, &shares);
        self.decision.bounds = lent_out(&bounds, &self.decision.lent).unwrap_or_else(|| {
            // It was lent of shares that are no more.
            self.decision.lent.clear();
            bounds
        });
    }

    /// The change's own trace, or the one that the object's author continues.
    pub fn traceparent(&self) -> String {
        self.annotation(labels::TRACEPARENT)
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| TraceContext::root(&self.incarnation, self.generation()))
            .to_string()
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.stored.object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Whoever may hold it: with a share, about to lose it, heard to, or waited for to let go of it.
    pub fn holders(&self) -> BTreeSet<ClusterName> {
        let mut all: BTreeSet<_> = self.decision.shares().map(|(name, _)| name.clone()).collect();
        all.extend(self.decision.withdrawing.iter().cloned());
        all.extend(self.elsewhere.iter().cloned());
        if let Life::Deleting { waits, .. } = &self.life {
            all.extend(waits.keys().cloned());
        }
        all
    }
}

impl Decision {
    /// What a cluster is to have now: its share, and what it has beyond that for a while. None: it has neither.
    pub fn share(&self, cluster: &ClusterName) -> Option<i32> {
        let (target, leaving) = (self.targets.get(cluster), self.leaving.get(cluster));
        target.or(leaving)?;
        Some(target.copied().unwrap_or(0).saturating_add(leaving.copied().unwrap_or(0)))
    }

    /// What every cluster is to have now, by name.
    pub fn shares(&self) -> impl Iterator<Item = (&ClusterName, i32)> {
        let names: BTreeSet<_> = self.targets.keys().chain(self.leaving.keys()).collect();
        names.into_iter().filter_map(|name| Some((name, self.share(name)?)))
    }

    fn stored(stored: &PlacementDecision) -> Self {
        let names = |name: &String| ClusterName::new(name).ok();
        let shares = |of: &[PlacementTarget]| -> BTreeMap<_, _> {
            of.iter().filter_map(|t| Some((names(&t.cluster)?, t.replicas))).collect()
        };
        let (targets, leaving) = (shares(&stored.targets), shares(&stored.leaving));
        // Nobody but a hand writes both of a cluster; the share is what is safe to believe.
        let withdrawing = stored.withdrawing.iter().filter_map(names);
        Self {
            generation: Some(stored.generation),
            withdrawing: withdrawing
                .filter(|name| !targets.contains_key(name) && !leaving.contains_key(name))
                .collect(),
            targets,
            leaving,
            away: BTreeSet::new(),
            lent: stored.lent.iter().filter_map(|l| Some((names(&l.cluster)?, l.replicas))).collect(),
            bounds: BTreeMap::new(),
            all_matching: stored.all_matching,
            rebalanced: stored.rebalanced.clone(),
            open: true,
            issued: true,
        }
    }

    /// As it is stored; none for an agent that was never placed.
    pub fn to_store(&self, record: Record) -> Option<PlacementDecision> {
        let target = |(cluster, replicas): (&ClusterName, &i32)| PlacementTarget {
            cluster: cluster.to_string(),
            replicas: *replicas,
        };
        Some(PlacementDecision {
            generation: self.generation?,
            all_matching: self.all_matching,
            incomplete: record == Record::Partial,
            rebalanced: self.rebalanced.clone(),
            targets: if self.all_matching { Vec::new() } else { self.targets.iter().map(target).collect() },
            leaving: self.leaving.iter().map(target).collect(),
            lent: self
                .lent
                .iter()
                .map(|(name, n)| Lent { cluster: name.to_string(), replicas: *n })
                .collect(),
            withdrawing: self.withdrawing.iter().map(ToString::to_string).collect(),
        })
    }
}

impl Persisted {
    /// Whether the cluster has persisted `order`; none: not heard of since this process began.
    pub fn is(self, order: Option<(SpecHash, Scale)>) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Nothing => Some(false),
            Self::Order(hash, scale) => Some(order == Some((hash, scale))),
        }
    }
}
