//! What members do: their streams, their pods, and their answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_crds::agent::KeyReference;
use parallax_crds::copies::{CopyWish, Source};
use parallax_crds::link::{
    AgentReport, AgentUsage, ClusterReport, Held, KeyWish, Order, OrderResult, Outcome, Resources,
};
use parallax_crds::{AgentKey, AgentRef, ClusterName, Phase, SpecHash, fixtures};

use super::{BROKEN, Channel, World, cluster, key};
use crate::fleet::*;

impl World {
    pub fn connect(&mut self, name: &str) {
        let uid = self.members[&cluster(name)].uid.clone();
        self.connect_as(name, &uid, 0);
    }

    pub fn connect_as(&mut self, name: &str, uid: &str, max_epoch_seen: u64) {
        self.sessions += 1;
        let session = SessionId { cluster: cluster(name), number: self.sessions };
        let member = self.members.get_mut(&session.cluster).unwrap();
        let (renewed, boot_id) = (member.renewed, member.boot_id.clone());
        if member.session.is_none() || member.uid == uid {
            member.session = Some(session.number);
            member.admitted = false;
            member.wanted.clear();
        }
        let hello = Hello {
            cluster_uid: uid.to_owned(),
            boot_id,
            hub_uid: Some("hub".to_owned()),
            max_epoch_seen,
            member_version: "1".to_owned(),
            certificate_serial: "01".to_owned(),
            certificate_not_after: Timestamp::from_second(1_800_000_000).unwrap() + renewed,
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

    pub(super) fn closed(&mut self, session: SessionId) {
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

    pub(super) fn say(&mut self, name: &ClusterName, event: SessionEvent) {
        let member = &self.members[name];
        if let (Some(number), true) = (member.session, member.admitted) {
            let session = SessionId { cluster: name.clone(), number };
            self.send(Channel::Session(name.clone()), Input::Session { session, event });
        }
    }

    pub(super) fn run(&mut self, name: &ClusterName, order: &Order) {
        let member = self.members.get_mut(name).unwrap();
        // An order for what is being removed makes it anew.
        member.ending.retain(|agent| agent.key != order.agent.key);
        member
            .held
            .insert(order.agent.key.clone(), (order.agent.incarnation.clone(), order.hash, order.scale));
        self.sent.insert(order.hash, order.template.clone());
        if String::from_utf8_lossy(&order.template).contains(BROKEN) {
            self.broken.insert(order.hash);
        }
        let member = &self.members[name];
        let (replicas, slow) = (order.scale.replicas, member.slow);
        let ready = member.ready.get(&order.agent.key).copied().unwrap_or(0);
        self.say(name, SessionEvent::Result(result(&order.agent, Some(order.hash), Outcome::Persisted)));
        self.report(name, &order.agent.key, if slow { ready.min(replicas) } else { replicas });
    }

    pub fn report(&mut self, name: &ClusterName, key: &AgentKey, ready: i32) {
        let Some((incarnation, hash, scale)) = self.members[name].held.get(key).cloned() else { return };
        let member = self.members.get_mut(name).unwrap();
        let asked = scale.bounds.zip(member.load.get(key)).map(|(bounds, load)| bounds.clamp(*load));
        let ready = asked.unwrap_or(ready);
        member.ready.insert(key.clone(), ready);
        let slow = member.slow;
        let held = Held { agent: AgentRef { key: key.clone(), incarnation }, hash, scale, removing: false };
        let broken = self.broken.contains(&hash);
        let serving = ready;
        let ready = if broken { 0 } else { ready };
        let report = AgentReport {
            reason: if broken { "ImagePullBackOff".to_owned() } else { String::new() },
            phase: if ready == scale.replicas { Phase::Running } else { Phase::Pending },
            chosen: scale.bounds.map(|bounds| bounds.clamp(if slow { scale.replicas } else { ready })),
            ready,
            serving,
            ..fixtures::report(&held)
        };
        self.say(name, SessionEvent::Report(report));
    }

    /// An agent's load in a cluster asks for so many replicas.
    pub fn load(&mut self, name: &str, agent: &str, replicas: i32) {
        let (name, key) = (cluster(name), key(agent));
        self.members.get_mut(&name).unwrap().load.insert(key.clone(), replicas);
        self.report(&name, &key, replicas);
    }

    /// So many more replicas of an agent are ready in a cluster, as far as it is to have them.
    pub fn pods_ready(&mut self, name: &str, agent: &str, more: i32) {
        let (name, key) = (cluster(name), key(agent));
        let member = &self.members[&name];
        let Some((_, _, scale)) = member.held.get(&key) else { return };
        let ready = member.ready.get(&key).copied().unwrap_or(0);
        let now = (ready + more).min(scale.replicas);
        if now != ready {
            self.report(&name, &key, now);
        }
    }

    /// It tells what an agent uses that it holds.
    pub fn uses(&mut self, name: &str, agent: &str, usage: impl FnOnce(AgentRef) -> AgentUsage) {
        let (key, name) = (key(agent), cluster(name));
        let (incarnation, ..) = self.members[&name].held[&key].clone();
        self.say(&name, SessionEvent::Usage(vec![usage(AgentRef { key, incarnation })]));
    }

    /// It asks for the key of an agent that it holds.
    pub fn ask(&mut self, name: &str, agent: &str, reference: KeyReference) {
        let (key, name) = (key(agent), cluster(name));
        let (incarnation, ..) = self.members[&name].held[&key].clone();
        self.ask_as(&name, AgentRef { key, incarnation }, reference);
    }

    /// It asks for a key, whether it is its business or not.
    pub fn ask_as(&mut self, name: &ClusterName, agent: AgentRef, reference: KeyReference) {
        self.say(name, SessionEvent::KeyWishes(vec![KeyWish { agent, reference }]));
    }

    /// A member asks what is in an object, for the sake of an agent.
    pub fn ask_for_copy(&mut self, name: &str, agent: AgentRef, source: Source) {
        self.say(&cluster(name), SessionEvent::CopyWishes(vec![CopyWish { agent, source }]));
    }

    pub(super) fn remove_there(&mut self, name: &ClusterName, agent: &AgentRef) {
        let member = self.members.get_mut(name).unwrap();
        member.ready.remove(&agent.key);
        let holds = member.held.get(&agent.key).is_some_and(|(i, ..)| *i == agent.incarnation);
        if holds && member.lingering {
            // A removal that is begun isn't done sooner for being asked for again.
            if !member.ending.contains(agent) {
                member.ending.push(agent.clone());
            }
            return self.say(name, SessionEvent::Result(result(agent, None, Outcome::Removing)));
        }
        if holds {
            member.held.remove(&agent.key);
        }
        self.say(name, SessionEvent::Result(result(agent, None, Outcome::Gone)));
    }

    pub(super) fn is_current(&self, session: &SessionId) -> bool {
        let member = &self.members[&session.cluster];
        member.session == Some(session.number) && member.admitted
    }

    /// What a session does with an inventory: orders what differs, removes what it was told to, and asks about the rest.
    pub(super) fn admit(&mut self, session: &SessionId, orders: Vec<Order>, removals: &[AgentRef]) {
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
            let same = (order.agent.incarnation.clone(), order.hash, order.scale);
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
            .map(|(key, (incarnation, hash, scale))| Held {
                agent: AgentRef { key: key.clone(), incarnation: incarnation.clone() },
                hash: *hash,
                scale: *scale,
                removing: false,
            })
            .filter(|h| !wanted.contains_key(&h.agent.key) && !removals.contains(&h.agent))
            .collect();
        self.say(name, SessionEvent::Unclaimed(unclaimed));
        self.say(name, SessionEvent::Synced);
        let member = &self.members[name];
        let ready = |key: &AgentKey, most: i32| match member.slow {
            true => member.ready.get(key).copied().unwrap_or(0).min(most),
            false => most,
        };
        let ready: Vec<_> = held.iter().map(|(key, (.., scale))| (key, ready(key, scale.replicas))).collect();
        for (key, ready) in ready {
            self.report(name, key, ready);
        }
        self.say(name, SessionEvent::ReportsComplete);
        let resources = self.members[name].resources.clone();
        self.tell_of_itself(name, resources);
    }

    /// It tells what its nodes have.
    pub fn has(&mut self, name: &str, resources: Resources) {
        self.members.get_mut(&cluster(name)).unwrap().resources = Some(resources.clone());
        self.tell_of_itself(&cluster(name), Some(resources));
    }

    fn tell_of_itself(&mut self, name: &ClusterName, resources: Option<Resources>) {
        let report = ClusterReport {
            kubernetes_version: "v1.36.3".to_owned(),
            member_version: "1".to_owned(),
            nodes_total: 3,
            nodes_ready: 3,
            resources,
            labels: BTreeMap::from([("zone".to_owned(), "eu-1".to_owned())]),
            scores: BTreeMap::new(),
        };
        self.say(name, SessionEvent::Cluster(report));
    }
}

fn result(agent: &AgentRef, hash: Option<SpecHash>, outcome: Outcome) -> OrderResult {
    OrderResult::well(agent.clone(), hash, outcome)
}
