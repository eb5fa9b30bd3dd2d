//! The member's end of all its sessions.

mod action;
mod copies;
mod holdings;
mod incoming;
mod keys;
mod notices;
mod open_order;
mod orders;
mod outgoing;
mod reports;
mod time;
mod usages;

use std::collections::VecDeque;
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_crds::copies::{CopyWish, Place, Source};
use parallax_crds::link::{AgentReport, AgentUsage, ClusterReport, Held, KeyWish, MemberEvent, OrderResult};

pub use self::action::{Batch, MemberAction, MemberLinkConfig, Welcomed};
use self::copies::Copies;
use self::holdings::Holdings;
use self::keys::Keys;
use self::notices::Notices;
use self::orders::Orders;
use self::reports::Reports;
use self::usages::Usages;
use super::backoff::Backoff;
use super::limits::FAREWELL;

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
    copies: Copies,
    usages: Usages,
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
    /// The hub tells what is in objects.
    has_copies: bool,
    /// The hub takes in what agents use.
    has_usage: bool,
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
            copies: Copies::default(),
            usages: Usages::default(),
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

    /// The latest of what an agent uses. The hub is told every ten seconds at the most.
    pub fn usage(&mut self, usage: AgentUsage) {
        self.usages.set(usage);
    }

    /// Nothing is measured of an agent any more.
    pub fn forget_usage(&mut self, key: &AgentKey) {
        self.usages.unset(key);
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

    /// Whether the hub tells what is in objects of agents' namespaces; none while there is no session.
    #[must_use]
    pub fn has_copies(&self) -> Option<bool> {
        if let Stage::Open(open) = &self.stage { Some(open.has_copies) } else { None }
    }

    /// An agent needs what is in an object on the hub, which answers by [`MemberAction::Copy`] in each session, and again
    /// whenever the answer changes. Whether that is news.
    pub fn want_copy(&mut self, wish: CopyWish) -> bool {
        self.copies.want(wish)
    }

    /// What was told of an object is lost.
    pub fn want_copy_again(&mut self, place: &Place) {
        self.copies.again(place);
    }

    /// An agent doesn't need that any more. Whether nobody does.
    pub fn forget_copy(&mut self, key: &AgentKey, source: &Source) -> bool {
        self.copies.forget(key, source)
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
        self.usages.end_session();
        self.stage = Stage::Away { until: now.saturating_add(delay) };
    }
}
