//! What the member does: orders carried out against its API server, some at once, some late.

use super::*;

/// The member refuses specs with this hash.
pub(super) const POISON: u8 = 3;
/// The member keeps specs with this hash for a while before it persists them.
const SLOW: u8 = 2;

impl World {
    pub(super) fn actions(&mut self) {
        while let Some(action) = self.link.poll_action(self.now) {
            match action {
                MemberAction::Dial => self.dialling = true,
                MemberAction::PersistEpoch { hub_uid, epoch } => self.persist = Some((hub_uid, epoch)),
                MemberAction::Carry(batch) => {
                    assert_eq!(
                        self.persisted,
                        Some((batch.hub_uid.clone(), batch.epoch)),
                        "obeyed before persisted"
                    );
                    for order in batch.orders {
                        self.works.push_back((batch.nonce, Work::Upsert(order)));
                    }
                    for (agent, _) in batch.removals {
                        self.works.push_back((batch.nonce, Work::Remove(agent)));
                    }
                }
                MemberAction::Key(answer) => panic!("nobody asked for {answer:?}"),
                MemberAction::Copy(answer) => panic!("nobody asked for {answer:?}"),
                MemberAction::Close => {
                    self.dialling = false;
                    self.persist = None;
                    self.to_hub.clear();
                    self.to_member.clear();
                    self.session = None;
                    self.synced = false;
                }
                MemberAction::Connected(_) => {}
                MemberAction::Refused { reason, message } => panic!("{reason}: {message}"),
                MemberAction::Lost { cause } => assert!(!cause.contains("broke the protocol"), "{cause}"),
            }
        }
    }

    pub(super) fn persist_epoch(&mut self) {
        if let Some((hub_uid, epoch)) = self.persist.take() {
            self.persisted = Some((hub_uid.clone(), epoch));
            self.link.on_epoch_persisted(&hub_uid, epoch);
        }
    }

    pub(super) fn work(&mut self) {
        let Some((nonce, work)) = self.works.pop_front() else {
            return;
        };
        match work {
            Work::Upsert(order) if is(&order, POISON) => {
                self.link
                    .on_result(nonce, OrderResult::well(order.agent, Some(order.hash), Outcome::Rejected));
            }
            Work::Upsert(order) if is(&order, SLOW) => {
                self.link.on_result(
                    nonce,
                    OrderResult::well(order.agent.clone(), Some(order.hash), Outcome::Waiting),
                );
                self.waiting.insert(order.agent.key.clone(), order);
            }
            Work::Upsert(order) => {
                self.waiting.remove(&order.agent.key);
                self.store(&order);
                self.link
                    .on_result(nonce, OrderResult::well(order.agent, Some(order.hash), Outcome::Persisted));
            }
            Work::Remove(agent) => {
                assert!(self.may_go.contains(&agent), "{agent:?} was never to be removed");
                self.waiting.retain(|_, order| order.agent != agent);
                match self.held.get_mut(&agent.key).filter(|held| held.agent == agent) {
                    Some(held) => {
                        held.removing = true;
                        self.writes += 1;
                        let held = held.clone();
                        self.link.on_result(nonce, OrderResult::well(agent, None, Outcome::Removing));
                        self.link.report(report(&held));
                        self.link.hold(held);
                    }
                    None => self.link.on_result(nonce, OrderResult::well(agent, None, Outcome::Gone)),
                }
            }
        }
        self.pump();
    }

    pub(super) fn store(&mut self, order: &Order) {
        let held = held(order);
        self.link.hold(held.clone());
        self.link.report(report(&held));
        let old = self.held.insert(order.agent.key.clone(), held.clone());
        self.writes += u64::from(old.as_ref() != Some(&held));
        if let Some(old) = old.filter(|old| old.agent != held.agent) {
            let known = self.may_go.contains(&old.agent) || self.lost.contains(&old.agent);
            assert!(known, "{:?} was replaced without being deleted", old.agent);
        }
    }

    pub(super) fn late(&mut self) {
        let removing: Vec<AgentRef> =
            self.held.values().filter(|held| held.removing).map(|held| held.agent.clone()).collect();
        for agent in removing {
            self.held.remove(&agent.key);
            self.writes += 1;
            self.link.release(&agent.key);
            self.link.unreport(&agent.key);
            self.reports.remove(&agent.key);
            self.link.on_result(0, OrderResult::well(agent, None, Outcome::Gone));
        }
        for order in std::mem::take(&mut self.waiting).into_values() {
            self.store(&order);
            self.link.on_result(0, OrderResult::well(order.agent, Some(order.hash), Outcome::Persisted));
        }
    }
}

pub(super) fn is(order: &Order, n: u8) -> bool {
    order.hash == hash(n)
}
