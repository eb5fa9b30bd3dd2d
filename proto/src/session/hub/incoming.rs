//! What the member says, and what of it breaks the protocol.

use std::time::Duration;

use parallax_crds::link::Outcome;

use super::board::BadAck;
use super::event::{CloseReason, HubEvent};
use super::{HubSession, Stage};
use crate::session::limits::CHALLENGE_BYTES;
use crate::v1::from_hub::Frame;
use crate::v1::from_member::Frame as MemberFrame;
use crate::wire::Malformed;
use crate::{VERSIONS, v1, wire};

impl HubSession {
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
            (MemberFrame::MetricsReport(report), Stage::Open(_)) => {
                let said: Result<Vec<_>, Malformed> = report.usages.iter().map(wire::usage).collect();
                let mut usages = said?;
                usages.retain(|usage| self.board.knows(&usage.agent.key));
                self.events.push_back(HubEvent::Usage(usages));
            }
            (MemberFrame::KeyWishes(wishes), Stage::Open(_)) => {
                let wishes: Result<Vec<_>, Malformed> =
                    wishes.wishes.into_iter().map(wire::key_wish).collect();
                self.events.push_back(HubEvent::KeyWishes(wishes?));
            }
            (MemberFrame::CopyWishes(wishes), Stage::Open(_)) => {
                let wishes: Result<Vec<_>, Malformed> =
                    wishes.wishes.into_iter().map(wire::copy_wish).collect();
                self.events.push_back(HubEvent::CopyWishes(wishes?));
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

    fn protocol_error(&mut self, message: &str, now: Duration) {
        let frame = Frame::Terminate(v1::Terminate {
            reason: "ProtocolError".to_owned(),
            message: message.to_owned(),
        });
        self.close(frame, CloseReason::Protocol { message: message.to_owned() }, now);
    }
}

/// How a frame broke the protocol.
pub(super) struct Broken(pub String);

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
