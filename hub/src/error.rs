//! What can go wrong in the hub, each with what to do about it.

use parallax_platform::CallError;

/// An error that ends the process or a command of it.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The platform's: kubeconfig, ports.
    #[error(transparent)]
    Platform(#[from] parallax_platform::PlatformError),
    /// Certificates and tokens.
    #[error(transparent)]
    Identity(#[from] parallax_proto::identity::IdentityError),
    /// The listener's TLS.
    #[error(transparent)]
    Tls(#[from] parallax_proto::tls::TlsError),
    /// A call on an object failed.
    #[error("{what}: {source}; check that the API server is well, and that the hub may do this (deploy/hub)")]
    Call {
        /// The object, or what was tried.
        what: String,
        /// What its answer means.
        source: CallError,
    },
    /// The object kept changing under us.
    #[error("{what} changes faster than it can be written; find out who else writes it")]
    Contended {
        /// The object.
        what: String,
    },
    /// One of our own objects doesn't say what it must.
    #[error("{what}: {problem}; restore it from a backup, or delete it {consequence}")]
    Malformed {
        /// The object.
        what: String,
        /// What is wrong.
        problem: String,
        /// What the hub does without it: "to begin anew" and the like.
        consequence: &'static str,
    },
    /// A value of ours that has no JSON form.
    #[error("{what} can't be written as JSON ({source}): report it, it is a defect of the hub")]
    Json {
        /// The value.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A part that must live as long as the process has ended before it: a panic, which the log has.
    #[error("{part} has ended, which is a defect of the hub: report the log; the hub can be started again")]
    Halted {
        /// Which part.
        part: &'static str,
    },
    /// Another process is the hub now.
    #[error("another hub has begun epoch {epoch} on this cluster, so this one ends: run one hub for a fleet")]
    Superseded {
        /// The other's epoch.
        epoch: u64,
    },
    /// A kind is not installed.
    #[error("the kind {kind} is not installed: kubectl apply --server-side -f crds/yaml/{file}")]
    MissingKind {
        /// The kind.
        kind: &'static str,
        /// The manifest that installs it, under `crds/yaml/`.
        file: &'static str,
    },
    /// A right is missing.
    #[error(
        "{action}: the API server refuses it ({message}); apply deploy/hub (ServiceAccount, ClusterRole, Role) and run under that account"
    )]
    MissingRight {
        /// What was tried.
        action: String,
        /// The API server's words.
        message: String,
    },
    /// The hub's namespace is not there.
    #[error("the namespace {namespace} does not exist: kubectl apply --server-side -f deploy/hub")]
    MissingNamespace {
        /// Its name.
        namespace: String,
    },
    /// A token is asked for a cluster that already has an identity.
    #[error(
        "cluster {cluster} already has an identity (certificate {serial}); if it was rebuilt or its key is lost, run: parallax-hub token {cluster} --reset"
    )]
    AlreadyEnrolled {
        /// The cluster.
        cluster: String,
        /// The recorded serial number.
        serial: String,
    },
}

impl HubError {
    /// Of a call on `what`, with what to do about it when the API server doesn't let us.
    pub fn of(what: &str, source: CallError) -> Self {
        let what = what.to_owned();
        match source {
            CallError::Forbidden(message) | CallError::Unauthorized(message) => {
                Self::MissingRight { action: what, message }
            }
            source => Self::Call { what, source },
        }
    }

    /// Whether it may come right by itself: the API server is away, busy or starting.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Contended { .. } => true,
            Self::Call { source, .. } => source.is_passing(),
            _ => false,
        }
    }

    /// Whether somebody else has changed the object, so that it is to be looked at again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Call { source: CallError::Conflict(_), .. })
    }

    /// Whether the object, or its kind or namespace, does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Call { source: CallError::NotFound(_), .. })
    }
}
