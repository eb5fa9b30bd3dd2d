//! What agents use: told once it is known what the member holds, the latest of each, in few frames.

#![allow(clippy::unwrap_used)]

#[path = "support/rejoin.rs"]
mod rejoin;
mod support;

use std::time::Duration;

use bytes::Bytes;
use parallax_crds::link::{AgentUsage, Held, Order, Scale, Traffic};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, ClusterName, Incarnation, SpecHash};
use parallax_proto::session::{HubEvent, HubSession, MemberAction, MemberLink, limits};
use parallax_proto::v1::from_member::Frame;
use prost::Message as _;
use rejoin::rejoin_without_features;
use support::{link_config, session_config};

const START: Duration = Duration::ZERO;

fn agent(name: &str) -> AgentRef {
    AgentRef { key: AgentKey::new("demo", name), incarnation: Incarnation::new("uid") }
}

fn hash() -> SpecHash {
    SpecHash::from_bytes(&[7; 16]).unwrap()
}

fn usage(name: &str, cpu: u64) -> AgentUsage {
    let requests = Some(Traffic { total: cpu, per_minute: 1 });
    AgentUsage { cpu_millicores: Some(cpu), requests, ..AgentUsage::unknown(agent(name)) }
}

/// A member that holds agents, and the session of a hub that wants them there.
struct Pair {
    hub: HubSession,
    member: MemberLink,
}

impl Pair {
    fn of(names: &[String]) -> Self {
        let mut member = MemberLink::new(link_config(Some(1)), START);
        for name in names {
            let scale = Scale::fixed(1);
            member.hold(Held { agent: agent(name), hash: hash(), scale, removing: false });
        }
        assert_eq!(member.poll_action(START), Some(MemberAction::Dial));
        let mut pair = Self { hub: HubSession::new(ClusterName::new("member").unwrap(), START), member };
        pair.greet(names, START);
        pair
    }

    fn greet(&mut self, names: &[String], now: Duration) {
        self.hub = HubSession::new(ClusterName::new("member").unwrap(), now);
        self.member.on_connected(now);
        self.hub.on_frame(self.member.poll_frame(now).unwrap(), now);
        let order = |name: &String| Order {
            agent: agent(name),
            hash: hash(),
            scale: Scale::fixed(1),
            template: Bytes::new(),
            traceparent: None,
        };
        self.hub.admit(session_config(1), names.iter().map(order).collect(), Vec::new(), now);
    }

    /// What the hub hears of usage until both ends are silent, by frames.
    fn heard(&mut self, now: Duration) -> Vec<Vec<AgentUsage>> {
        let mut heard = Vec::new();
        self.member.on_timer(now);
        loop {
            let to_member = self.hub.poll_frame(now);
            let to_hub = self.member.poll_frame(now);
            while self.member.poll_action(now).is_some() {}
            if to_member.is_none() && to_hub.is_none() {
                return heard;
            }
            assert!(to_hub.as_ref().is_none_or(|frame| frame.encoded_len() <= limits::FRAME_BYTES));
            to_member.into_iter().for_each(|frame| self.member.on_frame(frame, now));
            to_hub.into_iter().for_each(|frame| self.hub.on_frame(frame, now));
            while let Some(event) = self.hub.poll_event() {
                if let HubEvent::Usage(usages) = event {
                    heard.push(usages);
                }
            }
        }
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("agent-{n}")).collect()
}

#[test]
fn the_latest_goes_out_and_then_no_more_for_ten_seconds() {
    let mut pair = Pair::of(&names(2));
    pair.member.usage(usage("agent-0", 10));
    pair.member.usage(usage("agent-1", 20));
    assert_eq!(pair.heard(START), [vec![usage("agent-0", 10), usage("agent-1", 20)]]);
    pair.member.usage(usage("agent-1", 20));
    assert_eq!(pair.member.next_deadline(), Some(limits::HEARTBEAT), "nothing has changed");
    pair.member.usage(usage("agent-0", 11));
    pair.member.usage(usage("agent-0", 12));
    let second = Duration::from_secs(1);
    assert!(pair.heard(limits::USAGE_INTERVAL - second).is_empty());
    assert_eq!(pair.member.next_deadline(), Some(limits::USAGE_INTERVAL));
    assert_eq!(pair.heard(limits::USAGE_INTERVAL), [vec![usage("agent-0", 12)]]);
}

#[test]
fn a_time_that_has_come_is_told_once() {
    let mut pair = Pair::of(&names(1));
    pair.heard(START);
    pair.member.usage(usage("agent-0", 10));
    assert_eq!(pair.member.next_deadline(), Some(START));
    pair.member.on_timer(START);
    assert_ne!(
        pair.member.next_deadline(),
        Some(START),
        "a transport without room would make a hot loop of it"
    );
}

#[test]
fn a_new_session_is_told_everything_and_what_is_gone_is_not_told() {
    let all = names(2);
    let mut pair = Pair::of(&all);
    pair.member.usage(usage("agent-0", 10));
    pair.member.usage(usage("agent-1", 20));
    pair.heard(START);
    pair.member.on_disconnected("cut", START);
    pair.member.forget_usage(&agent("agent-1").key);
    let now = pair.member.next_deadline().unwrap() + limits::USAGE_INTERVAL;
    pair.member.on_timer(now);
    pair.greet(&all, now);
    assert_eq!(pair.heard(now), [vec![usage("agent-0", 10)]]);
}

#[test]
fn that_an_agent_has_gone_is_told_without_a_word_on_it() {
    let mut pair = Pair::of(&names(1));
    pair.member.usage(usage("agent-0", 10));
    pair.heard(START);
    pair.member.forget_usage(&agent("agent-0").key);
    assert_eq!(pair.heard(limits::USAGE_INTERVAL), [Vec::new()]);
    assert!(pair.heard(limits::USAGE_INTERVAL * 2).is_empty());
}

#[test]
fn a_hub_hears_nothing_of_agents_that_it_has_not_placed_there() {
    let mut pair = Pair::of(&names(1));
    pair.heard(START);
    pair.member.usage(usage("stranger", 1));
    assert_eq!(pair.heard(START), [Vec::new()]);
}

#[test]
fn in_a_big_cluster_agents_take_turns() {
    let all = names(6_000);
    let mut pair = Pair::of(&all);
    all.iter().for_each(|name| pair.member.usage(usage(name, 1 << 40)));
    let mut told = 0;
    for round in 0..6 {
        let heard = pair.heard(limits::USAGE_INTERVAL * round);
        assert!(heard.len() <= 1);
        told += heard.concat().len();
    }
    assert_eq!(told, all.len());
}

#[test]
fn a_hub_that_takes_none_is_told_none() {
    let mut pair = Pair::of(&[]);
    pair.heard(START);
    let now = rejoin_without_features(&mut pair.member, |member| member.usage(usage("agent-0", 1)));
    pair.member.on_timer(now);
    while let Some(frame) = pair.member.poll_frame(now) {
        assert!(!matches!(frame.frame, Some(Frame::MetricsReport(_))));
    }
}
