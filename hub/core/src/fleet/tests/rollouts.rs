//! Waves: whose turn it is, what the others keep, and that a restart changes nothing of it.

use parallax_crds::agent::{Rollout, RolloutState, RolloutStatus, RolloutStrategy, Wave};
use parallax_crds::{AgentTemplate, Phase, labels};
use serde_json::json;

use super::world::{BROKEN, World, cluster, key};
use crate::fleet::*;

/// `a` is the first wave; `b` and `c` match none.
const STAGES: [(&str, &[(&str, &str)]); 3] = [("a", &[("stage", "canary")]), ("b", &[]), ("c", &[])];

fn canary() -> Rollout {
    let wave =
        serde_json::from_value(json!({"clusterSelector": {"matchLabels": {"stage": "canary"}}})).unwrap();
    Rollout { strategy: RolloutStrategy::Waves, waves: vec![wave], ..Rollout::default() }
}

/// Three replicas of the first image, one in each cluster.
fn run(rollout: Rollout) -> World {
    let mut world = World::empty();
    for (name, labels) in STAGES {
        world.make_cluster(name, labels);
    }
    world.start_hub();
    STAGES.iter().for_each(|(name, _)| world.connect(name));
    world.settle();
    world.apply("x", |spec| {
        spec.replicas = 3;
        spec.image = Some("example.org/x:1".to_owned());
        spec.rollout = Some(rollout);
    });
    world.pass(5);
    world
}

fn change(world: &mut World, image: &str) {
    world.apply("x", |spec| spec.image = Some(image.to_owned()));
    world.pass(5);
}

fn edit(world: &mut World, edit: impl FnOnce(&mut Rollout)) {
    world.apply("x", |spec| edit(spec.rollout.as_mut().unwrap()));
    world.pass(5);
}

fn rollout(world: &World) -> &RolloutStatus {
    world.status("x").rollout.as_ref().unwrap()
}

/// What each cluster runs: the tag of its image, and how many replicas.
fn run_by(world: &World) -> Vec<(String, i32)> {
    let image = |hash| {
        world.sent.get(&hash).map(|template| {
            let template: AgentTemplate = serde_json::from_slice(template).unwrap();
            template.image.rsplit_once(['/', ':']).unwrap().1.to_owned()
        })
    };
    let held = |name| {
        world.members[&cluster(name)]
            .held
            .get(&key("x"))
            .map(|(_, hash, scale)| (image(*hash).unwrap(), scale.replicas))
    };
    STAGES.iter().filter_map(|(name, _)| held(name)).collect()
}

fn tags(world: &World) -> Vec<String> {
    run_by(world).into_iter().map(|(tag, _)| tag).collect()
}

fn reconnect(world: &mut World) {
    world.start_hub();
    STAGES.iter().for_each(|(name, _)| world.connect(name));
}

#[test]
fn the_first_revision_is_everywhere_at_once_and_a_change_goes_from_wave_to_wave() {
    let mut world = run(canary());
    assert_eq!(tags(&world), ["1", "1", "1"]);
    assert_eq!(world.status("x").rollout, None);
    world.members.get_mut(&cluster("a")).unwrap().slow = true;
    world.report(&cluster("a"), &key("x"), 0);
    change(&mut world, "example.org/x:2");
    assert_eq!(tags(&world), ["2", "1", "1"]);
    let told = rollout(&world);
    assert_eq!((told.revision, told.from, told.from_generation), (2, 1, 1));
    assert_eq!((told.wave, told.waves, told.state), (1, 2, RolloutState::Progressing));
    assert_eq!(world.status("x").phase, Some(Phase::Scaling));
    let of = |name: &str| {
        world.status("x").clusters.iter().find(|row| row.name == name).unwrap().observed_generation
    };
    assert_eq!((of("a"), of("b")), (Some(2), Some(1)));
    world.pods_ready("a", "x", 1);
    world.pass(5);
    assert_eq!(tags(&world), ["2", "2", "2"]);
    let told = rollout(&world);
    assert_eq!((told.state, told.updated, told.total), (RolloutState::Complete, 3, 3));
    assert_eq!(world.status("x").phase, Some(Phase::Running));
}

#[test]
fn a_failure_halts_it_the_others_are_scaled_as_they_are_and_what_mends_it_goes_on() {
    let mut world = run(canary());
    change(&mut world, BROKEN);
    world.pass(15);
    assert_eq!(rollout(&world).state, RolloutState::Halted);
    assert_eq!(tags(&world), ["broken", "1", "1"]);
    assert!(rollout(&world).message.as_ref().unwrap().starts_with("a: ImagePullBackOff"));
    world.log.clear();
    world.apply("x", |spec| spec.replicas = 6);
    world.pass(700);
    assert_eq!(run_by(&world), [("broken", 2), ("1", 2), ("1", 2)].map(|(tag, n)| (tag.to_owned(), n)));
    assert_eq!(rollout(&world).state, RolloutState::Halted);
    change(&mut world, "example.org/x:3");
    world.pass(15);
    assert_eq!(tags(&world), ["3", "3", "3"]);
    let told = rollout(&world);
    assert_eq!((told.revision, told.from, told.state), (3, 1, RolloutState::Complete));
}

#[test]
fn what_waits_behind_two_changes_keeps_what_all_had() {
    let mut world = run(canary());
    change(&mut world, BROKEN);
    change(&mut world, "example.org/broken:2");
    assert_eq!(tags(&world), ["2", "1", "1"]);
    assert_eq!((rollout(&world).revision, rollout(&world).from), (3, 1));
}

#[test]
fn who_goes_back_to_what_all_had_has_it_everywhere_at_once() {
    let mut approved = canary();
    approved.waves[0].approval = true;
    let mut world = run(approved);
    change(&mut world, BROKEN);
    world.annotate("x", labels::APPROVE, "2/1");
    world.pass(15);
    assert_eq!(tags(&world), ["broken", "1", "1"]);
    change(&mut world, "example.org/x:1");
    assert_eq!(tags(&world), ["1", "1", "1"]);
    assert_eq!((rollout(&world).revision, rollout(&world).state), (3, RolloutState::Complete));
    change(&mut world, "example.org/x:4");
    world.annotate("x", labels::APPROVE, "4/1");
    world.pass(15);
    assert_eq!((tags(&world), rollout(&world).from), (vec!["4".to_owned(); 3], 3));
}

#[test]
fn a_hub_that_starts_in_the_middle_changes_nothing() {
    let mut world = run(canary());
    change(&mut world, BROKEN);
    world.pass(15);
    let before = (run_by(&world), world.status("x").clone());
    world.log.clear();
    reconnect(&mut world);
    world.pass(120);
    assert_eq!((run_by(&world), world.status("x").clone()), before);
    let orders = |effect: &Effect| match effect {
        Effect::Upsert { order, .. } => order.scale.replicas != 1,
        Effect::Remove { .. } => true,
        _ => false,
    };
    assert_eq!(world.count(orders), 0);
    world.apply("x", |spec| spec.replicas = 6);
    world.pass(60);
    assert_eq!(run_by(&world)[1], ("1".to_owned(), 2), "it knows what those run that wait");
}

#[test]
fn a_cluster_that_comes_in_the_middle_gets_what_the_others_have_that_wait() {
    let mut world = run(canary());
    change(&mut world, BROKEN);
    world.make_cluster("d", &[]);
    world.make_cluster("e", &[("stage", "canary")]);
    world.connect("d");
    world.connect("e");
    world.pass(1);
    world.apply("x", |spec| spec.replicas = 10);
    world.pass(5);
    let tag = |name: &str| {
        let (_, hash, _) = &world.members[&cluster(name)].held[&key("x")];
        String::from_utf8_lossy(&world.sent[hash]).contains(BROKEN)
    };
    assert!(!tag("d") && !tag("e"), "nobody gets what fails");
    change(&mut world, "example.org/x:3");
    world.pass(15);
    assert_eq!(rollout(&world).state, RolloutState::Complete);
    assert_eq!(rollout(&world).total, 5);
}

#[test]
fn a_wave_waits_for_its_approval_and_a_pause_for_its_end() {
    let mut world = run(Rollout { paused: true, ..canary() });
    change(&mut world, "example.org/x:2");
    assert_eq!((rollout(&world).state, tags(&world)), (RolloutState::Paused, vec!["1".to_owned(); 3]));
    let any = Wave { approval: true, ..Wave::default() };
    edit(&mut world, |rollout| {
        rollout.paused = false;
        rollout.waves.push(any);
    });
    assert_eq!((rollout(&world).state, rollout(&world).wave), (RolloutState::WaitingForApproval, 2));
    assert_eq!((tags(&world)[0].as_str(), tags(&world)[1].as_str()), ("2", "1"));
    assert_eq!(world.status("x").phase, Some(Phase::Running), "it doesn't look as if it moved");
    world.annotate("x", labels::APPROVE, "1/2");
    world.pass(5);
    assert_eq!(rollout(&world).state, RolloutState::WaitingForApproval, "that was another revision");
    world.annotate("x", labels::APPROVE, "2/2");
    world.pass(5);
    assert_eq!((rollout(&world).state, tags(&world)), (RolloutState::Complete, vec!["2".to_owned(); 3]));
    let told = |reason: &str| world.count(|e| matches!(e, Effect::Event { reason: r, .. } if r == reason));
    assert_eq!(["RolloutPaused", "WaitingForApproval", "RolloutComplete"].map(told), [1, 1, 1]);
}

#[test]
fn a_user_may_go_on_in_spite_of_a_failure() {
    let mut world = run(canary());
    change(&mut world, BROKEN);
    world.pass(15);
    world.annotate("x", labels::RESUME_ROLLOUT, "2/1");
    world.pass(5);
    assert_eq!(tags(&world), ["broken", "broken", "broken"]);
}

#[test]
fn replicas_move_in_the_middle_with_what_their_cluster_has() {
    let mut world = run(canary());
    change(&mut world, BROKEN);
    world.apply("x", |spec| {
        spec.placement.get_or_insert_default().clusters = vec!["a".to_owned(), "c".to_owned()];
    });
    world.pass(60);
    assert_eq!(world.held("b", "x"), None, "its replica was ready in another cluster");
    assert_eq!(world.leaving("x"), []);
    let held: i32 = ["a", "c"].iter().filter_map(|name| world.held(name, "x")).sum();
    assert_eq!(held, 3);
    let (_, hash, _) = &world.members[&cluster("c")].held[&key("x")];
    assert!(!String::from_utf8_lossy(&world.sent[hash]).contains(BROKEN));
}

#[test]
fn all_at_once_is_as_it_was() {
    let mut world = run(Rollout::default());
    change(&mut world, BROKEN);
    assert_eq!((tags(&world), &world.status("x").rollout), (vec!["broken".to_owned(); 3], &None));
    world.apply("x", |spec| spec.rollout = Some(canary()));
    world.pass(5);
    assert_eq!((tags(&world), &world.status("x").rollout), (vec!["broken".to_owned(); 3], &None));
    change(&mut world, "example.org/x:2");
    assert_eq!(rollout(&world).from, 2);
}

#[test]
fn the_deadline_is_the_agents_own() {
    let mut world = run(Rollout { progress_deadline_seconds: 30, ..Rollout::default() });
    for (name, _) in STAGES {
        world.members.get_mut(&cluster(name)).unwrap().slow = true;
        world.report(&cluster(name), &key("x"), 0);
    }
    world.pass(29);
    assert_eq!(world.status("x").phase, Some(Phase::Pending));
    world.pass(5);
    assert_eq!(world.status("x").phase, Some(Phase::Failed));
}
