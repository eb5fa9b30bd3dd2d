//! Waves: which clusters may have a new revision of an agent, and what the others wait for.
//!
//! [`plan`] is a pure function of what is written down (`status.rollout`), what clusters say, and the time. It only ever adds
//! to the clusters that may have the revision, so that none goes back but for another revision. A hub that starts changes
//! nothing before those clusters have told how they do, or have had the time to.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::agent::{Rollout, RolloutState, RolloutStatus, Wave};
use parallax_crds::hash::SpecHash;
use parallax_crds::selector::matches;

/// For how many seconds a cluster has to fail after the last change: at first it may tell of the pods before.
const SETTLES: i32 = 10;

/// From which revision to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The number of the revision that clusters get.
    pub revision: i64,
    /// The number of the one that those have which wait.
    pub from: i64,
    /// The newest generation with the pods of that one.
    pub from_generation: i64,
    /// That one is stored, so that a hub that starts knows what clusters are to have that wait.
    pub is_safe: bool,
}

/// A cluster that is to have the revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which wave it belongs to, from 0.
    pub wave: usize,
    /// It runs the revision already, whatever is written down.
    pub has_it: bool,
    /// How the revision does there.
    pub word: Word,
}

/// What a cluster says of the revision. It means nothing where the cluster doesn't have it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// All of the cluster's replicas are ready, of this revision.
    Ready,
    /// They aren't yet.
    NotReady,
    /// They won't be without help; why.
    Failed(String),
    /// Its session is lost, or it is suspended.
    Away,
    /// It has yet to come back to a hub that has just started.
    Unheard,
}

/// What users have asked for; waves from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Waves up to this one may begin.
    pub approved: i32,
    /// What fails in the waves up to this one holds nothing up.
    pub excused: i32,
}

/// How a rollout is to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// To be written down. Clusters get the revision when it is.
    pub status: RolloutStatus,
    /// After how long it changes if nothing is heard until then; none: never.
    pub changes_after: Option<Duration>,
}

/// The wave that a cluster with `labels` belongs to, from 0; those that match none are one more.
#[must_use]
pub fn wave_of(waves: &[Wave], labels: &BTreeMap<String, String>) -> usize {
    waves.iter().position(|wave| matches(&wave.cluster_selector, labels)).unwrap_or(waves.len())
}

/// What tells waves from others.
#[must_use]
pub fn digest(waves: &[Wave]) -> String {
    SpecHash::of(&waves).map(|hash| hash.to_string()).unwrap_or_default()
}

/// How a rollout stands: `before` is what was written down of it last, if anything was.
///
/// A wave is over when all of its clusters are ready and were for as long as it says; the next one begins then, unless it
/// has to be approved. A cluster that fails halts all of it, where that is wished for, until somebody asks for it to go
/// on. A wave without clusters is passed over. Clusters that the agent is `leaving` keep what they were given, and are
/// waited for by nobody.
#[must_use]
pub fn plan(
    rollout: &Rollout,
    change: Change,
    members: &[Member<'_>],
    leaving: &[&str],
    before: Option<&RolloutStatus>,
    asked: Asked,
    now: Timestamp,
) -> Plan {
    let plan = digest(&rollout.waves);
    let known = before.filter(|before| before.revision == change.revision);
    if let Some(known) = known.filter(|known| known.state == RolloutState::Complete) {
        return Plan { status: known.clone(), changes_after: None };
    }
    let may = known.map(|known| known.clusters.iter().map(String::as_str).collect()).unwrap_or_default();
    let mut course = Course {
        rollout,
        members,
        is_safe: change.is_safe,
        may,
        asked,
        // Edited waves are counted anew; who has the revision keeps it.
        before: known.filter(|known| known.plan == plan),
        now,
        opened: false,
        moved: false,
    };
    course.keep_what_is_there(leaving);
    course.moved = course.before.is_some_and(|before| before.updated != course.updated());
    if let Some(known) = known.filter(|_| course.is_starting()) {
        return Plan { status: known.clone(), changes_after: None };
    }
    let (state, wave, message) = course.follow();
    course.written(change, plan, state, wave, message)
}

/// A rollout on its way.
struct Course<'a> {
    rollout: &'a Rollout,
    members: &'a [Member<'a>],
    is_safe: bool,
    /// Those that may have the revision.
    may: BTreeSet<&'a str>,
    asked: Asked,
    before: Option<&'a RolloutStatus>,
    now: Timestamp,
    /// Others may have it now than before.
    opened: bool,
    /// Another number of clusters than before has it ready.
    moved: bool,
}

impl<'a> Course<'a> {
    /// Clusters that run the revision may have it; those that no longer have the agent are forgotten.
    fn keep_what_is_there(&mut self, leaving: &[&str]) {
        let names: BTreeSet<_> = self.members.iter().map(|member| member.name).collect();
        self.may.retain(|name| names.contains(name) || leaving.contains(name));
        self.may.extend(self.members.iter().filter(|member| member.has_it).map(|member| member.name));
    }

    /// Some that may have the revision have yet to come back.
    fn is_starting(&self) -> bool {
        self.members.iter().any(|member| self.may(member) && member.word == Word::Unheard)
    }

    fn follow(&mut self) -> (RolloutState, usize, String) {
        let mut wave = self.before.map_or(0, |before| usize::try_from(before.wave - 1).unwrap_or(0));
        wave = wave.min(self.last());
        if let Some(halted) = self.halted(wave) {
            return (RolloutState::Halted, wave, halted);
        }
        if self.rollout.paused {
            return (RolloutState::Paused, wave, words::PAUSED.to_owned());
        }
        // A cluster has come to a wave that was passed over.
        if let Some(earlier) = (0..wave).find(|earlier| self.needs_approval(*earlier)) {
            return (RolloutState::WaitingForApproval, wave, words::approval(earlier, self.waves()));
        }
        loop {
            // Clusters that have come to them since.
            (0..wave).for_each(|earlier| self.open(earlier));
            if self.of(wave).next().is_some() || self.is_behind(wave).is_some() {
                if self.needs_approval(wave) {
                    return (RolloutState::WaitingForApproval, wave, words::approval(wave, self.waves()));
                }
                self.open(wave);
                if let Some(waiting) = self.waits_for(wave) {
                    return (RolloutState::Progressing, wave, waiting);
                }
                if let Some(waiting) = self.looks_at(wave) {
                    return (RolloutState::Observing, wave, waiting);
                }
            } else if self.members.is_empty() {
                return (RolloutState::Progressing, wave, words::NOWHERE.to_owned());
            }
            if wave == self.last() {
                return (RolloutState::Complete, wave, String::new());
            }
            wave += 1;
        }
    }

    /// The last wave: that of the clusters which match none, if there are any.
    fn last(&self) -> usize {
        let unmatched = self.members.iter().map(|member| member.wave).max().unwrap_or(0);
        unmatched.max(self.rollout.waves.len().saturating_sub(1))
    }

    fn waves(&self) -> usize {
        self.last() + 1
    }

    fn of(&self, wave: usize) -> impl Iterator<Item = &'a Member<'a>> {
        self.members.iter().filter(move |member| member.wave == wave)
    }

    fn may(&self, member: &Member<'_>) -> bool {
        self.may.contains(member.name)
    }

    fn is_excused(&self, member: &Member<'_>) -> bool {
        !self.rollout.halt_on_failure || position(member.wave) <= self.asked.excused
    }

    /// Nothing has become of the wave for too long.
    fn is_late(&self, wave: usize) -> bool {
        !self.opened
            && !self.moved
            && self
                .due(RolloutState::Progressing, wave, self.rollout.progress_deadline_seconds)
                .is_some_and(|due| due <= self.now)
    }

    /// When this state of this wave will have lasted for so many seconds; none: it isn't in it.
    fn due(&self, state: RolloutState, wave: usize, seconds: i32) -> Option<Timestamp> {
        let before = self.before.filter(|b| b.state == state && b.wave == position(wave))?;
        Some(after(before.since.0, seconds))
    }

    /// Why no cluster gets the revision any more, if that is so.
    fn halted(&self, wave: usize) -> Option<String> {
        let late = self.is_late(wave);
        let settled = self.before.is_some_and(|before| {
            before.state == RolloutState::Halted || after(before.since.0, SETTLES) <= self.now
        });
        let seconds = self.rollout.progress_deadline_seconds;
        let failure = |member: &&Member<'_>| match &member.word {
            _ if !self.may(member) || self.is_excused(member) => None,
            Word::Failed(why) if settled => Some(words::failed(member.name, why)),
            Word::NotReady if late => Some(words::late(member.name, seconds)),
            Word::Ready | Word::NotReady | Word::Failed(_) | Word::Away | Word::Unheard => None,
        };
        let failed = self.members.iter().find_map(|member| failure(&member));
        let stays = self
            .before
            .filter(|before| before.state == RolloutState::Halted && self.rollout.halt_on_failure)
            .filter(|_| position(wave) > self.asked.excused);
        // It is told what began it: what has failed may look otherwise by now.
        stays.and_then(|before| before.message.clone()).or(failed)
    }

    fn needs_approval(&self, wave: usize) -> bool {
        let asks = self.rollout.waves.get(wave).is_some_and(|wave| wave.approval);
        asks && self.asked.approved < position(wave) && !self.of(wave).all(|member| self.may(member))
    }

    /// A cluster of an earlier wave that has come since, or had the revision ready and hasn't any longer.
    fn is_behind(&self, wave: usize) -> Option<&'a Member<'a>> {
        let holds = |member: &&Member<'_>| {
            member.wave < wave
                && !self.is_excused(member)
                && (!self.may(member) || matches!(member.word, Word::NotReady | Word::Failed(_)))
        };
        self.members.iter().find(holds)
    }

    /// Lets so many more clusters of a wave have the revision as may be changing at a time.
    fn open(&mut self, wave: usize) {
        let fails = |member: &Member<'_>| {
            self.may(member) && !self.is_excused(member) && matches!(member.word, Word::Failed(_))
        };
        if !self.is_safe || self.is_behind(wave).is_some() || self.members.iter().any(fails) {
            return;
        }
        let most = self.rollout.waves.get(wave).and_then(|wave| wave.max_concurrency);
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(0));
        let changing = self.of(wave).filter(|member| self.may(member) && self.holds_up(member, wave)).count();
        // Who can't be told now would only keep the place from others.
        let is_there = |member: &Member<'_>| !matches!(member.word, Word::Away | Word::Unheard);
        let waits = |member: &&Member<'_>| !self.may(member) && (most == usize::MAX || is_there(member));
        let next: Vec<_> = self.of(wave).filter(waits).take(most.saturating_sub(changing)).collect();
        self.opened |= !next.is_empty();
        self.may.extend(next.into_iter().map(|member| member.name));
    }

    /// Its wave isn't over as long as that cluster is so.
    fn holds_up(&self, member: &Member<'_>, wave: usize) -> bool {
        let excused = self.is_excused(member);
        let observes = self.due(RolloutState::Observing, wave, 0).is_some();
        match &member.word {
            // Before it has the revision, it says nothing of it.
            _ if !self.may(member) => true,
            Word::Ready => false,
            Word::Failed(_) => !excused,
            // What wasn't waited for isn't while the others are looked at.
            Word::NotReady => !(excused && (observes || self.is_late(wave))),
            // What was seen to be ready counts on while it is looked at.
            Word::Away | Word::Unheard => !(observes || (excused && self.is_late(wave))),
        }
    }

    /// What the wave waits for; none: all of it is ready.
    fn waits_for(&self, wave: usize) -> Option<String> {
        let holding: Vec<_> = self.of(wave).filter(|member| self.holds_up(member, wave)).collect();
        let first = holding.first().copied().or_else(|| self.is_behind(wave))?;
        let is_ready = |member: &&Member<'_>| self.may(member) && member.word == Word::Ready;
        let (ready, all) = (self.of(wave).filter(is_ready).count(), self.of(wave).count());
        let away = first.word == Word::Away;
        Some(words::progress(wave, self.waves(), (ready, all), first.name, away))
    }

    /// Until when the wave, which is ready, is looked at; none: it was for long enough.
    fn looks_at(&self, wave: usize) -> Option<String> {
        let seconds = self.rollout.waves.get(wave).map_or(0, |wave| wave.pause_seconds);
        let due = self.due(RolloutState::Observing, wave, seconds);
        let away = self.of(wave).find(|member| member.word == Word::Away && !self.is_excused(member));
        match (due, away) {
            (Some(due), None) if due <= self.now => None,
            // Nothing goes on by what was heard before.
            (Some(due), Some(away)) if due <= self.now => {
                let all = self.of(wave).count();
                Some(words::progress(wave, self.waves(), (all - 1, all), away.name, true))
            }
            (Some(due), _) => Some(words::observing(wave, self.waves(), due)),
            (None, _) if seconds == 0 => None,
            (None, _) => Some(words::observing(wave, self.waves(), after(next_second(self.now), seconds))),
        }
    }

    /// How many of those that may have the revision are so.
    fn count(&self, test: impl Fn(&Member<'_>) -> bool) -> i32 {
        let count = self.members.iter().filter(|member| self.may(member) && test(member)).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    fn updated(&self) -> i32 {
        let ready = self.count(|member| member.word == Word::Ready);
        let silent = self.count(|member| matches!(member.word, Word::Away | Word::Unheard));
        // Who doesn't say may be as it was.
        self.before.map_or(ready, |before| before.updated.clamp(ready, ready + silent))
    }

    fn written(
        &self,
        change: Change,
        plan: String,
        state: RolloutState,
        wave: usize,
        message: String,
    ) -> Plan {
        let updated = self.updated();
        let complete = state == RolloutState::Complete;
        let total = i32::try_from(self.members.len()).unwrap_or(i32::MAX);
        let stays = self.before.filter(|before| {
            let same = (before.state, before.wave) == (state, position(wave));
            same && !self.opened && (before.updated == updated || state == RolloutState::Observing)
        });
        let since = stays.map_or_else(|| Time(next_second(self.now)), |before| before.since.clone());
        let status = RolloutStatus {
            revision: change.revision,
            from: change.from,
            from_generation: change.from_generation,
            wave: position(wave),
            waves: position(self.last()),
            state,
            since,
            updated: if complete { total } else { updated },
            total,
            message: (!message.is_empty()).then_some(message),
            plan,
            clusters: if complete {
                Vec::new()
            } else {
                self.may.iter().map(|name| (*name).to_owned()).collect()
            },
        };
        let pause = self.rollout.waves.get(wave).map_or(0, |wave| wave.pause_seconds);
        let lasts = match state {
            RolloutState::Progressing if updated < status.total => {
                Some(self.rollout.progress_deadline_seconds)
            }
            RolloutState::Observing => Some(pause),
            _ => None,
        };
        let fails = |member: &Member<'_>| !self.is_excused(member) && matches!(member.word, Word::Failed(_));
        let settles = (state != RolloutState::Halted && self.count(fails) > 0).then_some(SETTLES);
        let lasts = lasts.into_iter().chain(settles).min();
        let left = |seconds| Duration::try_from(after(status.since.0, seconds).duration_since(self.now)).ok();
        let changes_after = lasts.and_then(left).filter(|left| !left.is_zero());
        Plan { status, changes_after }
    }
}

/// From 1, as people count.
fn position(wave: usize) -> i32 {
    i32::try_from(wave + 1).unwrap_or(i32::MAX)
}

fn after(at: Timestamp, seconds: i32) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(at)
}

/// As the API keeps times, and never early.
fn next_second(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
