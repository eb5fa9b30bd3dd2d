//! When both ends compare what the member holds, and what comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_crds::link::Held;
use parallax_crds::names::AgentRef;
use sha2::{Digest, Sha256};

use super::board::Board;
use super::incoming::Broken;
use super::slot::{Holding, Version};
use crate::digest::SetDigest;
use crate::session::limits::AUDIT;
use crate::{v1, wire};

/// More entries than this are not an inventory.
const INVENTORY_ENTRIES: usize = 500_000;

#[derive(Debug)]
pub(super) struct Resync {
    /// The inventory so far, while one is awaited.
    collecting: Option<BTreeMap<AgentKey, Holding>>,
    /// What follows from the comparison has not all been sent and acknowledged.
    open: bool,
    /// A digest that differed when it was last heard. Two in a row are more than the member's watch being a little late.
    suspicious: Option<SetDigest>,
    /// A digest that led to an inventory. What it told won't be asked again before the next audit.
    explained: Option<SetDigest>,
    audit: Duration,
    period: Duration,
}

impl Resync {
    /// The resync at the beginning of a session. Audits are spread by the session's name.
    pub fn new(session: &str, now: Duration) -> Self {
        let hash = Sha256::digest(session);
        let spread = u16::from_be_bytes([hash[0], hash[1]]);
        let period = AUDIT.mul_f64(0.9 + 0.2 * f64::from(spread) / f64::from(u16::MAX));
        let audit = now.saturating_add(period);
        Self { collecting: None, open: true, suspicious: None, explained: None, audit, period }
    }

    /// An inventory was asked for.
    pub fn want_inventory(&mut self) {
        self.collecting = Some(BTreeMap::new());
        self.open = true;
    }

    pub fn is_collecting(&self) -> bool {
        self.collecting.is_some()
    }

    /// True once per resync, when all that followed from it is done.
    pub fn complete(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// The member's digest, from a heartbeat. True when an inventory is to be asked for.
    pub fn compare(&mut self, digest: SetDigest, board: &Board, now: Duration) -> bool {
        if self.is_collecting() || self.open || !board.is_idle() {
            self.suspicious = None;
            return false;
        }
        let audit = now >= self.audit;
        if audit {
            self.audit = now.saturating_add(self.period);
        }
        if digest == board.held() {
            self.suspicious = None;
            return false;
        }
        let twice = self.suspicious.replace(digest) == Some(digest);
        if audit || (twice && self.explained != Some(digest)) {
            self.explained = Some(digest);
            self.suspicious = None;
            return true;
        }
        false
    }

    /// A part of the inventory. With the last one, what nobody claims of it.
    pub fn on_inventory(
        &mut self,
        part: &v1::Inventory,
        board: &mut Board,
    ) -> Result<Option<Vec<Held>>, Broken> {
        let Some(collecting) = &mut self.collecting else {
            return Err(Broken("an inventory came that nobody asked for".to_owned()));
        };
        for have in &part.have {
            let (held, changing) = wire::have(have)?;
            let settled = !held.removing && !changing;
            let version = Version { incarnation: held.agent.incarnation, hash: held.hash, scale: held.scale };
            if collecting.insert(held.agent.key, Holding { version, settled }).is_some() {
                return Err(Broken("an inventory has an agent twice".to_owned()));
            }
        }
        if collecting.len() > INVENTORY_ENTRIES {
            return Err(Broken("an inventory is too long".to_owned()));
        }
        if !part.last {
            return Ok(None);
        }
        let inventory = self.collecting.take().unwrap_or_default();
        Ok(Some(board.set_inventory(inventory)))
    }

    /// An agent is gone from the member while its inventory comes in.
    pub fn on_gone(&mut self, agent: &AgentRef) {
        if let Some(collecting) = &mut self.collecting
            && collecting
                .get(&agent.key)
                .is_some_and(|holding| holding.version.incarnation == agent.incarnation)
        {
            collecting.remove(&agent.key);
        }
    }
}
