//! What a session knows of one agent: what is wanted, what the member holds, what it has answered, and hence what is
//! to be sent next.

use parallax_crds::link::{Held, Order, Scale};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, Incarnation, SpecHash};

use crate::digest::Entry;
use crate::wire::sent;

/// A version of an agent in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub incarnation: Incarnation,
    pub hash: SpecHash,
    pub scale: Scale,
}

impl Version {
    pub fn of(order: &Order) -> Self {
        Self { incarnation: order.agent.incarnation.clone(), hash: order.hash, scale: sent(order.scale) }
    }

    fn is(&self, order: &Order) -> bool {
        self.incarnation == order.agent.incarnation
            && self.hash == order.hash
            && self.scale == sent(order.scale)
    }
}

/// What the member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    pub version: Version,
    /// It is neither being removed nor still changing.
    pub settled: bool,
}

impl Holding {
    pub fn held(&self, key: &AgentKey) -> Held {
        Held {
            agent: AgentRef { key: key.clone(), incarnation: self.version.incarnation.clone() },
            hash: self.version.hash,
            scale: self.version.scale,
            removing: !self.settled,
        }
    }
}

/// An incarnation that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Removal {
    pub incarnation: Incarnation,
    pub traceparent: Option<String>,
    /// The member has it in hand: `Gone` will follow.
    pub in_hand: bool,
}

/// What was sent and isn't acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Upsert(Version),
    Removal(Incarnation),
}

/// What is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due<'a> {
    Upsert(&'a Order),
    Removal(&'a Removal),
}

/// One agent's name in one session. Two incarnations of a name never run beside each other in a cluster, so a removal
/// waits while another incarnation is wanted: the order replaces it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub want: Option<Order>,
    pub removals: Vec<Removal>,
    pub held: Option<Holding>,
    /// The member keeps this order until what it waits for changes.
    pub waiting: Option<Version>,
    /// The member refuses this incarnation with this hash; no number of replicas mends that.
    pub rejected: Option<(Incarnation, SpecHash)>,
    /// Something of it is unacknowledged. Nothing else is sent until then, so that orders can't overtake each other.
    pub in_flight: bool,
}

impl Slot {
    pub fn due(&self) -> Option<Due<'_>> {
        if self.in_flight {
            return None;
        }
        if let Some(want) = &self.want
            && !self.is_rejected(want)
        {
            let answered = self.waiting.as_ref().is_some_and(|version| version.is(want));
            return (!answered && !self.holds(want)).then_some(Due::Upsert(want));
        }
        self.removals.iter().find(|removal| !removal.in_hand).map(Due::Removal)
    }

    fn is_rejected(&self, want: &Order) -> bool {
        self.rejected
            .as_ref()
            .is_some_and(|(incarnation, hash)| *incarnation == want.agent.incarnation && *hash == want.hash)
    }

    fn holds(&self, want: &Order) -> bool {
        self.held.as_ref().is_some_and(|held| held.settled && held.version.is(want))
    }

    /// The removals that are over because the wanted incarnation has taken their place.
    pub fn replaced(&mut self) -> Vec<Removal> {
        match &self.want {
            Some(want) if self.holds(want) => std::mem::take(&mut self.removals),
            _ => Vec::new(),
        }
    }

    /// What the member's digest has of this agent.
    pub fn entry<'a>(&'a self, key: &'a AgentKey) -> Option<Entry<'a>> {
        let version = self.held.as_ref().map(|held| &held.version).or(self.waiting.as_ref())?;
        let settled = self.waiting.is_none() && self.held.as_ref().is_some_and(|held| held.settled);
        let Version { incarnation, hash, scale } = version;
        Some(Entry { key, incarnation, hash: *hash, scale: *scale, unsettled: !settled })
    }

    pub fn is_empty(&self) -> bool {
        self.want.is_none() && self.removals.is_empty() && self.held.is_none() && !self.in_flight
    }

    /// The member holds it, and nobody has said what is to become of it.
    pub fn unclaimed(&self) -> bool {
        let Some(held) = &self.held else {
            return false;
        };
        self.want.is_none()
            && self.removals.iter().all(|removal| removal.incarnation != held.version.incarnation)
    }
}
