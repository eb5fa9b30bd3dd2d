//! The world of the two machines: what each end has persisted, the wire, and who carries out orders.

mod hub;
mod member;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use parallax_crds::activation::WakeUp;
use parallax_crds::agent::Bounds;
use parallax_crds::fixtures::{hash, held, order, report};
use parallax_crds::link::{AgentReport, Held, Order, OrderResult, Outcome, Scale};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, ClusterName, Incarnation};
use parallax_proto::session::limits::FRAME_BYTES;
use parallax_proto::session::{
    HubEvent, HubSession, HubSessionConfig, MemberAction, MemberLink, MemberLinkConfig,
};
use parallax_proto::v1;
use prost::Message;

use member::{POISON, is};

use crate::support::{link_config, session_config};

const KEYS: usize = 6;

#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// The hub wants an agent so.
    Want {
        key: usize,
        hash: u8,
        replicas: i32,
    },
    /// The agent is deleted, and another of its name is made.
    Recreate {
        key: usize,
        hash: u8,
    },
    /// The agent is deleted.
    Delete {
        key: usize,
    },
    /// The hub forgets an agent, as after a restore from an older backup.
    Lose {
        key: usize,
    },
    /// Somebody deletes an assignment in the member.
    Vandalise {
        key: usize,
    },
    ToHub {
        frames: usize,
    },
    ToMember {
        frames: usize,
    },
    /// Orders are carried out.
    Work {
        works: usize,
    },
    /// What was removing or waiting is done.
    Late,
    /// The epoch is persisted.
    Persist,
    Connect,
    Pass {
        millis: u64,
    },
    /// Some of what is on the wire arrives, then it is cut.
    Cut {
        to_hub: usize,
        to_member: usize,
    },
    CrashHub,
    CrashMember,
}

enum Work {
    Upsert(Order),
    Remove(AgentRef),
}

pub struct World {
    now: Duration,
    seed: u64,
    // The hub.
    epoch: u64,
    wanted: BTreeMap<AgentKey, Order>,
    tombstones: BTreeSet<AgentRef>,
    lost: BTreeSet<AgentRef>,
    incarnations: u64,
    session: Option<HubSession>,
    synced: bool,
    reports: BTreeMap<AgentKey, AgentReport>,
    // The wire.
    to_hub: VecDeque<v1::FromMember>,
    to_member: VecDeque<v1::FromHub>,
    // The member: its API server,
    held: BTreeMap<AgentKey, Held>,
    persisted: Option<(String, u64)>,
    /// Everything that may go, by the hub's word.
    may_go: BTreeSet<AgentRef>,
    writes: u64,
    // and its process.
    boots: u64,
    link: MemberLink,
    dialling: bool,
    persist: Option<(String, u64)>,
    works: VecDeque<(u64, Work)>,
    waiting: BTreeMap<AgentKey, Order>,
}

fn key(n: usize) -> AgentKey {
    AgentKey::new("demo", &format!("agent-{}", n % KEYS))
}

fn link(seed: u64, boot: u64, persisted: Option<&(String, u64)>, now: Duration) -> MemberLink {
    let config = MemberLinkConfig {
        boot_id: format!("boot-{boot}"),
        seed: seed ^ boot,
        ..link_config(persisted.map(|(_, epoch)| *epoch))
    };
    MemberLink::new(config, now)
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            seed,
            epoch: 1,
            wanted: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            lost: BTreeSet::new(),
            incarnations: 0,
            session: None,
            synced: false,
            reports: BTreeMap::new(),
            to_hub: VecDeque::new(),
            to_member: VecDeque::new(),
            held: BTreeMap::new(),
            persisted: None,
            may_go: BTreeSet::new(),
            writes: 0,
            boots: 1,
            link: link(seed, 1, None, Duration::ZERO),
            dialling: false,
            persist: None,
            works: VecDeque::new(),
            waiting: BTreeMap::new(),
        }
    }

    pub fn apply(&mut self, op: Op) {
        match op {
            Op::Want { key: n, hash: h, replicas } => {
                let key = key(n);
                let incarnation = match self.wanted.get(&key) {
                    Some(order) => order.agent.incarnation.clone(),
                    None => self.next_incarnation(),
                };
                self.want(Order {
                    hash: hash(h),
                    // Every other scale has bounds, and they change with the replicas.
                    scale: Scale {
                        replicas,
                        bounds: (replicas % 2 == 1).then_some(Bounds {
                            min: 0,
                            max: replicas + 1,
                            start: replicas,
                        }),
                        wake: WakeUp::numbered((replicas % 3).into()),
                    },
                    template: vec![b'x'; usize::from(h) * 100 + 1].into(),
                    ..order(AgentRef { key, incarnation })
                });
            }
            Op::Recreate { key: n, hash: h } => {
                self.delete(&key(n));
                self.apply(Op::Want { key: n, hash: h, replicas: 1 });
            }
            Op::Delete { key: n } => self.delete(&key(n)),
            Op::Lose { key: n } => {
                if let Some(order) = self.wanted.remove(&key(n)) {
                    self.lost.insert(order.agent);
                    if let Some(session) = &mut self.session {
                        session.forget(&key(n));
                        for tombstone in self.tombstones.iter().filter(|tombstone| tombstone.key == key(n)) {
                            session.remove(tombstone.clone(), None);
                        }
                    }
                }
            }
            Op::Vandalise { key: n } => {
                // Only what isn't being worked on: a real API server would order the two, this model can't.
                let busy = self.works.iter().any(|(_, work)| match work {
                    Work::Upsert(order) => order.agent.key == key(n),
                    Work::Remove(agent) => agent.key == key(n),
                });
                if !busy && self.held.remove(&key(n)).is_some() {
                    self.link.release(&key(n));
                    self.link.unreport(&key(n));
                    self.reports.remove(&key(n));
                }
            }
            Op::ToHub { frames } => {
                for _ in 0..frames {
                    self.deliver_to_hub();
                }
            }
            Op::ToMember { frames } => {
                for _ in 0..frames {
                    self.deliver_to_member();
                }
            }
            Op::Work { works } => {
                for _ in 0..works {
                    self.work();
                }
            }
            Op::Late => self.late(),
            Op::Persist => self.persist_epoch(),
            Op::Connect => self.connect(),
            Op::Pass { millis } => self.pass(Duration::from_millis(millis)),
            Op::Cut { to_hub, to_member } => {
                self.apply(Op::ToHub { frames: to_hub });
                self.apply(Op::ToMember { frames: to_member });
                self.cut();
            }
            Op::CrashHub => {
                self.epoch += 1;
                self.session = None;
                self.cut();
            }
            Op::CrashMember => {
                self.boots += 1;
                self.cut();
                self.works.clear();
                self.persist = None;
                self.waiting.clear();
                self.link = link(self.seed, self.boots, self.persisted.as_ref(), self.now);
                for held in self.held.values() {
                    self.link.hold(held.clone());
                    self.link.report(report(held));
                }
            }
        }
        self.pump();
        self.check_bounds();
    }

    fn connect(&mut self) {
        if std::mem::take(&mut self.dialling) {
            self.session = Some(HubSession::new(ClusterName::new("member").unwrap(), self.now));
            self.synced = false;
            self.to_hub.clear();
            self.to_member.clear();
            self.link.on_connected(self.now);
        }
    }

    fn cut(&mut self) {
        self.to_hub.clear();
        self.to_member.clear();
        if let Some(mut session) = self.session.take() {
            session.on_eof(self.now);
        }
        self.synced = false;
        self.link.on_disconnected("cut", self.now);
    }

    fn deliver_to_hub(&mut self) {
        if let (Some(frame), Some(session)) = (self.to_hub.pop_front(), &mut self.session) {
            let bytes = frame.encode_to_vec();
            assert!(bytes.len() <= FRAME_BYTES);
            session.on_frame(v1::FromMember::decode(bytes.as_slice()).unwrap(), self.now);
        }
        self.pump();
    }

    fn deliver_to_member(&mut self) {
        if let Some(frame) = self.to_member.pop_front() {
            let bytes = frame.encode_to_vec();
            assert!(bytes.len() <= FRAME_BYTES);
            self.link.on_frame(v1::FromHub::decode(bytes.as_slice()).unwrap(), self.now);
        }
        self.pump();
    }

    /// Machines speak while the wire has room, which is two frames each way.
    fn pump(&mut self) {
        self.actions();
        while self.session.is_some()
            && self.to_hub.len() < 2
            && let Some(frame) = self.link.poll_frame(self.now)
        {
            self.to_hub.push_back(frame);
        }
        while let Some(session) = &mut self.session
            && self.to_member.len() < 2
            && let Some(frame) = session.poll_frame(self.now)
        {
            self.to_member.push_back(frame);
        }
        self.hub_events();
        self.actions();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let deadlines =
                [self.session.as_ref().and_then(HubSession::next_deadline), self.link.next_deadline()];
            let next = deadlines.into_iter().flatten().min().unwrap_or(until).min(until);
            self.now = self.now.max(next);
            if let Some(session) = &mut self.session {
                session.on_timer(self.now);
            }
            self.link.on_timer(self.now);
            let idle = self.to_hub.is_empty() && self.to_member.is_empty();
            self.pump();
            if self.now >= until {
                return;
            }
            // What nobody delivers now is late, and time would stand still at a heartbeat that is due.
            if !idle {
                self.now = until;
            }
        }
    }

    fn check_bounds(&self) {
        if let Some(session) = &self.session {
            assert!(session.outbox_depth() <= KEYS);
        }
        let agents = usize::try_from(self.incarnations).unwrap();
        assert!(self.link.outbox_depth() <= agents + KEYS + 2 * KEYS);
    }

    /// No more faults: both ends come to agree, and then rest.
    pub fn settle(&mut self) {
        for _ in 0..3000 {
            self.connect();
            self.persist_epoch();
            self.pump();
            while !self.to_hub.is_empty() || !self.to_member.is_empty() || !self.works.is_empty() {
                self.deliver_to_hub();
                self.deliver_to_member();
                self.persist_epoch();
                self.work();
            }
            self.late();
            self.pump();
            if self.to_hub.is_empty() && self.to_member.is_empty() && self.disagreement().is_none() {
                break;
            }
            self.pass(Duration::from_millis(500));
        }
        assert_eq!(self.disagreement(), None);
        // And nothing is written any more.
        let writes = self.writes;
        for _ in 0..120 {
            self.pass(Duration::from_secs(1));
            while !self.to_hub.is_empty() || !self.to_member.is_empty() || !self.works.is_empty() {
                self.deliver_to_hub();
                self.deliver_to_member();
                self.work();
            }
        }
        assert_eq!(self.writes, writes, "the member writes without being asked");
        assert_eq!(self.disagreement(), None);
        assert!(self.session.is_some(), "the session is lost without a fault");
    }

    /// Where the two ends differ.
    fn disagreement(&self) -> Option<String> {
        if !self.synced {
            return Some("the resync isn't over".to_owned());
        }
        for order in self.wanted.values().filter(|order| !is(order, POISON)) {
            let held = self.held.get(&order.agent.key);
            let same = held.is_some_and(|held| {
                held.agent == order.agent
                    && held.hash == order.hash
                    && held.scale == order.scale
                    && !held.removing
            });
            if !same {
                return Some(format!("{order:?} is wanted, {held:?} is held"));
            }
        }
        for held in self.held.values() {
            let wanted = self.wanted.get(&held.agent.key);
            let kept = wanted.is_some() || self.lost.contains(&held.agent);
            if !kept || held.removing {
                return Some(format!("{held:?} is held for nothing"));
            }
            if self.reports.get(&held.agent.key) != Some(&report(held)) {
                return Some(format!(
                    "{held:?} is not what was reported: {:?}",
                    self.reports.get(&held.agent.key)
                ));
            }
        }
        if let Some(tombstone) = self.tombstones.first() {
            return Some(format!("{tombstone:?} is not known to be gone"));
        }
        let waiting = self.session.as_ref().map_or(0, HubSession::outbox_depth);
        (waiting > 0).then(|| format!("{waiting} orders wait"))
    }
}
