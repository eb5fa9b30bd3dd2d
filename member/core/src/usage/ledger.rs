//! What pods have counted, as one account per agent that only rises, though pods come and go, and begin again at zero.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parallax_crds::link::{AgentUsage, Traffic};
use parallax_crds::{AgentKey, AgentRef, Incarnation};

use super::Exposed;

/// Over how long rates are.
const MINUTE: Duration = Duration::from_mins(1);

/// What was found out about one pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// The pod's name.
    pub pod: String,
    /// Thousandths of a core.
    pub cpu_millicores: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// What it says of itself; none when it couldn't be asked.
    pub exposed: Option<Exposed>,
}

/// Requests, input tokens and output tokens; none of what was never exposed.
type Counts = [Option<u64>; 3];

/// The accounts of all agents.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<AgentKey, Account>,
    /// A round is over: pods that appear now are new, and what they have counted as well.
    begun: bool,
}

#[derive(Debug)]
struct Account {
    incarnation: Incarnation,
    /// What each pod had counted.
    pods: HashMap<String, Counts>,
    total: Counts,
    /// The totals of the last minute and of the moment before it, oldest first.
    history: VecDeque<(Duration, Counts)>,
    /// Its pods have said whether they are busy.
    tells_busy: bool,
}

impl Ledger {
    /// Takes in what was found out about an agent's pods at that time; what the agent uses.
    pub fn take(&mut self, agent: &AgentRef, pods: Vec<Measured>, now: Duration) -> AgentUsage {
        let begun = self.begun;
        let account = self.accounts.entry(agent.key.clone()).or_insert_with(|| Account::new(agent));
        if account.incarnation != agent.incarnation {
            *account = Account::new(agent);
        }
        let usage = AgentUsage {
            cpu_millicores: sum(pods.iter().map(|pod| pod.cpu_millicores)),
            memory_bytes: sum(pods.iter().map(|pod| pod.memory_bytes)),
            busy_replicas: account.busy(&pods),
            ..AgentUsage::unknown(agent.clone())
        };
        account.count(pods, begun);
        account.remember(now);
        let [requests, input_tokens, output_tokens] = account.traffic(now);
        AgentUsage { requests, input_tokens, output_tokens, ..usage }
    }

    /// Ends a round: every agent that there is was taken in, and `is_there` says which these are. Those that have gone.
    pub fn end_round(&mut self, is_there: impl Fn(&AgentKey) -> bool) -> Vec<AgentKey> {
        self.begun = true;
        self.accounts.extract_if(|key, _| !is_there(key)).map(|(key, _)| key).collect()
    }
}

impl Account {
    fn new(agent: &AgentRef) -> Self {
        Self {
            incarnation: agent.incarnation.clone(),
            pods: HashMap::new(),
            total: [None; 3],
            history: VecDeque::new(),
            tells_busy: false,
        }
    }

    fn busy(&mut self, pods: &[Measured]) -> Option<u32> {
        let mut busy = 0;
        for word in pods.iter().filter_map(|pod| pod.exposed.as_ref()?.busy) {
            self.tells_busy = true;
            busy += u32::from(word);
        }
        self.tells_busy.then_some(busy)
    }

    /// Adds what pods have counted since they were last asked. One that has less than it had has begun again at zero. What
    /// pods had when the member began, nobody knows the time of.
    fn count(&mut self, pods: Vec<Measured>, begun: bool) {
        let mut before = std::mem::take(&mut self.pods);
        for Measured { pod, exposed, .. } in pods {
            let known = before.remove(&pod);
            let Some(exposed) = exposed else {
                // It may answer the next time.
                self.pods.extend(known.map(|known| (pod, known)));
                continue;
            };
            let counts = exposed.counts();
            for (n, count) in counts.into_iter().enumerate() {
                let Some(count) = count else { continue };
                let new = match known.and_then(|known| known[n]) {
                    Some(before) if before <= count => count - before,
                    Some(_) => count,
                    None if begun => count,
                    None => 0,
                };
                self.total[n] = Some(self.total[n].unwrap_or(0).saturating_add(new));
            }
            self.pods.insert(pod, counts);
        }
    }

    fn remember(&mut self, now: Duration) {
        self.history.push_back((now, self.total));
        while self.history.get(1).is_some_and(|(at, _)| *at + MINUTE <= now) {
            self.history.pop_front();
        }
    }

    fn traffic(&self, now: Duration) -> [Option<Traffic>; 3] {
        let (since, before) = self.history.front().copied().unwrap_or((now, self.total));
        // Before a minute has passed, what came in it came in a minute.
        let millis = u64::try_from((now - since).max(MINUTE).as_millis()).unwrap_or(u64::MAX);
        std::array::from_fn(|n| {
            self.total[n].map(|total| {
                let new = total - before[n].unwrap_or(0);
                Traffic { total, per_minute: new.saturating_mul(60_000) / millis }
            })
        })
    }
}

/// The sum of what is known; none when nothing is.
fn sum(amounts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    amounts.flatten().reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn agent() -> AgentRef {
        AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u-1") }
    }

    fn pod(name: &str, requests: u64) -> Measured {
        let exposed = Exposed { requests: Some(requests), ..Exposed::default() };
        Measured { pod: name.to_owned(), exposed: Some(exposed), ..Measured::default() }
    }

    fn silent(name: &str) -> Measured {
        Measured { pod: name.to_owned(), ..Measured::default() }
    }

    /// A ledger whose first round was empty, and one of rounds every 15 s.
    struct Rounds(Ledger, u64);

    impl Rounds {
        fn begun() -> Self {
            let mut ledger = Ledger::default();
            ledger.end_round(|_| true);
            Self(ledger, 0)
        }

        fn take(&mut self, pods: Vec<Measured>) -> AgentUsage {
            self.1 += 1;
            let usage = self.0.take(&agent(), pods, Duration::from_secs(15 * self.1));
            self.0.end_round(|_| true);
            usage
        }

        fn requests(&mut self, pods: Vec<Measured>) -> (u64, u64) {
            let Traffic { total, per_minute } = self.take(pods).requests.unwrap();
            (total, per_minute)
        }
    }

    #[test]
    fn pods_that_begin_again_go_or_come_take_nothing_back() {
        let mut rounds = Rounds::begun();
        assert_eq!(rounds.requests(vec![pod("a", 10), pod("b", 5)]).0, 15);
        assert_eq!(rounds.requests(vec![pod("a", 12), pod("b", 1)]).0, 18, "b has begun again");
        assert_eq!(rounds.requests(vec![pod("c", 4)]).0, 22, "c is in their place");
        assert_eq!(rounds.requests(vec![silent("c")]).0, 22);
        assert_eq!(rounds.requests(vec![pod("c", 5)]).0, 23, "it was only silent for a while");
        assert_eq!(rounds.requests(vec![]).0, 23);
    }

    #[test]
    fn what_was_counted_before_the_member_began_is_not_new() {
        let mut rounds = Rounds(Ledger::default(), 0);
        assert_eq!(rounds.requests(vec![pod("a", 1_000)]).0, 0);
        assert_eq!(rounds.requests(vec![pod("a", 1_001), pod("b", 2)]).0, 3);
    }

    #[test]
    fn rates_are_of_the_last_minute() {
        let mut rounds = Rounds::begun();
        let rates: Vec<_> = (1..=8).map(|n| rounds.requests(vec![pod("a", 60 * n)]).1).collect();
        assert_eq!(rates, [0, 60, 120, 180, 240, 240, 240, 240]);
        let rates: Vec<_> = (1..=5).map(|_| rounds.requests(vec![pod("a", 480)]).1).collect();
        assert_eq!(rates, [180, 120, 60, 0, 0]);
    }

    #[test]
    fn what_nobody_exposes_is_unknown() {
        let mut rounds = Rounds::begun();
        assert_eq!(rounds.take(vec![silent("a")]), AgentUsage::unknown(agent()));
        let measured = Measured { cpu_millicores: Some(5), memory_bytes: Some(9), ..silent("a") };
        let usage = rounds.take(vec![measured.clone(), silent("b"), measured]);
        assert_eq!((usage.cpu_millicores, usage.memory_bytes, usage.requests), (Some(10), Some(18), None));
    }

    #[test]
    fn an_agent_whose_pods_have_told_is_idle_without_pods() {
        let mut rounds = Rounds::begun();
        let word = |busy| {
            let exposed = Exposed { busy: Some(busy), ..Exposed::default() };
            Measured { exposed: Some(exposed), ..silent("a") }
        };
        assert_eq!(rounds.take(vec![word(true), word(false), silent("b")]).busy_replicas, Some(1));
        assert_eq!(rounds.take(vec![]).busy_replicas, Some(0));
    }

    #[test]
    fn a_new_incarnation_has_an_account_of_its_own_and_one_that_has_gone_has_none() {
        let mut rounds = Rounds::begun();
        rounds.take(vec![pod("a", 10)]);
        let next = AgentRef { incarnation: Incarnation::new("u-2"), ..agent() };
        let usage = rounds.0.take(&next, vec![pod("b", 3)], Duration::from_secs(30));
        assert_eq!(usage.requests.unwrap().total, 3);
        assert_eq!(rounds.0.end_round(|_| false), [next.key]);
        assert!(rounds.0.accounts.is_empty());
    }

    proptest! {
        #[test]
        fn totals_only_rise(
            rounds in prop::collection::vec(prop::collection::vec((0..4_u8, prop::option::of(0..u64::MAX)), 0..4), 1..20),
        ) {
            let mut ledger = Rounds::begun();
            let mut last = 0;
            for pods in rounds {
                let measured = pods.iter().map(|(name, requests)| match requests {
                    Some(requests) => pod(&name.to_string(), *requests),
                    None => silent(&name.to_string()),
                });
                if let Some(Traffic { total, .. }) = ledger.take(measured.collect()).requests {
                    prop_assert!(total >= last);
                    last = total;
                }
            }
        }
    }
}
