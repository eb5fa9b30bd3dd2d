//! What both ends of a session are told when they begin, where a test is about something else.

use std::time::Duration;

use parallax_proto::session::{HubSessionConfig, MemberLinkConfig};

/// A hub `hub`, which takes a session for granted for an hour.
pub fn session_config(epoch: u64) -> HubSessionConfig {
    HubSessionConfig {
        hub_uid: "hub".to_owned(),
        epoch,
        session: "s".to_owned(),
        heartbeat: Duration::from_secs(10),
        silence: Duration::from_secs(45),
        not_after_unix: 0,
        lifetime: Duration::from_secs(3600),
    }
}

/// A member that has obeyed the hub `hub` at this epoch; at none, it has obeyed nobody.
pub fn link_config(obeyed: Option<u64>) -> MemberLinkConfig {
    MemberLinkConfig {
        cluster_uid: "cluster".to_owned(),
        boot_id: "boot".to_owned(),
        member_version: "1".to_owned(),
        hub_uid: obeyed.map(|_| "hub".to_owned()),
        max_epoch: obeyed.unwrap_or_default(),
        seed: 1,
    }
}
