//! A hub's API server and members as plain values around a [`Fleet`], with every promise that holds at all times
//! checked as effects are carried out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::link::{AgentReport, ClusterReport, Held, Order, OrderResult, Outcome};
use parallax_crds::{
    AgentKey, AgentRef, ClusterName, Incarnation, MemberCluster, ParallaxAgent, ParallaxAgentSpec, Phase,
    SpecHash, labels,
};

use crate::fleet::*;
use crate::tombstones::Tombstone;

/// What arrives in order among itself, and in any order relative to the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    Agents,
    Clusters,
    Writes(Write),
    Crd,
    Session(ClusterName),
}

#[derive(Debug, Default)]
pub struct Member {
    pub uid: String,
    pub session: Option<u64>,
    pub held: BTreeMap<AgentKey, (Incarnation, SpecHash, i32)>,
    /// Removals are begun, and pods end only at [`World::pods_end`].
    pub lingering: bool,
    ending: Vec<AgentRef>,
    /// What the hub wants of it in this session: orders, as a real session keeps them.
    wanted: BTreeMap<AgentKey, Order>,
    pub admitted: bool,
    pub refused: Option<&'static str>,
}

pub struct World {
    pub fleet: Fleet,
    pub mono: Duration,
    pub agents: BTreeMap<AgentKey, ParallaxAgent>,
    pub clusters: BTreeMap<ClusterName, MemberCluster>,
    pub members: BTreeMap<ClusterName, Member>,
    pub tombstones: BTreeSet<Tombstone>,
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
    /// Writes to come that fail: after they were stored, or before.
    pub faults: VecDeque<bool>,
    /// The write at hand was stored, and its answer is lost.
    answer_lost: bool,
    faulty: bool,
}

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
        image_prefix: "registry.example/parallax".to_owned(),
        image_tag: "1".to_owned(),
        hold_mass_deletions: false,
        max_resyncs: 100,
    }
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
            inbox: BTreeMap::new(),
            crd_going: false,
            epoch: 1,
            log: Vec::new(),
            removable: BTreeSet::new(),
            counter: 0,
            sessions: 0,
            uids: 0,
            in_flight: BTreeSet::new(),
            faults: VecDeque::new(),
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
        self.fleet = Fleet::new(Config { epoch: self.epoch, ..config() });
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

    // ---- what users do

    fn version(&mut self) -> String {
        self.counter += 1;
        self.counter.to_string()
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    pub fn apply(&mut self, name: &str, edit: impl FnOnce(&mut ParallaxAgentSpec)) {
        let key = key(name);
        let (version, uid) = (self.version(), self.uid());
        let object = self.agents.entry(key.clone()).or_insert_with(|| {
            let spec: ParallaxAgentSpec = serde_json::from_str(r#"{"type":"claude"}"#).unwrap();
            let mut object = ParallaxAgent::new(key.name(), spec);
            object.metadata.namespace = Some(key.namespace().to_owned());
            object.metadata.uid = Some(uid);
            object.metadata.generation = Some(0);
            object
        });
        let before = object.spec.clone();
        edit(&mut object.spec);
        if object.spec != before || object.metadata.generation == Some(0) {
            object.metadata.generation = object.metadata.generation.map(|g| g + 1);
        }
        object.metadata.resource_version = Some(version);
        self.removable.insert(reference(&key, object));
        let seen = Input::AgentSeen(Arc::new(object.clone()));
        self.send(Channel::Agents, seen);
    }

    pub fn delete(&mut self, name: &str) {
        let key = key(name);
        let version = self.version();
        let now = Time(self.now().wall);
        let Some(object) = self.agents.get_mut(&key) else { return };
        object.metadata.deletion_timestamp.get_or_insert(now);
        object.metadata.resource_version = Some(version);
        self.removable.insert(reference(&key, object));
        self.after_metadata(&key);
    }

    /// What an API server does when finalizers or the deletionTimestamp have changed.
    fn after_metadata(&mut self, key: &AgentKey) {
        let object = &self.agents[key];
        let finalizers = object.metadata.finalizers.as_ref().is_some_and(|f| !f.is_empty());
        if object.metadata.deletion_timestamp.is_some() && !finalizers {
            let uid = object.metadata.uid.clone().unwrap();
            self.agents.remove(key);
            self.send(Channel::Agents, Input::AgentGone { key: key.clone(), uid });
        } else {
            let seen = Input::AgentSeen(Arc::new(object.clone()));
            self.send(Channel::Agents, seen);
        }
    }

    pub fn make_cluster(&mut self, name: &str, pairs: &[(&str, &str)]) {
        let mut object = MemberCluster::new(
            name,
            parallax_crds::MemberClusterSpec { accepted: true, ..Default::default() },
        );
        object.metadata.uid = Some(self.uid());
        object.metadata.labels =
            Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        self.clusters.insert(cluster(name), object);
        self.members.entry(cluster(name)).or_default().uid = format!("kube-system of {name}");
        self.edit_cluster(name, |_| {});
    }

    pub fn edit_cluster(&mut self, name: &str, edit: impl FnOnce(&mut MemberCluster)) {
        let version = self.version();
        let Some(object) = self.clusters.get_mut(&cluster(name)) else { return };
        let before = object.spec.clone();
        edit(object);
        if object.spec != before || object.metadata.generation.is_none() {
            object.metadata.generation = Some(object.metadata.generation.unwrap_or(0) + 1);
        }
        object.metadata.resource_version = Some(version);
        let seen = Input::ClusterSeen(Arc::new(object.clone()));
        self.send(Channel::Clusters, seen);
    }

    pub fn delete_cluster(&mut self, name: &str) {
        if self.clusters.remove(&cluster(name)).is_some() {
            self.send(Channel::Clusters, Input::ClusterGone(cluster(name)));
        }
    }

    pub fn approve(&mut self, name: &str) {
        let blocked = self.condition_of(name, "PruneBlocked").unwrap();
        let digest = blocked.message.rsplit_once('=').unwrap().1.to_owned();
        self.edit_cluster(name, |object| {
            object
                .metadata
                .annotations
                .get_or_insert_default()
                .insert(labels::PRUNE_APPROVE.to_owned(), digest);
        });
        let held = self.members[&cluster(name)].held.iter();
        let held = held.map(|(key, (i, ..))| AgentRef { key: key.clone(), incarnation: i.clone() });
        self.removable.extend(held);
    }

    // ---- what members do

    pub fn connect(&mut self, name: &str) {
        let uid = self.members[&cluster(name)].uid.clone();
        self.connect_as(name, &uid, 0);
    }

    pub fn connect_as(&mut self, name: &str, uid: &str, max_epoch_seen: u64) {
        self.sessions += 1;
        let session = SessionId { cluster: cluster(name), number: self.sessions };
        let member = self.members.get_mut(&session.cluster).unwrap();
        if member.session.is_none() || member.uid == uid {
            member.session = Some(session.number);
            member.admitted = false;
            member.wanted.clear();
        }
        let hello = Hello {
            cluster_uid: uid.to_owned(),
            boot_id: "boot".to_owned(),
            hub_uid: Some("hub".to_owned()),
            max_epoch_seen,
            member_version: "1".to_owned(),
            certificate_serial: "01".to_owned(),
            certificate_not_after: Timestamp::from_second(1_800_000_000).unwrap(),
        };
        self.send(Channel::Session(session.cluster.clone()), Input::Hello { session, hello });
    }

    pub fn cut(&mut self, name: &str) {
        let member = self.members.get_mut(&cluster(name)).unwrap();
        member.wanted.clear();
        member.admitted = false;
        if let Some(number) = member.session.take() {
            // What was under way is lost.
            self.inbox.remove(&Channel::Session(cluster(name)));
            self.closed(SessionId { cluster: cluster(name), number });
        }
    }

    fn closed(&mut self, session: SessionId) {
        let channel = Channel::Session(session.cluster.clone());
        self.send(channel, Input::SessionClosed { session, cause: "the stream ended".to_owned() });
    }

    pub fn pods_end(&mut self, name: &str) {
        let ending = std::mem::take(&mut self.members.get_mut(&cluster(name)).unwrap().ending);
        for agent in ending {
            let held = &mut self.members.get_mut(&cluster(name)).unwrap().held;
            if held.get(&agent.key).is_some_and(|(i, ..)| *i == agent.incarnation) {
                held.remove(&agent.key);
            }
            self.say(&cluster(name), SessionEvent::Result(result(&agent, None, Outcome::Gone)));
        }
    }

    fn say(&mut self, name: &ClusterName, event: SessionEvent) {
        let member = &self.members[name];
        if let (Some(number), true) = (member.session, member.admitted) {
            let session = SessionId { cluster: name.clone(), number };
            self.send(Channel::Session(name.clone()), Input::Session { session, event });
        }
    }

    fn run(&mut self, name: &ClusterName, order: &Order) {
        let member = self.members.get_mut(name).unwrap();
        // An order for what is being removed makes it anew.
        member.ending.retain(|agent| agent.key != order.agent.key);
        member
            .held
            .insert(order.agent.key.clone(), (order.agent.incarnation.clone(), order.hash, order.replicas));
        self.say(name, SessionEvent::Result(result(&order.agent, Some(order.hash), Outcome::Persisted)));
        self.report(name, &order.agent.key, order.replicas);
    }

    pub fn report(&mut self, name: &ClusterName, key: &AgentKey, ready: i32) {
        let Some((incarnation, hash, replicas)) = self.members[name].held.get(key).cloned() else { return };
        let report = AgentReport {
            agent: AgentRef { key: key.clone(), incarnation },
            hash: Some(hash),
            phase: if ready == replicas { Phase::Running } else { Phase::Pending },
            desired: replicas,
            replicas,
            ready,
            synced: true,
            reason: String::new(),
            message: String::new(),
            traceparent: None,
        };
        self.say(name, SessionEvent::Report(report));
    }

    fn remove_there(&mut self, name: &ClusterName, agent: &AgentRef) {
        let member = self.members.get_mut(name).unwrap();
        let holds = member.held.get(&agent.key).is_some_and(|(i, ..)| *i == agent.incarnation);
        if holds && member.lingering && !member.ending.contains(agent) {
            member.ending.push(agent.clone());
            return self.say(name, SessionEvent::Result(result(agent, None, Outcome::Removing)));
        }
        if holds {
            member.held.remove(&agent.key);
        }
        self.say(name, SessionEvent::Result(result(agent, None, Outcome::Gone)));
    }

    // ---- what the hub's process does

    fn carry_out(&mut self, effect: Effect) {
        self.log.push(effect.clone());
        if let Some(write) = write_of(&effect) {
            // A status that is never stored, and a crash before it is tried again: that copy is nobody's.
            let status = matches!(effect, Effect::WriteAgentStatus { .. });
            match self.faults.pop_front().map(|stored| stored || status) {
                None => {}
                Some(true) => (self.answer_lost, self.faulty) = (true, true),
                Some(false) => {
                    self.faulty = true;
                    let write = self.begin(write);
                    return self.answer(write, WriteOutcome::Failed("not stored".to_owned()));
                }
            }
        }
        match effect {
            Effect::Admit { session, orders, removals, .. } => self.admit(&session, orders, &removals),
            Effect::Refuse { session, reason, .. } | Effect::Retry { session, reason, .. } => {
                let member = self.members.get_mut(&session.cluster).unwrap();
                member.refused = Some(reason);
                if member.session == Some(session.number) {
                    member.session = None;
                }
                self.closed(session);
            }
            Effect::Close { session, .. } => {
                let member = self.members.get_mut(&session.cluster).unwrap();
                if member.session == Some(session.number) {
                    member.session = None;
                    member.admitted = false;
                    member.wanted.clear();
                }
                self.closed(session);
            }
            Effect::Upsert { session, order } => {
                self.check_order(&order);
                if self.is_current(&session) {
                    let member = self.members.get_mut(&session.cluster).unwrap();
                    member.wanted.insert(order.agent.key.clone(), order.clone());
                    self.run(&session.cluster, &order);
                }
            }
            Effect::Remove { session, agent, .. } => {
                self.check_removal(&agent);
                if self.is_current(&session) {
                    self.members.get_mut(&session.cluster).unwrap().wanted.remove(&agent.key);
                    self.remove_there(&session.cluster, &agent);
                }
            }
            Effect::Forget { session, agent } => {
                if self.is_current(&session) {
                    self.members.get_mut(&session.cluster).unwrap().wanted.remove(&agent);
                }
            }
            Effect::AddFinalizer { key, uid } => {
                let write = self.begin(Write::AddFinalizer(key.clone(), uid.clone()));
                let version = self.version();
                let outcome = match self.agents.get_mut(&key) {
                    None => WriteOutcome::NotFound,
                    Some(object) if object.metadata.uid.as_ref() != Some(&uid) => WriteOutcome::Conflict,
                    Some(object) if object.metadata.deletion_timestamp.is_some() => {
                        WriteOutcome::Invalid("it is being deleted".to_owned())
                    }
                    Some(object) => {
                        object.metadata.finalizers = Some(vec![labels::FINALIZER.to_owned()]);
                        object.metadata.resource_version = Some(version.clone());
                        self.after_metadata(&key);
                        WriteOutcome::Ok(version)
                    }
                };
                self.answer(write, outcome);
            }
            Effect::ReleaseFinalizer { key, uid } => {
                self.check_release(&key, &uid);
                let write = self.begin(Write::ReleaseFinalizer(key.clone(), uid.clone()));
                let version = self.version();
                let outcome = match self.agents.get_mut(&key) {
                    None => WriteOutcome::NotFound,
                    Some(object) if object.metadata.uid.as_ref() != Some(&uid) => WriteOutcome::Conflict,
                    Some(object) => {
                        object.metadata.finalizers = None;
                        object.metadata.resource_version = Some(version.clone());
                        self.after_metadata(&key);
                        WriteOutcome::Ok(version)
                    }
                };
                self.answer(write, outcome);
            }
            Effect::WriteAgentStatus { key, uid, status, .. } => {
                let write = self.begin(Write::AgentStatus(key.clone(), uid.clone()));
                let version = self.version();
                let outcome = match self.agents.get_mut(&key) {
                    None => WriteOutcome::NotFound,
                    Some(object) if object.metadata.uid.as_ref() != Some(&uid) => WriteOutcome::Conflict,
                    Some(object) => {
                        let same = object.status.as_ref() == Some(&*status);
                        assert!(!same || self.faulty, "a write that changes nothing of {key}");
                        object.status = Some(*status);
                        object.metadata.resource_version = Some(version.clone());
                        let seen = Input::AgentSeen(Arc::new(object.clone()));
                        self.send(Channel::Agents, seen);
                        WriteOutcome::Ok(version)
                    }
                };
                self.answer(write, outcome);
            }
            Effect::WriteClusterStatus { cluster, uid, status } => {
                let write = self.begin(Write::ClusterStatus(cluster.clone()));
                let version = self.version();
                let outcome = match self.clusters.get_mut(&cluster) {
                    None => WriteOutcome::NotFound,
                    Some(object) if object.metadata.uid.as_ref() != Some(&uid) => WriteOutcome::Conflict,
                    Some(object) => {
                        let same = object.status.as_ref() == Some(&*status);
                        assert!(!same || self.faulty, "a write that changes nothing of {cluster}");
                        object.status = Some(*status);
                        object.metadata.resource_version = Some(version.clone());
                        let seen = Input::ClusterSeen(Arc::new(object.clone()));
                        self.send(Channel::Clusters, seen);
                        WriteOutcome::Ok(version)
                    }
                };
                self.answer(write, outcome);
            }
            Effect::PinCluster { cluster, resource_version, cluster_uid } => {
                let write = self.begin(Write::PinCluster(cluster.clone()));
                let current = self.clusters.get(&cluster).and_then(|c| c.metadata.resource_version.clone());
                let outcome = match current {
                    None => WriteOutcome::NotFound,
                    Some(current) if current != resource_version => WriteOutcome::Conflict,
                    Some(_) => {
                        self.edit_cluster(cluster.as_str(), |c| c.spec.cluster_uid = Some(cluster_uid));
                        WriteOutcome::Ok(self.counter.to_string())
                    }
                };
                self.answer(write, outcome);
            }
            Effect::ClearPruneApproval { cluster, .. } => {
                let write = self.begin(Write::PruneApproval(cluster.clone()));
                self.edit_cluster(cluster.as_str(), |c| c.metadata.annotations = None);
                self.answer(write, WriteOutcome::Ok(self.counter.to_string()));
            }
            Effect::WriteTombstones { store, drop } => {
                let write = self.begin(Write::Tombstones);
                self.tombstones.extend(store);
                for tombstone in drop {
                    assert!(self.tombstones.remove(&tombstone) || self.faulty, "{tombstone:?} isn't stored");
                }
                self.answer(write, WriteOutcome::Ok(String::new()));
            }
            Effect::RaiseEpoch { to } => {
                let write = self.begin(Write::Epoch);
                self.epoch = to;
                self.answer(write, WriteOutcome::Ok(String::new()));
            }
            Effect::CheckCrd => {
                let state = if self.crd_going { CrdState::Going } else { CrdState::Live };
                self.send(Channel::Crd, Input::Crd(state));
            }
            Effect::Event { .. } => {}
        }
    }

    fn begin(&mut self, write: Write) -> Write {
        assert!(self.in_flight.insert(write.clone()), "{write:?} twice at a time");
        let statuses = self
            .in_flight
            .iter()
            .filter(|w| matches!(w, Write::AgentStatus(..) | Write::ClusterStatus(_)))
            .count();
        assert!(statuses <= WRITES_IN_FLIGHT, "{statuses} status writes in flight");
        write
    }

    fn answer(&mut self, write: Write, mut outcome: WriteOutcome) {
        if std::mem::take(&mut self.answer_lost) {
            outcome = WriteOutcome::Failed("the answer was lost".to_owned());
        }
        self.send(Channel::Writes(write.clone()), Input::Written { write, outcome });
    }

    fn is_current(&self, session: &SessionId) -> bool {
        let member = &self.members[&session.cluster];
        member.session == Some(session.number) && member.admitted
    }

    /// What a session does with an inventory: orders what differs, removes what it was told to, and asks about the rest.
    fn admit(&mut self, session: &SessionId, orders: Vec<Order>, removals: &[AgentRef]) {
        orders.iter().for_each(|order| self.check_order(order));
        removals.iter().for_each(|agent| self.check_removal(agent));
        let name = &session.cluster;
        let member = self.members.get_mut(name).unwrap();
        if member.session != Some(session.number) {
            return;
        }
        member.admitted = true;
        member.refused = None;
        let held = member.held.clone();
        for order in orders {
            self.members.get_mut(name).unwrap().wanted.insert(order.agent.key.clone(), order.clone());
            let same = (order.agent.incarnation.clone(), order.hash, order.replicas);
            let ending = self.members[name].ending.contains(&order.agent);
            if ending || held.get(&order.agent.key) != Some(&same) {
                self.run(name, &order);
            }
        }
        for agent in removals {
            self.remove_there(name, agent);
        }
        let wanted = &self.members[name].wanted;
        let unclaimed: Vec<_> = held
            .iter()
            .map(|(key, (incarnation, hash, replicas))| Held {
                agent: AgentRef { key: key.clone(), incarnation: incarnation.clone() },
                hash: *hash,
                replicas: *replicas,
                removing: false,
            })
            .filter(|h| !wanted.contains_key(&h.agent.key) && !removals.contains(&h.agent))
            .collect();
        if !unclaimed.is_empty() {
            self.say(name, SessionEvent::Unclaimed(unclaimed));
        }
        self.say(name, SessionEvent::Synced);
        for (key, (_, _, replicas)) in held {
            self.report(name, &key, replicas);
        }
        self.say(name, SessionEvent::ReportsComplete);
        let report = ClusterReport {
            kubernetes_version: "v1.36.3".to_owned(),
            member_version: "1".to_owned(),
            nodes_total: 3,
            nodes_ready: 3,
        };
        self.say(name, SessionEvent::Cluster(report));
    }

    // ---- promises

    fn check_order(&self, order: &Order) {
        if let Some(object) = self.agents.get(&order.agent.key)
            && reference(&order.agent.key, object) == order.agent
        {
            assert!(
                object.metadata.finalizers.is_some(),
                "{} was ordered before its finalizer",
                order.agent.key
            );
        }
    }

    fn check_removal(&self, agent: &AgentRef) {
        assert!(
            self.removable.contains(agent),
            "{agent:?} was removed, and the hub can't know that it may be"
        );
    }

    fn check_release(&self, key: &AgentKey, uid: &str) {
        let Some(object) = self.agents.get(key).filter(|o| o.metadata.uid.as_deref() == Some(uid)) else {
            return;
        };
        if self.crd_going {
            return;
        }
        let agent = reference(key, object);
        for (name, member) in &self.members {
            let holds = member.held.get(key).is_some_and(|(i, ..)| *i == agent.incarnation);
            let owed = self.tombstones.contains(&Tombstone { cluster: name.clone(), agent: agent.clone() });
            let detached = !self.clusters.contains_key(name);
            assert!(!holds || owed || detached, "{key} was let go while {name} holds it");
        }
    }

    // ---- what tests ask

    pub fn status(&self, name: &str) -> &parallax_crds::ParallaxAgentStatus {
        self.agents[&key(name)].status.as_ref().unwrap()
    }

    pub fn held(&self, member: &str, name: &str) -> Option<i32> {
        self.members[&cluster(member)].held.get(&key(name)).map(|(_, _, replicas)| *replicas)
    }

    pub fn incarnation_held(&self, member: &str, name: &str) -> Option<String> {
        self.members[&cluster(member)].held.get(&key(name)).map(|(i, ..)| i.to_string())
    }

    pub fn condition_of(
        &self,
        name: &str,
        type_: &str,
    ) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
        let status = self.clusters[&cluster(name)].status.as_ref()?;
        status.conditions.iter().find(|c| c.type_ == type_)
    }

    pub fn count(&self, which: impl Fn(&Effect) -> bool) -> usize {
        self.log.iter().filter(|e| which(e)).count()
    }

    pub fn agent_writes(&self) -> usize {
        self.count(|e| matches!(e, Effect::WriteAgentStatus { .. }))
    }

    pub fn writes(&self) -> usize {
        self.count(|e| {
            matches!(
                e,
                Effect::WriteAgentStatus { .. }
                    | Effect::WriteClusterStatus { .. }
                    | Effect::AddFinalizer { .. }
                    | Effect::ReleaseFinalizer { .. }
                    | Effect::WriteTombstones { .. }
                    | Effect::PinCluster { .. }
                    | Effect::RaiseEpoch { .. }
                    | Effect::ClearPruneApproval { .. }
            )
        })
    }

    pub fn orders_and_removals(&self) -> usize {
        self.count(|e| matches!(e, Effect::Upsert { .. } | Effect::Remove { .. }))
    }
}

fn reference(key: &AgentKey, object: &ParallaxAgent) -> AgentRef {
    AgentRef { key: key.clone(), incarnation: Incarnation::new(object.metadata.uid.as_deref().unwrap()) }
}

fn result(agent: &AgentRef, hash: Option<SpecHash>, outcome: Outcome) -> OrderResult {
    OrderResult { agent: agent.clone(), hash, outcome, reason: String::new(), message: String::new() }
}

fn write_of(effect: &Effect) -> Option<Write> {
    Some(match effect {
        Effect::AddFinalizer { key, uid } => Write::AddFinalizer(key.clone(), uid.clone()),
        Effect::ReleaseFinalizer { key, uid } => Write::ReleaseFinalizer(key.clone(), uid.clone()),
        Effect::WriteAgentStatus { key, uid, .. } => Write::AgentStatus(key.clone(), uid.clone()),
        Effect::WriteClusterStatus { cluster, .. } => Write::ClusterStatus(cluster.clone()),
        Effect::PinCluster { cluster, .. } => Write::PinCluster(cluster.clone()),
        Effect::WriteTombstones { .. } => Write::Tombstones,
        _ => return None,
    })
}
