//! API keys that a member asks the hub for: asked for once a session, answered as often as the answer changes.

#![allow(clippy::unwrap_used)]

#[path = "support/rejoin.rs"]
mod rejoin;
mod support;

use std::time::Duration;

use parallax_crds::agent::KeyReference;
use parallax_crds::link::{ApiKey, KeyAnswer, KeyWish, Withheld};
use parallax_crds::{AgentKey, ClusterName, fixtures};
use parallax_proto::session::{HubEvent, HubSession, MemberAction, MemberLink};
use parallax_proto::v1::from_member::Frame;
use rejoin::rejoin_without_features;
use support::{link_config, session_config};

const START: Duration = Duration::ZERO;

fn wish(agent: &str, key: &str) -> KeyWish {
    KeyWish {
        agent: fixtures::agent(&format!("demo/{agent}"), "uid"),
        reference: KeyReference { name: "keys".into(), key: key.into() },
    }
}

fn answer(wish: KeyWish, value: &'static str) -> KeyAnswer {
    KeyAnswer { wish, key: Ok(ApiKey::new(value.into()).unwrap()) }
}

/// Both ends, joined without delay.
struct Pair {
    hub: HubSession,
    member: MemberLink,
    asked: Vec<KeyWish>,
    told: Vec<KeyAnswer>,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            hub: HubSession::new(ClusterName::new("member").unwrap(), START),
            member: MemberLink::new(link_config(Some(1)), START),
            asked: Vec::new(),
            told: Vec::new(),
        };
        assert_eq!(pair.member.poll_action(START), Some(MemberAction::Dial));
        pair.greet(START);
        pair
    }

    fn greet(&mut self, now: Duration) {
        self.member.on_connected(now);
        self.hub = HubSession::new(ClusterName::new("member").unwrap(), now);
        self.hub.on_frame(self.member.poll_frame(now).unwrap(), now);
        self.hub.admit(session_config(1), Vec::new(), Vec::new(), now);
        self.talk(now);
    }

    /// A new session, some time later.
    fn again(&mut self) {
        self.member.on_disconnected("cut", START);
        let now = self.member.next_deadline().unwrap();
        self.member.on_timer(now);
        while self.member.poll_action(now).is_some() {}
        self.greet(now);
    }

    fn talk(&mut self, now: Duration) {
        for _ in 0..20 {
            while let Some(frame) = self.hub.poll_frame(now) {
                self.member.on_frame(frame, now);
            }
            while let Some(action) = self.member.poll_action(now) {
                if let MemberAction::Key(answer) = action {
                    self.told.push(answer);
                }
            }
            while let Some(frame) = self.member.poll_frame(now) {
                self.hub.on_frame(frame, now);
            }
            while let Some(event) = self.hub.poll_event() {
                if let HubEvent::KeyWishes(wishes) = event {
                    self.asked.extend(wishes);
                }
            }
        }
    }

    fn asked(&mut self) -> Vec<KeyWish> {
        std::mem::take(&mut self.asked)
    }

    fn told(&mut self) -> Vec<KeyAnswer> {
        std::mem::take(&mut self.told)
    }
}

#[test]
fn a_key_is_asked_for_once_in_each_session() {
    let mut pair = Pair::new();
    assert!(pair.member.want_key(wish("x", "KEY")));
    pair.talk(START);
    assert!(!pair.member.want_key(wish("x", "KEY")), "no news");
    pair.talk(START);
    assert_eq!(pair.asked(), [wish("x", "KEY")]);
    pair.member.want_key(wish("x", "NEXT"));
    pair.talk(START);
    assert_eq!(pair.asked(), [wish("x", "NEXT")]);
    pair.again();
    assert_eq!(pair.asked(), [wish("x", "NEXT")], "another hub knows nothing of it");
    pair.member.want_key_again(&AgentKey::new("demo", "x"));
    pair.talk(START);
    assert_eq!(pair.asked(), [wish("x", "NEXT")], "what was handed over is lost");
    pair.member.forget_key(&AgentKey::new("demo", "x"));
    pair.again();
    assert_eq!(pair.asked(), []);
}

#[test]
fn an_answer_arrives_while_it_is_wanted_the_latest_alone() {
    let mut pair = Pair::new();
    pair.member.want_key(wish("x", "KEY"));
    pair.talk(START);
    let withheld = Withheld { reason: "SecretMissing".into(), message: "create it".into() };
    pair.hub.answer_key(&KeyAnswer { wish: wish("x", "KEY"), key: Err(withheld) });
    pair.hub.answer_key(&answer(wish("x", "KEY"), "sk-1"));
    pair.talk(START);
    assert_eq!(pair.told(), [answer(wish("x", "KEY"), "sk-1")]);
    pair.hub.answer_key(&answer(wish("x", "KEY"), "sk-2"));
    pair.talk(START);
    assert_eq!(pair.told(), [answer(wish("x", "KEY"), "sk-2")]);
    pair.member.want_key(wish("x", "NEXT"));
    pair.hub.answer_key(&answer(wish("x", "KEY"), "sk-3"));
    pair.hub.answer_key(&answer(wish("y", "KEY"), "sk-4"));
    pair.talk(START);
    assert_eq!(pair.told(), [], "nobody wants these any more");
}

#[test]
fn many_wishes_go_in_few_frames() {
    let mut pair = Pair::new();
    for n in 0..300 {
        pair.member.want_key(wish(&format!("x-{n}"), "KEY"));
    }
    let mut frames = 0;
    while let Some(frame) = pair.member.poll_frame(START) {
        frames += usize::from(matches!(frame.frame, Some(Frame::KeyWishes(_))));
    }
    assert_eq!(frames, 3);
}

#[test]
fn a_hub_that_hands_over_no_keys_is_not_asked() {
    let mut pair = Pair::new();
    let now = rejoin_without_features(&mut pair.member, |member| assert!(member.want_key(wish("x", "KEY"))));
    while let Some(frame) = pair.member.poll_frame(now) {
        assert!(!matches!(frame.frame, Some(Frame::KeyWishes(_))));
    }
}
