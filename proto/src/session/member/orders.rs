//! Orders on their way from the hub to whoever carries them out, and their results on the way back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parallax_crds::link::{Held, OrderResult, Outcome};
use parallax_crds::names::AgentRef;
use prost::Message;

use super::action::Batch;
use super::holdings::Holdings;
use super::open_order::OpenOrder;
use crate::outbox::Outbox;
use crate::session::limits::{DELTAS_IN_FLIGHT, FRAME_BYTES};
use crate::{v1, wire};

/// Batches that may be in somebody's hands, those of lost sessions included. More wait here, and through the hub's
/// bound on unacknowledged deltas, there.
const BATCHES: usize = 4 * DELTAS_IN_FLIGHT;

#[derive(Debug)]
struct Ticket {
    /// The delta's nonce; none when its session has ended, and nobody waits for its acknowledgement.
    delta: Option<u64>,
    open: BTreeMap<AgentRef, OpenOrder>,
    results: Vec<OrderResult>,
    /// Not yet handed out.
    batch: Option<Batch>,
}

#[derive(Debug, Default)]
pub(super) struct Orders {
    last_ticket: u64,
    /// Of the session.
    last_delta: u64,
    tickets: BTreeMap<u64, Ticket>,
    /// Orders that were answered by Waiting: they may come to be held at any time, in any session.
    waiting: BTreeMap<AgentRef, OpenOrder>,
    acks: VecDeque<v1::Ack>,
    late: Outbox<AgentRef, OrderResult>,
}

impl Orders {
    /// Takes a delta in.
    pub fn accept(&mut self, delta: v1::Delta, hub_uid: &str, holdings: &Holdings) -> Result<(), String> {
        if delta.nonce <= self.last_delta {
            return Err(format!("delta {} came after delta {}", delta.nonce, self.last_delta));
        }
        if self.tickets.values().filter(|ticket| ticket.delta.is_some()).count() >= DELTAS_IN_FLIGHT {
            return Err(format!("more than {DELTAS_IN_FLIGHT} deltas are unacknowledged"));
        }
        let mut batch = Batch {
            nonce: self.last_ticket + 1,
            epoch: delta.epoch,
            hub_uid: hub_uid.to_owned(),
            orders: Vec::with_capacity(delta.upserts.len()),
            removals: Vec::with_capacity(delta.removals.len()),
        };
        let mut ticket =
            Ticket { delta: Some(delta.nonce), open: BTreeMap::new(), results: Vec::new(), batch: None };
        let mut keys = BTreeSet::new();
        for upsert in delta.upserts {
            let order = wire::upsert(upsert).map_err(|error| error.to_string())?;
            let open = OpenOrder::Upsert { hash: order.hash, scale: order.scale };
            if !keys.insert(order.agent.key.clone()) {
                return Err(format!("a delta has {} twice", order.agent.key));
            }
            ticket.open.insert(order.agent.clone(), open);
            batch.orders.push(order);
        }
        for removal in delta.removals {
            let (agent, traceparent) = wire::removal(removal).map_err(|error| error.to_string())?;
            if !keys.insert(agent.key.clone()) {
                return Err(format!("a delta has {} twice", agent.key));
            }
            let coming = self.open().any(|(other, _)| other.key == agent.key);
            if coming || holdings.has(&agent.key, &agent.incarnation) {
                ticket.open.insert(agent.clone(), OpenOrder::Removal);
                batch.removals.push((agent, traceparent));
            } else {
                ticket.results.push(OrderResult::well(agent, None, Outcome::Gone));
            }
        }
        self.last_delta = delta.nonce;
        self.last_ticket += 1;
        ticket.batch = (!ticket.open.is_empty()).then_some(batch);
        self.tickets.insert(self.last_ticket, ticket);
        self.settle(self.last_ticket);
        Ok(())
    }

    /// The next batch to be carried out.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if self.tickets.values().filter(|ticket| ticket.batch.is_none()).count() >= BATCHES {
            return None;
        }
        self.tickets.values_mut().find_map(|ticket| ticket.batch.take())
    }

    /// Orders without a final result, of any session: what is held may change by them at any time.
    pub fn open(&self) -> impl Iterator<Item = (&AgentRef, &OpenOrder)> {
        self.waiting.iter().chain(self.tickets.values().flat_map(|ticket| &ticket.open))
    }

    /// A result came in. What the member holds is brought up to date at once, before its watch tells.
    pub fn on_result(&mut self, nonce: u64, result: OrderResult, holdings: &mut Holdings, in_session: bool) {
        if nonce == 0 {
            return self.on_late_result(result, in_session);
        }
        let Some(ticket) = self.tickets.get_mut(&nonce) else {
            return;
        };
        let Some(open) = ticket.open.remove(&result.agent) else {
            return;
        };
        let AgentRef { key, incarnation } = &result.agent;
        // A newer order for the same name replaces what waited; a removal ends only its own incarnation.
        match open {
            OpenOrder::Upsert { .. } => self.waiting.retain(|agent, _| agent.key != *key),
            OpenOrder::Removal => drop(self.waiting.remove(&result.agent)),
        }
        match (result.outcome, &open) {
            (Outcome::Waiting, OpenOrder::Upsert { .. }) => {
                self.waiting.insert(result.agent.clone(), open.clone());
            }
            (Outcome::Persisted, OpenOrder::Upsert { hash, scale }) => holdings.hold(Held {
                agent: result.agent.clone(),
                hash: *hash,
                scale: *scale,
                removing: false,
            }),
            (Outcome::Removing, _) => {
                if let Some(held) = holdings.get(key, incarnation).cloned() {
                    holdings.hold(Held { removing: true, ..held });
                }
            }
            (Outcome::Gone, _) if holdings.has(key, incarnation) => holdings.release(key),
            _ => {}
        }
        // The hub matches a result with its order by the hash, whatever the hand that filled it in.
        ticket.results.push(OrderResult { hash: open.hash(), ..result });
        self.settle(nonce);
    }

    fn on_late_result(&mut self, result: OrderResult, in_session: bool) {
        if result.outcome != Outcome::Waiting {
            self.waiting.remove(&result.agent);
        }
        // The earlier result may not have left yet: then this one takes its place.
        let waiting = self.tickets.values_mut().filter(|ticket| ticket.delta.is_some());
        let mut earlier = waiting.flat_map(|ticket| &mut ticket.results);
        if let Some(earlier) = earlier.find(|earlier| earlier.agent == result.agent) {
            let hash = earlier.hash;
            *earlier = OrderResult { hash, ..result };
        } else if in_session {
            self.late.push(result.agent.clone(), result);
        }
    }

    /// Queues the acknowledgement of a delta all of whose results are in.
    fn settle(&mut self, nonce: u64) {
        if self.tickets.get(&nonce).is_none_or(|ticket| !ticket.open.is_empty()) {
            return;
        }
        let Some(Ticket { delta: Some(delta), results, .. }) = self.tickets.remove(&nonce) else {
            return;
        };
        let mut ack = v1::Ack { nonce: delta, ..v1::Ack::default() };
        let mut bytes = 16;
        for result in &results {
            let message = wire::result_message(result);
            let size = message.encoded_len() + 5;
            if !ack.results.is_empty() && bytes + size > FRAME_BYTES {
                let full = v1::Ack { nonce: delta, results: std::mem::take(&mut ack.results), partial: true };
                self.acks.push_back(full);
                bytes = 16;
            }
            bytes += size;
            ack.results.push(message);
        }
        self.acks.push_back(ack);
    }

    /// The next acknowledgement: of deltas first, which they make room for.
    pub fn next_ack(&mut self) -> Option<v1::Ack> {
        if let Some(ack) = self.acks.pop_front() {
            return Some(ack);
        }
        let mut ack = v1::Ack::default();
        let mut bytes = 0;
        while bytes < FRAME_BYTES / 2
            && let Some((_, result)) = self.late.pop()
        {
            let message = wire::result_message(&result);
            bytes += message.encoded_len();
            ack.results.push(message);
        }
        (!ack.results.is_empty()).then_some(ack)
    }

    /// The session has ended: what was handed out is carried out still, but the hub will ask afresh.
    pub fn end_session(&mut self) {
        self.last_delta = 0;
        self.acks.clear();
        self.late.clear();
        self.tickets.retain(|_, ticket| ticket.batch.is_none());
        for ticket in self.tickets.values_mut() {
            ticket.delta = None;
            ticket.results.clear();
        }
    }

    /// Results that wait to be sent.
    pub fn depth(&self) -> usize {
        self.late.len() + self.acks.iter().map(|ack| ack.results.len()).sum::<usize>()
    }
}
