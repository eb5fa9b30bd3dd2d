//! What the hub's process and the API server do with each effect.

use std::sync::Arc;

use parallax_crds::labels;

use super::{Channel, World};
use crate::fleet::*;

impl World {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        self.log.push(effect.clone());
        let refusable = matches!(
            effect,
            Effect::WriteAgentStatus { .. } | Effect::WriteClusterStatus { .. } | Effect::PinCluster { .. }
        );
        if self.refuses
            && refusable
            && let Some(write) = write_of(&effect)
        {
            let write = self.begin(write);
            return self.answer(write, WriteOutcome::Invalid("status.phase: Unsupported value".to_owned()));
        }
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
            Effect::Admit { session, orders, removals, .. } => {
                orders.iter().for_each(|order| self.check_turn(&session.cluster, order));
                self.admit(&session, orders, &removals);
            }
            Effect::Refuse { session, refusal, .. } => self.turned_away(session, refusal.word()),
            Effect::Retry { session, reason, .. } => self.turned_away(session, reason),
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
                self.check_turn(&session.cluster, &order);
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
                let write = self.begin(Write::PinCluster(cluster.clone(), cluster_uid.clone()));
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
            Effect::WriteRevision { key, uid, id, about, revision } => {
                let write = self.begin(Write::Revision(key.clone(), id));
                self.store_revision(&key, uid, id, *about, revision);
                self.answer(write, WriteOutcome::Ok(String::new()));
            }
            Effect::DropRevision { key, id } => {
                let write = self.begin(Write::Revision(key.clone(), id));
                self.revisions.remove(&(key, id));
                self.answer(write, WriteOutcome::Ok(String::new()));
            }
            Effect::ReadRevision { key, id } => {
                let stored = self.revisions.get(&(key.clone(), id));
                let read = Ok(stored.map(|stored| Box::new(stored.revision.spec.clone())));
                let channel = Channel::Revision(key.clone());
                self.send(channel, Input::RevisionRead { key, id, read });
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
            Effect::HandKey { .. }
            | Effect::WithholdKey { .. }
            | Effect::TellCopy { .. }
            | Effect::TellCopyNoLonger { .. }
            | Effect::Usage { .. }
            | Effect::Event { .. } => {}
        }
    }

    fn turned_away(&mut self, session: SessionId, word: &'static str) {
        let member = self.members.get_mut(&session.cluster).unwrap();
        member.refused = Some(word);
        if member.session == Some(session.number) {
            member.session = None;
        }
        self.closed(session);
    }

    pub(super) fn begin(&mut self, write: Write) -> Write {
        assert!(self.in_flight.insert(write.clone()), "{write:?} twice at a time");
        let of = |which: fn(&&Write) -> bool| self.in_flight.iter().filter(which).count();
        let statuses = of(|w| matches!(w, Write::AgentStatus(..) | Write::ClusterStatus(_)));
        assert!(statuses <= WRITES_IN_FLIGHT, "{statuses} status writes in flight");
        let finalizers = of(|w| matches!(w, Write::AddFinalizer(..) | Write::ReleaseFinalizer(..)));
        assert!(finalizers <= WRITES_IN_FLIGHT, "{finalizers} writes of finalizers in flight");
        let revisions = of(|w| matches!(w, Write::Revision(..)));
        assert!(revisions <= REVISIONS_IN_FLIGHT, "{revisions} writes of revisions in flight");
        write
    }

    pub(super) fn answer(&mut self, write: Write, mut outcome: WriteOutcome) {
        if std::mem::take(&mut self.answer_lost) {
            outcome = WriteOutcome::Failed("the answer was lost".to_owned());
        }
        self.send(Channel::Writes(write.clone()), Input::Written { write, outcome });
    }
}

fn write_of(effect: &Effect) -> Option<Write> {
    Some(match effect {
        Effect::AddFinalizer { key, uid } => Write::AddFinalizer(key.clone(), uid.clone()),
        Effect::ReleaseFinalizer { key, uid } => Write::ReleaseFinalizer(key.clone(), uid.clone()),
        Effect::WriteAgentStatus { key, uid, .. } => Write::AgentStatus(key.clone(), uid.clone()),
        Effect::WriteClusterStatus { cluster, .. } => Write::ClusterStatus(cluster.clone()),
        Effect::PinCluster { cluster, cluster_uid, .. } => {
            Write::PinCluster(cluster.clone(), cluster_uid.clone())
        }
        Effect::WriteRevision { key, id, .. } | Effect::DropRevision { key, id } => {
            Write::Revision(key.clone(), *id)
        }
        Effect::WriteTombstones { .. } => Write::Tombstones,
        _ => return None,
    })
}
