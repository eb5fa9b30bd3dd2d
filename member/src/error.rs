//! Why the member can't start or go on, each in one line that says what to do.

use parallax_platform::{CallError, PlatformError};
use parallax_proto::identity::IdentityError;

/// What ends the process.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// Kubeconfig, port, log level and the like.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The API server doesn't answer, or not as it should.
    #[error("can't {what}: {why}; check the API server, and the member's rights (deploy/member/rbac.yaml)")]
    Api {
        /// What was attempted.
        what: &'static str,
        /// What happened.
        why: CallError,
    },
    /// AgentAssignments are unknown to the API server.
    #[error(
        "this cluster has no AgentAssignments yet; run: kubectl apply --server-side -f crds/yaml/agentassignments.yaml"
    )]
    CrdMissing,
    /// The file of the join token can't be read.
    #[error("can't read the join token from {path}: {why}; check --join-token-file")]
    TokenFile {
        /// Where it should be.
        path: String,
        /// What happened.
        why: std::io::Error,
    },
    /// The join token is none.
    #[error("the join token can't be used: {0}; make a new one on the hub with: parallax-hub token CLUSTER")]
    Token(IdentityError),
    /// Neither identity nor token.
    #[error(
        "this cluster is not enrolled and there is no join token; make one on the hub with: parallax-hub token CLUSTER, and give it \
         as PARALLAX_JOIN_TOKEN or --join-token-file"
    )]
    NoToken,
    /// The stored identity is damaged.
    #[error("the Secret {0} is damaged ({1}); delete it, and give the member a new join token")]
    Identity(String, IdentityError),
    /// The record of whom the member obeyed is damaged.
    #[error(
        "the ConfigMap {0} is damaged: its maxEpoch is not a number; put back the highest epoch that its hub has had, or delete it \
         to obey that hub at any epoch"
    )]
    State(&'static str),
    /// A part that must live as long as the process has ended before it: a panic, which the log has.
    #[error(
        "{0} has ended, which is a defect of the member: report the log; the member can be started again"
    )]
    Halted(&'static str),
}

impl MemberError {
    /// Whether it may come right by itself: the API server is away, busy or starting.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Api { why, .. } if why.is_passing())
    }
}
