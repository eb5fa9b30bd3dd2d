//! Reports on the wire and off it again, as bytes.

#![allow(clippy::unwrap_used)]

use parallax_crds::activation::WakeUp;
use parallax_crds::agent::Bounds;
use parallax_crds::link::Scale;
use parallax_crds::{AgentKey, AgentRef, Incarnation, SpecHash, fixtures};
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn any_phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![
        Phase::Pending,
        Phase::Running,
        Phase::Scaling,
        Phase::Failed,
        Phase::Terminating,
    ])
}

fn any_report() -> impl Strategy<Value = AgentReport> {
    let hash = prop::option::of(any::<[u8; 16]>());
    let chosen = prop::option::of(0..=i32::MAX);
    let counts = (0..=i32::MAX, 0..=i32::MAX, 0..=i32::MAX, 0..=i32::MAX);
    let credentials =
        prop::option::of(
            (any::<bool>(), "[A-Za-z]{0,32}", ".{0,64}")
                .prop_map(|(ready, reason, message)| CredentialsReport { ready, reason, message }),
        );
    let trace = prop::option::of(Just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()));
    let told = (
        "[A-Za-z]{0,32}",
        ".{0,64}",
        credentials,
        prop::option::of("[a-z0-9.-]{1,64}:8080"),
        prop::option::of(1..i64::MAX),
        trace,
    );
    (hash, any_phase(), (counts, chosen), any::<bool>(), told).prop_map(
        |(
            hash,
            phase,
            ((desired, replicas, one, other), chosen),
            synced,
            (reason, message, credentials, endpoint, last_activity, traceparent),
        )| AgentReport {
            agent: AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u-1") },
            hash: hash.map(|bytes| SpecHash::from_bytes(&bytes).unwrap()),
            phase,
            desired,
            chosen,
            replicas,
            ready: one.min(other),
            serving: one.max(other),
            synced,
            reason,
            message,
            credentials,
            endpoint,
            last_activity,
            traceparent,
        },
    )
}

fn sent(status: &v1::Status) -> v1::Status {
    v1::Status::decode(status.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #[test]
    fn a_report_arrives_as_it_was_sent(report_sent in any_report(), seq: u64) {
        let status = sent(&status(&report_sent, "boot", seq));
        prop_assert_eq!((status.boot_id.as_str(), status.seq), ("boot", seq));
        prop_assert_eq!(report(status), Ok(report_sent));
    }

    #[test]
    fn what_is_held_arrives_as_it_was_sent_whatever_its_scale(
        replicas: i32,
        bounds in prop::option::of((any::<i32>(), any::<i32>(), any::<i32>())),
        wake: i64,
    ) {
        let bounds = bounds.map(|(min, max, start)| Bounds { min, max, start });
        let held =
            Held { scale: Scale { replicas, bounds, wake: WakeUp::numbered(wake) }, ..fixtures::held(&fixtures::order(fixtures::agent("team/writer", "u-1"))) };
        let entry = inventory_entry(&held, false);
        let arrived = have(&v1::Have::decode(entry.encode_to_vec().as_slice()).unwrap());
        let scale = super::sent(held.scale);
        prop_assert!(scale == held.scale || replicas < 0 || bounds.is_some());
        prop_assert_eq!(arrived, Ok((Held { scale, ..held }, false)));
    }

    #[test]
    fn of_a_member_that_does_not_say_what_serves_that_does_which_is_ready(report_sent in any_report()) {
        let mut older = status(&report_sent, "boot", 1);
        older.payload.as_mut().unwrap().serving_replicas = 0;
        let expected = AgentReport { serving: report_sent.ready, ..report_sent };
        prop_assert_eq!(report(sent(&older)), Ok(expected));
    }
}

#[test]
fn bounds_out_of_order_are_malformed() {
    for (min, max, start) in [(-1, 2, 1), (3, 2, 1), (0, 0, 0), (1, 2, -1)] {
        let have = super::have(&v1::Have {
            key: key_message(&AgentKey::new("team", "writer")),
            incarnation: "u-1".into(),
            hash: vec![1; 16].into(),
            bounds: Some(v1::Bounds { min, max, start }),
            ..Default::default()
        });
        assert_eq!(have.unwrap_err().field, "bounds");
    }
}

#[test]
fn an_endpoint_is_nothing_but_an_address() {
    let of = |endpoint: &str| {
        let payload = v1::StatusPayload {
            phase: v1::Phase::Running.into(),
            endpoint: endpoint.to_owned(),
            ..Default::default()
        };
        let key = key_message(&AgentKey::new("team", "writer"));
        report(v1::Status { key, incarnation: "u-1".into(), payload: Some(payload), ..Default::default() })
    };
    assert_eq!(of("").unwrap().endpoint, None, "of a member that doesn't know the field");
    assert_eq!(of("[2001:db8::1]:8080").unwrap().endpoint.as_deref(), Some("[2001:db8::1]:8080"));
    for other in ["http://writer", "writer:8080 ", "<b>", "writer\n:1", &"w".repeat(257)] {
        assert_eq!(of(other).unwrap_err().field, "status.payload.endpoint", "{other}");
    }
}

#[test]
fn a_negative_count_is_malformed() {
    let payload =
        v1::StatusPayload { phase: v1::Phase::Pending.into(), serving_replicas: -1, ..Default::default() };
    let key = key_message(&AgentKey::new("team", "writer"));
    let status = v1::Status { key, incarnation: "u-1".into(), payload: Some(payload), ..Default::default() };
    assert_eq!(report(status).unwrap_err().field, "status.payload.serving_replicas");
}
