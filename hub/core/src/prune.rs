//! The prune guard of one cluster: which removals go, and which wait for an administrator.
//!
//! What a member holds and the hub knows nothing about is never removed by itself, however little it is: an empty or
//! foreign hub, an old backup, a CRD that vanished all look like that. And decisions that would take more than
//! a few of a cluster's agents from it within ten minutes look like a label edited by mistake.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use parallax_crds::{AgentKey, AgentRef, Incarnation};
use sha2::{Digest, Sha256};

/// How long a removal counts.
const WINDOW: Duration = Duration::from_secs(600);
/// So many removals within [`WINDOW`] always pass, however few agents the cluster has.
const ALWAYS: usize = 5;
/// So many percent of the cluster's agents pass.
const PERCENT: usize = 30;
/// So many of the held agents are named.
const NAMED: usize = 10;

/// What is held, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// What an approval has to name: 16 hexadecimal digits over exactly the removals that are held.
    pub digest: String,
    /// Held because the hub knows nothing of them.
    pub unknown: usize,
    /// Held because they are too many.
    pub many: usize,
    /// Held because the decision that removes them was made without knowing where all copies are.
    pub unsure: usize,
    /// The first few, "namespace/name".
    pub named: Vec<String>,
}

impl Blocked {
    /// A CamelCase word for the condition.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match (self.unknown, self.many) {
            (0, 0) => "DecisionLost",
            (0, _) => "TooManyRemovals",
            _ => "UnknownAgents",
        }
    }

    /// What the condition says.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        if self.unknown > 0 {
            let _ = write!(text, "the cluster holds {} that the hub does not know", agents(self.unknown));
        }
        if self.many > 0 {
            let and = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{and}{} would lose the cluster within ten minutes", agents(self.many));
        }
        if self.unsure > 0 {
            let and = if text.is_empty() { "" } else { "; " };
            let _ = write!(
                text,
                "{and}{} with a lost status.placement would lose the cluster while others have not told what they hold",
                agents(self.unsure)
            );
        }
        let more = (self.unknown + self.many + self.unsure).saturating_sub(self.named.len());
        let _ = write!(text, ": {}", self.named.join(", "));
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
        let _ = write!(
            text,
            ". Nothing of them is removed until the MemberCluster is annotated {}={}",
            parallax_crds::labels::PRUNE_APPROVE,
            self.digest
        );
        text
    }
}

fn agents(count: usize) -> String {
    if count == 1 { "1 agent".to_owned() } else { format!("{count} agents") }
}

/// The guard of one cluster.
#[derive(Debug, Clone, Default)]
pub struct PruneGuard {
    /// With the replicas that the cluster has of them.
    unknown: BTreeMap<AgentKey, (Incarnation, i32)>,
    /// Of the unknown, those that the current session hasn't confirmed yet.
    remembered: BTreeSet<AgentKey>,
    asked: BTreeMap<AgentKey, Incarnation>,
    held: BTreeMap<AgentKey, Incarnation>,
    unsure: BTreeMap<AgentKey, Incarnation>,
    passed: VecDeque<Duration>,
}

impl PruneGuard {
    /// The cluster holds so many replicas of an agent that the hub knows nothing of.
    pub fn hold_unknown(&mut self, agent: AgentRef, replicas: i32) {
        self.remembered.remove(&agent.key);
        self.unknown.insert(agent.key, (agent.incarnation, replicas));
    }

    /// A decision wants an agent removed that other clusters may hold too, nobody knows: not before they have told,
    /// and it is asked again.
    pub fn hold_unsure(&mut self, agent: AgentRef) {
        self.asked.remove(&agent.key);
        self.held.remove(&agent.key);
        self.unsure.insert(agent.key, agent.incarnation);
    }

    /// A decision wants an agent removed; [`Self::judge`] says whether it may.
    pub fn ask(&mut self, agent: AgentRef) {
        self.unsure.remove(&agent.key);
        if self.held.get(&agent.key) != Some(&agent.incarnation) {
            self.held.remove(&agent.key);
            self.asked.insert(agent.key, agent.incarnation);
        }
    }

    /// The agent is meant to be there after all, or is gone, or may go for another reason. Whether that changes what is held.
    pub fn clear(&mut self, key: &AgentKey) -> bool {
        self.asked.remove(key);
        let unknown = self.unknown.remove(key).is_some();
        let unsure = self.unsure.remove(key).is_some();
        self.held.remove(key).is_some() || unknown || unsure
    }

    /// The replicas of an agent that was held as unknown; it no longer is, since the hub knows it now.
    pub fn recognise(&mut self, agent: &AgentRef) -> Option<i32> {
        let (_, replicas) =
            self.unknown.get(&agent.key).filter(|(incarnation, _)| *incarnation == agent.incarnation)?;
        let replicas = *replicas;
        self.unknown.remove(&agent.key);
        Some(replicas)
    }

    /// A new session begins: what the cluster holds is learnt anew.
    pub fn relearn(&mut self) {
        self.remembered = self.unknown.keys().cloned().collect();
    }

    /// The session has said all that it holds: what it didn't name, it holds no longer. Whether that changes anything.
    pub fn learnt(&mut self) -> bool {
        let gone = std::mem::take(&mut self.remembered);
        let before = self.unknown.len();
        self.unknown.retain(|key, _| !gone.contains(key));
        self.unknown.len() != before
    }

    /// Whether something is to be judged.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Judges everything that was asked since the last time, together: all of it passes, or all is held.
    /// `agents` is how many the cluster had before, and `leaving` how many of them are about to be asked for: they count
    /// already, or the first of many would go while the others wait for those that replace them. Returns what may go.
    pub fn judge(&mut self, agents: usize, leaving: usize, now: Duration) -> Vec<AgentRef> {
        while self.passed.front().is_some_and(|at| *at + WINDOW <= now) {
            self.passed.pop_front();
        }
        let asked = std::mem::take(&mut self.asked);
        let limit = ALWAYS.max((agents + self.passed.len()) * PERCENT / 100);
        if asked.len() + leaving + self.held.len() + self.passed.len() > limit {
            self.held.extend(asked);
            return Vec::new();
        }
        self.passed.extend(asked.iter().map(|_| now));
        refs(asked)
    }

    /// Lets everything go that was asked since the last time, however much it is: it is meant.
    pub fn pass(&mut self, now: Duration) -> Vec<AgentRef> {
        let asked = std::mem::take(&mut self.asked);
        self.passed.extend(asked.iter().map(|_| now));
        refs(asked)
    }

    /// What is held, if anything is.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        if self.unknown.is_empty() && self.held.is_empty() && self.unsure.is_empty() {
            return None;
        }
        let unknown = self.unknown.iter().map(|(key, (incarnation, _))| ("unknown", key, incarnation));
        let many = self.held.iter().map(|(key, incarnation)| ("many", key, incarnation));
        let unsure = self.unsure.iter().map(|(key, incarnation)| ("unsure", key, incarnation));
        let mut hasher = Sha256::new();
        for (kind, key, incarnation) in unknown.chain(many).chain(unsure) {
            hasher.update(format!("{kind} {key} {incarnation}\n"));
        }
        let mut digest = String::new();
        for byte in &hasher.finalize()[..8] {
            let _ = write!(digest, "{byte:02x}");
        }
        let named = self
            .unknown
            .keys()
            .chain(self.held.keys())
            .chain(self.unsure.keys())
            .take(NAMED)
            .map(ToString::to_string)
            .collect();
        let (unknown, many, unsure) = (self.unknown.len(), self.held.len(), self.unsure.len());
        Some(Blocked { digest, unknown, many, unsure, named })
    }

    /// An administrator approves what `digest` stands for. Everything that is held may go, if that is exactly
    /// what is held; otherwise nothing.
    pub fn approve(&mut self, digest: &str) -> Option<Vec<AgentRef>> {
        if self.blocked()?.digest != digest {
            return None;
        }
        let unknown = std::mem::take(&mut self.unknown);
        let mut all: BTreeMap<_, _> =
            unknown.into_iter().map(|(key, (incarnation, _))| (key, incarnation)).collect();
        all.append(&mut self.held);
        all.append(&mut self.unsure);
        Some(refs(all))
    }
}

fn refs(set: BTreeMap<AgentKey, Incarnation>) -> Vec<AgentRef> {
    set.into_iter().map(|(key, incarnation)| AgentRef { key, incarnation }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn agent(n: usize) -> AgentRef {
        parallax_crds::fixtures::agent(&format!("default/a{n}"), &format!("u{n}"))
    }

    fn ask(guard: &mut PruneGuard, range: std::ops::Range<usize>, agents: usize, at: u64) -> usize {
        range.for_each(|n| guard.ask(agent(n)));
        guard.judge(agents, 0, Duration::from_secs(at)).len()
    }

    #[test]
    fn five_always_pass_and_the_sixth_within_ten_minutes_is_held() {
        let mut guard = PruneGuard::default();
        assert_eq!(ask(&mut guard, 0..5, 6, 0), 5);
        assert_eq!(ask(&mut guard, 5..6, 1, 599), 0);
        assert_eq!(guard.blocked().unwrap().many, 1);
    }

    #[test]
    fn removals_stop_counting_after_ten_minutes() {
        let mut guard = PruneGuard::default();
        assert_eq!(ask(&mut guard, 0..5, 6, 0), 5);
        assert_eq!(ask(&mut guard, 5..6, 1, 600), 1);
        assert_eq!(guard.blocked(), None);
    }

    #[test]
    fn a_mass_removal_is_held_whole() {
        let mut guard = PruneGuard::default();
        assert_eq!(ask(&mut guard, 0..100, 100, 0), 0);
        assert_eq!(guard.blocked().unwrap().many, 100);
        assert_eq!(
            ask(&mut guard, 100..130, 300, 0),
            0,
            "with the held ones they are more than thirty percent"
        );
    }

    #[test]
    fn thirty_percent_pass() {
        assert_eq!(ask(&mut PruneGuard::default(), 0..30, 100, 0), 30);
        assert_eq!(ask(&mut PruneGuard::default(), 0..31, 100, 0), 0);
    }

    #[test]
    fn only_the_digest_of_exactly_what_is_held_approves_it() {
        let mut guard = PruneGuard::default();
        guard.hold_unknown(agent(1), 1);
        let digest = guard.blocked().unwrap().digest;
        guard.hold_unknown(agent(2), 1);
        assert_eq!(guard.approve(&digest), None);
        assert_eq!(guard.approve(""), None);
        let digest = guard.blocked().unwrap().digest;
        assert_eq!(guard.approve(&digest).unwrap().len(), 2);
        assert_eq!(guard.blocked(), None);
        assert_eq!(guard.approve(&digest), None, "an approval is used once");
    }

    #[test]
    fn what_is_wanted_again_is_no_longer_held() {
        let mut guard = PruneGuard::default();
        ask(&mut guard, 0..100, 100, 0);
        (0..100).for_each(|n| assert!(guard.clear(&agent(n).key)));
        assert_eq!(guard.blocked(), None);
    }

    #[test]
    fn the_listing_is_bounded() {
        let mut guard = PruneGuard::default();
        (0..1000).for_each(|n| guard.hold_unknown(agent(n), 1));
        let blocked = guard.blocked().unwrap();
        assert_eq!(blocked.named.len(), NAMED);
        assert!(blocked.message().contains("and 990 more"), "{}", blocked.message());
        assert!(blocked.message().len() < 32_768);
    }
}
