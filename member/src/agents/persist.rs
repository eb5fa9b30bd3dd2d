//! Carries the hub's orders into the API server, as AgentAssignments.

use kube::api::{Api, DeleteParams, Preconditions};
use parallax_crds::assignment::{AgentAssignmentSpec, AssignedAgent};
use parallax_crds::labels::{MEMBER_MANAGER, TRACEPARENT};
use parallax_crds::link::{Order, Outcome};
use parallax_crds::{AgentAssignment, AgentKey, AgentRef};
use parallax_member_core::sync::Cause;
use parallax_member_core::{build, validate};
use parallax_platform::{Conflicts, Stage, apply};
use parallax_proto::session::Batch;
use serde_json::json;
use tracing::Instrument as _;

use super::Agents;
use super::orders::{Became, What};
use crate::failure::{Failure, within};
use crate::store::{End, Versioned as _};

/// Whether the work on an order is to be tried again without a cause. The last is the most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    /// It is settled, or an event will wake it.
    Nothing,
    /// After a longer pause: only what somebody changes elsewhere can mend it.
    Late,
    /// After a pause.
    Retry,
}

/// Why an order is not persisted.
pub(super) enum Held {
    /// Only another order can mend it.
    Rejected(validate::Rejection),
    /// It waits for something that is watched.
    Waiting(&'static str, String),
    /// It is tried again.
    Failed(Failure),
}

impl From<Failure> for Held {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(message) | Failure::Unprocessable(message) => {
                Self::Rejected(validate::Rejection { reason: "Invalid", message })
            }
            failure => Self::Failed(failure),
        }
    }
}

impl Agents {
    /// Takes a batch of orders in. Each is answered when it is settled, or known to wait.
    pub fn carry(&self, batch: Batch) {
        let Batch { nonce, epoch: _, hub_uid, orders, removals } = batch;
        let mut keys = Vec::with_capacity(orders.len() + removals.len());
        let mut wanted = self.orders.lock();
        for order in orders {
            keys.push(order.agent.key.clone());
            wanted.want(Some(nonce), What::Run { order, hub: hub_uid.clone() });
        }
        for (agent, traceparent) in removals {
            keys.push(agent.key.clone());
            wanted.want(Some(nonce), What::Remove { agent, traceparent });
        }
        drop(wanted);
        keys.iter().for_each(|key| self.queue.add(key));
    }

    /// Carries out what is wanted of an agent, if anything is.
    pub(super) async fn persist(&self, key: &AgentKey) -> Then {
        let Some((serial, what)) = self.orders.lock().wanted(key) else { return Then::Nothing };
        let (became, then) = match &what {
            What::Run { order, hub } => {
                let stage = self.stage(Stage::AssignmentPersist, key, order.traceparent.as_deref());
                became(self.run(order, hub).instrument(stage.span().clone()).await)
            }
            What::Remove { agent, traceparent } => {
                let span = tracing::info_span!("assignment.remove", agent = %key, traceparent);
                self.remove(agent).instrument(span).await
            }
        };
        match became.outcome {
            Outcome::Rejected => {
                tracing::warn!(agent = %key, reason = became.reason, "order refused: {}", became.message);
            }
            Outcome::Waiting => {
                tracing::info!(agent = %key, reason = became.reason, "order waits: {}", became.message);
            }
            Outcome::Persisted | Outcome::Removing | Outcome::Gone => {}
        }
        let answers = self.orders.lock().settle(key, serial, &became);
        self.answer(answers);
        then
    }

    async fn run(&self, order: &Order, hub: &str) -> Result<(), Held> {
        let template = validate::order(order, &self.settings.own_namespace).map_err(Held::Rejected)?;
        let key = &order.agent.key;
        if let Some(held) = self.index.lock().assignment(key) {
            if held.deleting() {
                let message = "the assignment of that name is being deleted; this one follows".to_owned();
                return Err(Held::Waiting(Cause::ReplacingPredecessor.word(), message));
            }
            let spec = &held.object.spec;
            let same = held.agent == order.agent
                && held.hash == Some(order.hash)
                && held.scale() == order.scale
                && spec.hub == hub
                && spec.template == template;
            if same {
                return Ok(());
            }
        }
        self.namespace(&order.agent).await?;
        // It is there, whoever has made it.
        self.copies.forget_labels(key);
        let body = json!({
            "apiVersion": "parallax.io/v1alpha1",
            "kind": "AgentAssignment",
            "metadata": {
                "namespace": key.namespace(),
                "name": key.name(),
                "labels": build::labels(&order.agent, &template.runtime.agent_type),
                "annotations": order.traceparent.as_ref().map(|t| json!({TRACEPARENT: t})),
            },
            // By its type: a field that is absent must be left out, since null is no object to the schema.
            "spec": AgentAssignmentSpec {
                agent: AssignedAgent {
                    namespace: key.namespace().to_owned(),
                    name: key.name().to_owned(),
                    incarnation: order.agent.incarnation.as_str().to_owned(),
                },
                hub: hub.to_owned(),
                hash: order.hash.to_string(),
                replicas: order.scale.replicas,
                bounds: order.scale.bounds,
                wake: order.scale.wake,
                template,
            },
        });
        let api = self.assignments(key);
        let written = apply(&api, key.name(), MEMBER_MANAGER, Conflicts::TakeOver, &body).await;
        match written {
            Ok(object) => {
                self.assignment_seen(object);
                Ok(())
            }
            Err(Failure::NamespaceTerminating(_)) => Err(terminating(key.namespace())),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn remove(&self, agent: &AgentRef) -> (Became, Then) {
        self.copies.forget_labels(&agent.key);
        let held = self.index.lock().assignment(&agent.key).filter(|a| a.agent == *agent);
        let Some(held) = held else { return (Became::well(Outcome::Gone), Then::Nothing) };
        if held.deleting() {
            return (Became::well(Outcome::Removing), Then::Nothing);
        }
        let preconditions = Preconditions { uid: Some(held.uid().to_owned()), resource_version: None };
        let params = DeleteParams::foreground().preconditions(preconditions);
        let api = self.assignments(&agent.key);
        match within(api.delete(agent.key.name(), &params)).await {
            Ok(answer) => {
                let left = answer.left();
                if let Some(object) = left {
                    self.assignment_seen(object);
                }
                (Became::well(Outcome::Removing), Then::Nothing)
            }
            Err(Failure::NotFound(_)) => {
                let gone = self.index.lock().drop_assignment(&agent.key, &End::known(held.uid()));
                if let Some(gone) = gone {
                    self.assignment_gone(&gone);
                }
                (Became::well(Outcome::Gone), Then::Nothing)
            }
            Err(failure) => failed(&failure),
        }
    }

    pub(super) fn assignments(&self, key: &AgentKey) -> Api<AgentAssignment> {
        Api::namespaced(self.client.clone(), key.namespace())
    }
}

pub(super) fn terminating(namespace: &str) -> Held {
    Held::Waiting(
        "NamespaceTerminating",
        format!("namespace {namespace} is being deleted; the order waits for a new one"),
    )
}

fn waiting(reason: &str, message: String) -> Became {
    Became { outcome: Outcome::Waiting, reason: reason.to_owned(), message }
}

fn became(result: Result<(), Held>) -> (Became, Then) {
    match result {
        Ok(()) => (Became::well(Outcome::Persisted), Then::Nothing),
        Err(Held::Rejected(validate::Rejection { reason, message })) => {
            (Became { outcome: Outcome::Rejected, reason: reason.to_owned(), message }, Then::Nothing)
        }
        Err(Held::Waiting(reason, message)) => (waiting(reason, message), Then::Nothing),
        Err(Held::Failed(failure)) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> (Became, Then) {
    let then = if failure.is_refusal() { Then::Late } else { Then::Retry };
    (waiting(failure.reason(), failure.to_string()), then)
}
