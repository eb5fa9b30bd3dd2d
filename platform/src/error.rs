//! Why a process can't start, each in one line that says what to do.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The kubeconfig is missing or broken.
    #[error("can't use the kubeconfig {path}: {why}; check --kubeconfig or KUBECONFIG")]
    Kubeconfig {
        /// Where it should be.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// In a pod, but without a usable service account.
    #[error(
        "can't use the pod's service account: {0}; set automountServiceAccountToken, or give --kubeconfig"
    )]
    ServiceAccount(String),
    /// No idea which API server to talk to.
    #[error(
        "no Kubernetes API server is configured: give --kubeconfig or set KUBECONFIG, or run in a pod with a service account"
    )]
    NoCluster,
    /// The port belongs to somebody else.
    #[error(
        "port {port} is in use on {bind}: stop the other process, or choose another port with {flag} (0 = any free one)"
    )]
    PortInUse {
        /// The address.
        bind: IpAddr,
        /// The port.
        port: u16,
        /// The flag that sets it, and its environment variable.
        flag: &'static str,
    },
    /// Listening failed in another way.
    #[error("can't listen on {bind} port {port}: {source}; change it with --bind and {flag}")]
    Listen {
        /// The address.
        bind: IpAddr,
        /// The port.
        port: u16,
        /// The flag that sets it, and its environment variable.
        flag: &'static str,
        /// What happened.
        source: io::Error,
    },
    /// The addresses can't be told.
    #[error("can't write the addresses to {}: {source}; check --addresses-file", path.display())]
    AddressesFile {
        /// Where.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The log filter is no filter.
    #[error(
        "log level {filter:?} is not valid ({why}): use error, warn, info, debug or trace, or directives such as info,parallax_hub=debug"
    )]
    LogLevel {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// Logging was set up before.
    #[error("logging is set up already: call init_logging once")]
    LoggingTwice,
}
