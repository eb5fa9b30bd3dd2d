//! A work queue of agents: each is worked on by one at a time, and once more when something changed meanwhile.
//!
//! What an agent's turn does first is what others depend on (its order is kept, its Deployment written); the rest can
//! wait. While many agents are ready, a turn is put off after its first part ([`Turn::may_linger`]), so that slow
//! requests for the rest never hold up the first part of another agent's.

mod later;
mod put_off;
mod turn;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parallax_crds::AgentKey;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::later::Later;
use self::put_off::PutOff;
pub use self::turn::Turn;

/// The pause after the first failure of an agent's work; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The pause after the first refusal, which somebody else has to mend; it doubles with each further one.
const FIRST_LATE_PAUSE: Duration = Duration::from_secs(2);
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

impl State {
    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.working.is_empty() && self.put_off.is_empty()
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
        let key = self.put_off.first(|key| !self.working.contains_key(key))?;
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
        let due = state.later.get(key).map_or(due, |earlier| due.min(earlier));
        state.later.set(key, due);
        drop(state);
        self.wake.notify_one();
    }

    /// The work failed and is to be tried again, after a pause that doubles with each failure; `jitter`, from 0
    /// to 1, shortens it by up to a half. However many turns fail, an agent waits for one retry at most.
    pub fn retry(&self, key: &AgentKey, jitter: f64) {
        self.retry_from(FIRST_PAUSE, key, jitter);
    }

    /// Another try is worth it only after somebody else changed something that nobody watches, such as a right: as
    /// [`Self::retry`], with longer pauses.
    pub fn retry_late(&self, key: &AgentKey, jitter: f64) {
        self.retry_from(FIRST_LATE_PAUSE, key, jitter);
    }

    fn retry_from(&self, first: Duration, key: &AgentKey, jitter: f64) {
        let mut state = self.state.lock();
        let failures = state.failures.entry(key.clone()).or_default();
        let pause = first.saturating_mul(1 << (*failures).min(10)).min(LONGEST_PAUSE);
        *failures = failures.saturating_add(1);
        state.later.set(key, Instant::now() + shortened(pause, jitter));
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
        state.ready.len() + state.put_off.len()
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
                state.later.first()
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

#[cfg(test)]
mod tests;
