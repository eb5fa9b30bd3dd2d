#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::{Value, json};

fn trouble(status: Value) -> Option<Trouble> {
    serde_json::from_value::<PodStatus>(status).unwrap().trouble()
}

#[test]
fn a_starting_pod_is_in_no_trouble() {
    assert_eq!(trouble(json!({})), None);
    assert_eq!(
        trouble(json!({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]})),
        None
    );
    assert_eq!(
        trouble(
            json!({"containerStatuses": [{"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]})
        ),
        None
    );
}

/// The one container of a pod, in a state and after an earlier end of this kind.
fn container(state: &Value, last: &Value, restarts: i32, ready: bool) -> Option<Trouble> {
    let last = if last.is_null() { json!({}) } else { json!({"terminated": last}) };
    trouble(json!({"containerStatuses": [
        {"state": state, "lastState": last, "restartCount": restarts, "ready": ready},
    ]}))
}

/// The end of a container that ran for some minutes.
fn ended(minutes: u32, message: &str) -> Value {
    json!({
        "exitCode": 1, "reason": "Error", "message": message,
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": format!("2026-01-01T00:{minutes:02}:00Z"),
    })
}

fn crash_loop(message: &str) -> Option<Trouble> {
    Some(Trouble { failing: true, reason: "CrashLoopBackOff".into(), message: message.into() })
}

#[test]
fn a_crash_loop_tells_the_containers_last_words_in_each_of_its_steps() {
    let last = ended(1, "no API key\nsee the log");
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}});
    let running = json!({"running": {"startedAt": "2026-01-01T00:02:00Z"}});
    for (state, restarts) in [(&waiting, 1), (&running, 2), (&json!({"terminated": last}), 2)] {
        assert_eq!(container(state, &last, restarts, false), crash_loop("no API key"), "{state}");
    }
}

#[test]
fn a_crash_loop_without_last_words_tells_how_it_ends() {
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting"}});
    assert_eq!(container(&waiting, &ended(1, ""), 1, false), crash_loop("exit code 1"));
    let killed = json!({"exitCode": 137, "reason": "OOMKilled"});
    assert_eq!(container(&waiting, &killed, 1, false), crash_loop("OOMKilled, exit code 137"));
    assert_eq!(container(&waiting, &Value::Null, 1, false), crash_loop("back-off 20s restarting"));
}

#[test]
fn a_container_that_is_well_again_or_that_ran_for_long_is_in_no_crash_loop() {
    let running = json!({"running": {"startedAt": "2026-01-01T01:00:00Z"}});
    assert_eq!(container(&running, &ended(1, ""), 5, true), None, "it is ready");
    assert_eq!(container(&running, &ended(1, ""), 1, false), None, "it ended once");
    assert_eq!(container(&running, &ended(30, ""), 5, false), None, "it ran for half an hour");
    let first = container(&json!({"terminated": ended(1, "")}), &Value::Null, 0, false).unwrap();
    assert_eq!(
        (first.failing, first.reason.as_str(), first.message.as_str()),
        (false, "Error", "exit code 1")
    );
}

#[test]
fn a_failed_pull_is_told_alike_while_it_is_tried_and_while_it_is_waited_for() {
    let told = |reason: &str, message: &str| {
        trouble(
            json!({"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}),
        )
    };
    let expected = Trouble {
        failing: true,
        reason: "ImagePullBackOff".into(),
        message: "failed to pull: no such host".into(),
    };
    assert_eq!(told("ErrImagePull", "failed to pull: no such host"), Some(expected.clone()));
    let waiting = "Back-off pulling image \"a:1\": ErrImagePull: failed to pull: no such host";
    assert_eq!(told("ImagePullBackOff", waiting), Some(expected));
}

#[test]
fn an_init_container_may_end_well_and_not_badly() {
    let init = |state: Value| trouble(json!({"initContainerStatuses": [{"state": state, "ready": true}]}));
    assert_eq!(init(json!({"terminated": {"exitCode": 0, "reason": "Completed"}})), None);
    let failed = init(json!({"terminated": {"exitCode": 2, "reason": "Error"}})).unwrap();
    assert_eq!(failed.message, "exit code 2");
    assert!(init(json!({"waiting": {"reason": "CrashLoopBackOff"}})).unwrap().failing);
}

#[test]
fn a_pod_behind_a_gate_waits_and_does_not_fail() {
    let gated = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"});
    let t = trouble(json!({"conditions": [gated]})).unwrap();
    assert_eq!((t.failing, t.reason.as_str()), (false, "SchedulingGated"));
}

#[test]
fn an_unschedulable_pod_says_why() {
    let t = trouble(json!({"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"},
    ]}))
    .unwrap();
    assert_eq!(
        (t.failing, t.reason.as_str(), t.message.as_str()),
        (true, "Unschedulable", "0/3 nodes are available")
    );
}

#[test]
fn what_wont_run_without_help_is_worse_than_what_may() {
    let t = trouble(json!({"containerStatuses": [
        {"state": {"waiting": {"reason": "ImagePullBackOff"}}},
        {"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
    ]}))
    .unwrap();
    assert_eq!(t.reason, "ImagePullBackOff");
}
