//! A member that comes back to a hub which is older than it.

use std::time::Duration;

use parallax_proto::session::MemberLink;
use parallax_proto::v1;
use parallax_proto::v1::from_hub::Frame;

/// Cuts the member's session off, and joins it to the hub `hub` again, which has no features this time. `meanwhile` is
/// done before either end says anything. When it was joined.
pub fn rejoin_without_features(member: &mut MemberLink, meanwhile: impl FnOnce(&mut MemberLink)) -> Duration {
    member.on_disconnected("cut", Duration::ZERO);
    let now = member.next_deadline().unwrap();
    member.on_timer(now);
    member.on_connected(now);
    meanwhile(member);
    let _hello = member.poll_frame(now);
    let welcome = v1::Welcome {
        version: 1,
        hub_uid: "hub".to_owned(),
        epoch: 1,
        session: "s".to_owned(),
        heartbeat_ms: 10_000,
        cluster: "member".to_owned(),
        ..v1::Welcome::default()
    };
    for frame in [Frame::Welcome(welcome), Frame::Heartbeat(v1::Heartbeat::default())] {
        member.on_frame(v1::FromHub { frame: Some(frame) }, now);
    }
    now
}
