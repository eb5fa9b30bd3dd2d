#![allow(clippy::unwrap_used)]
use parallax_crds::fixtures;
use proptest::prelude::*;

use super::*;

fn a() -> ClusterName {
    fixtures::cluster("a")
}

fn x() -> AgentKey {
    AgentKey::new("team", "x")
}

fn second(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn core() -> Amounts {
    Amounts { cpu: 1000, memory: 1 << 30, pods: 1, extended: [("nvidia.com/gpu".to_owned(), 2)].into() }
}

/// The replicas of [`core`] that are reserved in [`a`].
fn reserved(of: &Reservations) -> i64 {
    let Some(sum) = of.sum(&a()) else { return 0 };
    assert_eq!(*sum, core().times(sum.pods));
    sum.pods
}

fn given(share: i32) -> Reservations {
    let mut all = Reservations::default();
    assert!(all.decide(&a(), &x(), (0, share), &core(), second(0)));
    all
}

#[test]
fn a_share_is_reserved_until_the_cluster_has_told_what_is_free_with_it() {
    let mut all = given(3);
    assert_eq!(reserved(&all), 3);
    assert!(!all.told(&a(), |_| Some(0)), "its pods are on no node yet");
    assert!(!all.told(&a(), |_| None), "it isn't known whether they are");
    assert!(all.told(&a(), |_| Some(2)));
    assert_eq!(reserved(&all), 1);
    assert!(all.told(&a(), |_| Some(3)));
    assert_eq!((reserved(&all), all.next()), (0, None));
}

#[test]
fn only_what_is_more_than_before_is_reserved() {
    let mut all = Reservations::default();
    assert!(!all.decide(&a(), &x(), (3, 3), &core(), second(0)));
    assert!(!all.decide(&a(), &x(), (3, 2), &core(), second(0)));
    assert!(all.decide(&a(), &x(), (2, 5), &core(), second(0)));
    assert_eq!(reserved(&all), 3);
    assert!(!all.decide(&a(), &x(), (5, 5), &core(), second(1)), "it is the same decision");
    assert!(all.lower(&a(), &x(), 4) && !all.lower(&a(), &x(), 4));
    assert_eq!(reserved(&all), 2);
    assert!(all.decide(&a(), &x(), (4, 2), &core(), second(2)));
    assert_eq!((reserved(&all), all.next()), (0, None));
}

#[test]
fn replicas_that_serve_are_counted_soon_though_the_cluster_has_nothing_more_to_tell() {
    let mut all = given(3);
    all.serving(&a(), &x(), 2, second(10));
    assert_eq!((reserved(&all), all.next()), (3, Some(second(10) + TOLD)));
    all.serving(&a(), &x(), 3, second(39));
    assert_eq!(all.pass(second(40)), [a()].into(), "the first two don't wait for the third");
    assert_eq!(reserved(&all), 1);
    all.serving(&a(), &x(), 3, second(41));
    assert_eq!(all.pass(second(71)), [a()].into());
    assert_eq!(all.next(), None);
}

#[test]
fn what_never_serves_is_reserved_for_five_minutes() {
    let mut all = given(2);
    assert_eq!(all.pass(second(299)), [].into());
    assert_eq!(reserved(&all), 2);
    assert_eq!(all.pass(second(300)), [a()].into());
    assert_eq!((reserved(&all), all.next()), (0, None));
    assert!(!all.decide(&a(), &x(), (2, 2), &core(), second(301)), "it isn't begun anew by the same share");
}

#[test]
fn more_that_each_requests_is_reserved_too() {
    let mut all = given(2);
    let larger = core().times(3);
    assert!(all.decide(&a(), &x(), (2, 2), &larger, second(1)));
    assert_eq!(all.sum(&a()), Some(&larger.times(2)));
    assert!(all.end(&a(), &x()) && !all.end(&a(), &x()));
    assert_eq!(all.sum(&a()), None);
}

#[derive(Debug, Clone)]
enum Step {
    Decide(usize, usize, i32),
    Lower(usize, usize, i32),
    End(usize, usize),
    Serves(usize, usize, i32),
    Told(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (cluster, agent) = (0..2_usize, 0..4_usize);
    let step = prop_oneof![
        4 => (cluster.clone(), agent.clone(), 0..9_i32).prop_map(|(c, a, n)| Step::Decide(c, a, n)),
        1 => (cluster.clone(), agent.clone(), 0..9_i32).prop_map(|(c, a, n)| Step::Lower(c, a, n)),
        1 => (cluster.clone(), agent.clone()).prop_map(|(c, a)| Step::End(c, a)),
        3 => (cluster.clone(), agent, 0..9_i32).prop_map(|(c, a, n)| Step::Serves(c, a, n)),
        2 => cluster.prop_map(Step::Told),
        2 => (1..200_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever happens in whatever order: no more is reserved than what shares have that doesn't serve by the cluster's
    /// word, nothing is negative or counted twice, and all of it ends.
    #[test]
    fn no_more_is_reserved_than_is_outstanding_and_all_of_it_ends(steps in steps()) {
        let clusters = ["a", "b"].map(fixtures::cluster);
        let keys = ["w", "x", "y", "z"].map(|name| AgentKey::new("team", name));
        let mut all = Reservations::default();
        let mut now = Duration::ZERO;
        let mut shares = [[0_i32; 4]; 2];
        let mut serving = [[0_i32; 4]; 2];
        // What the last word of each cluster has taken into account.
        let mut counted = [[0_i32; 4]; 2];
        for step in steps {
            match step {
                Step::Decide(c, a, share) => {
                    all.decide(&clusters[c], &keys[a], (shares[c][a], share), &core(), now);
                    shares[c][a] = share;
                }
                Step::Lower(c, a, share) if share < shares[c][a] => {
                    all.lower(&clusters[c], &keys[a], share);
                    shares[c][a] = share;
                }
                Step::Lower(..) => {}
                Step::End(c, a) => {
                    all.end(&clusters[c], &keys[a]);
                    (shares[c][a], serving[c][a]) = (0, 0);
                }
                Step::Serves(c, a, count) => {
                    serving[c][a] = count.min(shares[c][a]);
                    all.serving(&clusters[c], &keys[a], serving[c][a], now);
                }
                Step::Told(c) => {
                    let of = |key: &AgentKey| keys.iter().position(|k| k == key).map(|a| serving[c][a]);
                    all.told(&clusters[c], of);
                    counted[c] = serving[c];
                }
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    all.pass(now);
                }
            }
            for (c, a) in (0..2).flat_map(|c| (0..4).map(move |a| (c, a))) {
                counted[c][a] = counted[c][a].min(shares[c][a]);
            }
            let known = all.shares();
            for ((cluster, key), share) in &known {
                let at = (clusters.iter().position(|c| c == cluster), keys.iter().position(|k| k == key));
                let (Some(c), Some(a)) = at else { panic!("{cluster} and {key} were never heard of") };
                prop_assert_eq!(*share, shares[c][a]);
            }
            for (c, cluster) in clusters.iter().enumerate() {
                let outstanding = (0..4).map(|a| i64::from(shares[c][a] - counted[c][a])).sum::<i64>();
                let sum = all.sum(cluster).cloned().unwrap_or_default();
                prop_assert!(sum.pods >= 0 && sum.pods <= outstanding, "{sum:?}, of {outstanding}");
                prop_assert_eq!((sum.cpu, sum.memory), (sum.pods * core().cpu, sum.pods * core().memory));
            }
        }
        all.pass(now + LIFE);
        prop_assert_eq!((all.shares().len(), all.next()), (0, None));
        prop_assert!(clusters.iter().all(|cluster| all.sum(cluster).is_none()));
    }
}
