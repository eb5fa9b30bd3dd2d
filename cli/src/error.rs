//! What ends a command.

use parallax_crds::agent::RolloutState;
use parallax_hub_core::revisions::Unreadable;
use parallax_platform::{CallError, PlatformError};

/// Why a command did not do what it was to do, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// There is no way to the hub's API server.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A call failed.
    #[error("{what}: {source}")]
    Call {
        /// What it was about.
        what: String,
        /// Why.
        source: CallError,
    },
    /// There is no such object.
    #[error("there is no {0}: {hint}", hint = LIST)]
    NoSuch(String),
    /// The kinds are not there.
    #[error(
        "this API server doesn't know {0}: it is no hub's; choose the hub's with --context or --kubeconfig"
    )]
    NoHub(&'static str),
    /// Somebody else has changed it.
    #[error("{0} has changed since it was read: run the command again")]
    Changed(String),
    /// A revision is not as the hub writes them.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// There is no such revision.
    #[error("{agent} has no revision {wanted}; there are {known}: see kubectl parallax history")]
    NoRevision {
        /// The agent.
        agent: String,
        /// What was asked for.
        wanted: i64,
        /// Those that there are.
        known: String,
    },
    /// There is nothing to go back to.
    #[error(
        "{0} has no earlier revision with other pods: see kubectl parallax history, and name one with --to"
    )]
    NothingEarlier(String),
    /// It took too long.
    #[error(
        "{agents} still run on {cluster} after {seconds} s: the cluster stays drained, and they go when their replacements are ready; see why they wait with kubectl parallax explain AGENT, or wait again with --timeout"
    )]
    StillThere {
        /// How many agents.
        agents: String,
        /// The cluster.
        cluster: String,
        /// How long it was waited.
        seconds: u64,
    },
    /// Nothing waits in that agent's rollouts.
    #[error(
        "{0} has no rollout in waves: set its spec.rollout.strategy to Waves, with the waves in which its clusters get a change"
    )]
    NoWaves(String),
    /// Nothing was rolled out in waves yet.
    #[error("nothing of {0} was rolled out in waves yet: change its spec, such as its image")]
    NoRollout(String),
    /// No wave waits for an approval.
    #[error("the rollout of {0} is {1}, and waits for no approval: see kubectl parallax rollout status {0}")]
    NothingToApprove(String, RolloutState),
    /// What is to be printed has no such form.
    #[error("the answer can't be written in this form ({0}): report it, it is a defect of kubectl-parallax")]
    Form(String),
}

/// Where names are found.
const LIST: &str = "see what there is with kubectl get parallaxagents -A and kubectl get memberclusters";
