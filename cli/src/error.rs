//! What ends a command.

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
    /// What is to be printed has no such form.
    #[error("the answer can't be written in this form ({0}): report it, it is a defect of kubectl-parallax")]
    Form(String),
}

/// Where names are found.
const LIST: &str = "see what there is with kubectl get parallaxagents -A and kubectl get memberclusters";
