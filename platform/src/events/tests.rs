#![allow(clippy::unwrap_used)]

use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::testing::{ApiServer, Call, Refusal};

struct World {
    events: Events,
    metrics: Metrics,
    shutdown: CancellationToken,
    server: ApiServer,
}

/// Events against an API server.
fn world() -> World {
    let server = ApiServer::new();
    let metrics = Metrics::new("test", "0");
    let shutdown = CancellationToken::new();
    let events = Events::start(server.client(), "parallax-test", &metrics, shutdown.clone());
    World { events, metrics, shutdown, server }
}

impl World {
    /// The next write.
    async fn write(&self) -> Call {
        timeout(Duration::from_secs(3600), self.server.call()).await.unwrap()
    }
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
    let world = world();
    world.events.normal(agent(), "Placed", "in member-1");
    let Call { verb, body: event, .. } = world.write().await;
    assert_eq!(verb, "create");
    assert_eq!(event["note"], "in member-1");
    assert_eq!((&event["type"], &event["reason"]), (&json!("Normal"), &json!("Placed")));
    assert_eq!(event["reportingController"], "parallax-test");
    assert_eq!(event["regarding"]["uid"], "u");

    let begun = Instant::now();
    world.events.normal(agent(), "Placed", "in member-1");
    let Call { verb, body: event, .. } = world.write().await;
    assert_eq!((verb, &event["series"]["count"]), ("patch", &json!(2)));
    assert!(begun.elapsed() > Duration::from_secs(50), "{:?}", begun.elapsed());

    world.events.normal(agent(), "Placed", "in member-2");
    let Call { verb, body: event, .. } = world.write().await;
    assert_eq!((verb, &event["note"]), ("create", &json!("in member-2")));
}

#[tokio::test(start_paused = true)]
async fn a_long_note_is_cut_at_a_character() {
    let world = world();
    world.events.warning(agent(), "Rejected", &"ä".repeat(1000));
    let event = world.write().await.body;
    assert_eq!(event["note"].as_str().unwrap().len(), 1022);
    assert_eq!(event["type"], "Warning");
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_counted_and_the_next_is_a_new_one() {
    let world = world();
    world.server.refuse("create", "events", Refusal::new(404, "NotFound", "no"));
    for _ in 0..2 {
        world.events.normal(agent(), "Placed", "in member-1");
        assert_eq!(world.write().await.verb, "create");
    }
    let counted = async {
        while !world.metrics.render().contains("parallax_events_dropped_total 2") {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(3600), counted).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_never_wait_and_what_is_too_much_is_counted() {
    let world = world();
    for n in 0..QUEUE + 10 {
        let object = ObjectReference { name: Some(n.to_string()), ..agent() };
        world.events.normal(object, "Placed", "x");
    }
    assert!(world.metrics.render().contains("parallax_events_dropped_total 10"));
    world.write().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_written_before_the_end() {
    let world = world();
    for reason in ["One", "Two", "Three"] {
        world.events.normal(agent(), reason, "x");
    }
    world.shutdown.cancel();
    for _ in 0..3 {
        assert_eq!(world.write().await.verb, "create");
    }
}
