//! Works the queue: many agents at a time, each by one worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Agents;
use super::persist::Then;
use crate::queue::Turn;

/// Agents that are worked on at the same time.
const WORKERS: usize = 32;
/// Of these, how many may be at what others don't wait for. An API server makes some tens of Services a second (each
/// takes an address from a shared range) and hundreds of Deployments.
pub(super) const LINGERING: usize = 16;
/// How long work that has begun may take after a shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Works until `shutdown`, then finishes what has begun.
pub async fn run(agents: Arc<Agents>, shutdown: CancellationToken) {
    let mut work = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = work.join_next(), if !work.is_empty() => {}
            turn = agents.queue.next(), if work.len() < WORKERS => {
                let agents = Arc::clone(&agents);
                work.spawn(async move { agents.reconcile(turn).await });
            }
        }
    }
    let _ = tokio::time::timeout(GRACE, async { while work.join_next().await.is_some() {} }).await;
}

impl Agents {
    /// Carries out what is ordered of an agent, then makes its objects what its assignment says.
    pub(super) async fn reconcile(&self, mut turn: Turn) {
        let began = Instant::now();
        let key = &turn.key().clone();
        self.metrics.waiting.set(i64::try_from(self.queue.depth()).unwrap_or(i64::MAX));
        let persisted = self.persist(key).await;
        let assignment = self.index.lock().assignment(key).filter(|a| !a.deleting());
        let applied = match assignment {
            Some(assignment) => self.apply(&assignment, &mut turn).await,
            None => Then::Nothing,
        };
        match persisted.max(applied) {
            Then::Retry => {
                self.metrics.retries.inc();
                self.queue.retry(key, rand::random());
            }
            Then::Late => self.queue.retry_late(key, rand::random()),
            Then::Nothing => self.queue.settled(key),
        }
        self.metrics.turns.observe(began.elapsed().as_secs_f64());
    }
}
