//! Makes one object what is ordered of it.

use parallax_member_core::{ChildKind, Valid, difference, strategy_patch};
use parallax_platform::Conflicts;
use serde_json::Value;

use super::unwanted::is_to_go;
use super::verdict::Made;
use crate::agents::Agents;
use crate::failure::Failure;
use crate::store::{Child, Versioned as _};

impl Agents {
    /// Whether an object is known to be as ordered, so that nothing has to be asked or written.
    pub(super) fn is_right(&self, kind: ChildKind, valid: &Valid<'_>, desired: Option<&Value>) -> bool {
        let known = self.index.lock().child(&valid.agent.key, kind);
        match (known, desired) {
            (known, None) => known.is_none_or(|live| !is_to_go(kind, &live, valid)),
            (None, Some(_)) => false,
            (Some(live), Some(desired)) => {
                live.is_ours(valid.owner_uid)
                    && !live.terminating
                    && !drops_selector(kind, valid, &live)
                    && difference(desired, &live.json()).is_none()
            }
        }
    }

    /// Makes the object, mends it, or deletes it when there should be none.
    pub(super) async fn child(&self, kind: ChildKind, valid: &Valid<'_>, desired: Option<Value>) -> Made {
        let made = match desired {
            Some(desired) => self.wanted(kind, valid, desired).await,
            None => self.unwanted(kind, valid).await,
        };
        let made = made.unwrap_or_else(Made::Failed);
        if matches!(made, Made::Taken) {
            self.watch_conflict(kind, &valid.agent.key);
        }
        made
    }

    async fn wanted(&self, kind: ChildKind, valid: &Valid<'_>, desired: Value) -> Result<Made, Failure> {
        let key = &valid.agent.key;
        let known = self.index.lock().child(key, kind);
        let known = if let Some(child) = known {
            child
        } else if selects_by_incarnation(kind) {
            match self.write(kind, key, &desired, Conflicts::Refuse).await {
                Ok(()) => return Ok(Made::Right { written: true }),
                Err(Failure::Conflict(_) | Failure::Invalid(_) | Failure::Unprocessable(_))
                    if self.read(kind, key).await? =>
                {
                    self.index.lock().child(key, kind).ok_or_else(|| gone(kind, valid))?
                }
                Err(failure) => return Err(failure),
            }
        } else {
            if !self.read(kind, key).await? {
                self.write(kind, key, &desired, Conflicts::TakeOver).await?;
                return Ok(Made::Right { written: true });
            }
            self.index.lock().child(key, kind).ok_or_else(|| gone(kind, valid))?
        };
        self.existing(kind, valid, &known, desired).await
    }

    async fn existing(
        &self,
        kind: ChildKind,
        valid: &Valid<'_>,
        live: &Child,
        mut desired: Value,
    ) -> Result<Made, Failure> {
        let key = &valid.agent.key;
        if !live.is_ours(valid.owner_uid) {
            // It is in the index only because it was just read; no watch of ours would tell that it went.
            self.index.lock().forget_child(kind, key);
            return Ok(Made::Taken);
        }
        if live.terminating {
            let message = format!("{} {key} is being deleted; the new one follows", kind.name());
            return Ok(Made::Waiting(message));
        }
        if kind == ChildKind::Deployment && live.incarnation() != Some(&valid.agent.incarnation) {
            return self.replace(live, key, &valid.agent.incarnation).await;
        }
        let json = live.json();
        match difference(&desired, &json) {
            _ if drops_replicas(valid, live) => {
                tracing::info!(agent = %key, "leaving the number of replicas to the autoscaler");
            }
            _ if drops_selector(kind, valid, live) => {
                tracing::info!(agent = %key, "leading its Service to the activators");
            }
            None => return Ok(Made::Right { written: false }),
            Some(_) if self.stubborn.is(kind, key, &desired, &json) => {
                return Ok(Made::Right { written: false });
            }
            Some(found) if found.is_drift() => {
                tracing::info!(kind = kind.name(), agent = %key, difference = %found, "bringing back what is ordered");
            }
            Some(found) => {
                tracing::info!(kind = kind.name(), agent = %key, difference = %found, "applying what is ordered now");
            }
        }
        if kind == ChildKind::Deployment
            && let Some(patch) = strategy_patch(&desired, &json)
        {
            self.merge(kind, key, live, patch).await?;
        }
        let wanted = desired.clone();
        desired["metadata"]["uid"] = live.uid().into();
        self.write(kind, key, &desired, Conflicts::TakeOver).await?;
        let live = self.index.lock().child(key, kind).map(|c| c.json()).unwrap_or_default();
        self.stubborn.remember(kind, key, &wanted, &live);
        Ok(Made::Right { written: true })
    }
}

/// The member still applies a number of replicas that is an autoscaler's now. What it no longer applies makes no
/// difference to what it does.
fn drops_replicas(valid: &Valid<'_>, live: &Child) -> bool {
    valid.own_replicas().is_none() && live.deployment.as_ref().is_some_and(|facts| facts.count.owners.member)
}

/// The Service still selects pods, and leads to the activators from now on.
fn drops_selector(kind: ChildKind, valid: &Valid<'_>, live: &Child) -> bool {
    kind == ChildKind::Service && valid.led && live.selects_pods()
}

/// An object that isn't ours can't be taken over by accident when its selector is another: a write without force is a
/// conflict then, and the way to a new object a single request. The others are looked for first.
fn selects_by_incarnation(kind: ChildKind) -> bool {
    match kind {
        ChildKind::Deployment | ChildKind::NetworkPolicy => true,
        // A Service or budget of another's may have no selector at all; an autoscaler and an export have none, a claim
        // not ours, and a PodMonitor's would be mixed with ours.
        ChildKind::PersistentVolumeClaim
        | ChildKind::Service
        | ChildKind::Autoscaler
        | ChildKind::PodDisruptionBudget
        | ChildKind::PodMonitor
        | ChildKind::ServiceExport => false,
    }
}

fn gone(kind: ChildKind, valid: &Valid<'_>) -> Failure {
    Failure::Conflict(format!("{} {} went while it was looked at", kind.name(), valid.agent.key))
}
