//! A hub's API server and members as plain values around a [`Fleet`], with every promise that holds at all times
//! checked as effects are carried out.

mod effects;
mod members;
mod promises;
mod questions;
mod revisions;
mod users;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::agent::{Scaling, ScalingTargets};
use parallax_crds::link::{Order, Resources, Scale};
use parallax_crds::{AgentKey, AgentRef, ClusterName, Incarnation, MemberCluster, ParallaxAgent, SpecHash};

use crate::fleet::*;
use crate::resolve::FleetDefaults;
use crate::revisions::RevisionId;
use crate::tombstones::Tombstone;

pub use revisions::Stored;

/// What arrives in order among itself, and in any order relative to the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    Agents,
    Clusters,
    Writes(Write),
    Crd,
    /// What is read of an agent's revisions.
    Revision(AgentKey),
    Session(ClusterName),
}

#[derive(Debug, Default)]
pub struct Member {
    pub uid: String,
    /// What its certificate has more of validity than the first one had.
    pub renewed: jiff::SignedDuration,
    pub boot_id: String,
    pub session: Option<u64>,
    pub held: BTreeMap<AgentKey, (Incarnation, SpecHash, Scale)>,
    /// How many replicas of these are ready.
    pub ready: BTreeMap<AgentKey, i32>,
    /// How many replicas the load asks for, where autoscalers choose.
    pub load: BTreeMap<AgentKey, i32>,
    /// Pods become ready only at [`World::pods_ready`].
    pub slow: bool,
    /// Removals are begun, and pods end only at [`World::pods_end`].
    pub lingering: bool,
    ending: Vec<AgentRef>,
    /// What the hub wants of it in this session: orders, as a real session keeps them.
    wanted: BTreeMap<AgentKey, Order>,
    pub admitted: bool,
    pub refused: Option<&'static str>,
    /// What it says that its nodes have; none: its member is too old to say.
    pub resources: Option<Resources>,
}

pub struct World {
    pub fleet: Fleet,
    pub mono: Duration,
    pub agents: BTreeMap<AgentKey, ParallaxAgent>,
    pub clusters: BTreeMap<ClusterName, MemberCluster>,
    pub members: BTreeMap<ClusterName, Member>,
    pub tombstones: BTreeSet<Tombstone>,
    /// What the API server has of agents' revisions.
    pub revisions: BTreeMap<(AgentKey, RevisionId), Stored>,
    /// The tag of the fleet's default images, for the hub that starts next.
    pub image_tag: String,
    /// What agents run until their users change it: it was stored when a hub began.
    pinned: BTreeMap<AgentRef, BTreeSet<SpecHash>>,
    pub inbox: BTreeMap<Channel, VecDeque<Input>>,
    pub crd_going: bool,
    pub epoch: u64,
    /// Every effect that was carried out, since it was last cleared.
    pub log: Vec<Effect>,
    /// What a user deleted, a decision may withdraw, or an administrator approved: all that may ever be removed.
    pub removable: BTreeSet<AgentRef>,
    counter: u64,
    sessions: u64,
    uids: u64,
    in_flight: BTreeSet<Write>,
    /// Everything that was ever sent, by its hash.
    pub sent: BTreeMap<SpecHash, bytes::Bytes>,
    /// What never runs.
    pub(super) broken: BTreeSet<SpecHash>,
    /// The number of the last revision that each cluster was ordered, by agent.
    turns: BTreeMap<(ClusterName, AgentRef), i64>,
    /// Writes to come that fail: after they were stored, or before.
    pub faults: VecDeque<bool>,
    /// Clusters whose MemberCluster was deleted once: nothing is owed to them from before.
    detached: BTreeSet<ClusterName>,
    /// The API server takes no status and no cluster UID.
    pub refuses: bool,
    /// The write at hand was stored, and its answer is lost.
    answer_lost: bool,
    faulty: bool,
}

/// Pods of this image never run; those before serve on.
pub const BROKEN: &str = "example.org/broken";

pub fn key(name: &str) -> AgentKey {
    AgentKey::new("default", name)
}

pub fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

pub fn config() -> Config {
    Config {
        hub_uid: "hub".to_owned(),
        epoch: 1,
        defaults: FleetDefaults {
            image_prefix: "registry.example/parallax".to_owned(),
            image_tag: "1".to_owned(),
            cpu_request: Quantity("100m".to_owned()),
            memory_request: Quantity("256Mi".to_owned()),
        },
        hold_mass_deletions: false,
        credentials_from: BTreeSet::from(["default".to_owned()]),
        max_resyncs: 100,
    }
}

/// Bounds, with a target.
pub fn scaling(min_replicas: i32, max_replicas: i32) -> Scaling {
    let targets = ScalingTargets { target_cpu_utilization: Some(70), target_memory_utilization: None };
    let max_replicas = Some(max_replicas);
    Scaling { min_replicas, max_replicas, targets, scale_down_delay: None, activation: None }
}

impl World {
    /// A hub whose lists are in, and accepted clusters whose members are connected.
    pub fn with(names: &[&str]) -> Self {
        let mut world = Self::empty();
        for name in names {
            world.make_cluster(name, &[]);
        }
        world.start_hub();
        for name in names {
            world.connect(name);
        }
        world.settle();
        world
    }

    pub fn empty() -> Self {
        Self {
            fleet: Fleet::new(config()),
            mono: Duration::from_secs(1000),
            agents: BTreeMap::new(),
            clusters: BTreeMap::new(),
            members: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            revisions: BTreeMap::new(),
            image_tag: config().defaults.image_tag,
            pinned: BTreeMap::new(),
            inbox: BTreeMap::new(),
            crd_going: false,
            epoch: 1,
            log: Vec::new(),
            removable: BTreeSet::new(),
            counter: 0,
            sessions: 0,
            uids: 0,
            in_flight: BTreeSet::new(),
            sent: BTreeMap::new(),
            broken: BTreeSet::new(),
            turns: BTreeMap::new(),
            faults: VecDeque::new(),
            detached: BTreeSet::new(),
            refuses: false,
            answer_lost: false,
            faulty: false,
        }
    }

    pub fn now(&self) -> Now {
        let wall = Timestamp::from_second(1_700_000_000).unwrap();
        let ms = i64::try_from(self.mono.as_millis()).unwrap();
        Now { mono: self.mono, wall: wall + jiff::SignedDuration::from_millis(ms) }
    }

    // ---- the hub's process

    /// Starts the hub anew from what is stored; members find their sessions cut.
    pub fn start_hub(&mut self) {
        self.start_hub_as(config());
    }

    pub fn start_hub_as(&mut self, config: Config) {
        self.start_hub_without_revisions(config);
        self.load_revisions();
    }

    /// Its list of revisions is still to come.
    pub fn start_hub_without_revisions(&mut self, config: Config) {
        let defaults = FleetDefaults { image_tag: self.image_tag.clone(), ..config.defaults };
        self.fleet = Fleet::new(Config { epoch: self.epoch, defaults, ..config });
        self.expect_what_is_pinned();
        self.inbox.clear();
        self.in_flight.clear();
        for member in self.members.values_mut() {
            member.session = None;
            member.admitted = false;
            member.wanted.clear();
        }
        for object in self.agents.values().cloned().collect::<Vec<_>>() {
            self.feed(Input::AgentSeen(Arc::new(object)));
        }
        self.feed(Input::AgentsListed);
        for object in self.clusters.values().cloned().collect::<Vec<_>>() {
            self.feed(Input::ClusterSeen(Arc::new(object)));
        }
        self.feed(Input::ClustersListed);
        let stored = self.tombstones.iter().cloned().collect();
        self.feed(Input::TombstonesLoaded(stored));
    }

    pub fn feed(&mut self, input: Input) {
        let now = self.now();
        self.fleet.handle(input, now);
        self.check_standings();
        while let Some(effect) = self.fleet.poll_effect() {
            self.carry_out(effect);
        }
    }

    pub fn send(&mut self, channel: Channel, input: Input) {
        self.inbox.entry(channel).or_default().push_back(input);
    }

    /// Delivers the next input of the `n`th channel that has one. Whether there was one.
    pub fn deliver(&mut self, n: usize) -> bool {
        self.inbox.retain(|_, queue| !queue.is_empty());
        if self.inbox.is_empty() {
            return false;
        }
        let channel = self.inbox.keys().nth(n % self.inbox.len()).unwrap().clone();
        let input = self.inbox.get_mut(&channel).and_then(VecDeque::pop_front).unwrap();
        if let Input::Written { write, .. } = &input {
            assert!(self.in_flight.remove(write), "{write:?} was answered twice");
        }
        self.feed(input);
        true
    }

    /// Delivers everything, and ticks as often as the fleet wants it at this instant.
    pub fn settle(&mut self) {
        for _ in 0..5_000 {
            if self.deliver(0) {
                continue;
            }
            match self.fleet.next_deadline() {
                Some(at) if at <= self.mono => self.feed(Input::Tick),
                _ => return,
            }
        }
        panic!("it never comes to rest; the last effects: {:#?}", &self.log[self.log.len() - 20..]);
    }

    /// Lets time pass, deadline by deadline.
    pub fn pass(&mut self, seconds: u64) {
        let end = self.mono + Duration::from_secs(seconds);
        self.settle();
        while let Some(at) = self.fleet.next_deadline().filter(|at| *at <= end) {
            self.mono = self.mono.max(at);
            self.feed(Input::Tick);
            self.settle();
        }
        self.mono = end;
        self.settle();
    }
}

fn reference(key: &AgentKey, object: &ParallaxAgent) -> AgentRef {
    AgentRef { key: key.clone(), incarnation: Incarnation::new(object.metadata.uid.as_deref().unwrap()) }
}
