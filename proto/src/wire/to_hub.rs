//! What a member says.

use parallax_crds::Phase;
use parallax_crds::link::{AgentReport, CredentialsReport, Held, MemberEvent, OrderResult, Outcome};

use super::fields::{
    Malformed, agent, bounds_message, clip, count, digest, hash, hash_message, key_message, malformed,
    message, optional_hash, reason, scale, sent, text, trace_message, traceparent, wake_message,
};
use crate::digest::SetDigest;
use crate::session::HelloFacts;
use crate::session::limits::{MESSAGE_BYTES, REASON_BYTES};
use crate::v1;

/// Bytes of an id: a UID, a boot id, a version.
pub(super) const ID_BYTES: usize = 128;

/// Bytes of a host and a port: a Service's name for a set of clusters has fewer than 160.
const ENDPOINT_BYTES: usize = 256;

/// Entries of a list in Hello.
const HELLO_ENTRIES: usize = 64;

pub(crate) fn hello(hello: v1::Hello) -> Result<(HelloFacts, SetDigest), Malformed> {
    if hello.versions.len() > HELLO_ENTRIES {
        return malformed("hello.versions", "is too long");
    }
    if hello.features.len() > HELLO_ENTRIES || hello.features.iter().any(|f| f.len() > ID_BYTES) {
        return malformed("hello.features", "is too long");
    }
    if hello.cluster_uid.is_empty() {
        return malformed("hello.cluster_uid", "is missing");
    }
    if hello.boot_id.is_empty() {
        return malformed("hello.boot_id", "is missing");
    }
    let hub_uid = text("hello.hub_uid", hello.hub_uid, ID_BYTES)?;
    let digest = digest(hello.count, &hello.set_hash)?;
    let facts = HelloFacts {
        versions: hello.versions,
        features: hello.features,
        cluster_uid: text("hello.cluster_uid", hello.cluster_uid, ID_BYTES)?,
        boot_id: text("hello.boot_id", hello.boot_id, ID_BYTES)?,
        hub_uid: (!hub_uid.is_empty()).then_some(hub_uid),
        max_epoch_seen: hello.max_epoch_seen,
        count: hello.count,
        member_version: text("hello.member_version", hello.member_version, ID_BYTES)?,
    };
    Ok((facts, digest))
}

/// One entry of an inventory, and whether it changes still.
pub(crate) fn have(have: &v1::Have) -> Result<(Held, bool), Malformed> {
    let held = Held {
        agent: agent(have.key.as_ref(), &have.incarnation)?,
        hash: hash(&have.hash)?,
        scale: scale("have.replicas", have.replicas, have.bounds, have.wake)?,
        removing: have.removing,
    };
    Ok((held, have.changing))
}

pub(crate) fn inventory_entry(held: &Held, changing: bool) -> v1::Have {
    v1::Have {
        key: key_message(&held.agent.key),
        incarnation: held.agent.incarnation.as_str().to_owned(),
        hash: hash_message(held.hash),
        replicas: sent(held.scale).replicas,
        bounds: bounds_message(held.scale),
        wake: wake_message(held.scale),
        removing: held.removing,
        changing,
    }
}

pub(crate) fn result(result: v1::Result) -> Result<OrderResult, Malformed> {
    let outcome = match result.outcome() {
        v1::Outcome::Persisted => Outcome::Persisted,
        v1::Outcome::Removing => Outcome::Removing,
        v1::Outcome::Gone => Outcome::Gone,
        v1::Outcome::Rejected => Outcome::Rejected,
        v1::Outcome::Waiting => Outcome::Waiting,
        v1::Outcome::Unspecified => return malformed("result.outcome", "is not one that this version knows"),
    };
    Ok(OrderResult {
        agent: agent(result.key.as_ref(), &result.incarnation)?,
        hash: optional_hash(&result.hash)?,
        outcome,
        reason: reason(result.reason)?,
        message: message(result.message)?,
    })
}

pub(crate) fn result_message(result: &OrderResult) -> v1::Result {
    let outcome = match result.outcome {
        Outcome::Persisted => v1::Outcome::Persisted,
        Outcome::Removing => v1::Outcome::Removing,
        Outcome::Gone => v1::Outcome::Gone,
        Outcome::Rejected => v1::Outcome::Rejected,
        Outcome::Waiting => v1::Outcome::Waiting,
    };
    v1::Result {
        key: key_message(&result.agent.key),
        incarnation: result.agent.incarnation.as_str().to_owned(),
        hash: result.hash.map(hash_message).unwrap_or_default(),
        outcome: outcome.into(),
        reason: clip(&result.reason, REASON_BYTES),
        message: clip(&result.message, MESSAGE_BYTES),
    }
}

/// A report on one agent.
pub(crate) fn report(status: v1::Status) -> Result<AgentReport, Malformed> {
    let Some(payload) = status.payload else {
        return malformed("status.payload", "is missing");
    };
    let phase = match payload.phase() {
        v1::Phase::Pending => Phase::Pending,
        v1::Phase::Running => Phase::Running,
        v1::Phase::Scaling => Phase::Scaling,
        v1::Phase::Failed => Phase::Failed,
        v1::Phase::Terminating => Phase::Terminating,
        v1::Phase::Unspecified => {
            return malformed("status.payload.phase", "is not one that this version knows");
        }
    };
    let ready = count("status.payload.ready_replicas", payload.ready_replicas)?;
    let serving = count("status.payload.serving_replicas", payload.serving_replicas)?;
    Ok(AgentReport {
        agent: agent(status.key.as_ref(), &status.incarnation)?,
        hash: optional_hash(&status.hash)?,
        phase,
        desired: count("status.payload.desired_replicas", payload.desired_replicas)?,
        chosen: payload.chosen_replicas.map(|n| count("status.payload.chosen_replicas", n)).transpose()?,
        replicas: count("status.payload.replicas", payload.replicas)?,
        ready,
        // A member that doesn't know the field leaves it out.
        serving: serving.max(ready),
        synced: payload.synced,
        reason: reason(payload.reason)?,
        message: message(payload.message)?,
        credentials: payload.credentials.map(credentials).transpose()?,
        endpoint: endpoint(payload.endpoint)?,
        last_activity: (payload.last_activity > 0).then_some(payload.last_activity),
        traceparent: traceparent(status.trace)?,
    })
}

/// A report as the `seq`th of the boot.
pub(crate) fn status(report: &AgentReport, boot_id: &str, seq: u64) -> v1::Status {
    let phase = match report.phase {
        Phase::Pending => v1::Phase::Pending,
        Phase::Running => v1::Phase::Running,
        Phase::Scaling => v1::Phase::Scaling,
        Phase::Failed => v1::Phase::Failed,
        Phase::Terminating => v1::Phase::Terminating,
    };
    v1::Status {
        key: key_message(&report.agent.key),
        incarnation: report.agent.incarnation.as_str().to_owned(),
        hash: report.hash.map(hash_message).unwrap_or_default(),
        boot_id: boot_id.to_owned(),
        seq,
        payload: Some(v1::StatusPayload {
            phase: phase.into(),
            desired_replicas: report.desired.max(0),
            chosen_replicas: report.chosen.map(|n| n.max(0)),
            replicas: report.replicas.max(0),
            ready_replicas: report.ready.max(0),
            serving_replicas: report.serving.max(0),
            synced: report.synced,
            reason: clip(&report.reason, REASON_BYTES),
            message: clip(&report.message, MESSAGE_BYTES),
            credentials: report.credentials.as_ref().map(credentials_message),
            endpoint: clip(report.endpoint.as_deref().unwrap_or_default(), ENDPOINT_BYTES),
            last_activity: report.last_activity.unwrap_or_default(),
        }),
        trace: trace_message(report.traceparent.as_deref()),
    }
}

/// A host and a port: nothing else that a member may say is shown as an address.
fn endpoint(said: String) -> Result<Option<String>, Malformed> {
    let said = text("status.payload.endpoint", said, ENDPOINT_BYTES)?;
    let is_of_an_address = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    if !said.chars().all(is_of_an_address) {
        return malformed("status.payload.endpoint", "is no HOST:PORT");
    }
    Ok((!said.is_empty()).then_some(said))
}

fn credentials(said: v1::Credentials) -> Result<CredentialsReport, Malformed> {
    Ok(CredentialsReport { ready: said.ready, reason: reason(said.reason)?, message: message(said.message)? })
}

fn credentials_message(said: &CredentialsReport) -> v1::Credentials {
    v1::Credentials {
        ready: said.ready,
        reason: clip(&said.reason, REASON_BYTES),
        message: clip(&said.message, MESSAGE_BYTES),
    }
}

pub(crate) fn event(event: v1::Event) -> Result<MemberEvent, Malformed> {
    Ok(MemberEvent {
        agent: agent(event.key.as_ref(), &event.incarnation)?,
        warning: event.warning,
        reason: reason(event.reason)?,
        message: message(event.message)?,
    })
}

pub(crate) fn event_message(event: &MemberEvent) -> v1::Event {
    v1::Event {
        key: key_message(&event.agent.key),
        incarnation: event.agent.incarnation.as_str().to_owned(),
        warning: event.warning,
        reason: clip(&event.reason, REASON_BYTES),
        message: clip(&event.message, MESSAGE_BYTES),
    }
}

#[cfg(test)]
mod tests;
