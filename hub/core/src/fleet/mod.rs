//! The fleet as one state machine: agents, clusters and sessions in, orders and writes out.
//!
//! Each file is one concern of the same [`Fleet`]:
//!
//! * what comes in: [`watched_agents`] and [`watched_clusters`], what the hub's API server shows; [`admission`] members
//!   that come, and [`refusals`] why they aren't let in; [`session_events`] what they say, [`cluster_report`] what of
//!   their clusters, and [`absence`] what it means when they don't;
//! * what is decided: [`deciding`] placement and orders, by what placement sees of clusters ([`cluster_facts`]) and as
//!   often as that [`concern`]s an agent, [`moves`] between clusters, [`failover`] from those that
//!   are lost unless a [`freeze`] forbids it, [`standing`] how agents stand with clusters by that,
//!   [`withdrawal`] removals and the prune guard, [`deletion`] finalizers and tombstones, [`recovery`] decisions that were
//!   lost, [`keys`] who gets an API key from the hub, [`copies`] who is told what is in other objects, [`revisions`] what is
//!   pinned of the fleet's defaults, [`rollouts`] whose turn it is;
//! * what can be asked: [`asking`];
//! * what agents use: [`usage`], for people and in sums;
//! * what is written back: [`agent_status`] and [`cluster_status`], with what is known of the [`stored`] ones;
//! * [`settling`]: the order in which all of that is done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use parallax_crds::{AgentKey, ClusterName};

use crate::placement::ClusterFacts;
use crate::prune::PruneGuard;
use crate::resolve::FleetDefaults;
use crate::tombstones::Tombstones;
use crate::writes::WriteQueue;

mod absence;
mod admission;
mod agent;
mod agent_status;
mod asking;
mod cluster;
mod cluster_facts;
mod cluster_report;
mod cluster_status;
mod concern;
mod copies;
mod deciding;
mod deletion;
mod effect;
mod failover;
mod freeze;
mod input;
mod keys;
mod lending;
mod moves;
mod recovery;
mod refusals;
mod revisions;
mod rollouts;
mod session_events;
mod settling;
mod standing;
mod stored;
mod tellers;
mod templates;
mod usage;
mod watched_agents;
mod watched_clusters;
mod withdrawal;

use agent::Agent;
use cluster::{Cluster, Joining};
pub use effect::{Effect, Subject};
use freeze::Freeze;
pub use input::{CrdState, Hello, Input, Now, SessionEvent, SessionId, Write, WriteOutcome};
pub use refusals::{Closing, Refusal};
use revisions::Pins;
use standing::Standings;
pub use usage::ClusterUsage;

/// How long a lost session may take to come back before its cluster is called unreachable; also how long rows keep
/// their last freshness after the hub's start.
const GRACE: Duration = Duration::from_secs(45);

/// How many writes of statuses may be in flight, and how many of finalizers.
const WRITES_IN_FLIGHT: usize = 32;

/// As `WRITES_IN_FLIGHT`, of revisions: nobody waits for these.
const REVISIONS_IN_FLIGHT: usize = 8;

/// What the fleet is configured with.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The hub's own UID.
    pub hub_uid: String,
    /// The epoch that is stored and that orders are given under.
    pub epoch: u64,
    /// What holds for agents that don't say.
    pub defaults: FleetDefaults,
    /// Explicit deletions count towards the mass-removal guard too.
    pub hold_mass_deletions: bool,
    /// Namespaces whose agents may get their API key from the hub.
    pub credentials_from: BTreeSet<String>,
    /// How many sessions may be between Admit and Synced at a time; others are told to come again.
    pub max_resyncs: usize,
}

/// The whole fleet: agents, clusters, sessions, and what is owed to each.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    effects: VecDeque<Effect>,
    start: Start,
    lists: Lists,
    agents: BTreeMap<AgentKey, Box<Agent>>,
    clusters: BTreeMap<ClusterName, Cluster>,
    pins: Pins,
    standings: Standings,
    guards: BTreeMap<ClusterName, PruneGuard>,
    tombstones: Tombstones,
    joining: BTreeMap<ClusterName, Joining>,
    /// Clusters whose `spec.clusterUID` is being written.
    pinning: BTreeSet<ClusterName>,
    /// The epoch that is being stored.
    raising: Option<u64>,
    crd: CrdCheck,
    facts: Vec<ClusterFacts>,
    /// Agents to place anew.
    replan: BTreeSet<AgentKey>,
    /// Agents whose decision was lost, and isn't made up for yet.
    unrecorded: BTreeSet<AgentKey>,
    /// Guards to judge.
    asked: BTreeSet<ClusterName>,
    /// Hellos to look at again.
    hellos: BTreeSet<ClusterName>,
    /// Agents whose key sessions have asked for, and the clusters of these.
    wishing: BTreeMap<AgentKey, BTreeSet<ClusterName>>,
    /// What members ask of objects.
    copies: copies::Copies,
    /// Agents whose status may have changed, and whether a user waits for it.
    dirty: BTreeMap<AgentKey, bool>,
    statuses: WriteQueue<StatusOf>,
    finalizers: WriteQueue<AgentKey>,
    revision_writes: WriteQueue<AgentKey>,
    timers: Timers,
    freeze: Freeze,
    /// How many times an agent was placed.
    #[cfg(test)]
    decisions: u64,
}

/// How far the hub's start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Nothing has come yet.
    Ahead,
    /// Members have not had the time yet to come back.
    UnderWay,
    /// They had.
    Over,
}

/// Whose status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum StatusOf {
    Cluster(ClusterName),
    Agent(AgentKey),
}

/// By when they are due.
type Timers = BTreeSet<(Duration, Timer)>;

/// What happens by time alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Members have had the time to come back after the hub's start.
    Started,
    /// A session was lost long enough ago.
    Unreachable(ClusterName),
    /// A Hello has waited long enough.
    Joining(ClusterName),
    /// A certificate ends.
    Certificate(ClusterName),
    /// Nobody has used a second copy of an identity for long enough.
    Copied(ClusterName),
    /// An agent's progress deadline.
    Agent(AgentKey),
    /// A cluster of an agent has been unreachable for long enough.
    Failover(AgentKey),
    /// Members have had the time to come back after a freeze.
    Thawed,
    /// What an agent's clusters have told counts again.
    Move(AgentKey),
    /// Clusters may be asked again to give up some of an agent's maximum.
    Lending(AgentKey),
    /// A cluster's taint isn't tolerated by an agent for longer.
    Revisit(AgentKey),
    /// A revision of an agent is to be read again.
    Revision(AgentKey),
    /// The CRD is to be read again.
    Crd,
}

/// What is known from the start on.
#[derive(Debug, Clone, Copy, Default)]
struct Lists {
    agents: bool,
    clusters: bool,
    tombstones: bool,
    revisions: bool,
}

/// Deletions that wait for a look at the CRD. A look serves those that were seen before it began.
#[derive(Debug, Default)]
struct CrdCheck {
    waiting: BTreeSet<AgentKey>,
    checking: Option<BTreeSet<AgentKey>>,
    not_before: Duration,
}

impl Fleet {
    /// An empty fleet at the hub's start. Nothing is admitted or ordered before both lists, the tombstones and the revisions
    /// are in.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            pins: Pins::new(config.defaults.clone()),
            config,
            effects: VecDeque::new(),
            start: Start::Ahead,
            lists: Lists::default(),
            agents: BTreeMap::new(),
            clusters: BTreeMap::new(),
            standings: Standings::default(),
            guards: BTreeMap::new(),
            tombstones: Tombstones::default(),
            joining: BTreeMap::new(),
            pinning: BTreeSet::new(),
            raising: None,
            crd: CrdCheck::default(),
            facts: Vec::new(),
            replan: BTreeSet::new(),
            unrecorded: BTreeSet::new(),
            asked: BTreeSet::new(),
            hellos: BTreeSet::new(),
            wishing: BTreeMap::new(),
            copies: copies::Copies::default(),
            dirty: BTreeMap::new(),
            statuses: WriteQueue::new(WRITES_IN_FLIGHT),
            finalizers: WriteQueue::new(WRITES_IN_FLIGHT),
            revision_writes: WriteQueue::new(REVISIONS_IN_FLIGHT),
            timers: Timers::new(),
            freeze: Freeze::default(),
            #[cfg(test)]
            decisions: 0,
        }
    }

    /// Takes in one thing that happened. Poll for effects until there are none afterwards.
    pub fn handle(&mut self, input: Input, now: Now) {
        if self.start == Start::Ahead {
            self.start = Start::UnderWay;
            self.timers.insert((now.mono + GRACE, Timer::Started));
        }
        match input {
            Input::AgentSeen(object) => self.agent_seen(object, now),
            Input::AgentGone { key, uid } => self.agent_gone(&key, &uid, now),
            Input::AgentsListed => self.listed(|lists| lists.agents = true),
            Input::ClusterSeen(object) => self.cluster_seen(object, now),
            Input::ClusterGone(name) => self.cluster_gone(&name, now),
            Input::ClustersListed => self.listed(|lists| lists.clusters = true),
            Input::TombstonesLoaded(stored) => {
                self.tombstones.load(stored);
                self.listed(|lists| lists.tombstones = true);
            }
            Input::RevisionsLoaded(stored) => self.revisions_loaded(stored, now),
            Input::Hello { session, hello } => self.hello(session, hello, now),
            Input::Session { session, event } => self.session_event(&session, event, now),
            Input::SessionClosed { session, cause } => self.session_closed(&session, &cause, now),
            Input::Written { write, outcome } => self.written(write, &outcome, now),
            Input::RevisionRead { key, id, read } => self.revision_read(&key, id, read, now),
            Input::Crd(state) => self.crd_answered(&state, now),
            Input::Tick => {}
        }
        self.settle(now);
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Tick`] is due, on the monotonic clock (at once, if it is in the past); none while nothing is.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.is_ready() && !self.replan.is_empty() {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        let ready = self.is_ready();
        let others = [
            self.statuses.next_deadline(),
            self.finalizers.next_deadline(),
            self.revision_writes.next_deadline(),
            self.tombstones.next_deadline(),
            self.standings.next_deadline(),
        ];
        others.into_iter().filter(|_| ready).chain([timer]).flatten().min()
    }

    /// Whether everything that was stored at the start is known: before, nothing is admitted, ordered or written.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let Lists { agents, clusters, tombstones, revisions } = self.lists;
        agents && clusters && tombstones && revisions
    }

    fn listed(&mut self, mark: impl FnOnce(&mut Lists)) {
        let before = self.is_ready();
        mark(&mut self.lists);
        if self.is_ready() && !before {
            self.replan = self.agents.keys().cloned().collect();
            self.hellos = self.joining.keys().cloned().collect();
            // Whose agents didn't come by now are no more.
            self.pins.end_start();
        }
    }
}

#[cfg(test)]
mod tests;
