//! To zero and back: what the hub orders of it, and what a member and its activators say to each other through an
//! assignment's status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::schema;

/// When an agent goes to zero, and what becomes of requests that find nobody.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sleep {
    /// Seconds without work before it does.
    #[schemars(range(min = 0))]
    pub delay_seconds: i32,
    /// Seconds that a request is held at most.
    #[schemars(range(min = 0))]
    pub hold_seconds: i32,
    /// Requests that are held at most, by each activator.
    #[schemars(range(min = 0))]
    pub max_pending: i32,
}

/// A wake-up that was asked for through the API, told from any other by a number.
///
/// It is a state and no event: who has heeded it once doesn't do so again, however often it is said, and it is heard by
/// whoever was away while it was asked for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub struct WakeUp(#[schemars(range(min = 1))] i64);

impl WakeUp {
    /// The one that this value of the annotation [`crate::labels::WAKE`] asks for; none: it is empty.
    #[must_use]
    pub fn asked_by(value: &str) -> Option<Self> {
        let mut first = [0; 8];
        first.copy_from_slice(&Sha256::digest(value)[..8]);
        // JSON's readers are sure of 53 bits.
        Self::numbered(i64::try_from(u64::from_be_bytes(first) >> 12).ok()?.max(1))
            .filter(|_| !value.is_empty())
    }

    /// The one with that number; none: there is none.
    #[must_use]
    pub fn numbered(number: i64) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// Its number, above 0.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

/// What the member lets the activators do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Activation {
    /// How far the agent is on its way to zero.
    pub stage: Stage,
    /// Rises whenever the gate for requests opens or closes.
    #[schemars(range(min = 1))]
    pub serial: i64,
    /// Since when it is at this stage.
    #[schemars(schema_with = "schema::time")]
    pub since: Time,
    /// The last serial behind which all pods were told to go; 0: none.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub slept: i64,
    /// The last wake-up through the API that was heeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken: Option<WakeUp>,
}

/// How far an agent is on its way to zero: requests go on to its pods; they are held, and the pods are still there; the
/// pods go or are gone.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Requests go on to its pods.
    Up,
    /// Requests are held, and the pods are still there.
    Closing,
    /// Requests are held, and the pods go or are gone.
    Zero,
}

/// What one activator says of an agent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ActivatorWord {
    /// Where it listens for the agent.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// It has requests for the agent, or had one within the time that it may be quiet, or the pods say that they work.
    pub wanted: bool,
    /// When it had one last, as of when it stopped wanting; its own start when it had none.
    #[schemars(schema_with = "schema::time")]
    pub since: Time,
    /// It has had none since its start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncalled: bool,
    /// The serial at which it lets no request go on, and none is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub closed: Option<i64>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn another_value_is_another_wake_up_and_none_is_none() {
        let asked = |value: &str| WakeUp::asked_by(value);
        assert_eq!(asked(""), None);
        assert_eq!(asked("2026-11-23T05:00:00Z"), asked("2026-11-23T05:00:00Z"));
        assert_ne!(asked("2026-11-23T05:00:00Z"), asked("2026-11-23T05:00:01Z"));
        let number = asked("now").unwrap().number();
        assert!((1..1 << 52).contains(&number), "{number}");
        assert_eq!(WakeUp::numbered(number), asked("now"));
        assert_eq!((WakeUp::numbered(0), WakeUp::numbered(-1)), (None, None));
    }
}
