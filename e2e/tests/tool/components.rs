//! One component of a fleet that runs is brought down and up.

use parallax_e2e::waiting::blocking::until;
use parallax_e2e::{Component, Signal};

use crate::commands::{BARE, Detached, LIMIT, scratch};

#[test]
fn a_component_of_a_running_fleet_is_stopped_and_started_again() {
    let fleet = Detached::start(scratch("component"), BARE);
    let kwok = || fleet.process("member-1", Component::Kwok);
    let before = kwok().unwrap();

    for said in ["kwok of member-1 is stopped", "kwok of member-1 is down already"] {
        let (ok, text) = fleet.tool(&["stop", "member-1", "kwok"]);
        assert!(ok && text.contains(said), "{text}");
        assert!(!before.is_alive());
    }
    let (all_run, status) = fleet.tool(&["status"]);
    assert!(!all_run && status.contains("stopped"), "{status}");
    for said in ["kwok of member-1 is started", "kwok of member-1 runs already"] {
        let (ok, text) = fleet.tool(&["start", "member-1", "kwok"]);
        assert!(ok && text.contains(said), "{text}");
        assert!(kwok().is_some_and(|now| now != before && now.is_alive()));
    }

    kwok().unwrap().signal(Signal::KILL);
    until("its end shows", LIMIT, || Ok(fleet.tool(&["status"]).1.contains("ended").then_some(()))).unwrap();
    let (ok, text) = fleet.tool(&["start", "member-1", "kwok"]);
    assert!(ok && text.contains("is started"), "{text}");
    let (all_run, status) = fleet.tool(&["status"]);
    assert!(all_run, "{status}");

    for (args, said) in [
        (["stop", "member-2"].as_slice(), "it has hub, member-1"),
        (&["stop", "hub"], "hub has no hub and no member: name one of etcd, "),
        (&["start", "member-1", "parallax-member"], "member-1 has no parallax-member: it has etcd, "),
        (&["stop", "hub", "etc"], "[possible values: etcd, "),
    ] {
        let (ok, text) = fleet.tool(args);
        assert!(!ok && text.contains(said), "{text}");
    }
}
