//! An agent's life: applied, edited, scaled, suspended, deleted, made again.

use std::collections::VecDeque;

use parallax_crds::activation::WakeUp;
use parallax_crds::agent::{Placement, Strategy};
use parallax_crds::{Phase, labels};

use super::world::{Channel, World, cluster, key, scaling};
use crate::fleet::*;

#[test]
fn an_agent_is_running_after_two_writes_of_its_status() {
    let mut world = World::with(&["a"]);
    world.log.clear();
    world.apply("x", |_| {});
    world.settle();
    world.pass(10);
    assert_eq!(world.status("x").phase, Some(Phase::Running));
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("1/1"));
    assert_eq!(world.agent_writes(), 2, "{:#?}", world.log);
    assert_eq!(world.count(|e| matches!(e, Effect::AddFinalizer { .. })), 1);
    assert_eq!(world.orders_and_removals(), 1);
}

#[test]
fn an_agent_over_five_clusters_takes_no_more_writes() {
    let names = ["a", "b", "c", "d", "e"];
    let mut world = World::with(&names);
    world.log.clear();
    world.apply("x", |spec| spec.replicas = 5);
    world.settle();
    world.pass(10);
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("5/5"));
    assert_eq!(world.agent_writes(), 2, "{:#?}", world.log);
}

#[test]
fn the_finalizer_is_written_first_and_the_decision_beside_the_orders() {
    let mut world = World::with(&["a"]);
    world.log.clear();
    world.apply("x", |_| {});
    // The watch's word alone: the finalizer's write is not answered yet.
    while world.inbox.get(&Channel::Agents).is_some_and(|q| !q.is_empty()) && world.log.is_empty() {
        world.deliver(0);
    }
    assert_eq!(world.count(|e| matches!(e, Effect::AddFinalizer { .. })), 1);
    assert_eq!(world.agent_writes(), 0);
    assert_eq!(world.orders_and_removals(), 0);
    world.settle();
    assert_eq!(world.held("a", "x"), Some(1));
}

#[test]
fn of_a_hundred_agents_some_are_written_at_a_time_and_all_in_the_end() {
    let mut world = World::with(&["a"]);
    world.log.clear();
    let names: Vec<_> = (0..100).map(|n| format!("x{n}")).collect();
    names.iter().for_each(|name| world.apply(name, |_| {}));
    while world.inbox.get(&Channel::Agents).is_some_and(|queue| !queue.is_empty()) {
        world.deliver(0);
    }
    assert_eq!(world.count(|e| matches!(e, Effect::AddFinalizer { .. })), WRITES_IN_FLIGHT);
    world.pass(10);
    assert!(names.iter().all(|name| world.status(name).phase == Some(Phase::Running)));
}

#[test]
fn five_are_divided_three_and_two_and_two_are_replicated_twice() {
    let mut world = World::with(&["a", "b"]);
    world.apply("divided", |spec| spec.replicas = 5);
    world.apply("copied", |spec| {
        spec.replicas = 2;
        spec.placement = Some(Placement { strategy: Strategy::Replicate, ..Placement::default() });
    });
    world.settle();
    let mut shares = [world.held("a", "divided"), world.held("b", "divided")];
    shares.sort();
    assert_eq!(shares, [Some(2), Some(3)]);
    assert_eq!((world.held("a", "copied"), world.held("b", "copied")), (Some(2), Some(2)));
    assert_eq!(world.status("copied").replica_summary.as_deref(), Some("4/4"));
}

#[test]
fn an_edit_goes_to_the_clusters_that_run_it_and_a_repeated_one_goes_nowhere() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| spec.replicas = 2);
    world.settle();
    world.log.clear();
    world.apply("x", |spec| spec.image = Some("other".to_owned()));
    world.settle();
    assert_eq!(world.orders_and_removals(), 2);
    world.pass(10);
    assert_eq!(world.status("x").observed_generation, Some(2));
    world.log.clear();
    world.apply("x", |_| {});
    world.pass(10);
    assert_eq!((world.orders_and_removals(), world.writes()), (0, 0));
}

#[test]
fn an_edit_that_moves_shares_is_one_order_for_each_cluster() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| {
        spec.replicas = 2;
        spec.scaling = Some(scaling(2, 8));
    });
    world.settle();
    world.log.clear();
    world.apply("x", |spec| spec.replicas = 6);
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (Some(3), Some(3)));
    assert_eq!(world.orders_and_removals(), 2);
}

#[test]
fn bounds_are_divided_and_go_out_when_they_alone_change() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| {
        spec.replicas = 4;
        spec.scaling = Some(scaling(2, 8));
    });
    world.settle();
    let bounds = |world: &World, member: &str| {
        world.members[&cluster(member)].held[&key("x")].2.bounds.map(|b| (b.min, b.max, b.start))
    };
    assert_eq!((bounds(&world, "a"), bounds(&world, "b")), (Some((1, 4, 4)), Some((1, 4, 4))));
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("4/4"));
    world.log.clear();
    world.apply("x", |spec| spec.scaling = Some(scaling(2, 10)));
    world.pass(5);
    assert_eq!((bounds(&world, "a"), bounds(&world, "b")), (Some((1, 5, 4)), Some((1, 5, 4))));
    assert_eq!(world.orders_and_removals(), 2);
    world.apply("x", |spec| spec.suspend = true);
    world.pass(5);
    assert_eq!((world.held("a", "x"), bounds(&world, "a")), (Some(0), None));
    world.apply("x", |spec| spec.suspend = false);
    world.pass(5);
    assert_eq!((world.held("a", "x"), bounds(&world, "a")), (Some(2), Some((1, 5, 4))));
    world.start_hub();
    world.log.clear();
    world.connect("a");
    world.connect("b");
    world.pass(60);
    assert_eq!(world.orders_and_removals(), 0, "the member holds what is wanted");
}

#[test]
fn a_wake_up_is_one_order_for_each_cluster_and_no_other_follows_from_it() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| spec.replicas = 2);
    world.settle();
    world.log.clear();
    for value in ["now", "now", "again"] {
        world.annotate("x", labels::WAKE, value);
        world.pass(5);
    }
    for member in ["a", "b"] {
        let wake = world.members[&cluster(member)].held[&key("x")].2.wake;
        assert_eq!(wake, WakeUp::asked_by("again"));
    }
    assert_eq!((world.orders_and_removals(), world.agent_writes()), (4, 0));
    world.log.clear();
    world.start_hub();
    world.connect("a");
    world.connect("b");
    world.pass(60);
    assert_eq!(world.orders_and_removals(), 0, "the members hold what is wanted");
}

#[test]
fn a_suspended_agent_keeps_its_place_with_no_replicas() {
    let mut world = World::with(&["a"]);
    world.apply("x", |spec| spec.replicas = 3);
    world.settle();
    world.apply("x", |spec| spec.suspend = true);
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(0));
    assert_eq!(world.status("x").placement.as_ref().unwrap().targets[0].replicas, 3);
    world.apply("x", |spec| spec.suspend = false);
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(3));
}

#[test]
fn a_deletion_waits_for_the_members_that_are_connected() {
    let mut world = World::with(&["a"]);
    world.apply("x", |_| {});
    world.settle();
    world.members.get_mut(&cluster("a")).unwrap().lingering = true;
    world.delete("x");
    world.pass(5);
    assert_eq!(world.status("x").phase, Some(Phase::Terminating));
    assert!(world.agents.contains_key(&key("x")));
    world.pods_end("a");
    world.settle();
    assert!(!world.agents.contains_key(&key("x")));
    assert_eq!(world.held("a", "x"), None);
    assert!(world.fleet.agents.is_empty());
}

#[test]
fn a_deletion_does_not_wait_for_a_member_that_is_away() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| spec.replicas = 2);
    world.settle();
    world.cut("b");
    world.delete("x");
    world.settle();
    assert!(!world.agents.contains_key(&key("x")));
    assert_eq!(world.held("a", "x"), None);
    assert_eq!(world.held("b", "x"), Some(1));
    assert_eq!(world.tombstones.len(), 1);
    world.start_hub();
    world.connect("b");
    world.settle();
    assert_eq!(world.held("b", "x"), None, "the tombstone outlives the hub");
    assert!(world.tombstones.is_empty());
}

#[test]
fn a_member_that_leaves_during_a_deletion_gets_a_tombstone() {
    let mut world = World::with(&["a"]);
    world.apply("x", |_| {});
    world.settle();
    world.members.get_mut(&cluster("a")).unwrap().lingering = true;
    world.delete("x");
    world.settle();
    assert!(world.tombstones.is_empty());
    world.cut("a");
    world.settle();
    assert!(!world.agents.contains_key(&key("x")));
    assert_eq!(world.tombstones.len(), 1);
}

#[test]
fn an_agent_made_again_while_its_member_is_away_replaces_the_old_one() {
    let mut world = World::with(&["a"]);
    world.apply("x", |_| {});
    world.settle();
    let old = world.incarnation_held("a", "x");
    world.cut("a");
    world.delete("x");
    world.settle();
    world.apply("x", |spec| spec.placement = Some(on(&["a"])));
    world.settle();
    world.connect("a");
    world.pass(5);
    assert!(world.held("a", "x").is_some());
    assert_ne!(world.incarnation_held("a", "x"), old);
    assert!(world.tombstones.is_empty(), "{:?}", world.tombstones);
    assert_eq!(world.status("x").phase, Some(Phase::Running));
}

#[test]
fn a_tombstone_ends_although_the_word_that_a_new_incarnation_replaced_the_old_was_lost() {
    let mut world = World::with(&["a"]);
    world.apply("x", |_| {});
    world.settle();
    world.cut("a");
    world.delete("x");
    world.settle();
    world.apply("x", |spec| spec.placement = Some(on(&["a"])));
    world.settle();
    world.connect("a");
    // Its Hello is answered with the order; what it answers to that is lost.
    while world.incarnation_held("a", "x") != world.agents[&key("x")].metadata.uid {
        assert!(world.deliver(0), "it is never ordered");
    }
    world.cut("a");
    world.settle();
    assert_eq!(world.tombstones.len(), 1);
    world.connect("a");
    world.pass(5);
    assert!(world.tombstones.is_empty(), "{:?}", world.tombstones);
    assert_eq!(world.status("x").phase, Some(Phase::Running));
}

#[test]
fn an_edit_whose_persistence_was_reported_in_vain_is_synced_when_the_member_is_back() {
    let mut world = World::with(&["a"]);
    world.apply("x", |_| {});
    world.settle();
    world.log.clear();
    world.apply("x", |spec| spec.image = Some("other".to_owned()));
    while world.orders_and_removals() == 0 {
        assert!(world.deliver(0), "it is never ordered");
    }
    world.cut("a");
    world.connect("a");
    world.pass(5);
    let synced = world.status("x").conditions.iter().find(|c| c.type_ == "Synced").unwrap();
    assert_eq!(synced.status, "True", "{synced:?}");
    assert_eq!(world.status("x").cluster_summary.as_ref().unwrap().synced, 1);
}

#[test]
fn a_deletion_does_not_take_the_word_on_an_earlier_removal_for_its_own() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| spec.placement = Some(on(&["a"])));
    world.settle();
    // All but what members say: that is late.
    let rest = |world: &mut World| {
        let pending = |(channel, queue): (&Channel, &VecDeque<Input>)| {
            !queue.is_empty() && !matches!(channel, Channel::Session(_))
        };
        while world.inbox.iter().any(pending) {
            world.deliver(0);
        }
    };
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    rest(&mut world);
    // What b says is heard, and nothing of a any more.
    while world.held("a", "x").is_some() {
        let b = Channel::Session(cluster("b"));
        let input = world.inbox.get_mut(&b).and_then(VecDeque::pop_front).expect("a is left");
        world.feed(input);
        world.mono += Duration::from_secs(1);
        world.feed(Input::Tick);
        rest(&mut world);
    }
    world.apply("x", |spec| spec.placement = Some(on(&["a"])));
    rest(&mut world);
    assert_eq!(world.held("a", "x"), Some(1));
    world.members.get_mut(&cluster("a")).unwrap().lingering = true;
    world.delete("x");
    rest(&mut world);
    // Now the words come: gone, persisted, removing.
    while world.deliver(0) {}
    assert!(world.agents.contains_key(&key("x")), "its pods still end in a");
    world.pods_end("a");
    world.pass(5);
    assert!(world.agents.is_empty());
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, None));
    assert!(world.tombstones.is_empty());
}

#[test]
fn an_agent_made_again_elsewhere_leaves_its_old_cluster() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| spec.placement = Some(on(&["a"])));
    world.settle();
    world.cut("a");
    world.delete("x");
    world.settle();
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.settle();
    world.connect("a");
    world.settle();
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, Some(1)));
    assert!(world.tombstones.is_empty());
}

#[test]
fn an_agent_that_moves_leaves_a_cluster_that_was_away() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| spec.placement = Some(on(&["a"])));
    world.settle();
    world.cut("a");
    world.apply("x", |spec| spec.placement = Some(on(&["b"])));
    world.pass(5);
    assert_eq!(world.leaving("x"), [("a", 1)]);
    world.start_hub();
    world.connect("b");
    world.connect("a");
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, Some(1)));
    assert!(world.status("x").placement.as_ref().unwrap().withdrawing.is_empty());
    assert_eq!(world.leaving("x"), []);
}

#[test]
fn an_agent_that_nobody_can_take_says_so_once() {
    let mut world = World::with(&["a"]);
    world.log.clear();
    world.apply("x", |spec| spec.placement = Some(on(&["nowhere"])));
    world.pass(30);
    assert_eq!(world.status("x").phase, Some(Phase::Pending));
    assert_eq!(told(&world, "Unplaceable"), 1);
    assert_eq!(world.agent_writes(), 1);
}

#[test]
fn that_an_agent_runs_is_told_in_a_sentence() {
    let mut world = World::with(&["a"]);
    for (name, replicas, said) in [
        ("none", 0, "spec.replicas is 0"),
        ("one", 1, "1 of 1 replica is ready"),
        ("two", 2, "2 of 2 replicas are ready"),
    ] {
        world.log.clear();
        world.apply(name, |spec| spec.replicas = replicas);
        world.pass(10);
        let running = |e: &Effect| matches!(e, Effect::Event { reason, message, .. } if reason == "Running" && message == said);
        assert_eq!(world.count(running), 1, "{name}: {:#?}", world.log);
    }
}

#[test]
fn a_name_that_no_cluster_has_is_told_of_once() {
    let mut world = World::with(&["a"]);
    world.log.clear();
    world.apply("x", |spec| spec.placement = Some(on(&["a", "ghost"])));
    world.pass(30);
    assert_eq!((world.status("x").phase, told(&world, "UnknownCluster")), (Some(Phase::Running), 1));
    world.start_hub();
    world.connect("a");
    world.pass(60);
    world.apply("x", |spec| spec.replicas = 2);
    world.pass(30);
    assert_eq!(told(&world, "UnknownCluster"), 1);
    world.apply("x", |spec| spec.placement = Some(on(&["a", "ghost", "ghoul"])));
    world.pass(30);
    assert_eq!(told(&world, "UnknownCluster"), 2, "another name is another mistake");
}

fn told(world: &World, what: &str) -> usize {
    world.count(|e| matches!(e, Effect::Event { reason, .. } if reason == what))
}

#[test]
fn nobody_is_told_of_a_decision_before_it_is_stored() {
    let mut world = World::with(&["a"]);
    world.log.clear();
    world.apply("x", |_| {});
    while world.agent_writes() == 0 {
        assert!(world.deliver(0), "it is never written");
    }
    assert_eq!(told(&world, "Placed"), 0);
    // The API server refuses it.
    let object = world.agents.get_mut(&key("x")).unwrap();
    let write = Write::AgentStatus(key("x"), object.metadata.uid.clone().unwrap());
    object.status = None;
    world
        .inbox
        .get_mut(&Channel::Agents)
        .unwrap()
        .retain(|input| !matches!(input, Input::AgentSeen(object) if object.status.is_some()));
    let refused = Input::Written { write: write.clone(), outcome: WriteOutcome::Failed("503".to_owned()) };
    world.inbox.insert(Channel::Writes(write), VecDeque::from([refused]));
    world.settle();
    assert_eq!((world.agent_writes(), told(&world, "Placed")), (1, 0));
    world.pass(10);
    assert_eq!((told(&world, "Placed"), told(&world, "Running")), (1, 1));
}

#[test]
fn people_are_told_once_of_a_decision_although_the_answer_to_its_write_was_lost() {
    let mut world = World::with(&["a"]);
    world.log.clear();
    // The finalizer's and the status's.
    world.faults.extend([true, true]);
    world.apply("x", |_| {});
    world.pass(10);
    assert_eq!((told(&world, "Placed"), told(&world, "Running")), (1, 1), "{:#?}", world.log);
}

fn on(names: &[&str]) -> Placement {
    Placement { clusters: names.iter().map(|n| (*n).to_owned()).collect(), ..Placement::default() }
}
