//! Deletes what an assignment doesn't order any more.

use parallax_member_core::{ChildKind, Valid};

use super::requests::Which;
use super::verdict::Made;
use crate::agents::Agents;
use crate::failure::Failure;
use crate::store::Child;

impl Agents {
    /// Deletes the agent's object of that kind, if there is one that is to go.
    pub(super) async fn unwanted(&self, kind: ChildKind, valid: &Valid<'_>) -> Result<Made, Failure> {
        let key = &valid.agent.key;
        let known = self.index.lock().child(key, kind);
        match known {
            Some(live) if is_to_go(kind, &live, valid) && !live.terminating => {
                tracing::info!(kind = kind.name(), agent = %key, "deleting what is not ordered any more");
                self.delete(kind, key, Which::Object(&live)).await?;
                Ok(Made::Right { written: true })
            }
            _ => Ok(Made::Right { written: false }),
        }
    }
}

/// Whether an object goes that isn't ordered. A claim holds what an agent has made, and is gone for good: only one that
/// the assignment owns goes, which one that is to outlive its agent never is.
pub(super) fn is_to_go(kind: ChildKind, live: &Child, valid: &Valid<'_>) -> bool {
    match kind {
        ChildKind::PersistentVolumeClaim => live.is_owned_by(valid.owner_uid),
        ChildKind::Deployment
        | ChildKind::NetworkPolicy
        | ChildKind::Service
        | ChildKind::Autoscaler
        | ChildKind::PodDisruptionBudget
        | ChildKind::PodMonitor
        | ChildKind::ServiceExport => live.is_ours(valid.owner_uid),
    }
}
