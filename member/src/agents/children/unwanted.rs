//! Deletes what an assignment doesn't order any more.

use parallax_member_core::{ChildKind, Valid};

use super::requests::Which;
use super::verdict::Made;
use crate::agents::Agents;
use crate::failure::Failure;

impl Agents {
    /// Deletes the agent's object of that kind, if there is one that is ours.
    pub(super) async fn unwanted(&self, kind: ChildKind, valid: &Valid<'_>) -> Result<Made, Failure> {
        let key = &valid.agent.key;
        let known = self.index.lock().child(key, kind);
        match known {
            Some(live) if live.is_ours(valid.owner_uid) && !live.terminating => {
                tracing::info!(kind = kind.name(), agent = %key, "deleting what is not ordered any more");
                self.delete(kind, key, Which::Object(&live)).await?;
                Ok(Made::Right { written: true })
            }
            _ => Ok(Made::Right { written: false }),
        }
    }
}
