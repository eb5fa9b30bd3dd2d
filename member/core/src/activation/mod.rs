//! To zero and back: when an agent's pods may all go, and what happens to the requests meanwhile.
//!
//! * [`gate`]: the member's side. Whether the activators may send requests on, and whether the pods may go.
//! * [`door`]: an activator's side, for one agent. Which request goes on, waits, or is refused.
//! * [`busy`]: an agent's own word that it works.
//! * [`activity`]: when the agent was last called.
//! * [`standing`]: whether the activators are in the way to an agent at all.
//!
//! They are state machines that are told the time, as what has passed since the Unix epoch. They speak through the
//! assignment's status: the gate there is the member's, a word there is an activator's. Pods go only behind a closed
//! gate, once every activator has said that nothing of its is on its way to them.

pub mod activity;
pub mod door;
pub mod gate;
pub mod standing;

pub use activity::last_called;
pub use door::{Admission, Backend, Door, Entry, Limits, Order, Question, Word};
pub use gate::{Gate, Heard, Signs, Stage};
pub use standing::{Known, Listed, Standing, Ways, standing};

#[cfg(test)]
mod tests;
