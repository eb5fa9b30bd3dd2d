#![allow(clippy::unwrap_used)]

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tower::BoxError;

use super::*;

struct World {
    events: Events,
    metrics: Metrics,
    shutdown: CancellationToken,
    writes: UnboundedReceiver<(Method, Value)>,
}

/// Events against an API server that answers every write with `code`.
fn world(code: u16) -> World {
    let (seen, writes) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body: Value = serde_json::from_slice(&body.collect_bytes().await?).unwrap();
            seen.send((parts.method, body.clone())).unwrap();
            let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                "reason": "x", "message": "no"});
            let answer = serde_json::to_vec(if code < 400 { &body } else { &refusal }).unwrap();
            Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(answer)).unwrap())
        }
    });
    let metrics = Metrics::new("test", "0");
    let shutdown = CancellationToken::new();
    let events = Events::start(Client::new(service, "default"), "parallax-test", &metrics, shutdown.clone());
    World { events, metrics, shutdown, writes }
}

fn agent() -> ObjectReference {
    ObjectReference {
        api_version: Some("parallax.io/v1alpha1".into()),
        kind: Some("ParallaxAgent".into()),
        namespace: Some("a".into()),
        name: Some("b".into()),
        uid: Some("u".into()),
        ..ObjectReference::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_again_is_counted_and_another_note_is_another_event() {
    let mut world = world(200);
    world.events.normal(agent(), "Placed", "in member-1");
    let (method, event) = world.writes.recv().await.unwrap();
    assert_eq!(method, Method::POST);
    assert_eq!(event["note"], "in member-1");
    assert_eq!((&event["type"], &event["reason"]), (&json!("Normal"), &json!("Placed")));
    assert_eq!(event["reportingController"], "parallax-test");
    assert_eq!(event["regarding"]["uid"], "u");

    let begun = Instant::now();
    world.events.normal(agent(), "Placed", "in member-1");
    let (method, event) = world.writes.recv().await.unwrap();
    assert_eq!((method, &event["series"]["count"]), (Method::PATCH, &json!(2)));
    assert!(begun.elapsed() > Duration::from_secs(50), "{:?}", begun.elapsed());

    world.events.normal(agent(), "Placed", "in member-2");
    let (method, event) = world.writes.recv().await.unwrap();
    assert_eq!((method, &event["note"]), (Method::POST, &json!("in member-2")));
}

#[tokio::test(start_paused = true)]
async fn a_long_note_is_cut_at_a_character() {
    let mut world = world(200);
    world.events.warning(agent(), "Rejected", &"ä".repeat(1000));
    let (_, event) = world.writes.recv().await.unwrap();
    assert_eq!(event["note"].as_str().unwrap().len(), 1022);
    assert_eq!(event["type"], "Warning");
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_counted_and_the_next_is_a_new_one() {
    let mut world = world(404);
    for _ in 0..2 {
        world.events.normal(agent(), "Placed", "in member-1");
        let (method, _) = world.writes.recv().await.unwrap();
        assert_eq!(method, Method::POST);
    }
    world.shutdown.cancel();
    world.events.sender.closed().await;
    while world.writes.recv().await.is_some() {}
    let text = world.metrics.render();
    assert!(text.contains("parallax_events_dropped_total 2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn callers_never_wait_and_what_is_too_much_is_counted() {
    let mut world = world(200);
    for n in 0..QUEUE + 10 {
        let object = ObjectReference { name: Some(n.to_string()), ..agent() };
        world.events.normal(object, "Placed", "x");
    }
    assert!(world.metrics.render().contains("parallax_events_dropped_total 10"));
    world.writes.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_written_before_the_end() {
    let mut world = world(200);
    for reason in ["One", "Two", "Three"] {
        world.events.normal(agent(), reason, "x");
    }
    world.shutdown.cancel();
    let mut written = 0;
    while world.writes.recv().await.is_some() {
        written += 1;
    }
    assert_eq!(written, 3);
}
