//! The activator: a reverse proxy in front of the agents that may go to zero. It holds what finds nobody, says that
//! somebody is wanted, and sends it on to the first pod that is ready. It is a process of its own, with rights of its
//! own, since strangers talk to it: it holds nothing of the fleet's.

mod admission;
mod answer;
mod args;
mod busy;
mod clock;
mod listen;
mod metrics;
mod pods;
mod proxy;
mod refusal;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod town;
mod upstreams;
mod visit;

pub use args::Args;
