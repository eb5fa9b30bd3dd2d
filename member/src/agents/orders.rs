//! The hub's orders that are not settled yet, the latest of each agent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parallax_crds::link::{Order, OrderResult, Outcome};
use parallax_crds::{AgentKey, AgentRef, SpecHash};

use crate::store::{Assignment, Versioned as _};

/// What is wanted of an agent.
#[derive(Debug, Clone)]
pub enum What {
    /// Run it, for the hub of that UID.
    Run {
        /// How.
        order: Order,
        /// Whose order it is.
        hub: String,
    },
    /// Remove it.
    Remove {
        /// Which.
        agent: AgentRef,
        /// W3C traceparent of the change.
        traceparent: Option<String>,
    },
}

impl What {
    fn agent(&self) -> &AgentRef {
        match self {
            Self::Run { order, .. } => &order.agent,
            Self::Remove { agent, .. } => agent,
        }
    }

    fn hash(&self) -> Option<SpecHash> {
        match self {
            Self::Run { order, .. } => Some(order.hash),
            Self::Remove { .. } => None,
        }
    }
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Became {
    /// How far it came.
    pub outcome: Outcome,
    /// A CamelCase word; empty when all is well.
    pub reason: String,
    /// A sentence that says what to do; empty when all is well.
    pub message: String,
}

impl Became {
    /// All is well.
    pub fn well(outcome: Outcome) -> Self {
        Self { outcome, reason: String::new(), message: String::new() }
    }

    fn is_final(&self) -> bool {
        matches!(self.outcome, Outcome::Persisted | Outcome::Rejected | Outcome::Gone)
    }
}

/// A nonce that waits for an answer.
#[derive(Debug)]
struct Asked {
    nonce: u64,
    agent: AgentRef,
    hash: Option<SpecHash>,
}

#[derive(Debug)]
struct Wish {
    serial: u64,
    what: What,
    asked: Vec<Asked>,
    told: Option<Became>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Orders {
    serial: u64,
    wishes: HashMap<AgentKey, Wish>,
    /// Assignments whose deletion had begun before this process knew them: who wanted it isn't known.
    doomed: HashSet<Box<str>>,
}

impl Orders {
    /// Takes an order in; it replaces an unsettled one, whose nonces are answered along with it.
    pub fn want(&mut self, nonce: Option<u64>, what: What) {
        self.serial += 1;
        let key = what.agent().key.clone();
        let asked = nonce.map(|nonce| Asked { nonce, agent: what.agent().clone(), hash: what.hash() });
        let mut waiting = self.wishes.remove(&key).map(|old| old.asked).unwrap_or_default();
        waiting.extend(asked);
        self.wishes.insert(key, Wish { serial: self.serial, what, asked: waiting, told: None });
    }

    /// What is wanted of an agent, with the number to settle it by.
    pub fn wanted(&self, key: &AgentKey) -> Option<(u64, What)> {
        self.wishes.get(key).map(|w| (w.serial, w.what.clone()))
    }

    /// Agents of a namespace of which something is wanted.
    pub fn waiting_in(&self, namespace: &str) -> Vec<AgentKey> {
        self.wishes.keys().filter(|k| k.namespace() == namespace).cloned().collect()
    }

    /// What became of a wish: the answers to be given. Nothing when another wish took its place meanwhile.
    pub fn settle(&mut self, key: &AgentKey, serial: u64, became: &Became) -> Vec<(u64, OrderResult)> {
        let Some(wish) = self.wishes.get_mut(key).filter(|w| w.serial == serial) else { return Vec::new() };
        let (agent, hash) = (wish.what.agent().clone(), wish.what.hash());
        let mut asked = std::mem::take(&mut wish.asked);
        if wish.told.as_ref() != Some(became) && asked.is_empty() {
            asked.push(Asked { nonce: 0, agent: agent.clone(), hash });
        }
        let done = became.is_final();
        wish.told = Some(became.clone());
        if done {
            self.wishes.remove(key);
        }
        let answer = |a: Asked| {
            let became =
                if a.agent == agent && a.hash == hash { became.clone() } else { superseded(&a, became) };
            let Became { outcome, reason, message } = became;
            (a.nonce, OrderResult { agent: a.agent, hash: a.hash, outcome, reason, message })
        };
        asked.into_iter().map(answer).collect()
    }

    /// An assignment that wasn't known before.
    pub fn first_seen(&mut self, assignment: &Assignment) {
        if assignment.deleting() {
            self.doomed.insert(assignment.uid().into());
        }
    }

    /// An assignment is gone. When nobody ordered that, it is to be put back.
    pub fn gone(&mut self, gone: &Arc<Assignment>) {
        let doomed = self.doomed.remove(gone.uid());
        if doomed || self.wishes.contains_key(&gone.agent.key) {
            return;
        }
        let (Some(hash), Ok(template)) = (gone.hash, serde_json::to_vec(&gone.object.spec.template)) else {
            return;
        };
        tracing::warn!(agent = %gone.agent.key, "the assignment was deleted by another hand; putting it back");
        let order = Order {
            agent: gone.agent.clone(),
            hash,
            scale: gone.scale(),
            template: template.into(),
            traceparent: gone.traceparent().map(str::to_owned),
        };
        self.want(None, What::Run { order, hub: gone.object.spec.hub.clone() });
    }
}

/// The answer to an order that a later one for the same agent overtook.
fn superseded(asked: &Asked, became: &Became) -> Became {
    match (asked.hash, became.outcome) {
        // A removal that an order for the next incarnation overtook: what is persisted has taken its place.
        (None, Outcome::Persisted) => Became::well(Outcome::Gone),
        (None, _) => Became::well(Outcome::Removing),
        (Some(_), _) => Became {
            outcome: Outcome::Waiting,
            reason: "Superseded".into(),
            message: "a later order for the same agent took its place".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use parallax_crds::fixtures;

    fn agent(incarnation: &str) -> AgentRef {
        fixtures::agent("team/writer", incarnation)
    }

    fn run(incarnation: &str, hash: u8) -> What {
        let order = Order { hash: fixtures::hash(hash), ..fixtures::order(agent(incarnation)) };
        What::Run { order, hub: "hub".into() }
    }

    fn remove(incarnation: &str) -> What {
        What::Remove { agent: agent(incarnation), traceparent: None }
    }

    fn settle(orders: &mut Orders, outcome: Outcome) -> Vec<(u64, Outcome)> {
        let key = agent("a").key;
        let serial = orders.wanted(&key).unwrap().0;
        orders.settle(&key, serial, &Became::well(outcome)).into_iter().map(|(n, r)| (n, r.outcome)).collect()
    }

    #[test]
    fn an_order_is_answered_by_its_nonce_and_forgotten() {
        let mut orders = Orders::default();
        orders.want(Some(7), run("a", 1));
        assert_eq!(settle(&mut orders, Outcome::Persisted), [(7, Outcome::Persisted)]);
        assert!(orders.wanted(&agent("a").key).is_none());
    }

    #[test]
    fn what_waits_is_answered_once_and_later_without_a_nonce() {
        let mut orders = Orders::default();
        orders.want(Some(7), run("a", 1));
        assert_eq!(settle(&mut orders, Outcome::Waiting), [(7, Outcome::Waiting)]);
        assert_eq!(settle(&mut orders, Outcome::Waiting), []);
        assert_eq!(settle(&mut orders, Outcome::Persisted), [(0, Outcome::Persisted)]);
    }

    #[test]
    fn the_nonces_of_an_overtaken_order_are_answered_with_the_next() {
        let mut orders = Orders::default();
        orders.want(Some(1), run("a", 1));
        orders.want(Some(2), run("a", 2));
        assert_eq!(settle(&mut orders, Outcome::Persisted), [(1, Outcome::Waiting), (2, Outcome::Persisted)]);
        orders.want(Some(3), remove("a"));
        orders.want(Some(4), run("b", 1));
        assert_eq!(settle(&mut orders, Outcome::Persisted), [(3, Outcome::Gone), (4, Outcome::Persisted)]);
    }

    #[test]
    fn work_for_an_overtaken_order_settles_nothing() {
        let mut orders = Orders::default();
        orders.want(Some(1), run("a", 1));
        let key = agent("a").key;
        let (old, _) = orders.wanted(&key).unwrap();
        orders.want(Some(2), run("a", 2));
        assert_eq!(orders.settle(&key, old, &Became::well(Outcome::Persisted)), []);
        assert!(orders.wanted(&key).is_some());
    }

    #[test]
    fn a_removal_ends_when_the_object_is_gone() {
        let mut orders = Orders::default();
        orders.want(Some(5), remove("a"));
        assert_eq!(settle(&mut orders, Outcome::Removing), [(5, Outcome::Removing)]);
        assert_eq!(settle(&mut orders, Outcome::Gone), [(0, Outcome::Gone)]);
    }
}
