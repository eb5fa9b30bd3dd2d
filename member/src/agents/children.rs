//! Makes the cluster's objects what an assignment orders: validate → build → compare → apply.

use std::time::Instant;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_crds::link::MemberEvent;
use parallax_crds::{AgentKey, Incarnation};
use parallax_member_core::report::Sync;
use parallax_member_core::{Desired, Valid, build, difference, validate};
use parallax_platform::Stage;
use serde_json::Value;
use tracing::Instrument as _;

use super::Agents;
use super::persist::Then;
use crate::failure::{Failure, within};
use crate::queue::Turn;
use crate::store::{Assignment, Child, ChildKind, Versioned as _};

/// What became of one object.
enum Made {
    /// It is as ordered; true: it was written to become so.
    Right(bool),
    /// It waits for another object to go, whose watch will tell.
    Waiting(&'static str, String),
    /// An object of that name is not ours.
    Taken,
    /// The API server didn't take it.
    Failed(Failure),
}

/// How far an assignment came.
struct Brought {
    /// What became of it; none when it goes on in another turn.
    verdict: Option<(Sync, Then)>,
    /// The Deployment was written.
    written: bool,
}

impl Agents {
    /// Brings the objects of an assignment to what it orders, as far as that goes now and the turn may last.
    pub(super) async fn apply(&self, assignment: &Assignment, turn: &mut Turn) -> Then {
        let stage = self.stage(Stage::AssignmentApply, &assignment.agent.key, assignment.traceparent());
        let Brought { verdict, written } =
            self.bring_about(assignment, turn).instrument(stage.span().clone()).await;
        let key = &assignment.agent.key;
        if written && let Some(slot) = self.index.lock().slot_mut(key) {
            slot.applied = Some(Instant::now());
        }
        let Some((sync, then)) = verdict else { return Then::Nothing };
        if let Some(slot) = self.index.lock().slot_mut(key) {
            if let Sync::Blocked { reason, message } = &sync
                && slot.sync.as_ref().is_none_or(|(_, _, before)| *before != sync)
            {
                // Taking the predecessor away is a step on the way, not a fault.
                if reason == "ReplacingPredecessor" {
                    tracing::info!(agent = %key, "{message}");
                } else {
                    tracing::warn!(agent = %key, reason, "not applied: {message}");
                }
            }
            slot.sync = Some((assignment.uid().into(), assignment.generation(), sync));
        }
        self.refresh(key);
        then
    }

    async fn bring_about(&self, assignment: &Assignment, turn: &mut Turn) -> Brought {
        let Some(cluster) = self.cluster.get() else {
            return blocked(
                "NotEnrolled",
                "this cluster has no name in a fleet yet; give the member a join token",
            );
        };
        let valid = match validate::assignment(&assignment.object, &self.settings.own_namespace) {
            Ok(valid) => valid,
            Err(rejection) => return blocked(rejection.reason, rejection.message),
        };
        let Desired { deployment, service } = match build(&valid, cluster) {
            Ok(desired) => desired,
            Err(error) => return blocked("InvalidTemplate", error.to_string()),
        };
        let deployment = self.child(ChildKind::Deployment, &valid, deployment).await;
        if let Made::Waiting(reason, message) = deployment {
            // The Service stays with the pods that there are.
            return blocked(reason, message);
        }
        let written = matches!(deployment, Made::Right(true));
        if written {
            self.tell_applied(&valid);
        }
        let service = if self.is_right(ChildKind::Service, &valid, &service) {
            Made::Right(false)
        } else if turn.may_linger() {
            self.child(ChildKind::Service, &valid, service).await
        } else {
            return Brought { verdict: None, written };
        };
        let made = [(ChildKind::Deployment, deployment), (ChildKind::Service, service)];
        Brought { verdict: Some(self.verdict(&valid.agent.key, made)), written }
    }

    fn tell_applied(&self, valid: &Valid<'_>) {
        let event = MemberEvent {
            agent: valid.agent.clone(),
            warning: false,
            reason: "Applied".into(),
            message: format!("{} replicas of {} are ordered", valid.replicas, valid.template.image),
        };
        self.uplink().tell(|link| link.event(event));
    }

    /// The worst of what became of the objects, each named.
    fn verdict(&self, key: &AgentKey, made: [(ChildKind, Made); 2]) -> (Sync, Then) {
        let mut verdict = (Sync::Applied, Then::Nothing);
        for (kind, made) in made {
            let object = format!("{} {key}", kind.name());
            let (reason, message, then) = match made {
                Made::Right(_) => {
                    self.conflicts.end_one(kind, key);
                    continue;
                }
                Made::Waiting(reason, message) => (reason, message, Then::Nothing),
                Made::Taken => {
                    self.watch_conflict(kind, key);
                    let message = format!("{object} exists and is not Parallax's; delete or rename it");
                    ("NameConflict", message, Then::Nothing)
                }
                Made::Failed(failure) => (failure.reason(), format!("{object}: {failure}"), Then::Retry),
            };
            if verdict.0 == Sync::Applied {
                verdict.0 = Sync::Blocked { reason: reason.to_owned(), message };
            }
            if then == Then::Retry {
                verdict.1 = Then::Retry;
            }
        }
        verdict
    }

    /// Whether an object is known to be as ordered, so that nothing has to be asked or written.
    fn is_right(&self, kind: ChildKind, valid: &Valid<'_>, desired: &Value) -> bool {
        let known = self.index.lock().child(&valid.agent.key, kind);
        known.is_some_and(|live| {
            live.is_ours(valid.owner_uid) && !live.terminating && difference(desired, &live.json()).is_none()
        })
    }

    async fn child(&self, kind: ChildKind, valid: &Valid<'_>, desired: Value) -> Made {
        self.child_or_failure(kind, valid, desired).await.unwrap_or_else(Made::Failed)
    }

    async fn child_or_failure(
        &self,
        kind: ChildKind,
        valid: &Valid<'_>,
        desired: Value,
    ) -> Result<Made, Failure> {
        let key = &valid.agent.key;
        let known = self.index.lock().child(key, kind);
        let known = match (known, kind) {
            (Some(child), _) => child,
            // A Deployment that isn't ours can't be taken over by accident: its selector is another, and
            // selectors don't change. So the way to a new one is a single request.
            (None, ChildKind::Deployment) => match self.write(kind, key, &desired, Force::No).await {
                Ok(()) => return Ok(Made::Right(true)),
                Err(Failure::Conflict(_) | Failure::Invalid(_)) if self.read(kind, key).await? => {
                    self.index.lock().child(key, kind).ok_or_else(|| gone(kind, key))?
                }
                Err(failure) => return Err(failure),
            },
            // A Service would be.
            (None, ChildKind::Service) => {
                if !self.read(kind, key).await? {
                    self.write(kind, key, &desired, Force::Yes).await?;
                    return Ok(Made::Right(true));
                }
                self.index.lock().child(key, kind).ok_or_else(|| gone(kind, key))?
            }
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
            return Ok(Made::Waiting("ReplacingPredecessor", message));
        }
        if kind == ChildKind::Deployment && live.facts.incarnation.as_ref() != Some(&valid.agent.incarnation)
        {
            return self.replace(live, key, &valid.agent.incarnation).await;
        }
        let json = live.json();
        let Some(found) = difference(&desired, &json) else { return Ok(Made::Right(false)) };
        let fingerprint = (fingerprint(&desired), fingerprint(&json));
        if self.stubborn.lock().get(&(kind, key.clone())) == Some(&fingerprint) {
            return Ok(Made::Right(false));
        }
        tracing::info!(kind = kind.name(), agent = %key, difference = %found, "bringing back what is ordered");
        desired["metadata"]["uid"] = live.uid().into();
        self.write(kind, key, &desired, Force::Yes).await?;
        self.remember_stubborn(kind, key, &desired);
        Ok(Made::Right(true))
    }

    /// What still differs in the answer to a write is what this API server makes of it (an admission
    /// webhook, a rounding): it isn't written again until one side changes.
    fn remember_stubborn(&self, kind: ChildKind, key: &AgentKey, desired: &Value) {
        let mut desired = desired.clone();
        if let Some(meta) = desired["metadata"].as_object_mut() {
            meta.remove("uid");
        }
        let live = self.index.lock().child(key, kind).map(|c| c.json()).unwrap_or_default();
        let mut stubborn = self.stubborn.lock();
        match difference(&desired, &live) {
            Some(left) => {
                tracing::warn!(kind = kind.name(), agent = %key, difference = %left, "the API server keeps another value");
                stubborn.insert((kind, key.clone()), (fingerprint(&desired), fingerprint(&live)));
            }
            None => drop(stubborn.remove(&(kind, key.clone()))),
        }
    }

    /// Deletes a Deployment of another incarnation, its pods awaited. What is deleted was read live before.
    async fn replace(&self, live: &Child, key: &AgentKey, wanted: &Incarnation) -> Result<Made, Failure> {
        let kind = ChildKind::Deployment;
        let message = format!("the predecessor's Deployment {key} is being deleted; the new one follows");
        let waiting = Made::Waiting("ReplacingPredecessor", message);
        if !self.read(kind, key).await? {
            // Gone, and the watch's word for it is on its way.
            return Ok(waiting);
        }
        let now = self.index.lock().child(key, kind);
        let same = now.filter(|n| n.uid() == live.uid() && n.facts.incarnation.as_ref() != Some(wanted));
        let Some(now) = same else { return Err(Failure::Conflict(format!("Deployment {key} has changed"))) };
        if now.terminating {
            return Ok(waiting);
        }
        let preconditions = Preconditions {
            uid: Some(now.uid().to_owned()),
            resource_version: Some(now.version().to_string()),
        };
        let params = DeleteParams::foreground().preconditions(preconditions);
        tracing::info!(agent = %key, "deleting the predecessor's Deployment");
        let request = async { self.objects(kind, key).delete(key.name(), &params).await };
        match within(request).await {
            Ok(answer) => {
                if let Some(object) = answer.left() {
                    self.child_seen(kind, key, Child::new(object));
                }
                Ok(waiting)
            }
            Err(Failure::NotFound(_)) => Ok(waiting),
            Err(failure) => Err(failure),
        }
    }

    /// Reads an object live into the index; whether it exists.
    async fn read(&self, kind: ChildKind, key: &AgentKey) -> Result<bool, Failure> {
        match within(async { self.objects(kind, key).get_opt(key.name()).await }).await? {
            Some(object) => {
                self.with_index(|index| index.put_child(kind, key, Child::new(object)));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn write(
        &self,
        kind: ChildKind,
        key: &AgentKey,
        desired: &Value,
        force: Force,
    ) -> Result<(), Failure> {
        let span = tracing::info_span!("write", kind = kind.name(), agent = %key);
        let mut params = PatchParams::apply(MEMBER_MANAGER);
        params.force = force == Force::Yes;
        let request =
            async { self.objects(kind, key).patch(key.name(), &params, &Patch::Apply(desired)).await };
        let object = within(request).instrument(span).await?;
        self.child_seen(kind, key, Child::new(object));
        Ok(())
    }

    fn objects(&self, kind: ChildKind, key: &AgentKey) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), key.namespace(), &kind.resource())
    }
}

/// Whether fields that others set are taken from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    Yes,
    No,
}

fn gone(kind: ChildKind, key: &AgentKey) -> Failure {
    Failure::Conflict(format!("{} {key} went while it was looked at", kind.name()))
}

fn blocked(reason: &str, message: impl Into<String>) -> Brought {
    let sync = Sync::Blocked { reason: reason.to_owned(), message: message.into() };
    Brought { verdict: Some((sync, Then::Nothing)), written: false }
}

/// Tells values apart within this process.
fn fingerprint(value: &Value) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
