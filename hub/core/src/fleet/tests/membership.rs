//! Members that come, go, and aren't who they seem.

use parallax_crds::Phase;
use parallax_crds::agent::{Freshness, Placement, Strategy};

use super::world::{World, cluster, key};
use crate::fleet::*;

fn running() -> World {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| spec.replicas = 2);
    world.pass(5);
    assert_eq!(world.status("x").phase, Some(Phase::Running));
    world.log.clear();
    world
}

#[test]
fn an_idle_fleet_writes_nothing() {
    let mut world = running();
    world.pass(3600);
    assert_eq!(world.writes(), 0, "{:#?}", world.log);
}

#[test]
fn a_restarted_hub_in_an_equal_world_writes_and_orders_nothing() {
    let mut world = running();
    world.start_hub();
    world.pass(20);
    world.connect("a");
    world.pass(20);
    world.connect("b");
    world.pass(3600);
    assert_eq!((world.writes(), world.orders_and_removals()), (0, 0), "{:#?}", world.log);
}

#[test]
fn a_member_that_stays_away_from_a_restarted_hub_is_unreachable_after_the_grace() {
    let mut world = running();
    world.start_hub();
    world.connect("a");
    world.pass(40);
    assert_eq!(world.writes(), 0);
    world.pass(10);
    let row = world.status("x").clusters.iter().find(|row| row.name == "b").unwrap();
    assert_eq!(row.freshness, Freshness::Unreachable);
    assert_eq!(world.condition_of("b", "Connected").unwrap().status, "False");
}

#[test]
fn rows_are_stale_at_once_and_unreachable_after_the_grace() {
    let mut world = running();
    world.cut("b");
    world.settle();
    let freshness = |world: &World| {
        world.status("x").clusters.iter().find(|row| row.name == "b").map(|row| row.freshness).unwrap()
    };
    assert_eq!(freshness(&world), Freshness::Stale);
    assert_eq!(world.status("x").ready_replicas, 1);
    assert_eq!(world.condition_of("b", "Connected").unwrap().status, "True");
    world.pass(46);
    assert_eq!(freshness(&world), Freshness::Unreachable);
    assert_eq!(world.condition_of("b", "Connected").unwrap().status, "False");
    assert_eq!(
        world.count(|e| matches!(e, Effect::Event { reason, .. } if reason == "ClusterUnreachable")),
        1
    );
    world.connect("b");
    world.pass(5);
    assert_eq!(freshness(&world), Freshness::Fresh);
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("2/2"));
}

#[test]
fn nobody_is_admitted_before_the_lists_are_in() {
    let mut world = World::empty();
    world.make_cluster("a", &[]);
    world.connect("a");
    while world.deliver(0) {}
    assert_eq!(world.count(|e| matches!(e, Effect::Admit { .. } | Effect::Refuse { .. })), 0);
    world.feed(Input::AgentsListed);
    world.feed(Input::ClustersListed);
    assert_eq!(world.count(|e| matches!(e, Effect::Admit { .. })), 0);
    world.feed(Input::TombstonesLoaded(Vec::new()));
    world.feed(Input::RevisionsLoaded(Vec::new()));
    world.settle();
    assert!(world.members[&cluster("a")].admitted);
    assert_eq!(world.clusters[&cluster("a")].spec.cluster_uid.as_deref(), Some("kube-system of a"));
}

#[test]
fn an_unknown_or_unaccepted_cluster_is_told_what_to_do() {
    let mut world = World::with(&["a"]);
    world.delete_cluster("a");
    world.settle();
    world.connect("a");
    world.settle();
    assert_eq!(world.members[&cluster("a")].refused, Some("NoMemberCluster"));
    world.make_cluster("a", &[]);
    world.edit_cluster("a", |c| c.spec.accepted = false);
    world.connect("a");
    world.pass(5);
    assert!(!world.members[&cluster("a")].admitted);
    assert_eq!(world.members[&cluster("a")].refused, Some("NotAccepted"));
    assert_eq!(world.condition_of("a", "Accepted").unwrap().status, "False");
    world.edit_cluster("a", |c| c.spec.accepted = true);
    world.connect("a");
    world.pass(5);
    assert!(world.members[&cluster("a")].admitted);
}

#[test]
fn a_rebuilt_cluster_has_to_be_accepted_again() {
    let mut world = running();
    world.cut("b");
    world.members.get_mut(&cluster("b")).unwrap().uid = "rebuilt".to_owned();
    world.connect("b");
    world.pass(5);
    assert_eq!(world.members[&cluster("b")].refused, Some("ClusterUIDMismatch"));
    assert_eq!(world.condition_of("b", "Accepted").unwrap().reason, "ClusterUIDMismatch");
    world.edit_cluster("b", |c| c.spec.cluster_uid = None);
    world.connect("b");
    world.pass(5);
    assert!(world.members[&cluster("b")].admitted);
    assert_eq!(world.condition_of("b", "Accepted").unwrap().status, "True");
}

#[test]
fn a_copied_identity_is_refused_while_the_true_one_goes_on() {
    let mut world = running();
    world.connect_as("b", "stranger", 0);
    world.pass(5);
    assert_eq!(world.members[&cluster("b")].refused, Some("DuplicateIdentity"));
    assert!(world.members[&cluster("b")].admitted);
    let connected = world.condition_of("b", "Connected").unwrap();
    assert_eq!((connected.status.as_str(), connected.reason.as_str()), ("True", "DuplicateIdentity"));
}

#[test]
fn a_copied_identity_is_forgotten_some_minutes_after_its_last_attempt() {
    let mut world = running();
    let reason = |world: &World| world.condition_of("b", "Connected").unwrap().reason.clone();
    for _ in 0..3 {
        world.connect_as("b", "stranger", 0);
        world.pass(4 * 60);
        assert_eq!(reason(&world), "DuplicateIdentity");
    }
    let told = |e: &Effect| matches!(e, Effect::Event { reason, .. } if reason == "DuplicateIdentity");
    assert_eq!(world.count(told), 1);
    world.pass(2 * 60);
    assert_eq!(reason(&world), "SessionUp");
    assert!(world.members[&cluster("b")].admitted);
    world.log.clear();
    world.pass(3600);
    assert_eq!(world.writes(), 0, "{:#?}", world.log);
}

#[test]
fn a_member_that_comes_back_again_and_again_costs_no_memory() {
    let mut world = running();
    world.pass(60);
    let idle = world.fleet.timers.len();
    for _ in 0..1000 {
        let member = world.members.get_mut(&cluster("b")).unwrap();
        member.renewed += jiff::SignedDuration::from_secs(1);
        world.cut("b");
        world.connect("b");
        world.pass(10);
    }
    world.pass(60);
    assert_eq!(world.fleet.timers.len(), idle, "{:?}", world.fleet.timers);
}

#[test]
fn timers_of_agents_and_clusters_go_with_them() {
    let mut world = running();
    world.pass(60);
    let idle = world.fleet.timers.len();
    world.make_cluster("c", &[]);
    world.connect("c");
    world.pass(5);
    assert_eq!(world.fleet.timers.len(), idle + 1, "{:?}", world.fleet.timers);
    world.members.get_mut(&cluster("b")).unwrap().lingering = true;
    world.apply("y", |spec| spec.replicas = 9);
    world.pass(5);
    world.report(&cluster("a"), &key("y"), 0);
    world.settle();
    assert_eq!(world.fleet.timers.len(), idle + 2, "{:?}", world.fleet.timers);
    world.delete("y");
    world.delete_cluster("c");
    world.pass(46);
    world.pods_end("b");
    world.pass(46);
    assert_eq!(world.fleet.timers.len(), idle, "{:?}", world.fleet.timers);
}

#[test]
fn a_certificate_that_ends_while_its_member_is_away_is_told_by_a_restarted_hub() {
    let mut world = running();
    let member = world.members.get_mut(&cluster("b")).unwrap();
    // Soon after the present.
    member.renewed = jiff::SignedDuration::from_secs(1_700_000_000 - 1_800_000_000 + 2000);
    world.connect("b");
    world.pass(10);
    assert_eq!(world.condition_of("b", "CertificateValid").unwrap().status, "True");
    world.start_hub();
    world.connect("a");
    world.pass(2000);
    assert_eq!(world.condition_of("b", "CertificateValid").unwrap().reason, "Expired");
}

#[test]
fn a_member_that_comes_back_takes_over_its_old_session() {
    let mut world = running();
    let old = world.members[&cluster("b")].session.unwrap();
    world.connect("b");
    world.pass(10);
    let closed = |e: &Effect| matches!(e, Effect::Close { session, .. } if session.number == old);
    assert_eq!(world.count(closed), 1);
    assert!(world.members[&cluster("b")].admitted);
    assert!(world.fleet.is_connected(&cluster("b")));
    assert_eq!(world.writes(), 0, "{:#?}", world.log);
}

#[test]
fn of_two_clusters_that_come_with_a_new_identity_only_the_one_that_was_stored_is_let_in() {
    let mut world = World::with(&[]);
    world.make_cluster("a", &[]);
    world.settle();
    world.connect_as("a", "one", 0);
    while world.count(|e| matches!(e, Effect::PinCluster { .. })) == 0 {
        assert!(world.deliver(0));
    }
    // The other comes before the hub hears what became of the write, and the watch is slower still.
    world.connect_as("a", "another", 0);
    assert!(world.deliver(2));
    assert_eq!(world.count(|e| matches!(e, Effect::Close { why: Closing::Superseded, .. })), 1);
    assert!(world.deliver(1));
    world.settle();
    world.pass(10);
    assert_eq!(world.clusters[&cluster("a")].spec.cluster_uid.as_deref(), Some("one"));
    assert_eq!(world.count(|e| matches!(e, Effect::Admit { .. })), 0, "{:#?}", world.log);
    assert_eq!(world.members[&cluster("a")].refused, Some("ClusterUIDMismatch"));
}

#[test]
fn a_cluster_that_is_made_again_between_two_looks_is_ordered_what_it_still_has_a_share_of() {
    let mut world = World::with(&["a"]);
    world.apply("x", |_| {});
    world.pass(5);
    world.replace_cluster("a");
    world.settle();
    world.connect("a");
    world.pass(5);
    assert_eq!(world.clusters[&cluster("a")].status.as_ref().unwrap().agent_summary.as_deref(), Some("1/1"));
    world.cut("a");
    world.settle();
    world.apply("x", |spec| spec.replicas = 3);
    world.settle();
    world.connect("a");
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(3), "it comes back to the order that it missed");
}

#[test]
fn a_member_that_obeyed_a_higher_epoch_raises_the_hubs() {
    let mut world = running();
    world.cut("b");
    world.connect_as("b", "kube-system of b", 7);
    world.pass(5);
    assert_eq!(world.epoch, 8);
    assert!(world.log.iter().any(|e| matches!(e, Effect::Admit { epoch: 8, .. })));
    let told = |e: &Effect| matches!(e, Effect::Event { reason, .. } if reason == "HubRolledBack");
    assert_eq!(world.count(told), 1);
}

#[test]
fn an_epoch_far_ahead_of_the_clock_is_refused() {
    let mut world = running();
    world.cut("b");
    let day_after_tomorrow = u64::try_from(world.now().wall.as_millisecond()).unwrap() + 2 * 86_400_000;
    world.connect_as("b", "kube-system of b", day_after_tomorrow);
    world.pass(5);
    assert_eq!(world.members[&cluster("b")].refused, Some("EpochAhead"));
    assert_eq!(world.epoch, 1);
    assert_eq!(world.condition_of("b", "Connected").unwrap().reason, "EpochAhead");
}

#[test]
fn a_cluster_that_is_accepted_no_longer_keeps_its_copies_until_it_is_again() {
    let mut world = running();
    world.apply("everywhere", |spec| {
        spec.placement = Some(Placement { strategy: Strategy::Replicate, ..Placement::default() });
    });
    world.pass(5);
    world.edit_cluster("b", |c| c.spec.accepted = false);
    world.pass(60);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (Some(2), Some(1)));
    assert_eq!(world.leaving("x"), [("b", 1)]);
    world.start_hub();
    world.connect("a");
    world.pass(60);
    assert_eq!(world.held("b", "x"), Some(1), "a restarted hub waits for it too");

    world.edit_cluster("b", |c| c.spec.accepted = true);
    world.log.clear();
    world.connect("b");
    world.pass(5);
    let removed = |name: &str| {
        world.log.iter().any(|effect| match effect {
            Effect::Admit { removals, .. } => removals.iter().any(|agent| agent.key == key(name)),
            Effect::Remove { agent, .. } => agent.key == key(name),
            _ => false,
        })
    };
    assert!(!removed("everywhere"), "what is wanted there again is not made anew");
    assert!(removed("x"));
    assert_eq!(
        (world.held("a", "x"), world.held("b", "x")),
        (Some(2), None),
        "what went elsewhere stays there"
    );
    assert_eq!(world.status("everywhere").replica_summary.as_deref(), Some("2/2"));
    assert!(world.status("x").placement.as_ref().unwrap().withdrawing.is_empty());
    assert_eq!(world.leaving("x"), []);
}

#[test]
fn many_agents_that_an_acceptance_taken_back_moved_away_are_held_when_it_is_given_again() {
    let mut world = World::with(&["a", "b"]);
    for n in 0..12 {
        world.apply(&format!("x{n}"), |spec| spec.replicas = 2);
    }
    world.pass(5);
    world.edit_cluster("b", |c| c.spec.accepted = false);
    world.pass(5);
    let blocked = |world: &World| world.condition_of("b", "PruneBlocked").unwrap().clone();
    world.start_hub();
    world.connect("a");
    world.pass(60);
    world.edit_cluster("b", |c| c.spec.accepted = true);
    world.connect("b");
    world.pass(5);
    assert_eq!(blocked(&world).reason, "TooManyRemovals");
    let message = blocked(&world).message;
    world.start_hub();
    world.connect("a");
    world.connect("b");
    world.pass(60);
    assert_eq!(blocked(&world).message, message, "the hold outlives the hub");
    assert_eq!(world.members[&cluster("b")].held.len(), 12);
    world.approve("b");
    world.pass(5);
    assert!(world.members[&cluster("b")].held.is_empty());
    assert_eq!(world.status("x0").replica_summary.as_deref(), Some("2/2"));
}

#[test]
fn an_agent_says_that_a_cluster_of_its_own_is_suspended() {
    let mut world = running();
    world.edit_cluster("b", |c| c.spec.suspended = true);
    world.pass(5);
    let placed = |world: &World| {
        let conditions = &world.status("x").conditions;
        conditions.iter().find(|c| c.type_ == "Placed").unwrap().message.clone()
    };
    assert_eq!(placed(&world), "2 replicas on 2 clusters; b is suspended and is sent nothing new");
    let accepted = world.condition_of("b", "Accepted").unwrap();
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("True", "Suspended"));
    world.edit_cluster("b", |c| c.spec.suspended = false);
    world.pass(5);
    assert_eq!(placed(&world), "2 replicas on 2 clusters");
    assert_eq!(world.condition_of("b", "Accepted").unwrap().reason, "Accepted");
}

#[test]
fn a_suspended_cluster_gets_nothing_new_and_still_deletes() {
    let mut world = running();
    world.edit_cluster("b", |c| c.spec.suspended = true);
    world.settle();
    world.apply("x", |spec| spec.image = Some("new".to_owned()));
    world.pass(5);
    let orders_to_b =
        |e: &Effect| matches!(e, Effect::Upsert { session, .. } if session.cluster == cluster("b"));
    assert_eq!(world.count(orders_to_b), 0);
    world.edit_cluster("b", |c| c.spec.suspended = false);
    world.pass(5);
    assert_eq!(world.count(orders_to_b), 1);
    world.edit_cluster("b", |c| c.spec.suspended = true);
    world.delete("x");
    world.pass(5);
    assert!(world.agents.is_empty());
    assert_eq!(world.held("b", "x"), None);
}

#[test]
fn a_detached_cluster_keeps_its_workloads_and_its_agents_go_elsewhere() {
    let mut world = running();
    world.delete_cluster("b");
    world.pass(5);
    assert_eq!(world.held("b", "x"), Some(1));
    assert_eq!(world.held("a", "x"), Some(2));
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("2/2"));
    world.delete("x");
    world.pass(5);
    assert!(world.agents.is_empty());
    assert!(world.tombstones.is_empty());
}

#[test]
fn agents_are_counted_on_the_member_cluster() {
    let world = running();
    assert_eq!(world.clusters[&cluster("a")].status.as_ref().unwrap().agent_summary.as_deref(), Some("1/1"));
    assert_eq!(world.clusters[&cluster("a")].status.as_ref().unwrap().node_summary.as_deref(), Some("3/3"));
    assert_eq!(world.condition_of("a", "Healthy").unwrap().status, "True");
    assert_eq!(world.condition_of("a", "CertificateValid").unwrap().status, "True");
}

#[test]
fn members_that_come_together_are_all_admitted() {
    let names = ["a", "b", "c"];
    let mut world = World::empty();
    names.iter().for_each(|name| world.make_cluster(name, &[]));
    world.apply("x", |spec| spec.replicas = 3);
    names.iter().for_each(|name| world.connect(name));
    while world.deliver(0) {}
    world.feed(Input::AgentsListed);
    world.feed(Input::ClustersListed);
    world.feed(Input::TombstonesLoaded(Vec::new()));
    world.feed(Input::RevisionsLoaded(Vec::new()));
    world.pass(5);
    assert!(names.iter().all(|name| world.members[&cluster(name)].admitted));
}
