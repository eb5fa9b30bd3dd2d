//! An order that has no result yet.

use parallax_crds::SpecHash;
use parallax_crds::link::{Held, Scale};
use parallax_crds::names::AgentRef;

/// What was ordered of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenOrder {
    Upsert { hash: SpecHash, scale: Scale },
    Removal,
}

impl OpenOrder {
    pub fn hash(&self) -> Option<SpecHash> {
        match self {
            Self::Upsert { hash, .. } => Some(*hash),
            Self::Removal => None,
        }
    }

    /// What the member holds of `agent` once this is carried out.
    pub fn to_be(&self, agent: &AgentRef) -> Option<Held> {
        match self {
            Self::Upsert { hash, scale } => {
                Some(Held { agent: agent.clone(), hash: *hash, scale: *scale, removing: false })
            }
            Self::Removal => None,
        }
    }
}
