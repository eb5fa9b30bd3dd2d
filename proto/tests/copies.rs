//! What a member asks of objects on the hub: asked for once a session and agent, told as often as it changes.

#![allow(clippy::unwrap_used)]

#[path = "support/rejoin.rs"]
mod rejoin;
mod support;

use std::time::Duration;

use parallax_crds::copies::{Content, CopyAnswer, CopyWish, Place, Source};
use parallax_crds::{AgentKey, ClusterName, fixtures};
use parallax_proto::session::{HubEvent, HubSession, MemberAction, MemberLink};
use parallax_proto::v1::from_member::Frame;
use rejoin::rejoin_without_features;
use support::{link_config, session_config};

const START: Duration = Duration::ZERO;

fn wish(agent: &str) -> CopyWish {
    CopyWish { agent: fixtures::agent(agent, "uid"), source: Source::Namespace }
}

fn answer(place: Place, json: &'static str) -> CopyAnswer {
    CopyAnswer { place, content: Ok(Content::new(json.into()).unwrap()) }
}

/// Both ends, joined without delay.
struct Pair {
    hub: HubSession,
    member: MemberLink,
    asked: Vec<CopyWish>,
    told: Vec<CopyAnswer>,
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
                if let MemberAction::Copy(answer) = action {
                    self.told.push(answer);
                }
            }
            while let Some(frame) = self.member.poll_frame(now) {
                self.hub.on_frame(frame, now);
            }
            while let Some(event) = self.hub.poll_event() {
                if let HubEvent::CopyWishes(wishes) = event {
                    self.asked.extend(wishes);
                }
            }
        }
    }

    fn asked(&mut self) -> Vec<CopyWish> {
        std::mem::take(&mut self.asked)
    }

    fn told(&mut self) -> Vec<CopyAnswer> {
        std::mem::take(&mut self.told)
    }
}

#[test]
fn an_object_is_asked_for_once_in_each_session_for_each_agent() {
    let mut pair = Pair::new();
    assert_eq!(pair.member.has_copies(), Some(true));
    assert!(pair.member.want_copy(wish("demo/x")));
    pair.talk(START);
    assert!(!pair.member.want_copy(wish("demo/x")), "no news");
    assert!(pair.member.want_copy(wish("demo/y")));
    pair.talk(START);
    assert_eq!(pair.asked(), [wish("demo/x"), wish("demo/y")]);
    pair.again();
    assert_eq!(pair.asked(), [wish("demo/x"), wish("demo/y")], "another hub knows nothing of it");
    pair.member.want_copy_again(&wish("demo/x").place());
    pair.talk(START);
    assert_eq!(pair.asked(), [wish("demo/x"), wish("demo/y")], "what was told is lost");
    pair.member.forget_copy(&AgentKey::new("demo", "x"), &Source::Namespace);
    pair.again();
    assert_eq!(pair.asked(), [wish("demo/y")]);
}

#[test]
fn what_is_told_arrives_while_somebody_needs_it_the_latest_alone() {
    let mut pair = Pair::new();
    let place = wish("demo/x").place();
    pair.member.want_copy(wish("demo/x"));
    pair.talk(START);
    pair.hub.answer_copy(&answer(place.clone(), "1"));
    pair.hub.answer_copy(&answer(place.clone(), "2"));
    pair.hub.answer_copy(&answer(wish("another/x").place(), "3"));
    pair.talk(START);
    assert_eq!(pair.told(), [answer(place.clone(), "2")]);
    pair.member.forget_copy(&AgentKey::new("demo", "x"), &Source::Namespace);
    pair.hub.answer_copy(&answer(place, "4"));
    pair.talk(START);
    assert_eq!(pair.told(), []);
}

#[test]
fn a_hub_that_tells_nothing_of_objects_is_not_asked() {
    let mut pair = Pair::new();
    let now = rejoin_without_features(&mut pair.member, |member| {
        assert_eq!(member.has_copies(), None);
        assert!(member.want_copy(wish("demo/x")));
    });
    assert_eq!(pair.member.has_copies(), Some(false));
    while let Some(frame) = pair.member.poll_frame(now) {
        assert!(!matches!(frame.frame, Some(Frame::CopyWishes(_))));
    }
}
