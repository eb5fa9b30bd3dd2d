#![allow(clippy::unwrap_used)]
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use parallax_crds::agent::RolloutStrategy;
use proptest::prelude::*;

use super::*;

const CHANGE: Change = Change { revision: 2, from: 1, from_generation: 4, is_safe: true };

fn wave() -> Wave {
    Wave { cluster_selector: LabelSelector::default(), ..Wave::default() }
}

fn in_waves(waves: Vec<Wave>) -> Rollout {
    Rollout { strategy: RolloutStrategy::Waves, waves, ..Rollout::default() }
}

/// One rollout as it goes on: what was written down, who has which word, and the time.
struct Walk {
    rollout: Rollout,
    members: Vec<Member<'static>>,
    asked: Asked,
    now: Timestamp,
    before: Option<RolloutStatus>,
    changes_after: Option<Duration>,
}

impl Walk {
    /// Clusters `a`, `b` and so on, each in the wave that is given.
    fn of(rollout: Rollout, waves: &[usize]) -> Self {
        let names = ["a", "b", "c", "d", "e", "f"];
        let member = |(name, wave): (&&'static str, &usize)| Member {
            name,
            wave: *wave,
            has_it: false,
            word: Word::NotReady,
        };
        let members = names.iter().zip(waves).map(member).collect();
        let now = Timestamp::from_second(1_000).unwrap();
        Self { rollout, members, asked: Asked::default(), now, before: None, changes_after: None }
    }

    fn look(&mut self) -> RolloutState {
        let members = &self.members;
        let plan =
            plan(&self.rollout, CHANGE, members, &["leaving"], self.before.as_ref(), self.asked, self.now);
        self.changes_after = plan.changes_after;
        self.before.insert(plan.status).state
    }

    fn says(&mut self, name: &str, word: Word) -> RolloutState {
        self.members.iter_mut().find(|member| member.name == name).unwrap().word = word;
        self.look()
    }

    fn pass(&mut self, seconds: i64) -> RolloutState {
        self.now += SignedDuration::from_secs(seconds);
        self.look()
    }

    fn status(&self) -> &RolloutStatus {
        self.before.as_ref().unwrap()
    }

    fn may(&self) -> Vec<&str> {
        self.status().clusters.iter().map(String::as_str).collect()
    }

    fn message(&self) -> &str {
        self.status().message.as_deref().unwrap_or_default()
    }
}

#[test]
fn one_wave_follows_the_other_when_all_of_it_is_ready() {
    let mut walk = Walk::of(in_waves(vec![wave(), wave()]), &[0, 1, 1, 2]);
    assert_eq!(walk.look(), RolloutState::Progressing);
    assert_eq!((walk.may(), walk.status().wave, walk.status().waves), (vec!["a"], 1, 3));
    assert_eq!(walk.message(), "wave 1 of 3: 0 of 1 cluster is ready; it waits for a");
    walk.says("a", Word::Ready);
    assert_eq!((walk.may(), walk.status().wave), (vec!["a", "b", "c"], 2));
    walk.says("b", Word::Ready);
    assert_eq!(walk.may(), ["a", "b", "c"]);
    assert_eq!(walk.message(), "wave 2 of 3: 1 of 2 clusters are ready; it waits for c");
    walk.says("c", Word::Ready);
    assert_eq!((walk.may(), walk.status().updated), (vec!["a", "b", "c", "d"], 3));
    assert_eq!(walk.says("d", Word::Ready), RolloutState::Complete);
    assert_eq!((walk.may().len(), walk.status().updated, walk.status().total), (0, 4, 4));
    assert_eq!(walk.says("d", Word::NotReady), RolloutState::Complete, "what is over is over");
}

#[test]
fn so_many_clusters_of_a_wave_change_at_a_time_and_none_that_is_away() {
    let first = Wave { max_concurrency: Some(1), ..wave() };
    let mut walk = Walk::of(in_waves(vec![first]), &[0, 0, 0]);
    walk.says("a", Word::Away);
    assert_eq!(walk.may(), ["b"]);
    walk.says("b", Word::Ready);
    assert_eq!(walk.may(), ["b", "c"]);
    assert_eq!(walk.says("c", Word::Ready), RolloutState::Progressing);
    assert!(walk.message().ends_with("it waits for a, which is away or suspended"), "{}", walk.message());
    walk.says("a", Word::NotReady);
    assert_eq!(walk.may(), ["a", "b", "c"]);
    assert_eq!(walk.says("a", Word::Ready), RolloutState::Complete);
}

#[test]
fn a_wave_is_looked_at_for_as_long_as_it_says() {
    let mut walk = Walk::of(in_waves(vec![Wave { pause_seconds: 60, ..wave() }]), &[0, 1]);
    walk.look();
    assert_eq!(walk.says("a", Word::Ready), RolloutState::Observing);
    assert_eq!((walk.may(), walk.changes_after), (vec!["a"], Some(Duration::from_secs(60))));
    walk.pass(50);
    assert_eq!(walk.changes_after, Some(Duration::from_secs(10)));
    assert_eq!(walk.says("a", Word::NotReady), RolloutState::Progressing);
    walk.says("a", Word::Ready);
    assert_eq!(walk.pass(59), RolloutState::Observing, "it is looked at anew");
    walk.says("a", Word::Away);
    assert_eq!(walk.pass(1), RolloutState::Observing, "nothing goes on by what was heard before");
    assert_eq!(walk.says("a", Word::Ready), RolloutState::Progressing);
    assert_eq!(walk.may(), ["a", "b"]);
}

#[test]
fn a_wave_that_asks_for_it_begins_when_it_is_approved() {
    let second = Wave { approval: true, ..wave() };
    let mut walk = Walk::of(in_waves(vec![wave(), second]), &[0, 1, 1]);
    walk.look();
    assert_eq!(walk.says("a", Word::Ready), RolloutState::WaitingForApproval);
    assert_eq!((walk.may(), walk.status().wave), (vec!["a"], 2));
    assert!(walk.message().contains("kubectl parallax rollout approve"), "{}", walk.message());
    walk.asked.approved = 1;
    assert_eq!(walk.look(), RolloutState::WaitingForApproval, "that was the first");
    walk.asked.approved = 2;
    assert_eq!(walk.look(), RolloutState::Progressing);
    assert_eq!(walk.may(), ["a", "b", "c"]);
}

#[test]
fn a_failure_halts_it_until_somebody_lets_it_go_on() {
    let mut walk = Walk::of(in_waves(vec![wave()]), &[0, 0, 1]);
    walk.look();
    let failed = Word::Failed("ImagePullBackOff: no such image".to_owned());
    assert_eq!(walk.says("a", failed), RolloutState::Progressing, "it may be of the pods before");
    assert_eq!(walk.changes_after, Some(Duration::from_secs(10)));
    assert_eq!(walk.pass(10), RolloutState::Halted);
    assert!(walk.message().starts_with("a: ImagePullBackOff: no such image; "), "{}", walk.message());
    let told = walk.message().to_owned();
    assert_eq!(walk.says("b", Word::Ready), RolloutState::Halted);
    assert_eq!(walk.says("a", Word::Ready), RolloutState::Halted, "it stays so until somebody looks");
    assert_eq!((walk.may(), walk.message()), (vec!["a", "b"], told.as_str()));
    walk.says("a", Word::Failed("again".to_owned()));
    walk.asked.excused = 1;
    assert_eq!(walk.look(), RolloutState::Progressing);
    assert_eq!((walk.may(), walk.status().wave), (vec!["a", "b", "c"], 2), "in spite of it");
    walk.says("c", Word::Failed("too".to_owned()));
    assert_eq!(walk.pass(10), RolloutState::Halted, "what comes later is not excused");
}

#[test]
fn where_nothing_becomes_of_a_wave_it_has_failed() {
    let mut walk = Walk::of(in_waves(vec![wave()]), &[0, 1]);
    walk.look();
    assert_eq!(walk.changes_after, Some(Duration::from_secs(600)));
    assert_eq!(walk.pass(599), RolloutState::Progressing);
    assert_eq!(walk.pass(1), RolloutState::Halted);
    assert!(walk.message().starts_with("a: the change isn't ready there after 600 s"), "{}", walk.message());
    walk.rollout.halt_on_failure = false;
    walk.look();
    assert_eq!(walk.pass(600), RolloutState::Progressing);
    assert_eq!(walk.may(), ["a", "b"], "the others get it all the same");
}

#[test]
fn a_cluster_that_is_away_has_not_failed() {
    let mut walk = Walk::of(in_waves(vec![wave()]), &[0, 1]);
    walk.look();
    walk.says("a", Word::Away);
    assert_eq!(walk.pass(10_000), RolloutState::Progressing);
    assert_eq!(walk.may(), ["a"]);
}

#[test]
fn a_pause_keeps_everybody_where_he_is() {
    let mut walk = Walk::of(in_waves(vec![wave()]), &[0, 0, 1]);
    walk.rollout.paused = true;
    assert_eq!(walk.look(), RolloutState::Paused);
    assert!(walk.may().is_empty());
    walk.rollout.paused = false;
    walk.look();
    walk.rollout.paused = true;
    walk.says("a", Word::Ready);
    walk.says("b", Word::Ready);
    assert_eq!((walk.look(), walk.may()), (RolloutState::Paused, vec!["a", "b"]));
    walk.says("b", Word::Failed("why".to_owned()));
    assert_eq!(walk.pass(10), RolloutState::Halted, "a failure is told all the same");
}

#[test]
fn waves_that_are_edited_are_counted_anew_and_nobody_goes_back() {
    let mut walk = Walk::of(in_waves(vec![wave()]), &[0, 1]);
    walk.look();
    walk.says("a", Word::Ready);
    assert_eq!((walk.may(), walk.status().wave), (vec!["a", "b"], 2));
    walk.rollout.waves.insert(0, Wave { approval: true, ..wave() });
    for (member, wave) in walk.members.iter_mut().zip([1, 0]) {
        member.wave = wave;
    }
    walk.look();
    assert_eq!((walk.may(), walk.status().wave), (vec!["a", "b"], 1));
    assert_eq!(walk.status().state, RolloutState::Progressing, "all of the wave have it already");
}

#[test]
fn a_cluster_that_comes_gets_it_when_its_wave_has_begun() {
    let mut walk = Walk::of(in_waves(vec![wave(), wave()]), &[0, 1, 2]);
    walk.look();
    walk.says("a", Word::Ready);
    let new = |name, wave| Member { name, wave, has_it: false, word: Word::NotReady };
    walk.members.extend([new("x", 0), new("y", 2)]);
    walk.look();
    assert_eq!(walk.may(), ["a", "b", "x"]);
    walk.says("b", Word::Ready);
    assert_eq!(walk.may(), ["a", "b", "x"], "x holds the others up as any cluster of its wave did");
    walk.says("x", Word::Ready);
    assert_eq!(walk.may(), ["a", "b", "c", "x", "y"]);
}

#[test]
fn a_cluster_that_the_agent_leaves_keeps_what_it_was_given_and_one_that_it_has_left_is_forgotten() {
    let mut walk = Walk::of(in_waves(vec![wave()]), &[0, 1]);
    walk.look();
    let given = &mut walk.before.as_mut().unwrap().clusters;
    given.extend(["left", "leaving"].map(str::to_owned));
    walk.look();
    assert_eq!(walk.status().clusters, ["a", "leaving"]);
    assert_eq!(walk.status().total, 2);
}

#[test]
fn nobody_gets_it_before_the_one_before_is_stored() {
    let walk = Walk::of(in_waves(vec![wave()]), &[0, 1]);
    let change = Change { is_safe: false, ..CHANGE };
    let plan = plan(&walk.rollout, change, &walk.members, &[], None, walk.asked, walk.now);
    assert!(plan.status.clusters.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Says(usize, Word),
    Pass(i64),
    Pause(bool),
    Approve,
    Excuse,
    Comes(usize),
    Goes(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let word = prop_oneof![
        6 => Just(Word::Ready),
        2 => Just(Word::NotReady),
        1 => Just(Word::Failed("why".to_owned())),
        1 => Just(Word::Away),
    ];
    prop_oneof![
        10 => (0..6_usize, word).prop_map(|(n, word)| Step::Says(n, word)),
        3 => (0..700_i64).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => Just(Step::Approve),
        1 => Just(Step::Excuse),
        1 => (0..4_usize).prop_map(Step::Comes),
        1 => (0..6_usize).prop_map(Step::Goes),
        1 => Just(Step::Restart),
    ]
}

fn rollout() -> impl Strategy<Value = Rollout> {
    let wave = (prop::option::of(1..3_i32), prop::sample::select(vec![0, 30]), any::<bool>());
    let wave = wave.prop_map(|(max_concurrency, pause_seconds, approval)| Wave {
        max_concurrency,
        pause_seconds,
        approval,
        ..wave_like()
    });
    (prop::collection::vec(wave, 1..4), any::<bool>())
        .prop_map(|(waves, halt)| Rollout { halt_on_failure: halt, ..in_waves(waves) })
}

fn wave_like() -> Wave {
    wave()
}

/// What holds of any step from one look to the next.
fn check(walk: &Walk, before: Option<&RolloutStatus>) {
    let status = walk.status();
    let of = |name: &str| walk.members.iter().find(|member| member.name == name);
    let had = |name: &str| before.is_some_and(|before| before.clusters.iter().any(|had| had == name));
    if before.is_some_and(|before| before.state == RolloutState::Complete) {
        assert_eq!(Some(status), before, "what is over is over");
        return;
    }
    let complete = status.state == RolloutState::Complete;
    for name in before.into_iter().flat_map(|before| &before.clusters) {
        let stays = status.clusters.contains(name) || complete || of(name).is_none();
        assert!(stays, "{name} was to go back");
    }
    let gained: Vec<_> =
        status.clusters.iter().filter_map(|name| of(name)).filter(|m| !had(m.name)).collect();
    let held = [RolloutState::Paused, RolloutState::Halted].contains(&status.state);
    assert!(!held || gained.is_empty(), "{} got it while it was {}", gained[0].name, status.state);
    for member in &gained {
        let asks = walk.rollout.waves.get(member.wave).is_some_and(|wave| wave.approval);
        assert!(!asks || walk.asked.approved >= position(member.wave), "{} was not approved", member.name);
        let excused =
            |other: &Member<'_>| !walk.rollout.halt_on_failure || position(other.wave) <= walk.asked.excused;
        for earlier in walk.members.iter().filter(|m| m.wave < member.wave && !excused(m)) {
            let has = status.clusters.iter().any(|name| name == earlier.name);
            let well = has && matches!(earlier.word, Word::Ready | Word::Away);
            assert!(well, "{} got it before {} was ready", member.name, earlier.name);
        }
        let most = walk.rollout.waves.get(member.wave).and_then(|wave| wave.max_concurrency);
        let changing = walk.members.iter().filter(|m| {
            let counts = m.wave == member.wave && !(excused(m) && m.word != Word::Ready);
            counts && m.word != Word::Ready && status.clusters.iter().any(|name| name == m.name)
        });
        assert!(
            most.is_none_or(|most| changing.count() <= usize::try_from(most).unwrap()),
            "too many change"
        );
    }
    if complete && walk.rollout.halt_on_failure {
        for member in walk.members.iter().filter(|m| position(m.wave) > walk.asked.excused) {
            assert!(matches!(member.word, Word::Ready | Word::Away), "{} isn't ready", member.name);
        }
    }
}

fn play(walk: &mut Walk, step: &Step) {
    match step {
        Step::Says(n, word) => {
            let may: Vec<_> = walk.before.iter().flat_map(|before| before.clusters.clone()).collect();
            if let Some(member) = walk.members.get_mut(*n) {
                // Who doesn't have it has nothing to say but that it is away.
                let tells = may.iter().any(|name| name == member.name) || *word == Word::Away;
                member.word = if tells { word.clone() } else { Word::NotReady };
            }
        }
        Step::Pass(seconds) => walk.now += SignedDuration::from_secs(*seconds),
        Step::Pause(paused) => walk.rollout.paused = *paused,
        Step::Approve => walk.asked.approved = walk.before.as_ref().map_or(0, |before| before.wave),
        Step::Excuse => walk.asked.excused = walk.before.as_ref().map_or(0, |before| before.wave),
        Step::Comes(wave) => {
            let wave = (*wave).min(walk.rollout.waves.len());
            if !walk.members.iter().any(|member| member.name == "z") {
                walk.members.push(Member { name: "z", wave, has_it: false, word: Word::NotReady });
            }
        }
        Step::Goes(n) => {
            if walk.members.len() > 1 {
                walk.members.remove(n % walk.members.len());
            }
        }
        Step::Restart => {
            let words: Vec<_> = walk.members.iter().map(|member| member.word.clone()).collect();
            walk.members.iter_mut().for_each(|member| member.word = Word::Unheard);
            let before = walk.before.clone();
            walk.look();
            let begun = before.as_ref().is_some_and(|before| !before.clusters.is_empty());
            assert!(!begun || walk.before == before, "a restart changed {before:?}");
            walk.members.iter_mut().zip(words).for_each(|(member, word)| member.word = word);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_waves_are_kept_to(
        rollout in rollout(),
        waves in prop::collection::vec(0..4_usize, 1..6),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let last = rollout.waves.len();
        let waves: Vec<_> = waves.into_iter().map(|wave| wave.min(last)).collect();
        let mut walk = Walk::of(rollout, &waves);
        walk.look();
        check(&walk, None);
        for step in &steps {
            let before = walk.before.clone();
            play(&mut walk, step);
            walk.look();
            check(&walk, before.as_ref());
            let status = walk.status().clone();
            walk.look();
            prop_assert_eq!(walk.status(), &status, "a second look changes nothing");
        }
        // In the end all goes well, and everybody agrees.
        walk.rollout.paused = false;
        walk.asked = Asked { approved: 9, excused: 9 };
        for _ in 0..40 {
            let may = walk.may().into_iter().map(str::to_owned).collect::<Vec<_>>();
            for member in &mut walk.members {
                member.word = if may.iter().any(|name| name == member.name) { Word::Ready } else { Word::NotReady };
            }
            walk.pass(30);
        }
        prop_assert_eq!(walk.status().state, RolloutState::Complete, "{:?}", walk.status());
    }
}
