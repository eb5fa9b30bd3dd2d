//! The hub's end of one session.

mod board;
mod event;
mod resync;
mod slot;

use std::collections::VecDeque;
use std::time::Duration;

use parallax_crds::link::{KeyAnswer, Order, OrderResult, Outcome};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, ClusterName};

use self::board::{BadAck, Board};
pub use self::event::{CloseReason, HelloFacts, HubEvent, HubSessionConfig};
use self::resync::Resync;
use super::limits::{CHALLENGE_BYTES, FAREWELL, SILENCE};
use crate::digest::SetDigest;
use crate::outbox::Outbox;
use crate::v1::from_hub::Frame;
use crate::v1::from_member::Frame as MemberFrame;
use crate::wire::Malformed;
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

    /// A frame arrived. One that breaks the protocol ends the session.
    pub fn on_frame(&mut self, frame: v1::FromMember, now: Duration) {
        if self.is_over() {
            return;
        }
        self.heard = now;
        let Some(frame) = frame.frame else {
            return self.protocol_error("a frame is empty, or of a kind that this version doesn't know", now);
        };
        if let Err(Broken(message)) = self.handle(frame, now) {
            self.protocol_error(&message, now);
        }
    }

    fn handle(&mut self, frame: MemberFrame, now: Duration) -> Result<(), Broken> {
        match (frame, &mut self.stage) {
            (MemberFrame::Bye(bye), _) => {
                self.end(CloseReason::MemberLeft { reason: wire::text("bye.reason", bye.reason, 4096)? });
            }
            (MemberFrame::Hello(hello), Stage::New) => {
                let (facts, digest) = wire::hello(hello)?;
                if !facts.versions.contains(&VERSIONS[0]) {
                    let message = format!(
                        "the member ({}) speaks the protocol's versions {:?}, the hub {VERSIONS:?}: upgrade the older one, members before or after hubs by at most one version",
                        facts.member_version, facts.versions
                    );
                    self.refuse("VersionMismatch", &message, now);
                    return Ok(());
                }
                self.stage = Stage::Introduced {
                    boot_id: facts.boot_id.clone(),
                    features: facts.features.clone(),
                    digest,
                };
                self.events.push_back(HubEvent::Hello(facts));
            }
            (MemberFrame::Heartbeat(heartbeat), Stage::Open(open)) => {
                let digest = wire::digest(heartbeat.count, &heartbeat.set_hash)?;
                if open.resync.compare(digest, &self.board, now) {
                    self.control.push_back(Frame::WantInventory(v1::WantInventory {}));
                    open.resync.want_inventory();
                }
            }
            (MemberFrame::Inventory(inventory), Stage::Open(open)) => {
                if let Some(unclaimed) = open.resync.on_inventory(&inventory, &mut self.board)? {
                    self.events.push_back(HubEvent::Unclaimed(unclaimed));
                    self.take_board_results();
                }
            }
            (MemberFrame::Ack(ack), Stage::Open(_)) => self.on_ack(ack)?,
            (MemberFrame::Status(status), Stage::Open(open)) => {
                let (fresh, seq) = (status.boot_id == open.boot_id && status.seq > open.seq, status.seq);
                let report = wire::report(status)?;
                if fresh {
                    open.seq = seq;
                }
                if fresh && self.board.knows(&report.agent.key) {
                    self.events.push_back(HubEvent::Report(report));
                } else {
                    self.dropped_reports += 1;
                }
            }
            (MemberFrame::StatusSnapshotEnd(end), Stage::Open(open)) => {
                if end.boot_id == open.boot_id {
                    self.events.push_back(HubEvent::ReportsComplete);
                }
            }
            (MemberFrame::ClusterReport(report), Stage::Open(_)) => {
                self.events.push_back(HubEvent::Cluster(wire::cluster_report(report)?));
            }
            (MemberFrame::Events(events), Stage::Open(_)) => {
                let said: Result<Vec<_>, Malformed> = events.events.into_iter().map(wire::event).collect();
                self.events.push_back(HubEvent::Events(said?, events.dropped));
            }
            (MemberFrame::KeyWishes(wishes), Stage::Open(_)) => {
                let wishes: Result<Vec<_>, Malformed> =
                    wishes.wishes.into_iter().map(wire::key_wish).collect();
                self.events.push_back(HubEvent::KeyWishes(wishes?));
            }
            (MemberFrame::Confirm(confirm), Stage::Open(_)) => {
                if confirm.challenge.len() > CHALLENGE_BYTES {
                    return Err(Broken("a challenge is too long".to_owned()));
                }
                // One hub replica has no other leader to fear: hearing the challenge is proof enough. Only the latest
                // challenge matters to the member, which bounds what waits here.
                self.control.retain(|frame| !matches!(frame, Frame::Confirmed(_)));
                let v1::Confirm { nonce, challenge } = confirm;
                self.control.push_back(Frame::Confirmed(v1::Confirmed { nonce, challenge }));
            }
            _ => {
                return Err(Broken(
                    "a frame came before its time: Hello is first and once, others after Welcome".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn on_ack(&mut self, ack: v1::Ack) -> Result<(), Broken> {
        for result in ack.results {
            let result = wire::result(result)?;
            if ack.nonce == 0 {
                self.board.on_late_result(&result);
                if let (Outcome::Gone, Stage::Open(open)) = (result.outcome, &mut self.stage) {
                    open.resync.on_gone(&result.agent);
                }
            } else {
                self.board.on_result(ack.nonce, &result)?;
            }
            self.push_result(result);
        }
        if ack.nonce != 0 && !ack.partial {
            self.board.on_acknowledged(ack.nonce)?;
        }
        self.take_board_results();
        Ok(())
    }

    fn push_result(&mut self, result: OrderResult) {
        self.events.push_back(HubEvent::Result(result));
    }

    fn take_board_results(&mut self) {
        for result in self.board.take_results() {
            self.push_result(result);
        }
    }

    /// The time of [`next_deadline`](Self::next_deadline) has come.
    pub fn on_timer(&mut self, now: Duration) {
        // Who doesn't take the events away keeps the driver from reading: then it isn't the member that is silent.
        if !self.events.is_empty() {
            self.heard = now;
        }
        let silence = self.silence();
        match &mut self.stage {
            Stage::Closing { until } if now >= *until => {
                self.control.clear();
                self.stage = Stage::Closed;
            }
            Stage::Closing { .. } | Stage::Closed => {}
            _ if now >= self.heard.saturating_add(silence) => self.end(CloseReason::Silent),
            Stage::Open(open) if now >= open.ends => {
                self.bye(
                    "the member's certificate has ended: enroll it again with a token of `parallax-hub token CLUSTER --reset`",
                    now,
                );
            }
            Stage::Open(open) if now >= open.said.saturating_add(open.config.heartbeat) => {
                open.said = now;
                if !self.control.iter().any(|frame| matches!(frame, Frame::Heartbeat(_))) {
                    self.control.push_back(Frame::Heartbeat(v1::Heartbeat::default()));
                }
            }
            _ => {}
        }
    }

    /// When [`on_timer`](Self::on_timer) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let silent = self.heard.saturating_add(self.silence());
        match &self.stage {
            Stage::Closed => None,
            Stage::Closing { until } => Some(*until),
            Stage::New | Stage::Introduced { .. } => Some(silent),
            Stage::Open(open) => {
                Some(silent.min(open.ends).min(open.said.saturating_add(open.config.heartbeat)))
            }
        }
    }

    fn silence(&self) -> Duration {
        match &self.stage {
            Stage::Open(open) => open.config.silence,
            _ => SILENCE,
        }
    }

    /// The stream ended.
    pub fn on_eof(&mut self, _now: Duration) {
        self.end(CloseReason::Lost);
    }

    /// The next frame to send. To be called only while the transport has room.
    pub fn poll_frame(&mut self, now: Duration) -> Option<v1::FromHub> {
        let key = |(_, answer)| Frame::KeyAnswer(answer);
        let frame =
            self.control.pop_front().or_else(|| self.keys.pop().map(key)).or_else(|| self.next_order());
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

    fn protocol_error(&mut self, message: &str, now: Duration) {
        let frame = Frame::Terminate(v1::Terminate {
            reason: "ProtocolError".to_owned(),
            message: message.to_owned(),
        });
        self.close(frame, CloseReason::Protocol { message: message.to_owned() }, now);
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
        self.board = Board::default();
        self.stage = Stage::Closed;
    }
}

/// How a frame broke the protocol.
struct Broken(String);

impl From<Malformed> for Broken {
    fn from(error: Malformed) -> Self {
        Self(error.to_string())
    }
}

impl From<BadAck> for Broken {
    fn from(BadAck(problem): BadAck) -> Self {
        Self(format!("an acknowledgement is wrong: {problem}"))
    }
}
