//! What members ask the hub for of an agent's namespace there, so that their clusters have it too.

use std::fmt;

use bytes::Bytes;

use crate::link::Withheld;
use crate::names::AgentRef;

/// What there is to ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The namespace itself: its labels.
    Namespace,
}

/// An object of the hub's cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The agent's namespace.
    pub namespace: String,
    /// What of it.
    pub source: Source,
}

/// What a member asks for, for the sake of an agent that it runs or is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyWish {
    /// For which.
    pub agent: AgentRef,
    /// What.
    pub source: Source,
}

impl CopyWish {
    /// The object that it is about.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { namespace: self.agent.key.namespace().to_owned(), source: self.source.clone() }
    }
}

/// What the hub says of an object; it says it anew whenever that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyAnswer {
    /// Of which.
    pub place: Place,
    /// What is in it, or why that isn't told.
    pub content: Result<Content, Withheld>,
}

/// What is in an object, as the JSON of its fields. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Bytes);

impl Content {
    /// Of that JSON; none when there is nothing in it.
    #[must_use]
    pub fn new(json: Bytes) -> Option<Self> {
        (!json.is_empty()).then_some(Self(json))
    }

    /// The JSON itself.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content")
    }
}
