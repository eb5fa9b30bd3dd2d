//! A work queue of agents: each is worked on by one at a time, and once more when something changed meanwhile.

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
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
    rest: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<AgentKey>,
    queued: HashSet<AgentKey>,
    /// In work; true: something changed meanwhile.
    working: HashMap<AgentKey, bool>,
    later: BTreeSet<(Instant, AgentKey)>,
    failures: HashMap<AgentKey, u32>,
}

impl State {
    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.working.is_empty()
    }

    fn add(&mut self, key: &AgentKey) -> bool {
        if let Some(again) = self.working.get_mut(key) {
            *again = true;
            return false;
        }
        let new = self.queued.insert(key.clone());
        if new {
            self.ready.push_back(key.clone());
        }
        new
    }
}

impl Queue {
    /// Something of this agent is to be done, now.
    pub fn add(&self, key: &AgentKey) {
        if self.state.lock().add(key) {
            self.wake.notify_one();
        }
    }

    /// Something of this agent is to be done, after a while.
    pub fn add_after(&self, key: &AgentKey, pause: Duration) {
        self.state.lock().later.insert((Instant::now() + pause, key.clone()));
        self.wake.notify_one();
    }

    /// The work failed and is to be tried again, after a pause that doubles with each failure; `jitter`, from 0
    /// to 1, shortens it by up to a half.
    pub fn retry(&self, key: &AgentKey, jitter: f64) {
        let pause = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(10)).min(LONGEST_PAUSE);
            *failures += 1;
            pause.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
        };
        self.add_after(key, pause);
    }

    /// The work went well.
    pub fn settled(&self, key: &AgentKey) {
        self.state.lock().failures.remove(key);
    }

    /// Agents that wait for a worker.
    pub fn depth(&self) -> usize {
        self.state.lock().ready.len()
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
                while state.later.first().is_some_and(|(due, _)| *due <= now) {
                    if let Some((_, key)) = state.later.pop_first() {
                        state.add(&key);
                    }
                }
                if let Some(key) = state.ready.pop_front() {
                    state.queued.remove(&key);
                    state.working.insert(key.clone(), false);
                    return Turn { queue: Arc::clone(self), key };
                }
                state.later.first().map(|(due, _)| *due)
            };
            match until {
                Some(due) => drop(tokio::time::timeout_at(due, self.wake.notified()).await),
                None => self.wake.notified().await,
            }
        }
    }

    fn done(&self, key: &AgentKey) {
        let mut state = self.state.lock();
        if state.working.remove(key) == Some(true) && state.add(key) {
            self.wake.notify_one();
        }
        if state.is_idle() {
            self.rest.notify_one();
        }
    }
}

/// An agent's turn. It is over when it is dropped: whatever happens in it, a panic too, the agent's next one can come.
#[must_use]
pub struct Turn {
    queue: Arc<Queue>,
    key: AgentKey,
}

impl Turn {
    /// Whose turn it is.
    pub fn key(&self) -> &AgentKey {
        &self.key
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.done(&self.key);
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
        let queue = Arc::new(Queue::default());
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
        let queue = Arc::new(Queue::default());
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
        let queue = Arc::new(Queue::default());
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
}
