//! The fields that several messages share.

use parallax_crds::activation::WakeUp;
use parallax_crds::agent::Bounds;
use parallax_crds::link::Scale;
use parallax_crds::names::{AgentRef, is_dns_label};
use parallax_crds::trace::TraceContext;
use parallax_crds::{AgentKey, Incarnation, SpecHash};

use crate::digest::SetDigest;
use crate::session::limits::{MESSAGE_BYTES, REASON_BYTES};
use crate::v1;

/// A field of a frame is not what the protocol says. The other end has a bug, or isn't what it says it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the field {field} is malformed: {problem}; run versions of Parallax at both ends that are at most one apart"
)]
pub struct Malformed {
    /// Which field, as in `fleet.proto`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A malformed field as an error.
pub(crate) fn malformed<T>(field: &'static str, problem: &'static str) -> Result<T, Malformed> {
    Err(Malformed { field, problem })
}

/// Later versions may write longer texts than this one does: they are read up to this many times the length.
const SLACK: usize = 4;

pub(crate) fn agent_key(key: Option<&v1::AgentKey>) -> Result<AgentKey, Malformed> {
    let Some(key) = key else {
        return malformed("key", "is missing");
    };
    if !is_dns_label(&key.namespace) {
        return malformed("key.namespace", "is not a DNS-1123 label");
    }
    if !key.name.split('.').all(is_dns_label) || key.name.len() > 253 {
        return malformed("key.name", "is not a DNS-1123 subdomain");
    }
    Ok(AgentKey::new(&key.namespace, &key.name))
}

pub(crate) fn agent(key: Option<&v1::AgentKey>, incarnation: &str) -> Result<AgentRef, Malformed> {
    let key = agent_key(key)?;
    if !(1..=128).contains(&incarnation.len()) || !incarnation.bytes().all(|b| b.is_ascii_graphic()) {
        return malformed("incarnation", "is not 1 to 128 visible ASCII characters");
    }
    Ok(AgentRef { key, incarnation: Incarnation::new(incarnation) })
}

pub(crate) fn hash(bytes: &[u8]) -> Result<SpecHash, Malformed> {
    SpecHash::from_bytes(bytes).map_err(|_| Malformed { field: "hash", problem: "is not 16 bytes long" })
}

/// A hash, or nothing.
pub(crate) fn optional_hash(bytes: &[u8]) -> Result<Option<SpecHash>, Malformed> {
    if bytes.is_empty() { Ok(None) } else { hash(bytes).map(Some) }
}

pub(crate) fn digest(count: u64, set_hash: &[u8]) -> Result<SetDigest, Malformed> {
    SetDigest::from_parts(count, set_hash)
        .ok_or(Malformed { field: "set_hash", problem: "is not 16 bytes long" })
}

pub(crate) fn count(field: &'static str, value: i32) -> Result<i32, Malformed> {
    if value < 0 { malformed(field, "is negative") } else { Ok(value) }
}

/// How many replicas, their bounds, and their wake-up.
pub(crate) fn scale(
    field: &'static str,
    replicas: i32,
    bounds: Option<v1::Bounds>,
    wake: i64,
) -> Result<Scale, Malformed> {
    let bounds = match bounds {
        None => None,
        Some(v1::Bounds { min, max, start }) if 0 <= min && min <= max && 1 <= max && 0 <= start => {
            Some(Bounds { min, max, start })
        }
        Some(_) => return malformed("bounds", "are not in order"),
    };
    if wake < 0 {
        return malformed("wake", "is negative");
    }
    Ok(Scale { replicas: count(field, replicas)?, bounds, wake: WakeUp::numbered(wake) })
}

/// A scale as the other end reads it, whatever came in.
pub(crate) fn sent(scale: Scale) -> Scale {
    let bounds = scale.bounds.map(|Bounds { min, max, start }| {
        let min = min.max(0);
        Bounds { min, max: max.max(min).max(1), start: start.max(0) }
    });
    Scale { replicas: scale.replicas.max(0), bounds, wake: scale.wake }
}

pub(crate) fn bounds_message(scale: Scale) -> Option<v1::Bounds> {
    sent(scale).bounds.map(|Bounds { min, max, start }| v1::Bounds { min, max, start })
}

pub(crate) fn wake_message(scale: Scale) -> i64 {
    scale.wake.map_or(0, WakeUp::number)
}

/// A text of at most `limit` bytes.
pub(crate) fn text(field: &'static str, value: String, limit: usize) -> Result<String, Malformed> {
    if value.len() > limit { malformed(field, "is too long") } else { Ok(value) }
}

pub(crate) fn reason(value: String) -> Result<String, Malformed> {
    text("reason", value, SLACK * REASON_BYTES)
}

pub(crate) fn message(value: String) -> Result<String, Malformed> {
    text("message", value, SLACK * MESSAGE_BYTES)
}

pub(crate) fn traceparent(trace: Option<v1::TraceContext>) -> Result<Option<String>, Malformed> {
    match trace {
        None => Ok(None),
        Some(trace) if trace.traceparent.parse::<TraceContext>().is_ok() => Ok(Some(trace.traceparent)),
        Some(_) => malformed("trace.traceparent", "is not a W3C traceparent"),
    }
}

/// A trace context to send; nothing when it isn't one (it may come from a user's annotation).
pub(crate) fn trace_message(traceparent: Option<&str>) -> Option<v1::TraceContext> {
    let traceparent = traceparent.filter(|text| text.parse::<TraceContext>().is_ok())?;
    Some(v1::TraceContext { traceparent: traceparent.to_owned() })
}

pub(crate) fn key_message(key: &AgentKey) -> Option<v1::AgentKey> {
    Some(v1::AgentKey { namespace: key.namespace().to_owned(), name: key.name().to_owned() })
}

pub(crate) fn hash_message(hash: SpecHash) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(hash.as_bytes())
}

/// `text`, cut to at most `limit` bytes at a character's boundary.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}
