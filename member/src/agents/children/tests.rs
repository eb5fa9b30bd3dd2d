//! What is decided about an agent's objects, seen in what the API server is asked for.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use parallax_member_core::ChildKind;
use parallax_platform::testing::Refusal;
use serde_json::json;

use crate::agents::testing::{World, path};

const DEPLOYMENT: ChildKind = ChildKind::Deployment;
const SERVICE: ChildKind = ChildKind::Service;

#[tokio::test]
async fn a_new_agent_is_made_in_order_and_only_what_could_be_anothers_is_looked_for_first() {
    let world = World::new();
    let calls = world.work().await;
    assert_eq!(
        calls,
        [
            "apply deployments/writer",
            "apply networkpolicies/writer",
            "get services/writer",
            "apply services/writer forced",
        ]
    );
    assert_eq!(world.blocked(), None);
    let service = world.live(SERVICE).unwrap();
    assert_eq!(service["metadata"]["ownerReferences"][0]["kind"], "AgentAssignment");
}

#[tokio::test]
async fn what_is_as_ordered_is_neither_read_nor_written() {
    let world = World::new();
    world.work().await;
    assert!(world.look_again().await.is_empty());
}

#[tokio::test]
async fn drift_is_brought_back_and_what_others_set_beside_it_stays() {
    let world = World::new();
    world.work().await;
    world.edit(SERVICE, |service| {
        service["spec"]["ports"][0]["port"] = json!(81);
        service["metadata"]["annotations"]["mesh"] = json!("on");
    });
    world.see(SERVICE);
    assert_eq!(world.work().await, ["apply services/writer forced"]);
    let service = world.live(SERVICE).unwrap();
    assert_ne!(service["spec"]["ports"][0]["port"], 81);
    assert_eq!(service["metadata"]["annotations"]["mesh"], "on");
}

#[tokio::test]
async fn another_s_service_is_left_alone_and_all_else_is_made() {
    let world = World::new();
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ExternalName"}});
    let theirs = world.server.put(&path(SERVICE), theirs);
    world.work().await;
    assert_eq!(world.live(SERVICE), Some(theirs));
    let blocked = world.blocked().unwrap();
    assert_eq!(blocked.cause.word(), "NameConflict");
    assert_eq!(blocked.message, "Service team/writer exists and is not Parallax's; delete or rename it");
    assert!(world.live(DEPLOYMENT).is_some() && world.live(ChildKind::NetworkPolicy).is_some());
}

#[tokio::test]
async fn another_s_deployment_is_not_taken_over_by_a_write_without_a_look() {
    let world = World::new();
    let theirs = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}}});
    let theirs = world.server.put(&path(DEPLOYMENT), theirs);
    let calls = world.work().await;
    assert_eq!(calls[..2], ["apply deployments/writer", "get deployments/writer"]);
    assert_eq!(world.live(DEPLOYMENT), Some(theirs));
    assert_eq!(world.blocked().unwrap().cause.word(), "NameConflict");
}

#[tokio::test]
async fn an_own_deployment_that_no_watch_has_shown_yet_is_found_and_mended() {
    let before = World::new();
    before.work().await;
    // A member that has just started: the objects are there, and its index is empty.
    let world = World::new();
    world.server.put(&path(DEPLOYMENT), before.live(DEPLOYMENT).unwrap());
    world.edit(DEPLOYMENT, |deployment| {
        deployment["spec"]["template"]["spec"]["priorityClassName"] = json!("x");
    });
    world.edit(DEPLOYMENT, |deployment| deployment["spec"]["replicas"] = json!(7));
    let calls = world.work().await;
    assert_eq!(
        calls[..3],
        ["apply deployments/writer", "get deployments/writer", "apply deployments/writer forced"]
    );
    assert_eq!(world.live(DEPLOYMENT).unwrap()["spec"]["replicas"], 1);
    assert_eq!(world.blocked(), None);
}

#[tokio::test]
async fn the_predecessor_s_deployment_goes_with_its_pods_before_the_new_one_comes() {
    let mut world = World::new();
    world.work().await;
    let old = world.live(DEPLOYMENT).unwrap();
    world.order(|order| order.agent.incarnation = "second".to_owned());
    world.work().await;
    let going = world.live(DEPLOYMENT).unwrap();
    assert_eq!(going["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(going["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    assert_eq!(world.blocked().unwrap().cause.word(), "ReplacingPredecessor");
    assert!(world.look_again().await.iter().all(|call| !call.starts_with("delete")), "once is enough");

    world.server.remove(&path(DEPLOYMENT));
    let uid = old["metadata"]["uid"].as_str().unwrap();
    world.agents.child_deleted(DEPLOYMENT, &world.key, &crate::store::End::known(uid));
    world.work().await;
    let new = world.live(DEPLOYMENT).unwrap();
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(world.blocked(), None);
}

#[tokio::test]
async fn a_predecessor_that_changed_since_it_was_looked_at_is_looked_at_again() {
    let mut world = World::new();
    world.work().await;
    world.order(|order| order.agent.incarnation = "second".to_owned());
    world.server.before("delete", "deployments", |server| {
        server.edit(&path(DEPLOYMENT), |deployment| deployment["metadata"]["annotations"]["x"] = json!("y"));
    });
    let calls: Vec<_> =
        world.work().await.into_iter().filter(|call| call.ends_with(" deployments/writer")).collect();
    let [get, delete] = ["get deployments/writer", "delete deployments/writer"];
    assert_eq!(calls, [get, delete, get, delete], "what is deleted is what was looked at");
}

#[tokio::test]
async fn an_object_on_its_way_out_is_waited_for_and_not_written() {
    let world = World::new();
    world.work().await;
    world.edit(SERVICE, |service| {
        service["metadata"]["finalizers"] = json!(["cloud/balancer"]);
        service["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        service["spec"]["ports"][0]["port"] = json!(81);
    });
    world.see(SERVICE);
    assert!(world.work().await.is_empty());
    assert_eq!(world.blocked().unwrap().cause.word(), "ReplacingPredecessor");
}

#[tokio::test]
async fn a_namesake_that_came_between_the_look_and_the_write_is_not_overwritten() {
    let world = World::new();
    world.work().await;
    world.edit(SERVICE, |service| service["spec"]["ports"][0]["port"] = json!(81));
    world.see(SERVICE);
    world.server.before("apply", "services", |server| {
        server.remove(&path(SERVICE));
        server
            .put(&path(SERVICE), json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "theirs"}}));
    });
    world.work().await;
    let service = world.live(SERVICE).unwrap();
    assert_eq!((&service["spec"]["type"], &service["spec"]["ports"]), (&json!("theirs"), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_asked_again_later_than_a_failure() {
    let world = World::new();
    world.server.refuse("apply", "services", Refusal::new(403, "Forbidden", "exceeded quota"));
    world.work().await;
    let blocked = world.blocked().unwrap();
    assert_eq!(
        (blocked.cause.word(), &*blocked.message),
        ("Forbidden", "Service team/writer: exceeded quota")
    );
    world.server.relent();
    let soon = tokio::time::timeout(Duration::from_millis(999), world.agents.queue.next()).await;
    assert!(soon.is_err(), "it is not tried at once");
    // Each look at it was refused, and each makes the pause longer.
    let turn = tokio::time::timeout(Duration::from_secs(60), world.agents.queue.next()).await.unwrap();
    world.agents.reconcile(turn).await;
    assert_eq!(world.blocked(), None);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_busy_is_asked_again_soon() {
    let world = World::new();
    world.server.refuse("apply", "deployments", Refusal::new(503, "ServiceUnavailable", "busy"));
    world.work().await;
    assert_eq!(world.blocked().unwrap().cause.word(), "ApiUnavailable");
    assert!(world.live(SERVICE).is_some(), "the other objects don't wait for it");
    world.server.relent();
    let turn = tokio::time::timeout(Duration::from_secs(1), world.agents.queue.next()).await.unwrap();
    world.agents.reconcile(turn).await;
    assert_eq!(world.blocked(), None);
}

#[tokio::test]
async fn what_is_not_ordered_any_more_is_deleted_and_no_namesake_of_it() {
    let mut world = World::new();
    world.order(|order| order.replicas = 2);
    world.work().await;
    let budget = ChildKind::PodDisruptionBudget;
    let uid = world.live(budget).unwrap()["metadata"]["uid"].clone();
    world.order(|order| order.replicas = 1);
    while world.agents.queue.depth() > 0 {
        let turn = world.agents.queue.next().await;
        world.agents.reconcile(turn).await;
    }
    let deletion = world.server.calls().into_iter().find(|call| call.verb == "delete").unwrap();
    assert_eq!(deletion.body["preconditions"]["uid"], uid);
    assert_eq!(world.live(budget), None);
    world.agents.child_deleted(budget, &world.key, &crate::store::End::known(uid.as_str().unwrap()));
    assert!(world.work().await.is_empty());
}

#[tokio::test]
async fn what_the_api_server_keeps_otherwise_is_not_written_again() {
    let world = World::new();
    world.server.mutate("services", |service| service["spec"]["ports"][0]["port"] = json!(81));
    let writes =
        world.work().await.into_iter().filter(|call| *call == "apply services/writer forced").count();
    assert_eq!(writes, 2, "once more, in case somebody else had set it");
    assert!(world.look_again().await.is_empty());
    assert_eq!(world.blocked(), None);
}
