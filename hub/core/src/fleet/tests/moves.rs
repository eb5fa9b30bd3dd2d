//! Moves from cluster to cluster, where pods take their time.

use parallax_crds::Phase;
use parallax_crds::agent::{Placement, Strategy as Sharing};
use parallax_crds::cluster::{ClusterTaint, TaintEffect};
use proptest::prelude::*;

use super::world::{Channel, World, cluster, key, scaling};
use crate::fleet::*;

const CLUSTERS: [&str; 3] = ["a", "b", "c"];

fn on(names: &[&str]) -> Placement {
    Placement { clusters: names.iter().map(|n| (*n).to_owned()).collect(), ..Placement::default() }
}

/// An agent with three replicas that runs in a, and members whose pods take their time.
fn running_in_a() -> World {
    let mut world = World::with(&CLUSTERS);
    world.apply("x", |spec| {
        spec.replicas = 3;
        spec.placement = Some(on(&["a"]));
    });
    world.pass(5);
    for name in CLUSTERS {
        world.members.get_mut(&cluster(name)).unwrap().slow = true;
    }
    world.log.clear();
    world
}

fn condition(world: &World, type_: &str) -> (String, String, String) {
    let condition = world.status("x").conditions.iter().find(|c| c.type_ == type_).unwrap();
    (condition.status.clone(), condition.reason.clone(), condition.message.clone())
}

#[test]
fn a_replica_leaves_when_the_one_that_replaces_it_is_ready() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    let mut seen = Vec::new();
    for _ in 0..4 {
        world.pass(5);
        let status = world.status("x");
        seen.push((world.held("a", "x"), world.held("b", "x"), status.phase, status.replica_summary.clone()));
        world.pods_ready("b", "x", 1);
    }
    let scaling = |a, b: &str| (Some(a), Some(3), Some(Phase::Scaling), Some(b.to_owned()));
    assert_eq!(seen[..3], [scaling(3, "3/3"), scaling(2, "3/3"), scaling(1, "3/3")]);
    assert_eq!(seen[3], (None, Some(3), Some(Phase::Running), Some("3/3".to_owned())));
}

#[test]
fn what_waits_for_what_is_said() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    assert_eq!(world.leaving("x"), [("a", 3)]);
    let (status, _, message) = condition(&world, "Progressing");
    assert_eq!(status, "True");
    assert!(
        message.ends_with("; 3 replicas stay in a until as many are ready elsewhere (in b, 0 of 3 are)"),
        "{message}"
    );
    let row = world.status("x").clusters.iter().find(|row| row.name == "a").unwrap();
    assert_eq!((row.ready_replicas, row.reason.as_deref()), (3, Some("Leaving")));
    world.log.clear();
    world.pass(3_600);
    let (status, reason, message) = condition(&world, "Progressing");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ProgressDeadlineExceeded"));
    assert!(message.contains("3 replicas stay in a"), "{message}");
    assert_eq!(
        (world.held("a", "x"), world.orders_and_removals()),
        (Some(3), 0),
        "late is no reason to delete"
    );
    let told =
        |e: &Effect| matches!(e, Effect::Event { reason, warning: true, .. } if reason == "MoveStalled");
    assert_eq!(world.count(told), 1);
    world.pods_ready("b", "x", 3);
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.status("x").phase), (None, Some(Phase::Running)));
}

#[test]
fn a_hub_that_starts_in_the_middle_of_a_move_goes_on_with_it() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    world.pods_ready("b", "x", 1);
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(2));
    world.start_hub();
    world.log.clear();
    world.connect("a");
    world.pass(5);
    world.connect("b");
    world.pass(60);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (Some(2), Some(3)));
    assert_eq!(world.orders_and_removals(), 0, "nothing comes back, and nothing goes");
    world.pods_ready("b", "x", 2);
    world.pass(5);
    assert_eq!(world.held("a", "x"), None);
}

#[test]
fn a_hub_that_dies_before_it_has_written_what_leaves_brings_nothing_back() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    world.pods_ready("b", "x", 3);
    // Until the first word that anything leaves a.
    while world.held("a", "x") == Some(3) {
        if !world.deliver(0) {
            world.mono = world.fleet.next_deadline().unwrap();
            world.feed(Input::Tick);
        }
    }
    assert_eq!(world.leaving("x"), [], "it is written down by then");
}

#[test]
fn suspended_agents_and_detached_clusters_retain_nothing() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    world.apply("x", |spec| spec.suspend = true);
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, Some(0)));
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    world.delete_cluster("a");
    world.pass(5);
    assert_eq!(world.leaving("x"), []);
}

#[test]
fn an_agent_that_is_deleted_in_the_middle_of_a_move_leaves_both_clusters() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    world.delete("x");
    world.pass(5);
    assert!(world.agents.is_empty());
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, None));
}

#[test]
fn many_that_are_about_to_leave_are_held_together() {
    let mut world = World::with(&CLUSTERS);
    for n in 0..12 {
        world.apply(&format!("x{n}"), |spec| spec.placement = Some(on(&["a"])));
    }
    world.pass(5);
    world.members.get_mut(&cluster("b")).unwrap().slow = true;
    for n in 0..12 {
        world.apply(&format!("x{n}"), |spec| spec.placement = Some(on(&["b"])));
    }
    world.pass(5);
    for n in 0..12 {
        world.pods_ready("b", &format!("x{n}"), 1);
        world.pass(5);
    }
    assert_eq!(world.members[&cluster("a")].held.len(), 12, "the first don't slip through");
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().reason, "TooManyRemovals");
    world.approve("a");
    world.pass(5);
    assert!(world.members[&cluster("a")].held.is_empty());
}

#[test]
fn bounds_are_whole_in_the_middle_of_a_move() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.scaling = Some(scaling(1, 8)));
    world.pass(5);
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    let most = |world: &World| -> Vec<i32> {
        let of = |name: &str| {
            world.members[&cluster(name)].held.get(&key("x")).and_then(|(.., scale)| scale.bounds)
        };
        CLUSTERS.iter().filter_map(|name| of(name)).map(|bounds| bounds.max).collect()
    };
    assert_eq!(most(&world), [4, 4]);
    world.pods_ready("b", "x", 3);
    world.pass(5);
    assert_eq!(most(&world), [8]);
    // There is no room to make before breaking.
    world.apply("x", |spec| spec.scaling = Some(scaling(1, 3)));
    world.pass(5);
    world.apply("x", |spec| spec.placement = Some(on(&["c"])));
    world.pass(5);
    assert_eq!((world.held("b", "x"), world.held("c", "x")), (None, Some(3)));
}

/// A counterexample to "nothing that is ready is taken before it is replaced": what a member had told before it removed the
/// agent, and had it again, was heard after that.
#[test]
fn what_was_ready_before_a_removal_replaces_nothing() {
    let mut world = running_in_a();
    place_unheard(&mut world, &on(&["b"]));
    world.pods_ready("b", "x", 3);
    place_unheard(&mut world, &on(&["c"]));
    assert_eq!(world.held("b", "x"), None);
    place_unheard(&mut world, &on(&["b"]));
    assert_eq!(world.held("b", "x"), Some(3));
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (Some(3), Some(3)), "none is ready in b");
    world.pods_ready("b", "x", 3);
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, Some(3)));
}

/// A counterexample to the same: what a member had told before it was to have fewer was heard when it was to have more again,
/// and the answer to an order before that one was taken for the answer to the last.
#[test]
fn what_was_ready_before_there_were_to_be_fewer_replaces_nothing() {
    let mut world = running_in_a();
    place_unheard(&mut world, &on(&["b"]));
    world.pods_ready("b", "x", 3);
    place_unheard(&mut world, &Placement { sticky: false, ..on(&["b", "c"]) });
    let left = world.held("b", "x").unwrap();
    assert!(left < 3, "the rest goes to c");
    place_unheard(&mut world, &on(&["b"]));
    assert_eq!(world.held("b", "x"), Some(3));
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(3 - left), "{left} are ready in b");
    world.pods_ready("b", "x", 3);
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, Some(3)));
}

/// The agent is placed anew, and members are not heard meanwhile.
fn place_unheard(world: &mut World, placement: &Placement) {
    world.apply("x", |spec| spec.placement = Some(placement.clone()));
    let is_session = |channel: &Channel| matches!(channel, Channel::Session(_));
    while world.inbox.iter().any(|(channel, queue)| !queue.is_empty() && !is_session(channel)) {
        world.deliver(0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Replicas(i32),
    Confine(u8),
    Replicate(bool),
    Scale(i32),
    Ready(u8, i32),
    Cut(u8),
    Connect(u8),
    RestartHub,
    Pass(u8),
    Deliver(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..7_i32).prop_map(Step::Replicas),
        4 => (1..8_u8).prop_map(Step::Confine),
        1 => any::<bool>().prop_map(Step::Replicate),
        1 => (0..12_i32).prop_map(Step::Scale),
        8 => (0..3_u8, 1..4_i32).prop_map(|(m, n)| Step::Ready(m, n)),
        1 => (0..3_u8).prop_map(Step::Cut),
        3 => (0..3_u8).prop_map(Step::Connect),
        1 => Just(Step::RestartHub),
        4 => (0..20_u8).prop_map(Step::Pass),
        8 => (any::<u8>(), 1..8_u8).prop_map(|(n, times)| Step::Deliver(n, times)),
    ]
}

/// What is to be kept up: the least that was wanted since everything was last ready.
struct Watch {
    floor: i32,
    ready: i32,
}

impl Watch {
    fn look(&mut self, world: &World) -> Result<(), TestCaseError> {
        let ready: i32 = world.members.values().filter_map(|member| member.ready.get(&key("x"))).sum();
        let decision = &world.fleet.agents[&key("x")].decision;
        let goal: i32 = decision.targets.values().sum();
        self.floor = self.floor.min(goal);
        let spec = &world.fleet.agents[&key("x")].stored.object.spec;
        let bound = spec.scaling.map(|scaling| scaling.most());
        let divided = spec.placement.as_ref().is_none_or(|p| p.strategy == Sharing::Divide);
        if let Some(most) = bound.filter(|_| divided && world.fleet.replan.is_empty()) {
            let chosen: i32 = decision.bounds.values().map(|bounds| bounds.max).sum();
            prop_assert!(chosen <= most, "{chosen} of {most}");
            // Where there is no room, the bound is kept.
            self.floor = 0;
        }
        prop_assert!(ready >= self.ready.min(self.floor), "{ready} are left of {}, {decision:?}", self.ready);
        self.ready = ready;
        let there = |name: &str| {
            let share = decision.targets.get(&cluster(name)).copied();
            let ready = world.members[&cluster(name)].ready.get(&key("x")).copied();
            share.unwrap_or(0) == ready.unwrap_or(0)
        };
        // What is still on its way to the hub, the hub can't know.
        let heard = world.inbox.values().all(std::collections::VecDeque::is_empty);
        if heard && decision.leaving.is_empty() && CLUSTERS.into_iter().all(there) {
            self.floor = goal;
        }
        Ok(())
    }
}

fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(400), ..config }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn nothing_that_is_ready_is_taken_before_it_is_replaced(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = running_in_a();
        let mut watch = Watch { floor: 3, ready: 3 };
        let drain = |world: &mut World, watch: &mut Watch| -> Result<(), TestCaseError> {
            for _ in 0..2_000 {
                if !world.deliver(0) {
                    match world.fleet.next_deadline().filter(|at| *at <= world.mono) {
                        Some(_) => world.feed(Input::Tick),
                        None => return Ok(()),
                    }
                }
                watch.look(world)?;
            }
            panic!("it never comes to rest");
        };
        for step in &steps {
            let name = |m: u8| CLUSTERS[usize::from(m)];
            match *step {
                Step::Replicas(replicas) => world.apply("x", |spec| spec.replicas = replicas),
                Step::Confine(bits) => world.apply("x", |spec| {
                    let chosen = CLUSTERS.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0);
                    let clusters = chosen.map(|(_, name)| (*name).to_owned()).collect();
                    spec.placement.get_or_insert_default().clusters = clusters;
                }),
                Step::Replicate(all) => world.apply("x", |spec| {
                    let strategy = if all { Sharing::Replicate } else { Sharing::Divide };
                    spec.placement.get_or_insert_default().strategy = strategy;
                }),
                Step::Scale(most) => {
                    world.apply("x", |spec| spec.scaling = (most > 1).then(|| scaling(1, most)));
                }
                Step::Ready(m, more) => world.pods_ready(name(m), "x", more),
                Step::Cut(m) => world.cut(name(m)),
                Step::Connect(m) => world.connect(name(m)),
                Step::RestartHub => world.start_hub(),
                Step::Pass(seconds) => {
                    drain(&mut world, &mut watch)?;
                    world.mono += Duration::from_secs(u64::from(seconds));
                    drain(&mut world, &mut watch)?;
                }
                Step::Deliver(n, times) => {
                    for t in 0..times {
                        world.deliver(usize::from(n) + usize::from(t));
                        watch.look(&world)?;
                    }
                }
            }
            watch.look(&world)?;
        }
        for name in CLUSTERS {
            if !world.members[&cluster(name)].admitted {
                world.cut(name);
                world.connect(name);
            }
        }
        for _ in 0..4 {
            drain(&mut world, &mut watch)?;
            world.mono += Duration::from_secs(60);
            drain(&mut world, &mut watch)?;
            CLUSTERS.into_iter().for_each(|name| world.pods_ready(name, "x", 20));
        }
        let decision = world.status("x").placement.clone().unwrap();
        prop_assert!(decision.leaving.is_empty() && decision.withdrawing.is_empty(), "{decision:?}");
        prop_assert_eq!(world.status("x").phase, Some(Phase::Running));
        for name in CLUSTERS {
            let share = decision.targets.iter().find(|t| t.cluster == name).map(|t| t.replicas);
            prop_assert_eq!(world.held(name, "x"), share, "in {}", name);
        }
        world.log.clear();
        world.pass(3_600);
        prop_assert_eq!(world.writes() + world.orders_and_removals(), 0, "{:#?}", world.log);
    }
}

fn wish(world: &mut World, value: &str) {
    world.annotate("x", parallax_crds::labels::REBALANCE, value);
}

#[test]
fn a_wish_to_rebalance_is_followed_once() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["a", "b"])));
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(3), "it stays where it runs");
    wish(&mut world, "1");
    world.pass(5);
    let (a, b) = (world.held("a", "x").unwrap(), world.held("b", "x").unwrap());
    assert_eq!((a, (1..=2).contains(&b)), (3, true), "it is made before it is broken");
    world.pods_ready("b", "x", b);
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (Some(3 - b), Some(b)));
    assert_eq!(world.status("x").placement.as_ref().unwrap().rebalanced.as_deref(), Some("1"));
    // Now it would be placed in b alone.
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    world.pods_ready("b", "x", 3);
    world.apply("x", |spec| spec.placement = Some(on(&["a", "b"])));
    world.pass(5);
    world.start_hub();
    CLUSTERS.into_iter().for_each(|name| world.connect(name));
    world.pass(60);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, Some(3)), "the wish is an old one");
    world.log.clear();
    wish(&mut world, "2");
    world.pass(5);
    assert!(world.held("a", "x").is_some());
    world.pods_ready("a", "x", 3);
    world.pass(60);
    world.log.clear();
    world.pass(3_600);
    assert_eq!(world.writes() + world.orders_and_removals(), 0);
}

#[test]
fn what_a_cluster_that_is_away_has_is_not_rebalanced() {
    let mut world = running_in_a();
    world.apply("x", |spec| spec.placement = Some(on(&["a", "b"])));
    world.pass(5);
    world.cut("a");
    world.pass(1);
    wish(&mut world, "1");
    world.pass(5);
    assert_eq!(world.status("x").placement.as_ref().unwrap().targets[0].replicas, 3);
}

#[test]
fn a_drained_cluster_lets_all_go() {
    let mut world = World::with(&CLUSTERS);
    for n in 0..12 {
        world.apply(&format!("x{n}"), |spec| spec.placement = Some(on(&["a"])));
    }
    world.pass(5);
    world.edit_cluster("a", |c| {
        c.spec.taints = vec![ClusterTaint {
            key: "drain".to_owned(),
            value: String::new(),
            effect: TaintEffect::NoExecute,
            time_added: None,
        }];
    });
    for n in 0..12 {
        world.apply(&format!("x{n}"), |spec| spec.placement = Some(on(&["b"])));
    }
    world.pass(5);
    assert!(world.members[&cluster("a")].held.is_empty());
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
}
