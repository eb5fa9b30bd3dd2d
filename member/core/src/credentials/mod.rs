//! The agent's API key: where it is, whether it is there, and when pods are replaced because it changed. A value comes
//! in as a part of its Secret's text, and only a [`Seal`] of it goes on.

mod binding;
mod external;
mod found;
mod references;
mod seal;
mod secret;

pub use binding::{Binding, Held, bind};
pub use external::ExternalSecretFacts;
pub use found::{Found, Missing, in_secret};
pub use references::{References, Ticket};
pub use seal::Seal;
pub use secret::{HELM_RELEASE, SecretFacts, Unreadable};
