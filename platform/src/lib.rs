//! What every Parallax process needs of Kubernetes and the operating system: a client that notices
//! broken connections, server-side apply, Events, logs, metrics, the admin ports, and an orderly end.

pub mod addresses;
pub mod admin;
pub mod api_calls;
pub mod apply;
pub mod call;
pub mod error;
pub mod events;
pub mod kubernetes;
pub mod logging;
pub mod metrics;
pub mod patiently;
mod process;
pub mod readiness;
mod reading;
pub mod run;
pub mod stage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod watch;

pub use addresses::{Addresses, ListenArgs};
pub use admin::AdminServer;
pub use apply::{Conflicts, apply, apply_status, apply_unlogged};
pub use call::{CallError, Limit, call};
pub use error::PlatformError;
pub use events::Events;
pub use kubernetes::{KubeArgs, chain, client, client_in, explain, observed_client};
pub use logging::{LogArgs, init_logging};
pub use metrics::Metrics;
pub use patiently::patiently;
pub use readiness::Readiness;
pub use run::{Threads, run_command, run_service};
pub use stage::{Begun, Stage, StageGuard, Stages};
pub use watch::{Interruption, Watch, readable};
