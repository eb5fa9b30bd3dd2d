//! Takes the Deployment of another incarnation out of the way: its selector can't be changed.

use parallax_crds::{AgentKey, Incarnation};
use parallax_member_core::ChildKind;

use super::requests::Which;
use super::verdict::Made;
use crate::agents::Agents;
use crate::failure::Failure;
use crate::store::{Child, Versioned as _};

impl Agents {
    /// Deletes a Deployment of another incarnation, its pods awaited. What is deleted was read live before.
    pub(super) async fn replace(
        &self,
        live: &Child,
        key: &AgentKey,
        wanted: &Incarnation,
    ) -> Result<Made, Failure> {
        let kind = ChildKind::Deployment;
        let message = format!("the predecessor's Deployment {key} is being deleted; the new one follows");
        let waiting = Made::Waiting(message);
        if !self.read(kind, key).await? {
            // Gone, and the watch's word for it is on its way.
            return Ok(waiting);
        }
        let now = self.index.lock().child(key, kind);
        let same = now.filter(|n| n.uid() == live.uid() && n.incarnation() != Some(wanted));
        let Some(now) = same else { return Err(Failure::Conflict(format!("Deployment {key} has changed"))) };
        if now.terminating {
            return Ok(waiting);
        }
        tracing::info!(agent = %key, "deleting the predecessor's Deployment");
        self.delete(kind, key, Which::Version(&now)).await?;
        Ok(waiting)
    }
}
