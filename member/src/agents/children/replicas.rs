//! Passes a Deployment's number of replicas between the member and an autoscaler.

use std::sync::Arc;

use parallax_member_core::replicas::{Autoscaled, HANDOVER_MANAGER};
use parallax_member_core::{ChildKind, Valid};
use parallax_platform::Conflicts;
use serde_json::Value;

use super::requests::Which;
use super::verdict::Made;
use crate::agents::Agents;
use crate::failure::Failure;
use crate::store::{Child, Versioned as _};

impl Agents {
    /// Whether the number of replicas is in the hands that it is ordered to be in.
    pub(super) fn is_handed_over(&self, valid: &Valid<'_>) -> bool {
        // Autoscalers stand down by themselves where there are no replicas.
        if valid.asleep {
            return true;
        }
        let Some(autoscaled) = valid.autoscaled() else { return self.own_autoscaler(valid).is_none() };
        let live = self.own_deployment(valid);
        live.as_ref()
            .and_then(|live| live.deployment.as_ref())
            .is_some_and(|facts| autoscaled.set(&facts.count).is_none() && !facts.count.owners.member)
    }

    /// Makes the Deployment, with its number of replicas in the right hands at every moment.
    pub(super) async fn deployment(&self, valid: &Valid<'_>, desired: Option<Value>) -> Made {
        let before = match self.hand_over(valid).await {
            Ok(written) => written,
            Err(failure) => return Made::Failed(failure),
        };
        match self.child(ChildKind::Deployment, valid, desired).await {
            // One that was just made has the API server's default.
            Made::Right { written } => match self.hand_over(valid).await {
                Ok(after) => Made::Right { written: before || written || after },
                Err(failure) => Made::Failed(failure),
            },
            made => made,
        }
    }

    /// Does what must come before the member drops the number of replicas, or takes it: whether something was written.
    async fn hand_over(&self, valid: &Valid<'_>) -> Result<bool, Failure> {
        if valid.asleep {
            return Ok(false);
        }
        match valid.autoscaled() {
            Some(autoscaled) => self.start(valid, &autoscaled).await,
            None => self.stand_down(valid).await,
        }
    }

    /// Sets the number that the autoscaler begins with, if one is due.
    async fn start(&self, valid: &Valid<'_>, autoscaled: &Autoscaled) -> Result<bool, Failure> {
        let Some(live) = self.own_deployment(valid) else { return Ok(false) };
        let Some(set) = live.deployment.as_ref().and_then(|facts| autoscaled.set(&facts.count)) else {
            return Ok(false);
        };
        let key = &valid.agent.key;
        tracing::info!(agent = %key, replicas = set.replicas, "setting where the autoscaler begins");
        let body = autoscaled.body(set, valid, (live.uid(), live.version()));
        self.write_as(HANDOVER_MANAGER, ChildKind::Deployment, key, &body, Conflicts::TakeOver).await?;
        Ok(true)
    }

    /// Deletes the autoscaler: two would contend for the number.
    async fn stand_down(&self, valid: &Valid<'_>) -> Result<bool, Failure> {
        let Some(live) = self.own_autoscaler(valid) else { return Ok(false) };
        self.delete(ChildKind::Autoscaler, &valid.agent.key, Which::Object(&live)).await?;
        Ok(false)
    }

    fn own_autoscaler(&self, valid: &Valid<'_>) -> Option<Arc<Child>> {
        let live = self.index.lock().child(&valid.agent.key, ChildKind::Autoscaler)?;
        (live.is_ours(valid.owner_uid) && !live.terminating).then_some(live)
    }

    /// The Deployment, unless it is another's, or on its way out.
    pub(super) fn own_deployment(&self, valid: &Valid<'_>) -> Option<Arc<Child>> {
        let live = self.index.lock().child(&valid.agent.key, ChildKind::Deployment)?;
        let same = live.incarnation() == Some(&valid.agent.incarnation);
        (same && live.is_ours(valid.owner_uid) && !live.terminating).then_some(live)
    }
}
