//! What the member holds, and what of it still changes by orders of earlier sessions.

use std::collections::BTreeMap;
use std::ops::Bound;

use parallax_crds::link::Held;
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, Incarnation};
use prost::Message;

use super::open_order::OpenOrder;
use crate::digest::{Entry, SetDigest};
use crate::session::limits::FRAME_BYTES;
use crate::{v1, wire};

/// What the member's API server holds. Orders that are still being carried out may change it at any time: to the hub
/// they are entries that no set it wants can have, so that it never takes a passing state for the final one.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    held: BTreeMap<AgentKey, Held>,
    digest: SetDigest,
}

impl Holdings {
    pub fn hold(&mut self, held: Held) {
        self.release(&held.agent.key);
        self.digest.add(&entry(&held));
        self.held.insert(held.agent.key.clone(), held);
    }

    pub fn release(&mut self, key: &AgentKey) {
        if let Some(old) = self.held.remove(key) {
            self.digest.remove(&entry(&old));
        }
    }

    /// Whether this very incarnation is held.
    pub fn has(&self, key: &AgentKey, incarnation: &Incarnation) -> bool {
        self.get(key, incarnation).is_some()
    }

    pub fn get(&self, key: &AgentKey, incarnation: &Incarnation) -> Option<&Held> {
        self.held.get(key).filter(|held| held.agent.incarnation == *incarnation)
    }

    /// The digest of what an inventory would have while these orders are `open`.
    pub fn digest<'a>(&self, open: impl Iterator<Item = (&'a AgentRef, &'a OpenOrder)>) -> SetDigest {
        let mut digest = self.digest;
        for (key, to_be) in changing(open) {
            match (self.held.get(key), to_be) {
                (Some(held), _) => {
                    digest.remove(&entry(held));
                    digest.add(&Entry { unsettled: true, ..entry(held) });
                }
                (None, Some(to_be)) => digest.add(&Entry { unsettled: true, ..entry(&to_be) }),
                (None, None) => {}
            }
        }
        digest
    }

    /// The part of the inventory after `after`; and where the next part begins, unless this is the last.
    pub fn inventory<'a>(
        &self,
        after: Option<&AgentKey>,
        open: impl Iterator<Item = (&'a AgentRef, &'a OpenOrder)>,
    ) -> (v1::Inventory, Option<AgentKey>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let changing = changing(open);
        let mut keys: Vec<&AgentKey> = Vec::new();
        let mut coming = changing.range::<AgentKey, _>((from, Bound::Unbounded)).peekable();
        let mut part = v1::Inventory::default();
        let mut bytes = 16;
        let mut held = self.held.range::<AgentKey, _>((from, Bound::Unbounded)).peekable();
        loop {
            let key = match (held.peek(), coming.peek()) {
                (Some((a, _)), Some((b, _))) => (*a).min(**b),
                (Some((a, _)), None) => *a,
                (None, Some((b, _))) => **b,
                (None, None) => break,
            };
            let now = held.next_if(|(k, _)| *k == key).map(|(_, held)| held);
            let later = coming.next_if(|(k, _)| **k == key).map(|(_, later)| later);
            let Some(what) = now.or(later.and_then(Option::as_ref)) else {
                continue;
            };
            let have = wire::inventory_entry(what, later.is_some());
            bytes += have.encoded_len() + 5;
            if !part.have.is_empty() && bytes > FRAME_BYTES {
                return (part, keys.last().map(|key| (*key).clone()));
            }
            keys.push(key);
            part.have.push(have);
        }
        part.last = true;
        (part, None)
    }
}

/// What open orders still change, and what they would make of it.
fn changing<'a>(
    open: impl Iterator<Item = (&'a AgentRef, &'a OpenOrder)>,
) -> BTreeMap<&'a AgentKey, Option<Held>> {
    let mut changing: BTreeMap<&AgentKey, Option<Held>> = BTreeMap::new();
    for (agent, order) in open {
        let known = changing.entry(&agent.key).or_default();
        *known = order.to_be(agent).or(known.take());
    }
    changing
}

fn entry(held: &Held) -> Entry<'_> {
    Entry { unsettled: held.removing, ..Entry::settled(&held.agent, held.hash, held.scale) }
}
