//! Which object is written next: bounded in flight, users' changes before flaps, the longest-waiting first.
//!
//! A key waits at most once, whatever happens to it meanwhile: what is written is computed when its turn comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::fleet::WriteOutcome;

/// How long an intermediate change may wait for the one that settles it.
pub const COALESCE: Duration = Duration::from_secs(1);

/// How long it may take until a status shows what an agent uses now.
pub const AT_LEISURE: Duration = Duration::from_mins(1);

const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// How long what was refused for good stays away: the same is refused again until somebody has done something.
pub const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// How much a write hurries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A user waits for it: before all others.
    User,
    /// At once.
    Now,
    /// Within [`COALESCE`]: another change is likely to follow.
    Soon,
    /// Within [`AT_LEISURE`], or along with whatever else is written until then.
    Leisurely,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    user: bool,
    since: Duration,
    due: Duration,
}

/// The queue of writes of one kind of key.
#[derive(Debug, Clone)]
pub struct WriteQueue<K> {
    limit: usize,
    waiting: BTreeMap<K, Waiting>,
    /// Due: (not a user's, since when, which).
    ready: BTreeSet<(bool, Duration, K)>,
    /// Not due yet, or backing off.
    delayed: BTreeSet<(Duration, K)>,
    /// With what came for the key meanwhile.
    in_flight: BTreeMap<K, Option<Waiting>>,
    failures: BTreeMap<K, u32>,
}

impl<K: Ord + Clone> WriteQueue<K> {
    /// A queue that has at most `limit` writes in flight.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: BTreeMap::new(),
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// The object should be looked at. A key that waits already keeps its place, or moves forward.
    pub fn want(&mut self, key: K, urgency: Urgency, now: Duration) {
        let due = match urgency {
            Urgency::User | Urgency::Now => now,
            Urgency::Soon => now + COALESCE,
            Urgency::Leisurely => now + AT_LEISURE,
        };
        let mut wanted = Waiting { user: urgency == Urgency::User, since: now, due };
        if let Some(again) = self.in_flight.get_mut(&key) {
            *again = Some(again.map_or(wanted, |a| a.join(wanted)));
            return;
        }
        if let Some(waiting) = self.waiting.get(&key) {
            // What backs off after a failure isn't hurried by flaps, or they would make a hot loop of it.
            if self.failures.contains_key(&key) && !wanted.user {
                wanted.due = wanted.due.max(waiting.due);
            }
            wanted = waiting.join(wanted);
        }
        self.place(key, wanted, now);
    }

    /// The next key to write, which is in flight from then on; none when nothing is due or the limit is reached.
    pub fn take(&mut self, now: Duration) -> Option<K> {
        if self.in_flight.len() >= self.limit {
            return None;
        }
        while let Some((due, key)) = self.delayed.first().cloned() {
            if due > now {
                break;
            }
            self.delayed.remove(&(due, key.clone()));
            if let Some(waiting) = self.waiting.get(&key) {
                self.ready.insert((!waiting.user, waiting.since, key));
            }
        }
        let (_, _, key) = self.ready.pop_first()?;
        self.waiting.remove(&key);
        self.in_flight.insert(key.clone(), None);
        Some(key)
    }

    /// The write is over, one way or another.
    pub fn answered(&mut self, key: &K, outcome: &WriteOutcome, now: Duration) {
        match outcome {
            WriteOutcome::Ok(_) | WriteOutcome::NotFound => self.done(key, now),
            WriteOutcome::Conflict | WriteOutcome::Failed(_) => self.failed(key, now),
            WriteOutcome::Invalid(_) => self.refused(key, now),
        }
    }

    /// The write is over, or there was nothing to write.
    pub fn done(&mut self, key: &K, now: Duration) {
        self.failures.remove(key);
        if let Some(Some(again)) = self.in_flight.remove(key) {
            self.place(key.clone(), again, now);
        }
    }

    /// The write failed: it is due again after a pause that doubles with each failure in a row.
    fn failed(&mut self, key: &K, now: Duration) {
        let Some(again) = self.in_flight.remove(key) else {
            return;
        };
        let count = self.failures.entry(key.clone()).or_insert(0);
        let pause = FIRST_BACKOFF.saturating_mul(1 << (*count).min(16)).min(LONGEST_BACKOFF);
        *count += 1;
        let retry = Waiting { user: again.is_some_and(|a| a.user), since: now, due: now + pause };
        self.place(key.clone(), retry, now);
    }

    /// The API server will never take it: it is due again after [`REFUSED_PAUSE`], or when a user changes something.
    fn refused(&mut self, key: &K, now: Duration) {
        let Some(again) = self.in_flight.remove(key) else {
            return;
        };
        *self.failures.entry(key.clone()).or_insert(0) += 1;
        let later = Waiting { user: false, since: now, due: now + REFUSED_PAUSE };
        self.place(key.clone(), again.filter(|a| a.user).unwrap_or(later), now);
    }

    /// The object is no more: nothing waits for it. What is in flight is still to be answered.
    pub fn forget(&mut self, key: &K) {
        self.unplace(key);
        self.failures.remove(key);
        if let Some(again) = self.in_flight.get_mut(key) {
            *again = None;
        }
    }

    /// Whether a write of the key waits or is in flight, and none has failed before.
    #[must_use]
    pub fn is_first_try(&self, key: &K) -> bool {
        (self.waiting.contains_key(key) || self.in_flight.contains_key(key))
            && !self.failures.contains_key(key)
    }

    /// When [`Self::take`] may next have something; none while only an answer can make it so.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.in_flight.len() >= self.limit {
            return None;
        }
        let ready = self.ready.first().map(|(_, since, _)| *since);
        ready.or_else(|| self.delayed.first().map(|(due, _)| *due))
    }

    fn place(&mut self, key: K, waiting: Waiting, now: Duration) {
        self.unplace(&key);
        if waiting.due <= now {
            self.ready.insert((!waiting.user, waiting.since, key.clone()));
        } else {
            self.delayed.insert((waiting.due, key.clone()));
        }
        self.waiting.insert(key, waiting);
    }

    fn unplace(&mut self, key: &K) {
        if let Some(old) = self.waiting.remove(key) {
            self.ready.remove(&(!old.user, old.since, key.clone()));
            self.delayed.remove(&(old.due, key.clone()));
        }
    }
}

impl Waiting {
    fn join(self, other: Self) -> Self {
        Self {
            user: self.user || other.user,
            since: self.since.min(other.since),
            due: self.due.min(other.due),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn users_go_first_and_then_whoever_waits_longest() {
        let mut queue = WriteQueue::new(8);
        queue.want("b", Urgency::Now, ms(1));
        queue.want("a", Urgency::Now, ms(2));
        queue.want("c", Urgency::User, ms(3));
        queue.want("b", Urgency::Now, ms(4));
        let order: Vec<_> = std::iter::from_fn(|| queue.take(ms(5))).collect();
        assert_eq!(order, ["c", "b", "a"]);
    }

    #[test]
    fn an_intermediate_change_waits_a_second_unless_something_hurries_it() {
        let mut queue = WriteQueue::new(8);
        queue.want("a", Urgency::Soon, ms(0));
        assert_eq!(queue.take(ms(999)), None);
        assert_eq!(queue.next_deadline(), Some(ms(1000)));
        queue.want("b", Urgency::Soon, ms(0));
        queue.want("b", Urgency::Now, ms(500));
        assert_eq!(queue.take(ms(500)), Some("b"));
        assert_eq!(queue.take(ms(1000)), Some("a"));
    }

    #[test]
    fn what_has_time_waits_a_minute_from_its_first_word_on() {
        let mut queue = WriteQueue::new(8);
        queue.want("a", Urgency::Leisurely, ms(0));
        queue.want("a", Urgency::Leisurely, ms(10_000));
        assert_eq!(queue.take(AT_LEISURE - ms(1)), None);
        assert_eq!(queue.take(AT_LEISURE), Some("a"));
        queue.want("b", Urgency::Leisurely, ms(0));
        queue.want("b", Urgency::Now, ms(5));
        assert_eq!(queue.take(ms(5)), Some("b"));
    }

    #[test]
    fn no_more_than_the_limit_are_in_flight_and_one_of_each_key() {
        let mut queue = WriteQueue::new(2);
        for key in ["a", "b", "c"] {
            queue.want(key, Urgency::Now, ms(0));
        }
        assert_eq!((queue.take(ms(0)), queue.take(ms(0)), queue.take(ms(0))), (Some("a"), Some("b"), None));
        assert_eq!(queue.next_deadline(), None, "only an answer helps");
        queue.want("a", Urgency::Now, ms(1));
        queue.done(&"a", ms(2));
        assert_eq!(queue.take(ms(2)), Some("c"), "it has waited longer");
        queue.done(&"b", ms(2));
        assert_eq!(queue.take(ms(2)), Some("a"));
    }

    #[test]
    fn failures_back_off_and_flaps_do_not_hurry_them() {
        let mut queue = WriteQueue::new(2);
        queue.want("a", Urgency::Now, ms(0));
        queue.take(ms(0)).unwrap();
        queue.failed(&"a", ms(0));
        queue.want("a", Urgency::Now, ms(10));
        assert_eq!(queue.take(ms(199)), None);
        assert_eq!(queue.take(ms(200)), Some("a"));
        queue.failed(&"a", ms(200));
        assert_eq!(queue.next_deadline(), Some(ms(600)));
        queue.want("a", Urgency::User, ms(300));
        assert_eq!(queue.take(ms(300)), Some("a"));
    }

    #[test]
    fn what_is_refused_comes_again_rarely_or_for_a_user() {
        let mut queue = WriteQueue::new(2);
        queue.want("a", Urgency::Now, ms(0));
        queue.take(ms(0)).unwrap();
        queue.want("a", Urgency::Now, ms(1));
        queue.refused(&"a", ms(2));
        queue.want("a", Urgency::Now, ms(10));
        assert_eq!(queue.next_deadline(), Some(ms(2) + REFUSED_PAUSE));
        queue.want("a", Urgency::User, ms(20));
        assert_eq!(queue.take(ms(20)), Some("a"));
        queue.want("a", Urgency::User, ms(21));
        queue.refused(&"a", ms(22));
        assert_eq!(queue.take(ms(22)), Some("a"), "the user's change came after what was refused");
        queue.done(&"a", ms(23));
        assert_eq!(queue.next_deadline(), None);
    }
}
