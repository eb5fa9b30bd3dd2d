//! A work queue of agents: each is worked on by one at a time, and once more when something changed meanwhile.
//!
//! What an agent's turn does first is what others depend on (its order is kept, its Deployment written); the rest can
//! wait. While many agents are ready, a turn is put off after its first part ([`Turn::may_linger`]), so that slow
//! requests for the rest never hold up the first part of another agent's.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parallax_crds::AgentKey;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The pause after the first failure of an agent's work; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The queue.
pub struct Queue {
    /// Turns that may linger at the same time.
    seats: usize,
    state: Mutex<State>,
    wake: Notify,
    rest: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<AgentKey>,
    queued: HashSet<AgentKey>,
    working: HashMap<AgentKey, Meanwhile>,
    put_off: PutOff,
    /// How many of `working` linger.
    lingering: usize,
    later: Later,
    failures: HashMap<AgentKey, u32>,
}

/// What is to follow on a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Something changed.
    Changed,
}

/// Agents whose turn was put off, the longest-waiting first. A further turn that is put off too keeps the place.
#[derive(Default)]
struct PutOff {
    serial: u64,
    places: HashMap<AgentKey, u64>,
    order: BTreeSet<(u64, AgentKey)>,
}

impl PutOff {
    fn add(&mut self, key: &AgentKey) {
        self.serial += 1;
        let place = *self.places.entry(key.clone()).or_insert(self.serial);
        self.order.insert((place, key.clone()));
    }

    fn remove(&mut self, key: &AgentKey) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&(place, key.clone()));
        }
    }

    /// The first that nobody works on.
    fn first(&self, working: &HashMap<AgentKey, Meanwhile>) -> Option<AgentKey> {
        self.order.iter().map(|(_, key)| key).find(|key| !working.contains_key(*key)).cloned()
    }
}

/// When agents are due, one time each.
#[derive(Default)]
struct Later {
    due: HashMap<AgentKey, Instant>,
    order: BTreeSet<(Instant, AgentKey)>,
}

impl Later {
    fn set(&mut self, key: &AgentKey, due: Instant) {
        self.remove(key);
        self.due.insert(key.clone(), due);
        self.order.insert((due, key.clone()));
    }

    fn remove(&mut self, key: &AgentKey) {
        if let Some(due) = self.due.remove(key) {
            self.order.remove(&(due, key.clone()));
        }
    }

    fn pop(&mut self, now: Instant) -> Option<AgentKey> {
        let (_, key) = self.order.first().filter(|(due, _)| *due <= now).cloned()?;
        self.remove(&key);
        Some(key)
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.working.is_empty() && self.put_off.order.is_empty()
    }

    fn add(&mut self, key: &AgentKey) -> bool {
        if let Some(meanwhile) = self.working.get_mut(key) {
            *meanwhile = Meanwhile::Changed;
            return false;
        }
        let new = self.queued.insert(key.clone());
        if new {
            self.ready.push_back(key.clone());
        }
        new
    }

    /// Who is next, and whether the turn lingers from its start.
    fn take(&mut self, seats: usize) -> Option<(AgentKey, bool)> {
        if let Some(key) = self.ready.pop_front() {
            self.queued.remove(&key);
            return Some((key, false));
        }
        if self.lingering >= seats {
            return None;
        }
        let key = self.put_off.first(&self.working)?;
        self.put_off.remove(&key);
        self.lingering += 1;
        Some((key, true))
    }
}

impl Queue {
    /// An empty queue. At most `seats` turns linger at the same time.
    pub fn new(seats: usize) -> Arc<Self> {
        Arc::new(Self { seats, state: Mutex::default(), wake: Notify::default(), rest: Notify::default() })
    }

    /// Something of this agent is to be done, now.
    pub fn add(&self, key: &AgentKey) {
        if self.state.lock().add(key) {
            self.wake.notify_one();
        }
    }

    /// Something of this agent is to be done, after a while; what is due earlier already stays so.
    pub fn add_after(&self, key: &AgentKey, pause: Duration) {
        let due = Instant::now() + pause;
        let mut state = self.state.lock();
        let due = state.later.due.get(key).map_or(due, |earlier| due.min(*earlier));
        state.later.set(key, due);
        drop(state);
        self.wake.notify_one();
    }

    /// The work failed and is to be tried again, after a pause that doubles with each failure; `jitter`, from 0
    /// to 1, shortens it by up to a half. However many turns fail, an agent waits for one retry at most.
    pub fn retry(&self, key: &AgentKey, jitter: f64) {
        let mut state = self.state.lock();
        let failures = state.failures.entry(key.clone()).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(10)).min(LONGEST_PAUSE);
        *failures = failures.saturating_add(1);
        state.later.set(key, Instant::now() + shortened(pause, jitter));
        drop(state);
        self.wake.notify_one();
    }

    /// Another try is worth it only after somebody else changed something: the next one is after the longest pause,
    /// which `jitter` shortens as in [`Self::retry`].
    pub fn retry_late(&self, key: &AgentKey, jitter: f64) {
        let mut state = self.state.lock();
        state.failures.remove(key);
        state.later.set(key, Instant::now() + shortened(LONGEST_PAUSE, jitter));
        drop(state);
        self.wake.notify_one();
    }

    /// The work went well.
    pub fn settled(&self, key: &AgentKey) {
        self.state.lock().failures.remove(key);
    }

    /// Agents that wait for a worker.
    pub fn depth(&self) -> usize {
        let state = self.state.lock();
        state.ready.len() + state.put_off.order.len()
    }

    /// Returns once nobody waits for a worker and nobody is in work. For one caller at a time.
    pub async fn idle(&self) {
        while !self.state.lock().is_idle() {
            self.rest.notified().await;
        }
    }

    /// The next agent to work on: it is in work until its turn is dropped.
    pub async fn next(self: &Arc<Self>) -> Turn {
        loop {
            let until = {
                let mut state = self.state.lock();
                let now = Instant::now();
                while let Some(key) = state.later.pop(now) {
                    state.add(&key);
                }
                if let Some((key, lingers)) = state.take(self.seats) {
                    state.working.insert(key.clone(), Meanwhile::Nothing);
                    return Turn { queue: Arc::clone(self), key, lingers };
                }
                state.later.order.first().map(|(due, _)| *due)
            };
            match until {
                Some(due) => drop(tokio::time::timeout_at(due, self.wake.notified()).await),
                None => self.wake.notified().await,
            }
        }
    }

    fn done(&self, key: &AgentKey, lingered: bool) {
        let mut state = self.state.lock();
        state.lingering -= usize::from(lingered);
        if state.working.remove(key) == Some(Meanwhile::Changed) {
            state.add(key);
        }
        if state.is_idle() {
            self.rest.notify_one();
        } else {
            // For what came meanwhile, what was put off, or the seat that is free.
            self.wake.notify_one();
        }
    }
}

fn shortened(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// An agent's turn. It is over when it is dropped: whatever happens in it, a panic too, the agent's next one can come.
#[must_use]
pub struct Turn {
    queue: Arc<Queue>,
    key: AgentKey,
    lingers: bool,
}

impl Turn {
    /// Whose turn it is.
    pub fn key(&self) -> &AgentKey {
        &self.key
    }

    /// Whether the turn may go on with what can wait. If not, it is put off: the agent gets a turn that may, and this
    /// one is to end.
    pub fn may_linger(&mut self) -> bool {
        let mut state = self.queue.state.lock();
        if !self.lingers {
            let next = state.put_off.order.is_empty() || state.put_off.places.contains_key(&self.key);
            if state.lingering < self.queue.seats && next {
                state.lingering += 1;
                self.lingers = true;
            }
        }
        if self.lingers {
            state.put_off.remove(&self.key);
        } else {
            state.put_off.add(&self.key);
        }
        self.lingers
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.done(&self.key, self.lingers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> AgentKey {
        AgentKey::new("team", name)
    }

    #[tokio::test]
    async fn an_agent_is_queued_once_and_worked_on_by_one() {
        let queue = Queue::new(2);
        queue.add(&key("a"));
        queue.add(&key("a"));
        queue.add(&key("b"));
        let [first, second] = [queue.next().await, queue.next().await];
        assert_eq!([first.key(), second.key()], [&key("a"), &key("b")]);
        queue.add(&key("a"));
        assert_eq!(queue.depth(), 0);
        drop(first);
        let again = queue.next().await;
        assert_eq!(again.key(), &key("a"));
        drop((again, second));
        queue.idle().await;
    }

    #[tokio::test]
    async fn a_turn_that_ends_in_a_panic_is_over() {
        let queue = Queue::new(2);
        queue.add(&key("a"));
        let turn = queue.next().await;
        queue.add(&key("a"));
        let work = tokio::spawn(async move { panic!("{} can't be worked on", turn.key()) });
        assert!(work.await.is_err_and(|error| error.is_panic()));
        assert_eq!(queue.depth(), 1, "what changed meanwhile is looked at");
        drop(queue.next().await);
        queue.idle().await;
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_are_forgotten_when_it_went_well() {
        let queue = Queue::new(2);
        let mut waited = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            queue.retry(&key("a"), 0.0);
            drop(queue.next().await);
            waited.push(began.elapsed().as_millis());
        }
        assert_eq!(waited, [250, 500, 1000]);
        queue.settled(&key("a"));
        let began = Instant::now();
        queue.retry(&key("a"), 0.0);
        drop(queue.next().await);
        assert_eq!(began.elapsed().as_millis(), 250);
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_others_can_mend_is_tried_after_the_longest_pause_or_when_something_changes() {
        let queue = Queue::new(2);
        let began = Instant::now();
        queue.retry_late(&key("a"), 0.0);
        drop(queue.next().await);
        assert_eq!(began.elapsed(), LONGEST_PAUSE);
        queue.retry_late(&key("a"), 0.0);
        queue.add(&key("a"));
        let began = Instant::now();
        drop(queue.next().await);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_waits_for_one_retry_however_often_its_work_fails() {
        let queue = Queue::new(2);
        for _ in 0..20 {
            queue.add(&key("a"));
            drop(queue.next().await);
            queue.retry(&key("a"), 0.0);
        }
        drop(queue.next().await);
        let further = tokio::time::timeout(LONGEST_PAUSE * 2, queue.next()).await;
        assert!(further.is_err(), "a second retry of the same agent was waiting");
    }

    #[tokio::test]
    async fn what_can_wait_leaves_workers_to_others_and_follows_in_its_order() {
        let queue = Queue::new(1);
        ["a", "b", "c"].iter().for_each(|name| queue.add(&key(name)));
        let mut first = queue.next().await;
        assert!(first.may_linger(), "there is a seat");
        for _ in ["b", "c"] {
            assert!(!queue.next().await.may_linger(), "there was one");
        }
        assert_eq!(queue.depth(), 2);
        // Something happens to one that was put off: it comes at once, and keeps its place for the rest.
        queue.add(&key("b"));
        let mut again = queue.next().await;
        assert!(!again.may_linger());
        assert_eq!(again.key(), &key("b"));
        drop(again);
        drop(first);
        for name in ["b", "c"] {
            let mut turn = queue.next().await;
            assert_eq!(turn.key(), &key(name));
            assert!(turn.may_linger());
        }
        queue.idle().await;
    }

    #[tokio::test]
    async fn nobody_overtakes_those_that_were_put_off() {
        let queue = Queue::new(1);
        queue.add(&key("a"));
        let mut a = queue.next().await;
        assert!(a.may_linger());
        queue.add(&key("b"));
        assert!(!queue.next().await.may_linger());
        queue.add(&key("c"));
        let mut c = queue.next().await;
        drop(a);
        assert!(!c.may_linger(), "b was first");
        drop(c);
        let mut next = queue.next().await;
        assert!(next.may_linger());
        assert_eq!(next.key(), &key("b"));
        drop(next);
        assert_eq!(queue.next().await.key(), &key("c"));
    }
}
