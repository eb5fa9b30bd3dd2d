//! What agents use: what the cluster measures of their pods, and what these expose themselves.

mod exposed;
mod ledger;

pub use exposed::Exposed;
pub use ledger::{Ledger, Measured};
