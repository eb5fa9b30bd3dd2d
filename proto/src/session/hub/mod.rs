//! The hub's end of one session.

mod board;
mod event;
mod incoming;
mod outgoing;
mod resync;
mod slot;
mod time;

use std::collections::VecDeque;
use std::time::Duration;

use parallax_crds::copies::{CopyAnswer, Place};
use parallax_crds::link::{KeyAnswer, Order, OrderResult};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, ClusterName};

use self::board::Board;
pub use self::event::{CloseReason, HelloFacts, HubEvent, HubSessionConfig};
use self::resync::Resync;
use super::limits::FAREWELL;
use crate::digest::SetDigest;
use crate::outbox::Outbox;
use crate::v1::from_hub::Frame;
use crate::{FEATURES, VERSIONS, v1, wire};

/// The hub's end of one session with one member.
///
/// After [`HubEvent::Hello`] it is answered by [`admit`](Self::admit), [`retry`](Self::retry) or
/// [`refuse`](Self::refuse); wishes may change at any time, the latest per agent is what is sent.
/// [`HubEvent::Closed`] is always the last event.
#[derive(Debug)]
pub struct HubSession {
    cluster: ClusterName,
    stage: Stage,
    board: Board,
    control: VecDeque<Frame>,
    /// Answers to wishes for keys.
    keys: Outbox<AgentKey, v1::KeyAnswer>,
    /// What is to be said of objects that were asked for.
    copies: Outbox<Place, v1::CopyAnswer>,
    events: VecDeque<HubEvent>,
    /// When something was last heard.
    heard: Duration,
    dropped_reports: u64,
}

#[derive(Debug)]
enum Stage {
    /// Waiting for Hello.
    New,
    /// Waiting for the caller's decision.
    Introduced {
        boot_id: String,
        features: Vec<String>,
        digest: SetDigest,
    },
    Open(Box<Open>),
    /// What is queued goes out, until this time.
    Closing {
        until: Duration,
    },
    Closed,
}

#[derive(Debug)]
struct Open {
    config: HubSessionConfig,
    boot_id: String,
    /// The latest of the boot's reports.
    seq: u64,
    ends: Duration,
    /// When something was last said.
    said: Duration,
    resync: Resync,
}

impl HubSession {
    /// A session of which nothing is known but whose certificate the member has.
    #[must_use]
    pub fn new(cluster: ClusterName, now: Duration) -> Self {
        Self {
            cluster,
            stage: Stage::New,
            board: Board::default(),
            control: VecDeque::new(),
            keys: Outbox::default(),
            copies: Outbox::default(),
            events: VecDeque::new(),
            heard: now,
            dropped_reports: 0,
        }
    }

    /// The cluster that the member's certificate names.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Lets the member in: the answer to [`HubEvent::Hello`]. `orders` is everything that is wanted in the cluster,
    /// `removals` what is known to have to go. Does nothing when the session has ended meanwhile.
    pub fn admit(
        &mut self,
        config: HubSessionConfig,
        orders: Vec<Order>,
        removals: Vec<AgentRef>,
        now: Duration,
    ) {
        let Stage::Introduced { boot_id, features, digest } = &mut self.stage else {
            return;
        };
        let digest = *digest;
        let features = std::mem::take(features);
        let boot_id = std::mem::take(boot_id);
        for removal in removals {
            self.board.remove(&removal, None);
        }
        for order in orders {
            self.board.want(order);
        }
        self.control.push_back(Frame::Welcome(v1::Welcome {
            version: VERSIONS[0],
            features: features.into_iter().filter(|f| FEATURES.contains(&f.as_str())).collect(),
            hub_uid: config.hub_uid.clone(),
            epoch: config.epoch,
            session: config.session.clone(),
            heartbeat_ms: u32::try_from(config.heartbeat.as_millis()).unwrap_or(u32::MAX),
            not_after: config.not_after_unix,
            cluster: self.cluster.as_str().to_owned(),
        }));
        let mut resync = Resync::new(&config.session, now);
        if digest == self.board.wanted() {
            self.board.assume_wanted_is_held();
            self.events.push_back(HubEvent::Unclaimed(Vec::new()));
        } else if digest == SetDigest::default() {
            self.events.push_back(HubEvent::Unclaimed(Vec::new()));
        } else {
            self.control.push_back(Frame::WantInventory(v1::WantInventory {}));
            resync.want_inventory();
        }
        let ends = now.saturating_add(config.lifetime);
        self.stage = Stage::Open(Box::new(Open { config, boot_id, seq: 0, ends, said: now, resync }));
        self.take_board_results();
    }

    /// Sends the member away for a while: an answer to [`HubEvent::Hello`].
    pub fn retry(&mut self, after: Duration, reason: &str, now: Duration) {
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let frame = Frame::Retry(v1::Retry { after_ms, reason: reason.to_owned() });
        self.close(frame, CloseReason::Retry { reason: reason.to_owned() }, now);
    }

    /// Sends the member away until somebody does what `message` says. `reason` is a CamelCase word. At any time.
    pub fn refuse(&mut self, reason: &str, message: &str, now: Duration) {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        let frame = Frame::Terminate(v1::Terminate { reason: reason.clone(), message: message.clone() });
        self.close(frame, CloseReason::Refused { reason, message }, now);
    }

    /// Ends the session; the member reconnects.
    pub fn bye(&mut self, reason: &str, now: Duration) {
        let frame = Frame::Bye(v1::Bye { reason: reason.to_owned() });
        self.close(frame, CloseReason::Bye { reason: reason.to_owned() }, now);
    }

    /// Wants `order` carried out, in place of whatever was wanted of its key before. A removal of another incarnation of
    /// the key is over when the order is persisted.
    pub fn upsert(&mut self, order: Order) {
        if !self.is_over() {
            self.board.want(order);
            self.take_board_results();
        }
    }

    /// Wants this incarnation removed. Another incarnation of the key that is wanted stays wanted.
    #[allow(clippy::needless_pass_by_value)]
    pub fn remove(&mut self, agent: AgentRef, traceparent: Option<String>) {
        if !self.is_over() {
            self.board.remove(&agent, traceparent);
            self.take_board_results();
        }
    }

    /// Wants nothing of this key any more, and nothing removed.
    pub fn forget(&mut self, key: &AgentKey) {
        self.board.forget(key);
    }

    /// What the member asked for, or why it doesn't get it; an answer about the same agent that wasn't sent yet is void.
    pub fn answer_key(&mut self, answer: &KeyAnswer) {
        if !self.is_over() {
            self.keys.push(answer.wish.agent.key.clone(), wire::key_answer_message(answer));
        }
    }

    /// What is in an object that the member asked for, or why that isn't told; what wasn't sent of it yet is void.
    pub fn answer_copy(&mut self, answer: &CopyAnswer) {
        if !self.is_over() {
            self.copies.push(answer.place.clone(), wire::copy_answer_message(answer));
        }
    }

    fn push_result(&mut self, result: OrderResult) {
        self.events.push_back(HubEvent::Result(result));
    }

    fn take_board_results(&mut self) {
        for result in self.board.take_results() {
            self.push_result(result);
        }
    }

    /// The stream ended.
    pub fn on_eof(&mut self, _now: Duration) {
        self.end(CloseReason::Lost);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HubEvent> {
        self.events.pop_front()
    }

    /// Everything has been said: close the transport.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self.stage {
            Stage::Closed => true,
            Stage::Closing { .. } => self.control.is_empty(),
            _ => false,
        }
    }

    /// Reports that were dropped: about agents that were never given to the member, or out of order.
    #[must_use]
    pub fn dropped_reports(&self) -> u64 {
        self.dropped_reports
    }

    /// Agents about which something waits to be sent. Never more than the session has agents.
    #[must_use]
    pub fn outbox_depth(&self) -> usize {
        self.board.waiting()
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. } | Stage::Closed)
    }

    /// Says `last`, and nothing after it.
    fn close(&mut self, last: Frame, reason: CloseReason, now: Duration) {
        if self.is_over() {
            return;
        }
        self.end(reason);
        self.control.push_back(last);
        self.stage = Stage::Closing { until: now.saturating_add(FAREWELL) };
    }

    /// Nothing more is to be said.
    fn end(&mut self, reason: CloseReason) {
        if !self.is_over() {
            self.events.push_back(HubEvent::Closed(reason));
        }
        self.control.clear();
        self.keys.clear();
        self.copies.clear();
        self.board = Board::default();
        self.stage = Stage::Closed;
    }
}
