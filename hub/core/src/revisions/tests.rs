#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn spec(json: serde_json::Value) -> ParallaxAgentSpec {
    serde_json::from_value(json).unwrap()
}

fn defaults(tag: &str) -> Arc<FleetDefaults> {
    Arc::new(FleetDefaults { image_tag: tag.to_owned(), ..FleetDefaults::default() })
}

/// Begins the revision of an image.
fn begin(revisions: &mut Revisions, image: &str) -> RevisionId {
    let (part, defaults) = (part_of(&spec(json!({"type": "claude", "image": image}))), defaults("1"));
    let id = RevisionId::of("uid", &part, &defaults).unwrap();
    let pods = pods_of(&part, &defaults).unwrap();
    revisions.begin(id, About { number: 0, generation: 1, pods, defaults, refreshed: None }, part);
    id
}

fn save(revisions: &mut Revisions) {
    while let Some(write) = revisions.take() {
        let (RevisionWrite::Store { id, .. } | RevisionWrite::Drop(id)) = write;
        revisions.written(id, true);
    }
}

#[test]
fn a_revision_is_named_after_its_agent_and_found_by_that() {
    let id: RevisionId = "00a1b2c3d4".parse().unwrap();
    assert_eq!(id.name("writer"), "writer-00a1b2c3d4");
    assert_eq!(RevisionId::named("writer", "writer-00a1b2c3d4"), Some(id));
    for other in [
        "writer-00a1b2c3d",
        "writer-00A1B2C3D4",
        "writer00a1b2c3d4",
        "reader-00a1b2c3d4",
        "writer-+0a1b2c3d4",
    ] {
        assert_eq!(RevisionId::named("writer", other), None, "{other}");
    }
}

#[test]
fn the_name_follows_from_the_agent_its_spec_and_what_is_pinned() {
    let plain = part_of(&spec(json!({"type": "claude"})));
    let of =
        |uid: &str, part: &ParallaxAgentSpec, tag: &str| RevisionId::of(uid, part, &defaults(tag)).unwrap();
    let id = of("uid", &plain, "1");
    assert_eq!(of("uid", &plain, "1"), id);
    assert_ne!(of("another", &plain, "1"), id);
    assert_ne!(of("uid", &plain, "2"), id);
    assert_ne!(of("uid", &part_of(&spec(json!({"type": "codex"}))), "1"), id);
}

#[test]
fn what_pods_are_not_made_of_is_no_part_of_it() {
    let plain = part_of(&spec(json!({"type": "claude"})));
    let other = json!({
        "type": "claude", "replicas": 7, "suspend": true, "scaling": {"minReplicas": 2, "maxReplicas": 9},
        "placement": {"regions": ["eu"]},
    });
    assert_eq!(part_of(&spec(other)), plain);
    let overrides = json!([{"clusterSelector": {}, "image": "example.org/mine:1"}]);
    let overridden = json!({"type": "claude", "placement": {"regions": ["eu"], "overrides": overrides}});
    assert_eq!(crate::overrides::of(&part_of(&spec(overridden))).len(), 1);
}

#[test]
fn a_part_has_the_pods_of_the_whole() {
    for scaling in [
        json!({"minReplicas": 0, "maxReplicas": 4, "scaleDownDelay": 60}),
        json!({"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilization": 70}),
        json!({"minReplicas": 0, "targetMemoryUtilization": 70, "activation": {"holdSeconds": 5}}),
        json!({"minReplicas": 3, "maxReplicas": 4}),
        json!(null),
    ] {
        let whole = spec(json!({"type": "claude", "scaling": scaling}));
        let hash = |spec: &ParallaxAgentSpec| resolve(spec, &defaults("1")).unwrap().hash;
        assert_eq!(hash(&part_of(&whole)), hash(&whole), "{scaling}");
    }
}

#[test]
fn what_some_clusters_run_otherwise_is_of_its_pods() {
    let pods = |overrides: serde_json::Value| {
        let spec = spec(json!({"type": "claude", "placement": {"overrides": overrides}}));
        pods_of(&part_of(&spec), &defaults("1")).unwrap()
    };
    let (eu, us) = (json!({"matchLabels": {"region": "eu"}}), json!({"matchLabels": {"region": "us"}}));
    let all = [
        pods(json!([])),
        pods(json!([{"clusterSelector": eu, "image": "example.org/mine:1"}])),
        pods(json!([{"clusterSelector": us, "image": "example.org/mine:1"}])),
        pods(json!([{"clusterSelector": eu, "image": "example.org/mine:2"}])),
    ];
    assert_eq!(std::collections::BTreeSet::from(all).len(), all.len());
}

#[test]
fn what_is_said_of_one_is_read_back() {
    let pods = pods_of(&spec(json!({"type": "claude"})), &defaults("1")).unwrap();
    let refreshed = Some("now".to_owned());
    let about = About { number: 3, generation: 7, pods, defaults: defaults("1"), refreshed };
    let text = serde_json::to_string(&about).unwrap();
    assert_eq!(serde_json::from_str::<About>(&text).unwrap(), about);
}

#[test]
fn the_previous_one_is_the_newest_with_other_pods() {
    let mut revisions = Revisions::default();
    begin(&mut revisions, "example.org/mine:1");
    // The same pods, spelled otherwise.
    begin(&mut revisions, &format!("{}/agent-claude:1", FleetDefaults::IMAGE_PREFIX));
    let (part, pinned) = (part_of(&spec(json!({"type": "claude"}))), defaults("1"));
    let id = RevisionId::of("uid", &part, &pinned).unwrap();
    let pods = pods_of(&part, &pinned).unwrap();
    revisions.begin(id, About { number: 0, generation: 3, pods, defaults: pinned, refreshed: None }, part);
    assert_eq!(revisions.newest().unwrap().1.number, 3);
    assert_eq!(revisions.before().unwrap().number, 1);
}

#[test]
fn what_is_wanted_again_while_it_is_dropped_is_stored_again() {
    let mut revisions = Revisions::default();
    let first = begin(&mut revisions, "example.org/mine:0");
    (1..MOST).for_each(|n| _ = begin(&mut revisions, &format!("example.org/mine:{n}")));
    save(&mut revisions);
    let last = begin(&mut revisions, "example.org/mine:last");
    revisions.take().unwrap();
    revisions.written(last, true);
    assert_eq!(revisions.take(), Some(RevisionWrite::Drop(first)));
    begin(&mut revisions, "example.org/mine:0");
    assert_eq!(revisions.take(), None, "one write at a time");
    revisions.written(first, true);
    let stored = |write: &RevisionWrite| matches!(write, RevisionWrite::Store { id, .. } if *id == first);
    assert!(revisions.take().as_ref().is_some_and(stored));
}

#[test]
fn one_that_is_dropped_while_it_is_stored_is_dropped_after_that() {
    let mut revisions = Revisions::default();
    let first = begin(&mut revisions, "example.org/mine:0");
    assert!(matches!(revisions.take(), Some(RevisionWrite::Store { id, .. }) if id == first));
    for n in 1..=MOST {
        begin(&mut revisions, &format!("example.org/mine:{n}"));
    }
    revisions.written(first, true);
    let mut writes = Vec::new();
    while let Some(write) = revisions.take() {
        let (RevisionWrite::Store { id, .. } | RevisionWrite::Drop(id)) = write;
        revisions.written(id, true);
        writes.push(write);
    }
    assert_eq!(writes.pop(), Some(RevisionWrite::Drop(first)));
    assert_eq!(writes.len(), MOST);
    assert!(!revisions.is_to_be_written());
}

#[test]
fn a_wish_that_changes_nothing_while_it_is_stored_is_stored_too() {
    let mut revisions = Revisions::default();
    let id = begin(&mut revisions, "example.org/mine:1");
    revisions.take().unwrap();
    revisions.note_refreshed("now".to_owned());
    revisions.written(id, true);
    let said = |write: RevisionWrite| match write {
        RevisionWrite::Store { about, .. } => about.refreshed,
        RevisionWrite::Drop(_) => None,
    };
    assert_eq!(revisions.take().and_then(said).as_deref(), Some("now"));
    revisions.written(id, false);
    assert!(revisions.is_to_be_written());
    save(&mut revisions);
    assert!(!revisions.is_to_be_written());
}

fn is_whole(revisions: &Revisions, number: i64) -> bool {
    revisions.numbered(number).is_some_and(|found| found.revision.is_some())
}

#[test]
fn specs_are_kept_until_they_are_stored_and_as_long_as_clusters_may_wait_with_them() {
    let mut revisions = Revisions::default();
    begin(&mut revisions, "example.org/mine:1");
    assert!(is_whole(&revisions, 1) && !revisions.wants_spec());
    save(&mut revisions);
    assert!(!is_whole(&revisions, 1) && !revisions.wants_spec());

    revisions.in_waves(true);
    assert!(revisions.wants_spec());
    revisions.recognise(part_of(&spec(json!({"type": "claude", "image": "example.org/mine:1"}))));
    begin(&mut revisions, "example.org/mine:2");
    save(&mut revisions);
    assert!(is_whole(&revisions, 1) && is_whole(&revisions, 2));

    revisions.in_waves(false);
    assert!(!is_whole(&revisions, 1) && !is_whole(&revisions, 2));
    // The API server may have deleted it with the agent that has vanished.
    let mut revisions = revisions.come_back();
    assert!(revisions.wants_spec() && !revisions.is_to_be_written());
    revisions.recognise(part_of(&spec(json!({"type": "claude", "image": "example.org/mine:2"}))));
    assert!(revisions.is_to_be_written());
}
