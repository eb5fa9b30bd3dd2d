//! What the hub says next: control first, then keys, then orders, then what is large.

use std::time::Duration;

use super::event::HubEvent;
use super::{HubSession, Stage};
use crate::v1;
use crate::v1::from_hub::Frame;

impl HubSession {
    /// The next frame to send. To be called only while the transport has room.
    pub fn poll_frame(&mut self, now: Duration) -> Option<v1::FromHub> {
        let key = |(_, answer)| Frame::KeyAnswer(answer);
        let copy = |(_, answer)| Frame::CopyAnswer(answer);
        let frame = self.control.pop_front().or_else(|| self.keys.pop().map(key));
        let frame = frame.or_else(|| self.next_order()).or_else(|| self.copies.pop().map(copy));
        if let (Some(_), Stage::Open(open)) = (&frame, &mut self.stage) {
            open.said = now;
        }
        frame.map(|frame| v1::FromHub { frame: Some(frame) })
    }

    fn next_order(&mut self) -> Option<Frame> {
        let Stage::Open(open) = &mut self.stage else {
            return None;
        };
        // What is due isn't known before the inventory.
        if open.resync.is_collecting() {
            return None;
        }
        if let Some(delta) = self.board.next_delta(open.config.epoch) {
            return Some(Frame::Delta(delta));
        }
        if !self.board.is_idle() || !open.resync.complete() {
            return None;
        }
        self.events.push_back(HubEvent::Synced);
        let wanted = self.board.wanted();
        Some(Frame::SnapshotComplete(v1::SnapshotComplete {
            epoch: open.config.epoch,
            nonce: self.board.nonce(),
            count: wanted.count(),
            set_hash: wanted.bytes().to_vec().into(),
        }))
    }
}
