//! What the hub says: whether it may be obeyed, and what is then asked of this member.

use std::time::Duration;

use super::action::MemberAction;
use super::{Inventory, MemberLink, Open, Stage};
use crate::v1::from_hub::Frame as HubFrame;
use crate::{COPIES, KEYS, USAGE, VERSIONS, v1, wire};

impl MemberLink {
    /// A frame arrived.
    pub fn on_frame(&mut self, frame: v1::FromHub, now: Duration) {
        if !matches!(self.stage, Stage::Greeting { .. } | Stage::Open(_)) {
            return;
        }
        self.heard = now;
        match frame.frame {
            None => {
                self.hang_up("the hub sent a frame that this version doesn't know: upgrade the member", now);
            }
            Some(HubFrame::Bye(bye)) => self.hang_up(&format!("the hub said good-bye: {}", bye.reason), now),
            Some(HubFrame::Retry(retry)) => {
                let delay = self.backoff.after_retry(Duration::from_millis(retry.after_ms.into()));
                self.actions.push_back(MemberAction::Close);
                self.leave(
                    MemberAction::Lost {
                        cause: format!("the hub asks to come back later: {}", retry.reason),
                    },
                    delay,
                    now,
                );
            }
            Some(HubFrame::Terminate(v1::Terminate { reason, message })) => {
                self.refused(reason, message, now);
            }
            Some(HubFrame::Welcome(welcome)) => self.on_welcome(welcome, now),
            Some(frame) => {
                if let Err(problem) = self.on_order(frame) {
                    self.hang_up(&format!("the hub broke the protocol: {problem}"), now);
                }
            }
        }
    }

    fn on_welcome(&mut self, welcome: v1::Welcome, now: Duration) {
        if !matches!(self.stage, Stage::Greeting { .. }) {
            return self.hang_up("the hub broke the protocol: it said Welcome twice", now);
        }
        if !VERSIONS.contains(&welcome.version) {
            let message = format!(
                "the hub speaks the protocol's version {}, this member {VERSIONS:?}: upgrade the older one",
                welcome.version
            );
            return self.refused("VersionMismatch".to_owned(), message, now);
        }
        let has = |wanted: &str| welcome.features.iter().any(|feature| feature == wanted);
        let (has_keys, has_usage, has_copies) = (has(KEYS), has(USAGE), has(COPIES));
        let (mut welcomed, heartbeat) = match wire::welcome(welcome) {
            Ok(welcome) => welcome,
            Err(error) => return self.hang_up(&format!("the hub broke the protocol: {error}"), now),
        };
        let known = self.config.hub_uid.as_deref() == Some(welcomed.hub_uid.as_str());
        if known && welcomed.epoch < self.config.max_epoch {
            let cause = format!(
                "the hub's epoch {} is older than {}, which this member has obeyed: another leader has taken over",
                welcomed.epoch, self.config.max_epoch
            );
            return self.hang_up(&cause, now);
        }
        if !known {
            welcomed.previous_hub = self.config.hub_uid.clone();
        }
        let persisted = known && welcomed.epoch == self.config.max_epoch;
        if !persisted {
            let (hub_uid, epoch) = (welcomed.hub_uid.clone(), welcomed.epoch);
            self.actions.push_back(MemberAction::PersistEpoch { hub_uid, epoch });
        }
        self.stage = Stage::Open(Box::new(Open {
            hub_uid: welcomed.hub_uid.clone(),
            epoch: welcomed.epoch,
            persisted,
            heartbeat,
            since: now,
            beat: now,
            beat_due: false,
            inventory: Inventory::Sent,
            has_keys,
            has_copies,
            has_usage,
            resynced: false,
        }));
        self.notices.begin_session();
        self.keys.begin_session();
        self.copies.begin_session();
        self.actions.push_back(MemberAction::Connected(welcomed));
    }

    fn on_order(&mut self, frame: HubFrame) -> Result<(), String> {
        let Stage::Open(open) = &mut self.stage else {
            return Err("it said something before Welcome".to_owned());
        };
        match frame {
            HubFrame::WantInventory(_) => open.inventory = Inventory::After(None),
            HubFrame::Delta(delta) => {
                right_epoch(delta.epoch, open.epoch)?;
                self.orders.accept(delta, &open.hub_uid, &self.holdings)?;
            }
            HubFrame::SnapshotComplete(complete) => right_epoch(complete.epoch, open.epoch)?,
            HubFrame::KeyAnswer(answer) => {
                let answer = wire::key_answer(answer).map_err(|error| error.to_string())?;
                if self.keys.wants(&answer.wish) {
                    self.actions.push_back(MemberAction::Key(answer));
                }
                return Ok(());
            }
            HubFrame::CopyAnswer(answer) => {
                let answer = wire::copy_answer(answer).map_err(|error| error.to_string())?;
                if self.copies.wants(&answer.place) {
                    self.actions.push_back(MemberAction::Copy(answer));
                }
                return Ok(());
            }
            // This version asks for no confirmation yet.
            HubFrame::Heartbeat(_) | HubFrame::Confirmed(_) => return Ok(()),
            HubFrame::Welcome(_) | HubFrame::Bye(_) | HubFrame::Retry(_) | HubFrame::Terminate(_) => {}
        }
        // After an inventory, reports follow it; else they begin with the hub's first word, which shows that the
        // hub knows what this member holds.
        if !open.resynced && matches!(open.inventory, Inventory::Sent) {
            open.resynced = true;
            self.reports.start_snapshot();
            self.usages.start(open.has_usage);
        }
        Ok(())
    }
}

fn right_epoch(said: u64, welcome: u64) -> Result<(), String> {
    if said == welcome {
        Ok(())
    } else {
        Err(format!("an order has epoch {said} in a session of epoch {welcome}"))
    }
}
