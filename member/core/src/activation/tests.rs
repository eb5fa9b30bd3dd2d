#![allow(clippy::unwrap_used)]
use std::net::SocketAddr;
use std::time::Duration;

use parallax_crds::activation::WakeUp;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits =
    Limits { hold: Duration::from_secs(30), pending: 2, quiet: Duration::from_secs(300), asked: false };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(1_800_000_000 + seconds)
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 8080))
}

fn pod(n: u8) -> Backend {
    Backend { uid: n.to_string().into(), address: address(n) }
}

fn open(serial: i64, slept: i64) -> Order {
    Order { open: true, serial, slept }
}

fn closed(serial: i64) -> Order {
    Order { open: false, serial, slept: 0 }
}

fn awake() -> Door {
    let mut door = Door::new(LIMITS, at(0));
    door.obey(open(1, 0));
    door.set_ready(vec![pod(1)]);
    door
}

#[test]
fn requests_go_to_the_ready_pods_in_turn() {
    let mut door = awake();
    door.set_ready(vec![pod(1), pod(2)]);
    let mut seen: Vec<_> = (0..4).map(|_| door.arrive(at(1))).collect();
    seen.sort_by_key(|entry| format!("{entry:?}"));
    let (a, b) = (Entry::Go(address(1)), Entry::Go(address(2)));
    assert_eq!(seen, [a, a, b, b]);
}

#[test]
fn a_request_that_finds_nobody_is_held_up_to_the_limit_and_goes_on_to_the_first_ready_pod() {
    let mut door = Door::new(LIMITS, at(0));
    door.obey(open(1, 0));
    assert_eq!(door.arrive(at(1)), Entry::Wait(at(31)));
    assert_eq!(door.arrive(at(1)), Entry::Wait(at(31)));
    assert_eq!(door.arrive(at(1)), Entry::Full);
    assert_eq!(door.enter(at(2)), Admission::Wait(None));
    door.set_ready(vec![pod(1)]);
    assert_eq!(door.enter(at(3)), Admission::Go(address(1)));
    door.give_up(at(31));
    assert_eq!(door.open(), (1, 0));
}

#[test]
fn a_closed_gate_holds_requests_though_pods_are_ready() {
    let mut door = awake();
    door.obey(closed(2));
    assert!(matches!(door.arrive(at(1)), Entry::Wait(_)));
    door.obey(open(3, 0));
    assert_eq!(door.enter(at(1)), Admission::Go(address(1)));
}

#[test]
fn a_pod_that_takes_no_connection_is_passed_over_for_a_moment() {
    let mut door = awake();
    assert_eq!(door.arrive(at(1)), Entry::Go(address(1)));
    door.turn_back(address(1), at(1));
    let Admission::Wait(Some(again)) = door.enter(at(1)) else { panic!("it must wait") };
    door.set_ready(vec![pod(1), pod(2)]);
    assert_eq!(door.enter(at(1)), Admission::Go(address(2)));
    door.set_ready(vec![pod(1)]);
    assert!(matches!(door.arrive(again), Entry::Go(_)));
}

#[test]
fn a_closed_gate_is_confirmed_only_when_nothing_is_on_its_way() {
    let mut door = awake();
    door.arrive(at(1));
    door.obey(closed(2));
    assert_eq!(door.word(at(2)).unwrap().0.closed, None);
    door.leave(at(3));
    assert_eq!(door.word(at(3)).unwrap().0.closed, Some(2));
}

#[test]
fn pods_of_before_the_sleep_get_nothing_after_it_however_ready_they_look() {
    let mut door = awake();
    door.obey(closed(2));
    door.word(at(1)).unwrap();
    door.obey(open(3, 2));
    assert!(matches!(door.arrive(at(2)), Entry::Wait(_)));
    door.set_ready(vec![pod(1), pod(2)]);
    assert_eq!(door.enter(at(2)), Admission::Go(address(2)));
    assert_eq!(door.arrive(at(2)), Entry::Go(address(2)));
}

#[test]
fn a_gate_that_opens_again_without_a_sleep_leads_to_the_same_pods() {
    let mut door = awake();
    door.obey(closed(2));
    door.word(at(1)).unwrap();
    door.obey(open(3, 0));
    assert_eq!(door.arrive(at(2)), Entry::Go(address(1)));
}

#[test]
fn an_agent_is_wanted_for_the_quiet_time_after_its_last_request_and_not_by_a_mere_start() {
    let mut door = awake();
    assert_eq!(
        door.word(at(1)).unwrap(),
        (Word { wanted: false, since: at(0), uncalled: true, closed: None }, None)
    );
    door.arrive(at(10));
    assert!(door.word(at(1000)).unwrap().0.wanted, "it is still open");
    door.leave(at(1000));
    let (word, again) = door.word(at(1001)).unwrap();
    assert_eq!((word.wanted, word.since, again), (true, at(1000), Some(at(1300))));
    assert!(!door.word(at(1300)).unwrap().0.wanted);
}

/// A door of an agent that can say that it works, after a request at 10.
fn asked() -> Door {
    let mut door = awake();
    door.limit(Limits { asked: true, ..LIMITS });
    door.arrive(at(10));
    door.leave(at(10));
    door
}

#[test]
fn pods_are_asked_once_nothing_has_come_for_long_enough_and_spare_themselves_by_their_word() {
    let mut door = asked();
    assert!(door.word(at(309)).unwrap().0.wanted);
    let question = door.word(at(310)).unwrap_err();
    door.answered(question, true, at(311));
    let (word, again) = door.word(at(311)).unwrap();
    assert_eq!((word.wanted, word.since, again), (true, at(311), Some(at(611))));
    let question = door.word(at(611)).unwrap_err();
    door.answered(question, false, at(611));
    let (word, again) = door.word(at(612)).unwrap();
    assert_eq!((word.wanted, word.since, again), (false, at(311), None));
}

#[test]
fn pods_are_asked_again_behind_the_closed_gate_before_it_is_confirmed() {
    let mut door = asked();
    let question = door.word(at(310)).unwrap_err();
    door.answered(question, false, at(310));
    door.obey(closed(2));
    let question = door.word(at(311)).unwrap_err();
    door.answered(question, true, at(311));
    let word = door.word(at(311)).unwrap().0;
    assert!(word.wanted);
    let (gate, _) = Gate { stage: Stage::Closing, serial: 2, since: at(310), slept: 0, woken: None }
        .next(&signs(&[Heard::Word(word)]), at(312));
    assert_eq!(gate.stage, Stage::Up);

    let mut idle = asked();
    idle.obey(closed(2));
    let question = idle.word(at(311)).unwrap_err();
    idle.answered(question, false, at(311));
    assert_eq!(idle.word(at(311)).unwrap().0.closed, Some(2));
    assert_eq!(idle.word(at(400)).unwrap().0.closed, Some(2), "what is confirmed stays so");
}

#[test]
fn an_answer_from_before_a_request_counts_for_nothing_after_it() {
    let mut door = asked();
    let question = door.word(at(310)).unwrap_err();
    door.arrive(at(311));
    door.leave(at(312));
    door.answered(question, false, at(313));
    assert!(door.word(at(314)).unwrap().0.wanted);
    assert!(door.word(at(612)).is_err());
}

#[test]
fn an_agent_that_works_is_not_asked_without_a_pause_however_short_its_quiet_time() {
    let mut door = asked();
    door.limit(Limits { asked: true, quiet: Duration::ZERO, ..LIMITS });
    let question = door.word(at(11)).unwrap_err();
    door.answered(question, true, at(11));
    let (word, again) = door.word(at(11)).unwrap();
    assert!(word.wanted && again.unwrap() > at(13));
    assert!(door.word(again.unwrap()).is_err());
}

fn quiet(since: u64) -> Heard {
    Heard::Word(Word { wanted: false, since: at(since), uncalled: false, closed: None })
}

fn confirmed(serial: i64) -> Heard {
    Heard::Word(Word { wanted: false, since: at(0), uncalled: false, closed: Some(serial) })
}

fn wanting() -> Heard {
    Heard::Word(Word { wanted: true, since: at(0), uncalled: false, closed: None })
}

fn signs(activators: &[Heard]) -> Signs<'_> {
    Signs { activators, delay: LIMITS.quiet, may_sleep: true, pods: true, wake: None }
}

fn at_zero() -> Gate {
    Gate { stage: Stage::Zero, serial: 2, since: at(300), slept: 2, woken: None }
}

#[test]
fn an_agent_that_nobody_calls_goes_to_zero_after_its_delay_once_every_activator_has_closed() {
    let gate = Gate::new(at(0), None);
    let both = [quiet(0), quiet(50)];
    assert_eq!(gate.next(&signs(&both), at(100)), (gate, Some(at(350))));
    let (gate, _) = gate.next(&signs(&both), at(350));
    assert_eq!((gate.stage, gate.is_open()), (Stage::Closing, false));
    let (same, _) = gate.next(&signs(&[confirmed(gate.serial), quiet(50)]), at(351));
    assert_eq!(same, gate, "one activator hasn't confirmed");
    let (gate, _) = gate.next(&signs(&[confirmed(gate.serial), confirmed(gate.serial)]), at(352));
    assert_eq!((gate.stage, gate.slept), (Stage::Zero, gate.serial));
}

#[test]
fn a_request_during_the_closing_opens_the_gate_again_and_no_pod_goes() {
    let closing = Gate { stage: Stage::Closing, serial: 2, since: at(300), slept: 0, woken: None };
    let (gate, _) = closing.next(&signs(&[confirmed(2), wanting()]), at(301));
    assert_eq!((gate.stage, gate.serial, gate.slept), (Stage::Up, 3, 0));
}

#[test]
fn an_activator_that_does_not_close_in_time_keeps_the_agent_up() {
    let closing = Gate { stage: Stage::Closing, serial: 2, since: at(300), slept: 0, woken: None };
    let (gate, again) = closing.next(&signs(&[quiet(0)]), at(301));
    assert_eq!((gate, again), (closing, Some(at(330))));
    assert_eq!(closing.next(&signs(&[quiet(0)]), at(330)).0.stage, Stage::Up);
}

#[test]
fn the_gate_opens_only_once_the_old_pods_have_been_told_to_go() {
    let activators = [wanting()];
    let there = signs(&activators);
    assert_eq!(at_zero().next(&there, at(301)).0, at_zero());
    let (gate, _) = at_zero().next(&Signs { pods: false, ..there }, at(302));
    assert_eq!((gate.stage, gate.serial, gate.slept), (Stage::Up, 3, 2));
}

#[test]
fn a_wake_up_opens_the_gate_once_however_often_it_is_said() {
    let idle = [quiet(0)];
    let asked = |n| Signs { wake: WakeUp::numbered(n), pods: false, ..signs(&idle) };
    assert_eq!(at_zero().next(&Signs { pods: true, ..asked(7) }, at(400)).0, at_zero(), "old pods still go");
    let (woken, _) = at_zero().next(&asked(7), at(400));
    assert_eq!((woken.stage, woken.serial, woken.since), (Stage::Up, 3, at(400)));
    // It stays up for as long as after a request.
    assert_eq!(woken.next(&asked(7), at(401)), (woken, Some(at(700))));
    let slept = Gate { woken: woken.woken, ..at_zero() };
    for same in [asked(7), Signs { wake: None, ..asked(7) }] {
        assert_eq!(slept.next(&same, at(1000)), (slept, None));
    }
    assert_eq!(slept.next(&asked(8), at(1000)).0.stage, Stage::Up);
}

#[test]
fn a_wake_up_of_an_agent_that_is_up_counts_as_a_request() {
    let idle = [quiet(0)];
    let gate = Gate::new(at(0), WakeUp::numbered(7));
    let same = Signs { wake: WakeUp::numbered(7), ..signs(&idle) };
    assert_eq!(gate.next(&same, at(100)), (gate, Some(at(300))), "it was asked for before the agent began");
    let (woken, again) = gate.next(&Signs { wake: WakeUp::numbered(8), ..same }, at(200));
    assert_eq!((woken.stage, woken.serial, again), (Stage::Up, gate.serial, Some(at(500))));
    let closing = Gate { stage: Stage::Closing, serial: 2, ..gate };
    assert_eq!(closing.next(&Signs { wake: WakeUp::numbered(8), ..same }, at(301)).0.stage, Stage::Up);
}

#[test]
fn an_agent_that_may_not_sleep_stays_and_wakes() {
    let idle = [quiet(0)];
    let sign = Signs { may_sleep: false, ..signs(&idle) };
    assert_eq!(Gate::new(at(0), None).next(&sign, at(1000)), (Gate::new(at(0), None), None));
    assert_eq!(at_zero().next(&Signs { pods: false, ..sign }, at(1000)).0.stage, Stage::Up);
}

#[test]
fn nobody_goes_to_zero_while_an_activator_has_not_spoken_or_there_is_none() {
    for activators in [&[quiet(0), Heard::Nothing][..], &[]] {
        assert_eq!(Gate::new(at(0), None).next(&signs(activators), at(1000)), (Gate::new(at(0), None), None));
    }
    let closing = Gate { stage: Stage::Closing, serial: 2, since: at(300), slept: 0, woken: None };
    assert_ne!(closing.next(&signs(&[]), at(301)).0.stage, Stage::Zero);
}

#[test]
fn when_an_agent_was_called_last_is_what_its_activators_said_before_its_pods_went() {
    let said = |wanted, since, uncalled| Word { wanted, since: at(since), uncalled, closed: None };
    let words = [said(false, 120, false), said(false, 150, false), said(false, 200, true)];
    assert_eq!(last_called(None, at_zero(), words), Some(at(150)), "one that has just begun was not called");
    assert_eq!(last_called(Some(at(170)), at_zero(), words), Some(at(170)));
    let later = [words[0], said(true, 150, false), said(false, 350, false)];
    assert_eq!(last_called(None, at_zero(), later), Some(at(120)), "what wakes it is told when it is awake");
    assert_eq!(last_called(None, at_zero(), [words[2]]), None);
    let up = Gate::new(at(0), None);
    assert_eq!(last_called(Some(at(1)), up, words), Some(at(1)), "no news while its requests may change it");
}

fn listed(n: u8, heard: Heard) -> Listed {
    Listed { address: address(n).ip(), ready: true, port: Some(4000), heard }
}

fn through() -> Ways {
    Ways { ours: true, ..Ways::default() }
}

fn known(activators: &[Listed]) -> Known<'_> {
    Known {
        gate: Some(Gate::new(at(0), None)),
        delay: Some(LIMITS.quiet),
        activators,
        ways: through(),
        pods: true,
        wake: None,
    }
}

#[test]
fn an_agent_that_may_sleep_is_led_through_the_activators_that_listen_for_it() {
    let new = Listed { port: None, heard: Heard::Nothing, ..listed(1, quiet(0)) };
    let first = standing(
        &Known { gate: None, ways: Ways { selects: true, ..Ways::default() }, ..known(&[new]) },
        at(1),
    );
    assert_eq!((first.gate, first.routes.len()), (Some(Gate::new(at(1), None)), 0));
    let both = [new, listed(2, quiet(0))];
    let led = standing(&known(&both), at(1));
    assert_eq!((led.routes, led.led), (vec![(address(2).ip(), 4000)], true));
    let selects = Ways { selects: true, ..Ways::default() };
    let begun = standing(&Known { ways: selects, ..known(&both) }, at(1));
    assert!(!begun.led, "the pods are reached directly until another way is there");
    let ending = [Listed { ready: false, ..listed(1, quiet(0)) }, listed(2, quiet(0))];
    assert_eq!(standing(&known(&ending), at(1)).routes, [(address(2).ip(), 4000)]);
}

#[test]
fn no_pod_goes_while_another_way_leads_to_it() {
    let idle = [listed(1, quiet(0))];
    assert_eq!(standing(&known(&idle), at(1000)).gate.unwrap().stage, Stage::Closing);
    for ways in [
        Ways { selects: true, ..through() },
        Ways { foreign: true, ..through() },
        Ways { ours: false, ..through() },
    ] {
        assert_eq!(standing(&Known { ways, ..known(&idle) }, at(1000)).gate.unwrap().stage, Stage::Up);
    }
}

#[test]
fn an_agent_that_may_sleep_no_more_leaves_the_activators_once_its_pods_are_reached_without_them() {
    let idle = [listed(1, quiet(0))];
    let awake = Known { delay: None, ..known(&idle) };
    let waits = standing(&awake, at(1));
    assert!(waits.routes.is_empty() && waits.keep_ours && waits.gate.is_some());
    let selects = Ways { selects: true, foreign: true, foreign_ready: true, ours: true };
    let both = standing(&Known { ways: selects, ..awake }, at(1));
    assert!(!both.keep_ours && both.gate.is_some());
    let left = standing(&Known { ways: Ways { ours: false, ..selects }, ..awake }, at(1));
    assert_eq!(left.gate, None);
}

#[test]
fn without_an_activator_the_pods_come_back_and_are_reached_directly() {
    let asleep = Known { gate: Some(at_zero()), ways: through(), pods: false, ..known(&[]) };
    let up = standing(&asleep, at(400));
    assert!(!up.is_asleep() && up.routes.is_empty() && !up.keep_ours);
}

/// One thing that happens to a member, its activators and the pods.
#[derive(Debug, Clone)]
enum Happens {
    Request(usize),
    Done(usize),
    /// The member's order reaches that activator.
    Order(usize),
    /// That activator's word reaches the member.
    Word(usize),
    /// The pods say to that activator whether they work.
    Answer(usize, bool),
    /// That activator sees the pods.
    Pods(usize),
    /// The deletion or the start of a pod comes about.
    Controller,
    Passes(u16),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        3 => (0..2_usize).prop_map(Happens::Request),
        4 => (0..2_usize).prop_map(Happens::Done),
        4 => (0..2_usize).prop_map(Happens::Order),
        4 => (0..2_usize).prop_map(Happens::Word),
        2 => (0..2_usize, any::<bool>()).prop_map(|(i, busy)| Happens::Answer(i, busy)),
        4 => (0..2_usize).prop_map(Happens::Pods),
        4 => Just(Happens::Controller),
        3 => (0..400_u16).prop_map(Happens::Passes),
    ]
}

/// What an activator is in the middle of.
struct Activator {
    door: Door,
    going: Vec<SocketAddr>,
    held: u32,
    heard: Heard,
}

proptest! {
    /// Whatever the order in which words, orders and watches arrive: while a request is on its way to a pod that the
    /// activator's door let it go to, that pod isn't told to go by a sleep; and no request is forgotten.
    #[test]
    fn no_sleep_takes_a_pod_from_under_a_request(
        story in prop::collection::vec(happens(), 1..200),
        asked: bool,
    ) {
        let limits = Limits { asked, ..LIMITS };
        let mut now = at(0);
        let mut gate = Gate::new(now, None);
        let mut pods = vec![pod(1)];
        let mut next_pod = 2;
        let mut activators: Vec<_> = (0..2)
            .map(|_| Activator { door: Door::new(limits, now), going: vec![], held: 0, heard: Heard::Nothing })
            .collect();
        for event in story {
            match event {
                Happens::Passes(seconds) => now += SECOND * u32::from(seconds),
                Happens::Request(i) => {
                    let a = &mut activators[i];
                    match a.door.arrive(now) {
                        Entry::Go(to) => a.going.push(to),
                        Entry::Wait(_) => a.held += 1,
                        Entry::Full => {}
                    }
                }
                Happens::Done(i) => {
                    if activators[i].going.pop().is_some() {
                        activators[i].door.leave(now);
                    }
                }
                Happens::Order(i) => {
                    let order = Order { open: gate.is_open(), serial: gate.serial, slept: gate.slept };
                    activators[i].door.obey(order);
                }
                Happens::Pods(i) => activators[i].door.set_ready(pods.clone()),
                Happens::Word(i) => {
                    if let Ok((word, _)) = activators[i].door.word(now) {
                        activators[i].heard = Heard::Word(word);
                    }
                }
                Happens::Answer(i, busy) => {
                    if let Err(question) = activators[i].door.word(now) {
                        activators[i].door.answered(question, busy, now);
                    }
                }
                Happens::Controller => match (gate.stage, pods.is_empty()) {
                    (Stage::Zero, false) => {
                        for a in &activators {
                            prop_assert!(a.going.is_empty(), "pods go under {:?}", a.going);
                        }
                        pods.clear();
                    }
                    (Stage::Up, true) => {
                        pods.push(pod(next_pod));
                        next_pod = next_pod.wrapping_add(1).max(1);
                    }
                    _ => {}
                },
            }
            for a in &mut activators {
                while a.held > 0 && let Admission::Go(to) = a.door.enter(now) {
                    a.held -= 1;
                    a.going.push(to);
                }
                prop_assert_eq!(a.door.open(), (u32::try_from(a.going.len()).unwrap(), a.held));
            }
            let heard: Vec<_> = activators.iter().map(|a| a.heard).collect();
            let signs = Signs { pods: !pods.is_empty(), ..signs(&heard) };
            gate = gate.next(&signs, now).0;
        }
        // Everything arrives in the end: nobody stays held.
        for _ in 0..6 {
            if gate.stage == Stage::Zero {
                pods.clear();
            } else if pods.is_empty() {
                pods.push(pod(next_pod));
            }
            for a in &mut activators {
                a.door.obey(Order { open: gate.is_open(), serial: gate.serial, slept: gate.slept });
                a.door.set_ready(pods.clone());
                while a.held > 0 && let Admission::Go(to) = a.door.enter(now) {
                    a.held -= 1;
                    a.going.push(to);
                }
                if let Err(question) = a.door.word(now) {
                    a.door.answered(question, false, now);
                }
                a.heard = Heard::Word(a.door.word(now).unwrap().0);
            }
            let heard: Vec<_> = activators.iter().map(|a| a.heard).collect();
            gate = gate.next(&Signs { pods: !pods.is_empty(), ..signs(&heard) }, now).0;
        }
        prop_assert_eq!(activators.iter().map(|a| a.held).sum::<u32>(), 0);
    }
}
