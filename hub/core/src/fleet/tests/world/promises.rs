//! What holds at all times.

use parallax_crds::link::Order;
use parallax_crds::{AgentKey, AgentRef};

use super::{World, reference};
use crate::tombstones::Tombstone;

impl World {
    pub(super) fn check_order(&self, order: &Order) {
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

    pub(super) fn check_removal(&self, agent: &AgentRef) {
        assert!(
            self.removable.contains(agent),
            "{agent:?} was removed, and the hub can't know that it may be"
        );
    }

    pub(super) fn check_release(&self, key: &AgentKey, uid: &str) {
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
}
