//! The member's end of all its sessions.

mod action;
mod holdings;
mod keys;
mod notices;
mod open_order;
mod orders;
mod reports;

use std::collections::VecDeque;
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_crds::link::{AgentReport, ClusterReport, Held, KeyWish, MemberEvent, OrderResult};

pub use self::action::{Batch, MemberAction, MemberLinkConfig, Welcomed};
use self::holdings::Holdings;
use self::keys::Keys;
use self::notices::Notices;
use self::orders::Orders;
use self::reports::Reports;
use super::backoff::Backoff;
use super::limits::{FAREWELL, SILENCE};
use crate::v1::from_hub::Frame as HubFrame;
use crate::v1::from_member::Frame;
use crate::{FEATURES, KEYS, VERSIONS, v1, wire};

/// The member's end: one per process, over all reconnects.
///
/// It knows what the member holds and reports, so that each session can begin with it; it must know what the member's
/// API server holds before its first dial.
#[derive(Debug)]
pub struct MemberLink {
    config: MemberLinkConfig,
    stage: Stage,
    backoff: Backoff,
    holdings: Holdings,
    orders: Orders,
    reports: Reports,
    notices: Notices,
    keys: Keys,
    actions: VecDeque<MemberAction>,
    /// When something was last heard.
    heard: Duration,
}

#[derive(Debug)]
enum Stage {
    /// Until the next attempt.
    Away {
        until: Duration,
    },
    /// `Dial` was asked for.
    Dialling,
    /// The transport is open: Hello, then Welcome.
    Greeting {
        said_hello: bool,
    },
    Open(Box<Open>),
    /// Bye is to be said, until this time.
    Leaving {
        reason: String,
        until: Duration,
    },
    Drained,
}

#[derive(Debug)]
struct Open {
    hub_uid: String,
    epoch: u64,
    /// The epoch is persisted: the hub may be obeyed.
    persisted: bool,
    heartbeat: Duration,
    since: Duration,
    /// When the last heartbeat was said.
    beat: Duration,
    beat_due: bool,
    inventory: Inventory,
    /// The hub hands over keys.
    has_keys: bool,
    /// The hub has said what it makes of Hello; reports may follow.
    resynced: bool,
}

/// What of an inventory is still to be sent.
#[derive(Debug)]
enum Inventory {
    Sent,
    After(Option<AgentKey>),
}

impl MemberLink {
    /// A link whose first action is to dial.
    #[must_use]
    pub fn new(config: MemberLinkConfig, now: Duration) -> Self {
        Self {
            stage: Stage::Dialling,
            backoff: Backoff::new(config.seed),
            holdings: Holdings::default(),
            orders: Orders::default(),
            reports: Reports::default(),
            notices: Notices::default(),
            keys: Keys::default(),
            actions: VecDeque::from([MemberAction::Dial]),
            heard: now,
            config,
        }
    }

    /// The member's API server holds this assignment.
    pub fn hold(&mut self, held: Held) {
        self.holdings.hold(held);
    }

    /// The member's API server holds nothing of this name any more.
    pub fn release(&mut self, key: &AgentKey) {
        self.holdings.release(key);
    }

    /// The latest about an agent.
    pub fn report(&mut self, report: AgentReport) {
        self.reports.set(report);
    }

    /// Nothing is to be said about an agent any more.
    pub fn unreport(&mut self, key: &AgentKey) {
        self.reports.unset(key);
    }

    /// The latest about the cluster.
    pub fn cluster(&mut self, report: ClusterReport) {
        self.notices.cluster(report);
    }

    /// Something for users to know.
    pub fn event(&mut self, event: MemberEvent) {
        self.notices.event(event);
    }

    /// An agent needs its API key from the hub, which answers by [`MemberAction::Key`] in each session, and again whenever
    /// the answer changes. Whether that is news.
    pub fn want_key(&mut self, wish: KeyWish) -> bool {
        self.keys.want(wish)
    }

    /// What was handed over for an agent is lost.
    pub fn want_key_again(&mut self, key: &AgentKey) {
        self.keys.again(key);
    }

    /// An agent needs nothing from the hub any more.
    pub fn forget_key(&mut self, key: &AgentKey) {
        self.keys.forget(key);
    }

    /// The transport is open.
    pub fn on_connected(&mut self, now: Duration) {
        if matches!(self.stage, Stage::Dialling) {
            self.stage = Stage::Greeting { said_hello: false };
            self.heard = now;
        }
    }

    /// The transport is gone, or couldn't be opened.
    pub fn on_disconnected(&mut self, cause: &str, now: Duration) {
        match self.stage {
            Stage::Away { .. } | Stage::Drained => {}
            Stage::Leaving { .. } => self.stage = Stage::Drained,
            Stage::Dialling | Stage::Greeting { .. } | Stage::Open(_) => {
                let delay = self.usual_delay(now);
                self.leave(MemberAction::Lost { cause: cause.to_owned() }, delay, now);
            }
        }
    }

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
        let has_keys = welcome.features.iter().any(|feature| feature == KEYS);
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
            resynced: false,
        }));
        self.notices.begin_session();
        self.keys.begin_session();
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
            // This version asks for no confirmation yet.
            HubFrame::Heartbeat(_) | HubFrame::Confirmed(_) => return Ok(()),
            HubFrame::Welcome(_) | HubFrame::Bye(_) | HubFrame::Retry(_) | HubFrame::Terminate(_) => {}
        }
        // After an inventory, reports follow it; else they begin with the hub's first word, which shows that the
        // hub knows what this member holds.
        if !open.resynced && matches!(open.inventory, Inventory::Sent) {
            open.resynced = true;
            self.reports.start_snapshot();
        }
        Ok(())
    }

    /// What `PersistEpoch` asked for is done.
    pub fn on_epoch_persisted(&mut self, hub_uid: &str, epoch: u64) {
        self.config.hub_uid = Some(hub_uid.to_owned());
        self.config.max_epoch = epoch;
        if let Stage::Open(open) = &mut self.stage {
            open.persisted |= open.hub_uid == hub_uid && open.epoch == epoch;
        }
    }

    /// What became of one order of a batch; nonce 0: of an order whose earlier result was Waiting or Removing. A result
    /// that nobody waits for is ignored.
    pub fn on_result(&mut self, nonce: u64, result: OrderResult) {
        let in_session = matches!(self.stage, Stage::Open(_));
        self.orders.on_result(nonce, result, &mut self.holdings, in_session);
    }

    /// Says Bye and never dials again.
    pub fn drain(&mut self, reason: &str, now: Duration) {
        match self.stage {
            Stage::Greeting { said_hello: true } | Stage::Open(_) => {
                self.stage =
                    Stage::Leaving { reason: reason.to_owned(), until: now.saturating_add(FAREWELL) };
            }
            Stage::Greeting { .. } | Stage::Dialling | Stage::Away { .. } => {
                self.actions.push_back(MemberAction::Close);
                self.stage = Stage::Drained;
            }
            Stage::Leaving { .. } | Stage::Drained => {}
        }
    }

    /// The link was drained, and all is said.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        matches!(self.stage, Stage::Drained)
    }

    /// The next thing to do.
    pub fn poll_action(&mut self, _now: Duration) -> Option<MemberAction> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        match &self.stage {
            Stage::Open(open) if open.persisted => self.orders.next_batch().map(MemberAction::Carry),
            _ => None,
        }
    }

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
        wishes.or_else(|| self.notices.next()).or_else(|| self.reports.next(&self.config.boot_id, now))
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

    /// The time of [`next_deadline`](Self::next_deadline) has come.
    pub fn on_timer(&mut self, now: Duration) {
        self.reports.on_timer(now);
        match &mut self.stage {
            Stage::Away { until } if now >= *until => {
                self.stage = Stage::Dialling;
                self.actions.push_back(MemberAction::Dial);
            }
            Stage::Leaving { until, .. } if now >= *until => {
                self.actions.push_back(MemberAction::Close);
                self.stage = Stage::Drained;
            }
            Stage::Greeting { .. } | Stage::Open(_) if now >= self.heard.saturating_add(SILENCE) => {
                self.hang_up("the hub was silent for too long", now);
            }
            Stage::Open(open) if now >= open.beat.saturating_add(open.heartbeat) => {
                open.beat = now;
                open.beat_due = true;
            }
            _ => {}
        }
    }

    /// When [`on_timer`](Self::on_timer) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let silent = self.heard.saturating_add(SILENCE);
        match &self.stage {
            Stage::Away { until } | Stage::Leaving { until, .. } => Some(*until),
            Stage::Dialling | Stage::Drained => None,
            Stage::Greeting { .. } => Some(silent),
            Stage::Open(open) => {
                let beat = open.beat.saturating_add(open.heartbeat);
                let held_back = self.reports.next_deadline().unwrap_or(Duration::MAX);
                Some(silent.min(beat).min(held_back))
            }
        }
    }

    /// Results and changed reports that wait to be sent. Never more than one of each per agent.
    #[must_use]
    pub fn outbox_depth(&self) -> usize {
        self.orders.depth() + self.reports.depth()
    }

    /// Closes the transport for a cause that time, or another hub, may mend.
    fn hang_up(&mut self, cause: &str, now: Duration) {
        let delay = self.usual_delay(now);
        self.actions.push_back(MemberAction::Close);
        self.leave(MemberAction::Lost { cause: cause.to_owned() }, delay, now);
    }

    /// Closes the transport for a cause that somebody has to mend.
    fn refused(&mut self, reason: String, message: String, now: Duration) {
        let delay = self.backoff.after_refusal();
        self.actions.push_back(MemberAction::Close);
        self.leave(MemberAction::Refused { reason, message }, delay, now);
    }

    fn usual_delay(&mut self, now: Duration) -> Duration {
        match &self.stage {
            Stage::Open(open) => self.backoff.after_session(now.saturating_sub(open.since), now),
            _ => self.backoff.after_failure(now),
        }
    }

    fn leave(&mut self, why: MemberAction, delay: Duration, now: Duration) {
        self.actions.retain(|action| {
            !matches!(action, MemberAction::PersistEpoch { .. } | MemberAction::Connected(_))
        });
        self.actions.push_back(why);
        self.orders.end_session();
        self.reports.end_session();
        self.stage = Stage::Away { until: now.saturating_add(delay) };
    }
}

fn right_epoch(said: u64, welcome: u64) -> Result<(), String> {
    if said == welcome {
        Ok(())
    } else {
        Err(format!("an order has epoch {said} in a session of epoch {welcome}"))
    }
}
