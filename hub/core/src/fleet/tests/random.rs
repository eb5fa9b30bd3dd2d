//! Random fleets: whatever happens in whatever order, the promises that [`super::world`] checks hold, and once it
//! ends, everything is where it belongs and nothing is written any more.

use parallax_crds::ParallaxAgentSpec;
use parallax_crds::agent::{Placement, Rollout, RolloutStrategy, Strategy as Sharing, Wave};
use parallax_crds::labels;
use proptest::prelude::*;

use super::world::{World, cluster, key, scaling};

#[derive(Debug, Clone)]
enum Step {
    Apply(u8, i32, bool),
    Confine(u8, u8),
    /// Bounds up to so many; at most 1: none.
    Scale(u8, i32),
    Suspend(u8),
    /// Other pods.
    Image(u8, u8),
    /// How these get where they go: all at once, cluster by cluster, with an approval, or not for now.
    Rollout(u8, u8),
    /// Whatever a rollout of the agent waits for.
    Allow(u8),
    Delete(u8),
    Cut(u8),
    Connect(u8),
    Linger(u8),
    PodsEnd(u8),
    SuspendCluster(u8, bool),
    Flap(u8, u8),
    RestartHub,
    /// A hub starts whose default images have another tag.
    Upgrade(u8),
    /// The user wishes for the fleet's present defaults.
    Refresh(u8, u8),
    WipeStatus(u8),
    Fail(u8, bool),
    Pass(u8),
    Deliver(u8, u8),
    /// A MemberCluster is deleted.
    Detach(u8),
    /// It is deleted, if it is there, and made again: between two looks of the hub.
    Attach(u8),
}

const AGENTS: u8 = 4;
const CLUSTERS: [&str; 3] = ["a", "b", "c"];

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..AGENTS;
    let member = 0..3_u8;
    prop_oneof![
        4 => (agent.clone(), 0..6_i32, any::<bool>()).prop_map(|(a, n, r)| Step::Apply(a, n, r)),
        2 => (agent.clone(), member.clone()).prop_map(|(a, m)| Step::Confine(a, m)),
        2 => (agent.clone(), 0..9_i32).prop_map(|(a, most)| Step::Scale(a, most)),
        1 => agent.clone().prop_map(Step::Suspend),
        3 => (agent.clone(), 0..3_u8).prop_map(|(a, image)| Step::Image(a, image)),
        2 => (agent.clone(), 0..4_u8).prop_map(|(a, how)| Step::Rollout(a, how)),
        1 => agent.clone().prop_map(Step::Allow),
        2 => agent.clone().prop_map(Step::Delete),
        2 => member.clone().prop_map(Step::Cut),
        3 => member.clone().prop_map(Step::Connect),
        1 => member.clone().prop_map(Step::Linger),
        1 => member.clone().prop_map(Step::PodsEnd),
        1 => (member.clone(), any::<bool>()).prop_map(|(m, s)| Step::SuspendCluster(m, s)),
        1 => (member, agent).prop_map(|(m, a)| Step::Flap(m, a)),
        1 => Just(Step::RestartHub),
        1 => (0..3_u8).prop_map(Step::Upgrade),
        1 => (0..AGENTS, 0..3_u8).prop_map(|(a, wish)| Step::Refresh(a, wish)),
        1 => (0..AGENTS).prop_map(Step::WipeStatus),
        2 => (1..4_u8, any::<bool>()).prop_map(|(n, stored)| Step::Fail(n, stored)),
        2 => (0..60_u8).prop_map(Step::Pass),
        8 => (any::<u8>(), 1..8_u8).prop_map(|(n, times)| Step::Deliver(n, times)),
    ]
}

/// With clusters that come and go.
fn step_or_cluster() -> impl Strategy<Value = Step> {
    let member = 0..3_u8;
    prop_oneof![12 => step(), 1 => member.clone().prop_map(Step::Detach), 2 => member.prop_map(Step::Attach)]
}

fn agent(n: u8) -> String {
    format!("x{n}")
}

fn play(world: &mut World, step: &Step) {
    let member = |n: u8| CLUSTERS[usize::from(n)];
    match *step {
        Step::Apply(n, replicas, replicate) => {
            if world.agents.get(&key(&agent(n))).is_some_and(|o| o.metadata.deletion_timestamp.is_some()) {
                return;
            }
            world.apply(&agent(n), |spec| {
                spec.replicas = replicas;
                let strategy = if replicate { Sharing::Replicate } else { Sharing::Divide };
                spec.placement = Some(Placement { strategy, ..Placement::default() });
            });
        }
        Step::Confine(n, m) => {
            if world.agents.get(&key(&agent(n))).is_some_and(|o| o.metadata.deletion_timestamp.is_none()) {
                world.apply(&agent(n), |spec| {
                    spec.placement.get_or_insert_default().clusters = vec![member(m).to_owned()];
                });
            }
        }
        Step::Scale(n, most) => {
            if world.agents.get(&key(&agent(n))).is_some_and(|o| o.metadata.deletion_timestamp.is_none()) {
                world.apply(&agent(n), |spec| spec.scaling = (most > 1).then(|| scaling(1, most)));
            }
        }
        Step::Suspend(n) => {
            if world.agents.get(&key(&agent(n))).is_some_and(|o| o.metadata.deletion_timestamp.is_none()) {
                world.apply(&agent(n), |spec| spec.suspend = !spec.suspend);
            }
        }
        Step::Image(n, image) => {
            edit(world, n, |spec| spec.image = Some(format!("example.org/x:{image}")));
        }
        Step::Rollout(n, how) => edit(world, n, |spec| {
            let wave = Wave { max_concurrency: Some(1), approval: how == 2, ..Wave::default() };
            let in_waves = Rollout {
                strategy: RolloutStrategy::Waves,
                waves: vec![wave],
                paused: how == 3,
                ..Rollout::default()
            };
            spec.rollout = (how > 0).then_some(in_waves);
        }),
        Step::Allow(n) => allow(world, n),
        Step::Delete(n) => world.delete(&agent(n)),
        Step::Cut(m) => world.cut(member(m)),
        Step::Connect(m) => world.connect(member(m)),
        Step::Linger(m) => {
            let m = world.members.get_mut(&cluster(member(m))).unwrap();
            m.lingering = true;
        }
        Step::PodsEnd(m) => {
            world.members.get_mut(&cluster(member(m))).unwrap().lingering = false;
            world.pods_end(member(m));
        }
        Step::SuspendCluster(m, suspended) => world.edit_cluster(member(m), |c| c.spec.suspended = suspended),
        Step::Flap(m, n) => world.report(&cluster(member(m)), &key(&agent(n)), 0),
        Step::RestartHub => world.start_hub(),
        Step::Upgrade(tag) => {
            world.image_tag = tag.to_string();
            world.start_hub();
        }
        Step::Refresh(n, wish) => world.annotate(&agent(n), labels::REFRESH, &wish.to_string()),
        Step::WipeStatus(n) => world.wipe_and_start_hub(&agent(n)),
        Step::Fail(n, stored) => world.faults.extend((0..n).map(|_| stored)),
        Step::Pass(seconds) => world.pass(u64::from(seconds)),
        Step::Detach(m) => world.delete_cluster(member(m)),
        Step::Attach(m) => world.replace_cluster(member(m)),
        Step::Deliver(n, times) => (0..times).for_each(|t| {
            world.deliver(usize::from(n) + usize::from(t));
        }),
    }
}

fn edit(world: &mut World, n: u8, edit: impl FnOnce(&mut ParallaxAgentSpec)) {
    if world.agents.get(&key(&agent(n))).is_some_and(|o| o.metadata.deletion_timestamp.is_none()) {
        world.apply(&agent(n), edit);
    }
}

/// A user approves all waves of what is rolled out now, and lets it go on past what has failed.
fn allow(world: &mut World, n: u8) {
    let Some(number) = world.revisions_of(&agent(n)).last().map(|stored| stored.about.number) else { return };
    for annotation in [labels::APPROVE, labels::RESUME_ROLLOUT] {
        world.annotate(&agent(n), annotation, &format!("{number}/9"));
    }
}

/// Faults stop: everybody is connected, and nothing is suspended.
fn calm(world: &mut World) {
    world.faults.clear();
    for name in CLUSTERS {
        world.edit_cluster(name, |c| c.spec.suspended = false);
        world.members.get_mut(&cluster(name)).unwrap().lingering = false;
        world.pods_end(name);
        world.pass(1);
        if !world.members[&cluster(name)].admitted {
            world.cut(name);
            world.connect(name);
        }
        world.pass(10);
        for n in 0..AGENTS {
            let held = world.held(name, &agent(n)).unwrap_or(0);
            world.report(&cluster(name), &key(&agent(n)), held);
        }
    }
    for n in 0..AGENTS {
        edit(world, n, |spec| {
            if let Some(rollout) = &mut spec.rollout {
                rollout.paused = false;
            }
        });
    }
    world.pass(120);
    (0..AGENTS).for_each(|n| allow(world, n));
    world.pass(120);
}

/// More by the environment's `PROPTEST_CASES`.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(400), ..config }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_promises_hold_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::with(&CLUSTERS);
        for step in &steps {
            play(&mut world, step);
        }
        calm(&mut world);

        prop_assert!(world.tombstones.is_empty(), "{:?}", world.tombstones);
        for name in CLUSTERS {
            prop_assert!(world.members[&cluster(name)].admitted, "{name} was never admitted");
            prop_assert_eq!(&world.condition_of(name, "PruneBlocked").unwrap().status, "False");
        }
        for (key, object) in &world.agents {
            prop_assert!(object.metadata.deletion_timestamp.is_none(), "{key} is not let go");
            let decision = object.status.as_ref().unwrap().placement.as_ref().unwrap();
            prop_assert!(decision.withdrawing.is_empty(), "{key}: {decision:?}");
            let synced = world.status(key.name()).conditions.iter().find(|c| c.type_ == "Synced").unwrap();
            prop_assert_eq!(&synced.status, "True", "{}: {:?}", key, synced);
            for name in CLUSTERS {
                let share = decision.targets.iter().find(|t| t.cluster == name).map(|t| t.replicas);
                let wanted = share.map(|share| if object.spec.suspend { 0 } else { share });
                prop_assert_eq!(world.held(name, key.name()), wanted, "{} in {}", key, name);
                if let Some((_, held, _)) = world.members[&cluster(name)].held.get(key) {
                    let newest = world.fleet.agents[key].templates.as_ref().unwrap().of(&cluster(name)).hash;
                    prop_assert_eq!(*held, newest, "{} is left behind in {}", key, name);
                }
                let incarnation = world.incarnation_held(name, key.name());
                prop_assert!(incarnation.is_none() || incarnation == object.metadata.uid);
            }
        }
        for name in CLUSTERS {
            for held in world.members[&cluster(name)].held.keys() {
                prop_assert!(world.agents.contains_key(held), "{held} was left behind in {name}");
            }
        }
        world.check_revisions();
        world.log.clear();
        world.pass(3600);
        prop_assert_eq!(world.writes() + world.orders_and_removals(), 0, "{:#?}", world.log);
    }

    /// What is left of the time before a cluster was made again, an administrator has to look at.
    #[test]
    fn the_promises_hold_when_clusters_come_and_go(steps in prop::collection::vec(step_or_cluster(), 1..60)) {
        let mut world = World::with(&CLUSTERS);
        for step in &steps {
            play(&mut world, step);
        }
        for name in CLUSTERS.into_iter().filter(|name| !world.clusters.contains_key(&cluster(name))).collect::<Vec<_>>() {
            world.replace_cluster(name);
        }
        calm(&mut world);
        for name in CLUSTERS {
            if world.condition_of(name, "PruneBlocked").unwrap().status == "True" {
                world.approve(name);
            }
        }
        world.pass(120);

        prop_assert!(world.tombstones.is_empty(), "{:?}", world.tombstones);
        for name in CLUSTERS {
            prop_assert_eq!(&world.condition_of(name, "PruneBlocked").unwrap().status, "False");
            for (held, (_, _, scale)) in &world.members[&cluster(name)].held {
                let object = world.agents.get(held);
                let decision = object.and_then(|object| object.status.as_ref()?.placement.as_ref());
                let share = decision.and_then(|d| d.targets.iter().find(|t| t.cluster == name)).map(|t| t.replicas);
                let wanted = share.map(|share| if object.unwrap().spec.suspend { 0 } else { share });
                prop_assert_eq!(Some(scale.replicas), wanted, "{} in {}", held, name);
            }
        }
        for (key, object) in &world.agents {
            prop_assert!(object.metadata.deletion_timestamp.is_none(), "{key} is not let go");
        }
        world.check_revisions();
        world.log.clear();
        world.pass(3600);
        prop_assert_eq!(world.writes() + world.orders_and_removals(), 0, "{:#?}", world.log);
    }
}

/// Found at random: the copy that b told of between the deletion and the look at the CRD was taken for a share that b
/// had never been sent.
#[test]
fn a_copy_that_is_told_of_while_the_deletion_is_looked_at_goes_too() {
    use Step::{Apply, Connect, Delete, Deliver, Fail, Pass, WipeStatus};
    let mut world = World::with(&CLUSTERS);
    for step in [
        Apply(0, 0, false),
        Pass(0),
        WipeStatus(0),
        Apply(0, 0, true),
        Pass(45),
        Connect(2),
        Fail(3, false),
        Deliver(4, 5),
        Apply(1, 0, false),
        Delete(0),
        Connect(1),
        Deliver(7, 7),
    ] {
        play(&mut world, &step);
    }
    calm(&mut world);
    assert!(!world.agents.contains_key(&key("x0")));
    assert!(CLUSTERS.iter().all(|name| world.held(name, "x0").is_none()));
}

/// Found at random: a was said to hold what it had never been sent, since a hub that had written down where it was to go
/// died before it could order it.
#[test]
fn what_was_decided_and_never_ordered_is_no_copy_without_an_owner() {
    let mut world = World::with(&CLUSTERS);
    CLUSTERS.into_iter().for_each(|name| world.cut(name));
    world.faults.push_back(false);
    world.apply("x0", |spec| spec.replicas = 3);
    while world.agents[&key("x0")].status.is_none() {
        assert!(world.deliver(0), "it is never placed");
    }
    world.faults.push_back(false);
    world.start_hub();
    world.connect("a");
    while !world.members[&cluster("a")].admitted {
        assert!(world.deliver(0), "it is never admitted");
    }
    world.delete("x0");
    world.pass(60);
    assert!(world.agents.is_empty());
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
}
