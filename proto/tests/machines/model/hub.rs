//! What the hub wants, and what it makes of what its session says.

use super::*;

impl World {
    pub(super) fn next_incarnation(&mut self) -> Incarnation {
        self.incarnations += 1;
        Incarnation::new(&format!("uid-{}", self.incarnations))
    }

    pub(super) fn want(&mut self, order: Order) {
        self.wanted.insert(order.agent.key.clone(), order.clone());
        if let Some(session) = &mut self.session {
            session.upsert(order);
        }
    }

    pub(super) fn delete(&mut self, key: &AgentKey) {
        if let Some(order) = self.wanted.remove(key) {
            self.tombstones.insert(order.agent.clone());
            self.may_go.insert(order.agent.clone());
            if let Some(session) = &mut self.session {
                session.remove(order.agent, None);
            }
        }
    }

    pub(super) fn hub_events(&mut self) {
        while let Some(event) = self.session.as_mut().and_then(HubSession::poll_event) {
            match event {
                HubEvent::Hello(hello) => {
                    assert!(hello.max_epoch_seen <= self.epoch);
                    let config = HubSessionConfig {
                        session: format!("session-{}", self.now.as_millis()),
                        lifetime: Duration::from_secs(3600 * 24),
                        ..session_config(self.epoch)
                    };
                    let orders = self.wanted.values().cloned().collect();
                    let removals = self.tombstones.iter().cloned().collect();
                    self.session.as_mut().unwrap().admit(config, orders, removals, self.now);
                }
                HubEvent::KeyWishes(wishes) => panic!("nobody asked for {wishes:?}"),
                HubEvent::CopyWishes(wishes) => panic!("nobody asked for {wishes:?}"),
                HubEvent::Usage(usages) => panic!("nobody measured {usages:?}"),
                HubEvent::Result(result) => {
                    if result.outcome == Outcome::Gone {
                        let gone =
                            self.held.get(&result.agent.key).is_none_or(|held| held.agent != result.agent);
                        assert!(gone, "{:?} is said to be gone, but held", result.agent);
                        self.tombstones.remove(&result.agent);
                    }
                }
                HubEvent::Report(report) => {
                    self.reports.insert(report.agent.key.clone(), report);
                }
                HubEvent::Synced => self.synced = true,
                HubEvent::Unclaimed(held) => {
                    for held in held {
                        assert!(!self.wanted.contains_key(&held.agent.key));
                    }
                }
                HubEvent::Closed(reason) => {
                    self.session = None;
                    assert!(!reason.to_string().contains("broke the protocol"), "{reason}");
                }
                HubEvent::ReportsComplete | HubEvent::Cluster(_) | HubEvent::Events(..) => {}
            }
        }
        if self.session.as_ref().is_some_and(HubSession::is_closed) {
            self.session = None;
        }
    }
}
