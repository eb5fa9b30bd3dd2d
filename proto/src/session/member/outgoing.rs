//! What the member says next: Hello first, acknowledgements before all else, reports last.

use std::time::Duration;

use super::action::MemberAction;
use super::{Inventory, MemberLink, Stage};
use crate::v1::from_member::Frame;
use crate::{FEATURES, VERSIONS, v1};

impl MemberLink {
    /// The next frame to send. To be called only while the transport has room.
    pub fn poll_frame(&mut self, now: Duration) -> Option<v1::FromMember> {
        self.next_frame(now).map(|frame| v1::FromMember { frame: Some(frame) })
    }

    fn next_frame(&mut self, now: Duration) -> Option<Frame> {
        let open = match &mut self.stage {
            Stage::Greeting { said_hello } => {
                return (!std::mem::replace(said_hello, true)).then(|| self.hello());
            }
            Stage::Leaving { reason, .. } => {
                if let Some(ack) = self.orders.next_ack() {
                    return Some(Frame::Ack(ack));
                }
                let reason = std::mem::take(reason);
                self.actions.push_back(MemberAction::Close);
                self.stage = Stage::Drained;
                return Some(Frame::Bye(v1::Bye { reason }));
            }
            Stage::Open(open) => open,
            _ => return None,
        };
        if let Some(ack) = self.orders.next_ack() {
            return Some(Frame::Ack(ack));
        }
        if let Inventory::After(after) = &open.inventory {
            let (part, last) = self.holdings.inventory(after.as_ref(), self.orders.open());
            open.inventory = match last {
                Some(last) => Inventory::After(Some(last)),
                None => {
                    open.resynced = true;
                    self.reports.start_snapshot();
                    self.usages.start(open.has_usage);
                    Inventory::Sent
                }
            };
            return Some(Frame::Inventory(part));
        }
        if std::mem::take(&mut open.beat_due) {
            let digest = self.holdings.digest(self.orders.open());
            let set_hash = digest.bytes().to_vec().into();
            return Some(Frame::Heartbeat(v1::Heartbeat { count: digest.count(), set_hash }));
        }
        let wishes = if open.has_keys && open.resynced { self.keys.next() } else { None };
        // A namespace's labels are asked for before what is to be in it.
        let wishes = wishes.or_else(|| if open.has_copies { self.copies.next() } else { None });
        let said = wishes.or_else(|| self.notices.next());
        said.or_else(|| self.reports.next(&self.config.boot_id, now)).or_else(|| self.usages.next(now))
    }

    fn hello(&self) -> Frame {
        let digest = self.holdings.digest(self.orders.open());
        Frame::Hello(v1::Hello {
            versions: VERSIONS.to_vec(),
            features: FEATURES.iter().map(|&feature| feature.to_owned()).collect(),
            cluster_uid: self.config.cluster_uid.clone(),
            boot_id: self.config.boot_id.clone(),
            hub_uid: self.config.hub_uid.clone().unwrap_or_default(),
            max_epoch_seen: self.config.max_epoch,
            count: digest.count(),
            set_hash: digest.bytes().to_vec().into(),
            member_version: self.config.member_version.clone(),
        })
    }
}
