//! What bounds the frames, their rate, and how often both ends compare.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use parallax_crds::link::{AgentReport, CredentialsReport, Held, MemberEvent, Order, OrderResult, Outcome};
use parallax_crds::names::AgentRef;
use parallax_crds::{ClusterName, fixtures};
use parallax_proto::session::limits::{AUDIT, EVENTS, FRAME_BYTES, ORDER_BYTES};
use parallax_proto::session::{HubEvent, HubSession, HubSessionConfig, MemberAction, MemberLink};
use parallax_proto::v1;
use parallax_proto::v1::from_hub::Frame as HubFrame;
use parallax_proto::v1::from_member::Frame;
use prost::Message;
use support::{link_config, session_config};

const START: Duration = Duration::ZERO;

fn agent(n: usize) -> AgentRef {
    fixtures::agent(&format!("demo/agent-{n}"), &format!("uid-{n}"))
}

fn order(n: usize, bytes: usize) -> Order {
    Order { template: vec![b'x'; bytes].into(), ..fixtures::order(agent(n)) }
}

fn held(n: usize) -> Held {
    fixtures::held(&order(n, 1))
}

/// A report as long as one can be.
fn report(n: usize, ready: i32) -> AgentReport {
    AgentReport {
        ready,
        serving: ready,
        message: "é".repeat(3000),
        endpoint: Some("e".repeat(256)),
        credentials: Some(CredentialsReport {
            ready: false,
            reason: "SecretMissing".to_owned(),
            message: "é".repeat(3000),
        }),
        ..fixtures::report(&held(n))
    }
}

/// Both ends, joined without delay.
struct Pair {
    hub: HubSession,
    member: MemberLink,
    largest: usize,
    inventories: usize,
    statuses: Vec<(Duration, i32)>,
    events: Vec<HubEvent>,
    carried: Vec<(u64, AgentRef)>,
}

impl Pair {
    fn new(prepare: impl FnOnce(&mut MemberLink), orders: Vec<Order>) -> Self {
        let mut member = MemberLink::new(link_config(Some(1)), START);
        prepare(&mut member);
        assert_eq!(member.poll_action(START), Some(MemberAction::Dial));
        member.on_connected(START);
        let mut hub = HubSession::new(ClusterName::new("member").unwrap(), START);
        hub.on_frame(member.poll_frame(START).unwrap(), START);
        let config = HubSessionConfig { lifetime: AUDIT * 10, ..session_config(1) };
        hub.admit(config, orders, Vec::new(), START);
        let mut pair = Self {
            hub,
            member,
            largest: 0,
            inventories: 0,
            statuses: Vec::new(),
            events: Vec::new(),
            carried: Vec::new(),
        };
        pair.play(START);
        pair
    }

    /// Lets both say all they have to say, and carries out what is ordered.
    fn play(&mut self, now: Duration) {
        self.hub.on_timer(now);
        self.member.on_timer(now);
        loop {
            let mut moved = false;
            while let Some(frame) = self.hub.poll_frame(now) {
                moved = true;
                self.largest = self.largest.max(frame.encoded_len());
                self.inventories += usize::from(matches!(frame.frame, Some(HubFrame::WantInventory(_))));
                self.member.on_frame(frame, now);
            }
            while let Some(action) = self.member.poll_action(now) {
                moved = true;
                let MemberAction::Carry(batch) = action else { continue };
                for order in batch.orders {
                    self.carried.push((batch.nonce, order.agent.clone()));
                    let (reason, message) = ("Long".repeat(100), "é".repeat(3000));
                    let outcome = Outcome::Persisted;
                    let result = OrderResult { agent: order.agent, hash: None, outcome, reason, message };
                    self.member.on_result(batch.nonce, result);
                }
            }
            while let Some(frame) = self.member.poll_frame(now) {
                moved = true;
                self.largest = self.largest.max(frame.encoded_len());
                if let v1::FromMember { frame: Some(Frame::Status(status)) } = &frame {
                    self.statuses.push((now, status.payload.as_ref().unwrap().ready_replicas));
                }
                self.hub.on_frame(frame, now);
            }
            self.events.extend(std::iter::from_fn(|| self.hub.poll_event()));
            if !moved {
                break;
            }
        }
        assert!(
            !self.events.iter().any(|event| matches!(event, HubEvent::Closed(_))),
            "{:?}",
            self.events.last()
        );
    }
}

#[test]
fn many_orders_and_their_results_go_in_small_frames() {
    let pair = Pair::new(|_| {}, (0..3000).map(|n| order(n, 2000)).collect());
    assert_eq!(pair.carried.iter().map(|(_, agent)| agent).collect::<BTreeSet<_>>().len(), 3000);
    assert!(pair.largest <= FRAME_BYTES, "{}", pair.largest);
    assert!(pair.events.contains(&HubEvent::Synced));
}

#[test]
fn a_large_inventory_goes_in_parts_and_nothing_is_ordered_again() {
    let pair = Pair::new(
        |member| (0..20_000).for_each(|n| member.hold(held(n))),
        (1..20_000).map(|n| order(n, 10)).collect(),
    );
    assert!(pair.largest <= FRAME_BYTES && pair.largest > FRAME_BYTES / 2, "{}", pair.largest);
    assert_eq!(pair.carried, []);
    assert!(pair.events.contains(&HubEvent::Unclaimed(vec![held(0)])));
    assert!(pair.events.contains(&HubEvent::Synced));
}

#[test]
fn equal_sets_need_no_inventory() {
    let pair = Pair::new(
        |member| (0..1000).for_each(|n| member.hold(held(n))),
        (0..1000).map(|n| order(n, 10)).collect(),
    );
    assert_eq!((pair.inventories, pair.carried.len()), (0, 0));
    assert!(pair.largest < 300, "{}", pair.largest);
    assert!(pair.events.contains(&HubEvent::Synced) && pair.events.contains(&HubEvent::ReportsComplete));
}

#[test]
fn an_order_that_is_too_large_is_refused_here_and_passed_by() {
    let pair = Pair::new(|_| {}, vec![order(1, ORDER_BYTES + 1), order(2, 10)]);
    assert_eq!(pair.carried.iter().map(|(_, agent)| agent.clone()).collect::<Vec<_>>(), [agent(2)]);
    let refused = pair.events.iter().any(|event| match event {
        HubEvent::Result(result) => result.agent == agent(1) && result.outcome == Outcome::Rejected,
        _ => false,
    });
    assert!(refused && pair.events.contains(&HubEvent::Synced));
}

#[test]
fn an_agent_that_flaps_is_reported_once_a_second_and_its_last_state_arrives() {
    let mut pair = Pair::new(|member| member.hold(held(0)), vec![order(0, 10)]);
    for step in 1..=1000 {
        pair.member.report(report(0, step));
        pair.play(Duration::from_millis(u64::try_from(step).unwrap() * 10));
    }
    assert!(pair.statuses.len() <= 5 + 10, "{}", pair.statuses.len());
    assert_eq!(pair.statuses[4].0, Duration::from_millis(50), "the first five go at once");
    let at = pair.member.next_deadline().unwrap();
    pair.play(at);
    assert_eq!(pair.statuses.last().unwrap().1, 1000);
    assert!(at <= Duration::from_secs(12), "{at:?}");
    assert_eq!(pair.member.outbox_depth(), 0);
}

#[test]
fn events_that_nobody_hears_are_dropped_and_counted() {
    let event = |n: usize| MemberEvent {
        agent: agent(n),
        warning: true,
        reason: "Reason".to_owned(),
        message: "message".to_owned(),
    };
    let pair = Pair::new(|member| (0..EVENTS + 7).for_each(|n| member.event(event(n))), Vec::new());
    let (mut heard, mut dropped) = (Vec::new(), 0);
    for said in &pair.events {
        if let HubEvent::Events(events, more) = said {
            heard.extend(events.clone());
            dropped += more;
        }
    }
    assert_eq!((heard.len(), dropped), (EVENTS, 7));
    assert_eq!(heard.last(), Some(&event(EVENTS + 6)));
}

#[test]
fn what_somebody_else_deletes_is_ordered_again_within_three_heartbeats() {
    let mut pair =
        Pair::new(|member| (0..3).for_each(|n| member.hold(held(n))), (0..3).map(|n| order(n, 10)).collect());
    pair.member.release(&agent(1).key);
    for n in 1..=3 {
        pair.play(Duration::from_secs(10 * n));
    }
    assert_eq!(pair.carried.iter().map(|(_, agent)| agent.clone()).collect::<Vec<_>>(), [agent(1)]);
    assert_eq!(pair.inventories, 1);
}

#[test]
fn a_difference_that_stays_is_looked_into_once_and_then_hourly() {
    let mut pair = Pair::new(|member| member.hold(held(0)), vec![order(0, 10)]);
    let lie = v1::Heartbeat { count: 9, set_hash: vec![9; 16].into() };
    let mut asked = Vec::new();
    for n in 1..=720 {
        let now = Duration::from_secs(10 * n);
        pair.hub.on_frame(v1::FromMember { frame: Some(Frame::Heartbeat(lie.clone())) }, now);
        let before = pair.inventories;
        // The member's own heartbeats are left out: only the lie is heard.
        while let Some(frame) = pair.hub.poll_frame(now) {
            pair.inventories += usize::from(matches!(frame.frame, Some(HubFrame::WantInventory(_))));
            pair.member.on_frame(frame, now);
        }
        while let Some(frame) = pair.member.poll_frame(now) {
            pair.hub.on_frame(frame, now);
        }
        if pair.inventories > before {
            asked.push(now);
        }
    }
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[0] <= Duration::from_secs(20));
    for pair in asked[1..].windows(2) {
        let apart = pair[1] - pair[0];
        assert!(
            apart >= AUDIT.mul_f64(0.9) && apart <= AUDIT.mul_f64(1.1) + Duration::from_secs(10),
            "{apart:?}"
        );
    }
}
