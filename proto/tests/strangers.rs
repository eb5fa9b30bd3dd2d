//! What either machine does with an end that isn't its peer: random frames, in any order, never panic, and sessions
//! that shouldn't be are ended with a reason that says what to do.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use parallax_crds::link::{Order, OrderResult, Outcome};
use parallax_crds::names::AgentRef;
use parallax_crds::{ClusterName, fixtures};
use parallax_proto::session::{
    CloseReason, HubEvent, HubSession, HubSessionConfig, MemberAction, MemberLink,
};
use parallax_proto::v1;
use parallax_proto::v1::from_hub::Frame as HubFrame;
use parallax_proto::v1::from_member::Frame;
use proptest::prelude::*;
use prost::Message;
use support::{link_config, session_config};

const START: Duration = Duration::ZERO;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn agent(name: &str) -> AgentRef {
    fixtures::agent(&format!("demo/{name}"), "uid")
}

fn order(name: &str) -> Order {
    fixtures::order(agent(name))
}

fn hello() -> v1::Hello {
    v1::Hello {
        versions: vec![1],
        cluster_uid: "cluster".to_owned(),
        boot_id: "boot".to_owned(),
        set_hash: vec![0; 16].into(),
        ..v1::Hello::default()
    }
}

fn say(hub: &mut HubSession, frame: Frame, now: Duration) {
    hub.on_frame(v1::FromMember { frame: Some(frame) }, now);
}

fn tell(member: &mut MemberLink, frame: HubFrame, now: Duration) {
    member.on_frame(v1::FromHub { frame: Some(frame) }, now);
}

/// A hub's session that is open, after its Welcome.
fn open_hub(orders: Vec<Order>) -> HubSession {
    let mut hub = HubSession::new(ClusterName::new("member").unwrap(), START);
    say(&mut hub, Frame::Hello(hello()), START);
    assert!(matches!(hub.poll_event(), Some(HubEvent::Hello(_))));
    hub.admit(session_config(1), orders, Vec::new(), START);
    assert!(matches!(hub.poll_frame(START).unwrap().frame, Some(HubFrame::Welcome(_))));
    assert_eq!(hub.poll_event(), Some(HubEvent::Unclaimed(Vec::new())));
    hub
}

fn link() -> MemberLink {
    let mut link = MemberLink::new(link_config(Some(7)), START);
    assert_eq!(link.poll_action(START), Some(MemberAction::Dial));
    link.on_connected(START);
    assert!(matches!(link.poll_frame(START).unwrap().frame, Some(Frame::Hello(_))));
    link
}

fn welcome(epoch: u64) -> v1::Welcome {
    v1::Welcome {
        version: 1,
        hub_uid: "hub".to_owned(),
        epoch,
        session: "s".to_owned(),
        heartbeat_ms: 10_000,
        cluster: "member".to_owned(),
        ..v1::Welcome::default()
    }
}

fn upsert(name: &str) -> v1::Upsert {
    v1::Upsert {
        key: Some(v1::AgentKey { namespace: "demo".to_owned(), name: name.to_owned() }),
        incarnation: "uid".to_owned(),
        hash: vec![1; 16].into(),
        replicas: 1,
        template: vec![b'x'].into(),
        trace: None,
        bounds: None,
        wake: 0,
    }
}

fn delta(epoch: u64, nonce: u64) -> HubFrame {
    HubFrame::Delta(v1::Delta { epoch, nonce, upserts: vec![upsert("a")], removals: Vec::new() })
}

fn actions(member: &mut MemberLink, now: Duration) -> Vec<MemberAction> {
    std::iter::from_fn(|| member.poll_action(now)).collect()
}

fn last_word(hub: &mut HubSession) -> (Option<HubFrame>, CloseReason) {
    let frame = std::iter::from_fn(|| hub.poll_frame(START)).last().and_then(|frame| frame.frame);
    match std::iter::from_fn(|| hub.poll_event()).last() {
        Some(HubEvent::Closed(reason)) => (frame, reason),
        other => panic!("it isn't closed: {other:?}"),
    }
}

#[test]
fn a_member_of_another_version_is_told_what_to_do() {
    let mut hub = HubSession::new(ClusterName::new("member").unwrap(), START);
    say(&mut hub, Frame::Hello(v1::Hello { versions: vec![2, 3], ..hello() }), START);
    let (frame, reason) = last_word(&mut hub);
    let Some(HubFrame::Terminate(terminate)) = frame else { panic!("{frame:?}") };
    assert_eq!(terminate.reason, "VersionMismatch");
    assert!(terminate.message.contains("upgrade"), "{}", terminate.message);
    assert!(matches!(reason, CloseReason::Refused { .. }));
    assert!(hub.is_closed());
}

#[test]
fn a_refused_member_comes_back_slowly() {
    let mut member = link();
    let (reason, message) = ("NotAccepted".to_owned(), "accept it".to_owned());
    tell(
        &mut member,
        HubFrame::Terminate(v1::Terminate { reason: reason.clone(), message: message.clone() }),
        START,
    );
    assert_eq!(actions(&mut member, START), [MemberAction::Close, MemberAction::Refused { reason, message }]);
    let again = member.next_deadline().unwrap();
    assert!((seconds(15)..=seconds(60)).contains(&again), "{again:?}");
    member.on_timer(again);
    assert_eq!(member.poll_action(again), Some(MemberAction::Dial));
}

#[test]
fn a_member_that_is_asked_to_wait_waits() {
    let mut member = link();
    tell(&mut member, HubFrame::Retry(v1::Retry { after_ms: 4000, reason: "busy".to_owned() }), START);
    assert_eq!(actions(&mut member, START).first(), Some(&MemberAction::Close));
    assert!((seconds(4)..=seconds(5)).contains(&member.next_deadline().unwrap()));
}

#[test]
fn an_older_epoch_is_not_obeyed() {
    let mut member = link();
    tell(&mut member, HubFrame::Welcome(welcome(6)), START);
    let done = actions(&mut member, START);
    assert!(
        matches!(done.as_slice(), [MemberAction::Close, MemberAction::Lost { cause }] if cause.contains("older"))
    );

    let mut member = link();
    tell(&mut member, HubFrame::Welcome(welcome(7)), START);
    tell(&mut member, delta(6, 1), START);
    let done = actions(&mut member, START);
    assert!(done.iter().all(|action| !matches!(action, MemberAction::Carry(_))), "{done:?}");
    assert!(done.contains(&MemberAction::Close));
}

#[test]
fn a_new_epoch_is_obeyed_once_it_is_persisted() {
    let mut member = link();
    tell(&mut member, HubFrame::Welcome(welcome(8)), START);
    tell(&mut member, delta(8, 1), START);
    let done = actions(&mut member, START);
    assert!(matches!(done.first(), Some(MemberAction::PersistEpoch { epoch: 8, .. })), "{done:?}");
    assert!(done.iter().all(|action| !matches!(action, MemberAction::Carry(_))), "{done:?}");
    member.on_epoch_persisted("hub", 8);
    assert!(
        matches!(actions(&mut member, START).as_slice(), [MemberAction::Carry(batch)] if batch.epoch == 8)
    );
}

#[test]
fn another_hub_begins_its_own_epochs_and_removes_nothing_it_does_not_know() {
    let mut member = link();
    let held = fixtures::held(&order("a"));
    member.hold(held.clone());
    let mut hub = HubSession::new(ClusterName::new("member").unwrap(), START);
    // Hello was said before the member held anything: a session of its own tells the whole truth.
    member.on_disconnected("cut", START);
    let again = member.next_deadline().unwrap();
    member.on_timer(again);
    member.on_connected(again);
    hub.on_frame(member.poll_frame(again).unwrap(), again);
    hub.admit(
        HubSessionConfig { hub_uid: "other".to_owned(), ..session_config(1) },
        Vec::new(),
        Vec::new(),
        again,
    );
    let mut unclaimed = None;
    for _ in 0..20 {
        while let Some(frame) = hub.poll_frame(again) {
            member.on_frame(frame, again);
        }
        for action in actions(&mut member, again) {
            match action {
                MemberAction::PersistEpoch { hub_uid, epoch } => member.on_epoch_persisted(&hub_uid, epoch),
                MemberAction::Connected(welcome) => assert_eq!(welcome.previous_hub.as_deref(), Some("hub")),
                MemberAction::Carry(batch) => panic!("{batch:?}"),
                _ => {}
            }
        }
        while let Some(frame) = member.poll_frame(again) {
            hub.on_frame(frame, again);
        }
        while let Some(event) = hub.poll_event() {
            if let HubEvent::Unclaimed(held) = event {
                unclaimed = Some(held);
            }
        }
    }
    assert_eq!(unclaimed, Some(vec![held]));
}

#[test]
fn reports_on_what_was_never_given_are_dropped_and_counted() {
    let mut hub = open_hub(Vec::new());
    let status = v1::Status {
        key: Some(v1::AgentKey { namespace: "demo".to_owned(), name: "a".to_owned() }),
        incarnation: "uid".to_owned(),
        boot_id: "boot".to_owned(),
        seq: 1,
        payload: Some(v1::StatusPayload { phase: v1::Phase::Running.into(), ..v1::StatusPayload::default() }),
        ..v1::Status::default()
    };
    say(&mut hub, Frame::Status(status.clone()), START);
    assert_eq!((hub.poll_event(), hub.dropped_reports()), (None, 1));
    hub.upsert(order("a"));
    say(&mut hub, Frame::Status(v1::Status { seq: 2, ..status.clone() }), START);
    assert!(matches!(hub.poll_event(), Some(HubEvent::Report(_))));
    // The same again is late, and one of another boot isn't this session's.
    say(&mut hub, Frame::Status(v1::Status { seq: 2, ..status.clone() }), START);
    say(&mut hub, Frame::Status(v1::Status { seq: 9, boot_id: "other".to_owned(), ..status }), START);
    assert_eq!((hub.poll_event(), hub.dropped_reports()), (None, 3));
}

#[test]
fn two_deltas_at_most_are_in_flight_and_the_rest_goes_together() {
    let mut hub = open_hub(Vec::new());
    assert!(matches!(hub.poll_frame(START).unwrap().frame, Some(HubFrame::SnapshotComplete(_))));
    let mut sizes = Vec::new();
    for n in 0..10 {
        hub.upsert(order(&format!("a-{n}")));
        while let Some(v1::FromHub { frame: Some(HubFrame::Delta(delta)) }) = hub.poll_frame(START) {
            sizes.push(delta.upserts.len());
        }
    }
    assert_eq!(sizes, [1, 1]);
    let results = vec![v1::Result {
        key: Some(v1::AgentKey { namespace: "demo".to_owned(), name: "a-0".to_owned() }),
        incarnation: "uid".to_owned(),
        hash: vec![1; 16].into(),
        outcome: v1::Outcome::Persisted.into(),
        ..v1::Result::default()
    }];
    say(&mut hub, Frame::Ack(v1::Ack { nonce: 1, results, partial: false }), START);
    let Some(HubFrame::Delta(delta)) = hub.poll_frame(START).unwrap().frame else { panic!("no delta") };
    assert_eq!(delta.upserts.len(), 8);
}

#[test]
fn an_acknowledgement_of_nothing_ends_the_session() {
    let mut hub = open_hub(Vec::new());
    say(&mut hub, Frame::Ack(v1::Ack { nonce: 5, ..v1::Ack::default() }), START);
    let (frame, reason) = last_word(&mut hub);
    assert!(matches!(frame, Some(HubFrame::Terminate(_))), "{frame:?}");
    assert!(matches!(reason, CloseReason::Protocol { .. }));
}

#[test]
fn silence_ends_a_session_on_both_ends() {
    let mut hub = open_hub(Vec::new());
    hub.on_timer(seconds(44));
    assert!(!hub.is_closed());
    hub.on_timer(seconds(45));
    assert_eq!(std::iter::from_fn(|| hub.poll_event()).last(), Some(HubEvent::Closed(CloseReason::Silent)));

    let mut member = link();
    tell(&mut member, HubFrame::Welcome(welcome(7)), START);
    member.on_timer(seconds(45));
    assert!(actions(&mut member, seconds(45)).contains(&MemberAction::Close));
}

#[test]
fn a_session_ends_with_its_certificate() {
    let mut hub = open_hub(Vec::new());
    for n in 1..=360 {
        say(
            &mut hub,
            Frame::Heartbeat(v1::Heartbeat { count: 0, set_hash: vec![0; 16].into() }),
            seconds(10 * n),
        );
        assert!(!hub.is_closed());
        hub.on_timer(seconds(10 * n));
    }
    assert!(matches!(last_word(&mut hub), (Some(HubFrame::Bye(_)), CloseReason::Bye { .. })));
}

#[test]
fn a_member_that_drains_acknowledges_and_says_bye() {
    let mut member = link();
    tell(&mut member, HubFrame::Welcome(welcome(7)), START);
    tell(&mut member, delta(7, 1), START);
    let batch = actions(&mut member, START).into_iter().find_map(|action| match action {
        MemberAction::Carry(batch) => Some(batch),
        _ => None,
    });
    let result = OrderResult::well(agent("a"), None, Outcome::Persisted);
    member.on_result(batch.unwrap().nonce, result);
    member.drain("stop", START);
    assert!(matches!(member.poll_frame(START).unwrap().frame, Some(Frame::Ack(_))));
    assert!(!member.is_drained());
    assert!(matches!(member.poll_frame(START).unwrap().frame, Some(Frame::Bye(_))));
    assert!(member.is_drained());
    assert_eq!(actions(&mut member, seconds(100)), [MemberAction::Close]);
}

/// Bytes that often decode to something: valid frames with some bytes changed.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(seeds), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4))
        .prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        })
}

fn member_frames() -> Vec<Vec<u8>> {
    let key = Some(v1::AgentKey { namespace: "demo".to_owned(), name: "a".to_owned() });
    let (incarnation, hash) = ("uid".to_owned(), bytes::Bytes::from(vec![1; 16]));
    let have = v1::Have {
        key: key.clone(),
        incarnation: incarnation.clone(),
        hash: hash.clone(),
        ..v1::Have::default()
    };
    let result = v1::Result {
        key: key.clone(),
        incarnation: incarnation.clone(),
        hash,
        outcome: 1,
        ..v1::Result::default()
    };
    let status = v1::Status {
        key: key.clone(),
        incarnation: incarnation.clone(),
        boot_id: "boot".to_owned(),
        seq: 1,
        ..v1::Status::default()
    };
    let event = v1::Event { key, incarnation, ..v1::Event::default() };
    let frames = [
        Frame::Hello(hello()),
        Frame::Inventory(v1::Inventory { have: vec![have], last: true }),
        Frame::Ack(v1::Ack { nonce: 1, results: vec![result.clone()], partial: false }),
        Frame::Ack(v1::Ack { nonce: 0, results: vec![result], partial: true }),
        Frame::Confirm(v1::Confirm { nonce: 1, challenge: vec![1; 8].into() }),
        Frame::Status(status),
        Frame::Events(v1::Events { events: vec![event], dropped: 3 }),
        Frame::Heartbeat(v1::Heartbeat { count: 3, set_hash: vec![9; 16].into() }),
        Frame::ClusterReport(v1::ClusterReport::default()),
        Frame::StatusSnapshotEnd(v1::StatusSnapshotEnd::default()),
        Frame::Bye(v1::Bye::default()),
    ];
    frames.into_iter().map(|frame| v1::FromMember { frame: Some(frame) }.encode_to_vec()).collect()
}

fn hub_frames() -> Vec<Vec<u8>> {
    let key = Some(v1::AgentKey { namespace: "demo".to_owned(), name: "a".to_owned() });
    let removal = v1::Removal { key, incarnation: "uid".to_owned(), trace: None };
    let frames = [
        HubFrame::Welcome(welcome(7)),
        HubFrame::WantInventory(v1::WantInventory {}),
        delta(7, 1),
        delta(7, 2),
        HubFrame::Delta(v1::Delta { epoch: 7, nonce: 3, upserts: Vec::new(), removals: vec![removal] }),
        HubFrame::Confirmed(v1::Confirmed::default()),
        HubFrame::SnapshotComplete(v1::SnapshotComplete { epoch: 7, ..v1::SnapshotComplete::default() }),
        HubFrame::Heartbeat(v1::Heartbeat::default()),
        HubFrame::Retry(v1::Retry { after_ms: u32::MAX, reason: String::new() }),
        HubFrame::Terminate(v1::Terminate::default()),
    ];
    frames.into_iter().map(|frame| v1::FromHub { frame: Some(frame) }.encode_to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_frames_of_a_member_make_the_hub_panic(frames in prop::collection::vec(mutated(member_frames()), 0..12)) {
        let mut hub = open_hub(vec![order("a"), order("b")]);
        for (n, bytes) in frames.into_iter().enumerate() {
            let now = seconds(7 * n as u64);
            if let Ok(frame) = v1::FromMember::decode(bytes.as_slice()) {
                hub.on_frame(frame, now);
            }
            hub.on_timer(now);
            while hub.poll_frame(now).is_some() {}
            while hub.poll_event().is_some() {}
        }
    }

    #[test]
    fn no_frames_of_a_hub_make_the_member_panic(frames in prop::collection::vec(mutated(hub_frames()), 0..12)) {
        let mut member = link();
        tell(&mut member, HubFrame::Welcome(welcome(7)), START);
        for (n, bytes) in frames.into_iter().enumerate() {
            let now = seconds(7 * n as u64);
            if let Ok(frame) = v1::FromHub::decode(bytes.as_slice()) {
                member.on_frame(frame, now);
            }
            member.on_timer(now);
            if actions(&mut member, now).contains(&MemberAction::Dial) {
                member.on_connected(now);
            }
            while member.poll_frame(now).is_some() {}
        }
    }
}
