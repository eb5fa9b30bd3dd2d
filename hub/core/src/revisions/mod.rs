//! Revisions of an agent: each spec as it was resolved once, with what was pinned. They are what an upgrade of the hub
//! leaves as it is, what clusters that wait run, and what users go back to.

mod back;
mod kept;
mod object;
mod part;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parallax_crds::{AgentKey, ParallaxAgentSpec, SpecHash};
use serde::{Deserialize, Serialize};

pub use crate::resolve::FleetDefaults;
use crate::resolve::{ResolveError, resolve};
pub use back::back_to;
pub use kept::{MOST, Numbered, RevisionWrite, Revisions};
pub use object::{Unreadable, data, listed, object, whole};
pub use part::part_of;

/// A spec as it was resolved once: all that pods were made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Counted per agent, from 1; a rollback to an older spec makes a new number of it.
    pub number: i64,
    /// The agent's generation that it began with.
    pub generation: i64,
    /// The user's spec; replicas, bounds of scaling, suspension and placement (its overrides excepted) in it mean nothing.
    pub spec: ParallaxAgentSpec,
    /// What was pinned.
    pub defaults: Arc<FleetDefaults>,
}

impl Revision {
    /// The image that it runs where no override applies.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn image(&self) -> Result<String, ResolveError> {
        Ok(resolve(&self.spec, &self.defaults)?.template.image)
    }
}

/// What is said of a revision without its spec: enough for a hub that starts to go on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// See [`Revision::number`].
    pub number: i64,
    /// See [`Revision::generation`].
    pub generation: i64,
    /// Hash of all that decides about pods: revisions with the same one run the same.
    #[serde(with = "hash_as_text")]
    pub pods: SpecHash,
    /// What was pinned.
    pub defaults: Arc<FleetDefaults>,
    /// The last wish for the fleet's present defaults (`labels::REFRESH`) that was followed until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<String>,
}

/// A revision as the API server lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Whose.
    pub agent: AgentKey,
    /// The agent's UID.
    pub uid: String,
    /// Which.
    pub id: RevisionId,
    /// What is said of it.
    pub about: About,
}

/// Names a revision among those of its agent: a hash of the agent's UID, the spec and what was pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevisionId([u8; 5]);

/// Text that is no [`RevisionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a revision: use the ten hexadecimal digits at the end of its name")]
pub struct NoRevisionId;

impl RevisionId {
    /// Of a spec as [`part_of`] leaves it.
    ///
    /// # Errors
    /// When the spec has no JSON form.
    pub fn of(uid: &str, part: &ParallaxAgentSpec, defaults: &FleetDefaults) -> Result<Self, ResolveError> {
        let hash = SpecHash::of(&(uid, part, defaults))?;
        let mut id = [0; 5];
        id.copy_from_slice(&hash.as_bytes()[..5]);
        Ok(Self(id))
    }

    /// What the object is called.
    #[must_use]
    pub fn name(self, agent: &str) -> String {
        format!("{agent}-{self}")
    }

    /// The revision of an object of this name.
    #[must_use]
    pub fn named(agent: &str, name: &str) -> Option<Self> {
        name.strip_prefix(agent)?.strip_prefix('-')?.parse().ok()
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for RevisionId {
    type Err = NoRevisionId;

    fn from_str(text: &str) -> Result<Self, NoRevisionId> {
        let digits = text.len() == 10 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits).ok_or(NoRevisionId)?;
        let mut id = [0; 5];
        id.copy_from_slice(&number.to_be_bytes()[3..]);
        Ok(Self(id))
    }
}

/// Hash of all that decides about an agent's pods: the resolved spec, and what is otherwise in some clusters.
///
/// # Errors
/// As [`resolve`].
pub fn pods_of(part: &ParallaxAgentSpec, defaults: &FleetDefaults) -> Result<SpecHash, ResolveError> {
    let plain = resolve(part, defaults)?.hash;
    let overrides = crate::overrides::of(part);
    if overrides.is_empty() {
        return Ok(plain);
    }
    // An override may be what makes a default request apply.
    let requests = (&defaults.cpu_request, &defaults.memory_request);
    Ok(SpecHash::of(&(plain.to_string(), overrides, requests))?)
}

mod hash_as_text {
    use parallax_crds::SpecHash;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(hash: &SpecHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SpecHash, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
