//! An agent's turn, and whether it may go on with what can wait.

use std::sync::Arc;

use parallax_crds::AgentKey;

use super::Queue;

/// An agent's turn. It is over when it is dropped: whatever happens in it, a panic too, the agent's next one can come.
#[must_use]
pub struct Turn {
    pub(super) queue: Arc<Queue>,
    pub(super) key: AgentKey,
    pub(super) lingers: bool,
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
            let next = state.put_off.is_empty() || state.put_off.has(&self.key);
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
