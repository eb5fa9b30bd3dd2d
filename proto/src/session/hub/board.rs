//! All agents of one session: wishes come in, deltas go out, results and inventories settle them.

use std::collections::BTreeMap;

use parallax_crds::link::{Held, Order, OrderResult, Outcome};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, Incarnation};
use prost::Message;

use super::slot::{Due, Holding, Removal, Sent, Slot, Version};
use crate::digest::{Entry, SetDigest};
use crate::outbox::Outbox;
use crate::session::limits::{DELTA_ORDERS, DELTAS_IN_FLIGHT, FRAME_BYTES, ORDER_BYTES};
use crate::wire::sent;
use crate::{v1, wire};

/// An acknowledgement that doesn't fit what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadAck(pub &'static str);

#[derive(Debug, Default)]
pub(super) struct Board {
    slots: BTreeMap<AgentKey, Slot>,
    /// Agents about which something may be due.
    dirty: Outbox<AgentKey, ()>,
    /// By nonce, what isn't acknowledged.
    deltas: BTreeMap<u64, BTreeMap<AgentKey, Sent>>,
    nonce: u64,
    held: SetDigest,
    /// Results that need no answer of the member.
    results: Vec<OrderResult>,
}

impl Board {
    /// Wants `order`, whatever was wanted of its key before.
    pub fn want(&mut self, order: Order) {
        let key = order.agent.key.clone();
        let slot = self.slots.entry(key.clone()).or_default();
        slot.removals.retain(|removal| removal.incarnation != order.agent.incarnation);
        let too_large = order.template.len() > ORDER_BYTES;
        if too_large && slot.rejected.as_ref() != Some(&(order.agent.incarnation.clone(), order.hash)) {
            slot.rejected = Some((order.agent.incarnation.clone(), order.hash));
            self.results.push(OrderResult {
                agent: order.agent.clone(),
                hash: Some(order.hash),
                outcome: Outcome::Rejected,
                reason: "TooLarge".to_owned(),
                message: format!(
                    "the resolved spec has {} bytes, {ORDER_BYTES} are the most that is sent: make it smaller",
                    order.template.len()
                ),
            });
        }
        slot.want = Some(order);
        self.touch(&key);
    }

    /// Wants an incarnation gone.
    pub fn remove(&mut self, agent: &AgentRef, traceparent: Option<String>) {
        let slot = self.slots.entry(agent.key.clone()).or_default();
        if slot.want.as_ref().is_some_and(|want| want.agent.incarnation == agent.incarnation) {
            slot.want = None;
        }
        if slot.removals.iter().all(|removal| removal.incarnation != agent.incarnation) {
            let removal = Removal { incarnation: agent.incarnation.clone(), traceparent, in_hand: false };
            slot.removals.push(removal);
        }
        self.touch(&agent.key);
    }

    /// Wants nothing of this key any more, and nothing removed.
    pub fn forget(&mut self, key: &AgentKey) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.want = None;
            slot.removals.clear();
            self.touch(key);
        }
    }

    /// Looks again at what is due for `key`.
    fn touch(&mut self, key: &AgentKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        for removal in slot.replaced() {
            let gone = AgentRef { key: key.clone(), incarnation: removal.incarnation };
            self.results.push(OrderResult::well(gone, None, Outcome::Gone));
        }
        if slot.due().is_some() {
            self.dirty.push(key.clone(), ());
        } else {
            self.dirty.remove(key);
        }
        if slot.is_empty() {
            self.slots.remove(key);
        }
    }

    /// The digest of what is wanted.
    pub fn wanted(&self) -> SetDigest {
        let mut digest = SetDigest::default();
        for order in self.slots.values().filter_map(|slot| slot.want.as_ref()) {
            digest.add(&Entry::settled(&order.agent, order.hash, sent(order.scale)));
        }
        digest
    }

    /// The digest of what the member is believed to hold.
    pub fn held(&self) -> SetDigest {
        self.held
    }

    /// The member holds exactly what is wanted.
    pub fn assume_wanted_is_held(&mut self) {
        let all =
            self.slots.iter().filter_map(|(key, slot)| Some((key.clone(), Version::of(slot.want.as_ref()?))));
        self.set_inventory(all.map(|(key, version)| (key, Holding { version, settled: true })).collect());
    }

    /// The member holds this and nothing else. What of it is unclaimed is returned.
    pub fn set_inventory(&mut self, mut inventory: BTreeMap<AgentKey, Holding>) -> Vec<Held> {
        self.held = SetDigest::default();
        for (key, slot) in &mut self.slots {
            slot.held = inventory.remove(key);
            // What waits is sent again: the member may have lost it.
            slot.waiting = None;
            if let Some(entry) = slot.entry(key) {
                self.held.add(&entry);
            }
            for removal in &mut slot.removals {
                removal.in_hand &= slot
                    .held
                    .as_ref()
                    .is_some_and(|held| !held.settled && held.version.incarnation == removal.incarnation);
            }
        }
        for (key, holding) in inventory {
            let slot = Slot { held: Some(holding), ..Slot::default() };
            if let Some(entry) = slot.entry(&key) {
                self.held.add(&entry);
            }
            self.slots.insert(key, slot);
        }
        let keys: Vec<AgentKey> = self.slots.keys().cloned().collect();
        for key in &keys {
            self.touch(key);
        }
        let unclaimed = self.slots.iter().filter(|(_, slot)| slot.unclaimed());
        unclaimed.filter_map(|(key, slot)| Some(slot.held.as_ref()?.held(key))).collect()
    }

    /// Changes what the member is believed to have.
    fn change(&mut self, key: &AgentKey, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.get_mut(key) {
            if let Some(old) = slot.entry(key) {
                self.held.remove(&old);
            }
            change(slot);
            if let Some(new) = slot.entry(key) {
                self.held.add(&new);
            }
        }
    }

    /// The next delta: what has waited longest first, as much as fits into a frame.
    pub fn next_delta(&mut self, epoch: u64) -> Option<v1::Delta> {
        if self.deltas.len() >= DELTAS_IN_FLIGHT {
            return None;
        }
        let mut delta = v1::Delta { epoch, nonce: self.nonce + 1, ..v1::Delta::default() };
        let mut sent = BTreeMap::new();
        let mut bytes = 32;
        while let Some(key) = self.dirty.first().cloned() {
            let Some(slot) = self.slots.get_mut(&key) else {
                self.dirty.remove(&key);
                continue;
            };
            // Five bytes for the tag and the length of each.
            match slot.due() {
                Some(Due::Upsert(order)) => {
                    let upsert = wire::upsert_message(order);
                    bytes += upsert.encoded_len() + 5;
                    if !sent.is_empty() && bytes > FRAME_BYTES {
                        break;
                    }
                    sent.insert(key.clone(), Sent::Upsert(Version::of(order)));
                    delta.upserts.push(upsert);
                }
                Some(Due::Removal(Removal { incarnation, traceparent, .. })) => {
                    let agent = AgentRef { key: key.clone(), incarnation: incarnation.clone() };
                    let message = wire::removal_message(&agent, traceparent.as_deref());
                    bytes += message.encoded_len() + 5;
                    if !sent.is_empty() && bytes > FRAME_BYTES {
                        break;
                    }
                    sent.insert(key.clone(), Sent::Removal(agent.incarnation));
                    delta.removals.push(message);
                }
                None => {
                    self.dirty.remove(&key);
                    continue;
                }
            }
            slot.in_flight = true;
            self.dirty.remove(&key);
            if sent.len() >= DELTA_ORDERS {
                break;
            }
        }
        if sent.is_empty() {
            return None;
        }
        self.nonce += 1;
        self.deltas.insert(self.nonce, sent);
        Some(delta)
    }

    /// A result of the delta `nonce`.
    pub fn on_result(&mut self, nonce: u64, result: &OrderResult) -> Result<(), BadAck> {
        let key = &result.agent.key;
        let delta =
            self.deltas.get_mut(&nonce).ok_or(BadAck("it acknowledges a delta that isn't in flight"))?;
        let sent =
            delta.remove(key).ok_or(BadAck("it has a result for an agent that the delta doesn't have"))?;
        let matches = match &sent {
            Sent::Upsert(version) => {
                version.incarnation == result.agent.incarnation && result.hash == Some(version.hash)
            }
            Sent::Removal(incarnation) => *incarnation == result.agent.incarnation && result.hash.is_none(),
        };
        if !matches {
            return Err(BadAck("it has a result for another incarnation or hash than was ordered"));
        }
        if let Some(slot) = self.slots.get_mut(key) {
            slot.in_flight = false;
        }
        match sent {
            Sent::Upsert(version) => self.upsert_answered(key, version, result.outcome),
            Sent::Removal(incarnation) => self.removal_answered(key, &incarnation, result.outcome),
        }
        self.touch(key);
        Ok(())
    }

    /// All results of the delta `nonce` have come.
    pub fn on_acknowledged(&mut self, nonce: u64) -> Result<(), BadAck> {
        match self.deltas.remove(&nonce) {
            None => Err(BadAck("it acknowledges a delta that isn't in flight")),
            Some(rest) if rest.is_empty() => Ok(()),
            Some(_) => Err(BadAck("it lacks results of the delta")),
        }
    }

    fn upsert_answered(&mut self, key: &AgentKey, version: Version, outcome: Outcome) {
        self.change(key, |slot| {
            slot.waiting = None;
            match outcome {
                Outcome::Persisted => {
                    slot.held = Some(Holding { version, settled: true });
                    slot.rejected = None;
                }
                Outcome::Rejected => slot.rejected = Some((version.incarnation, version.hash)),
                // The member has it in hand; its late result says more.
                Outcome::Waiting | Outcome::Removing | Outcome::Gone => slot.waiting = Some(version),
            }
        });
    }

    fn removal_answered(&mut self, key: &AgentKey, incarnation: &Incarnation, outcome: Outcome) {
        self.change(key, |slot| {
            // What waited is not going to come.
            slot.waiting.take_if(|version| version.incarnation == *incarnation);
            let held = slot.held.as_mut().filter(|held| held.version.incarnation == *incarnation);
            match (outcome, held) {
                (Outcome::Gone, held) => {
                    slot.removals.retain(|removal| removal.incarnation != *incarnation);
                    if held.is_some() {
                        slot.held = None;
                    }
                    return;
                }
                (Outcome::Removing, Some(held)) => held.settled = false,
                _ => {}
            }
            for removal in slot.removals.iter_mut().filter(|removal| removal.incarnation == *incarnation) {
                removal.in_hand = true;
            }
        });
    }

    /// A late result: of an order that was answered by Waiting or Removing before.
    pub fn on_late_result(&mut self, result: &OrderResult) {
        let key = &result.agent.key;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match (result.outcome, result.hash) {
            (Outcome::Persisted | Outcome::Rejected, Some(hash)) => {
                let waited =
                    slot.waiting.take_if(|w| w.incarnation == result.agent.incarnation && w.hash == hash);
                if let Some(version) = waited {
                    self.upsert_answered(key, version, result.outcome);
                }
            }
            (Outcome::Gone, _) => self.removal_answered(key, &result.agent.incarnation, Outcome::Gone),
            _ => {}
        }
        self.touch(key);
    }

    /// Whether reports on `key` are wanted: it is wanted, to be removed, or held.
    pub fn knows(&self, key: &AgentKey) -> bool {
        self.slots.contains_key(key)
    }

    /// Nothing waits to be sent, and all is acknowledged.
    pub fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.deltas.is_empty()
    }

    /// The nonce of the last delta.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Agents that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.dirty.len()
    }

    /// Results that came about without an answer of the member.
    pub fn take_results(&mut self) -> Vec<OrderResult> {
        std::mem::take(&mut self.results)
    }
}
