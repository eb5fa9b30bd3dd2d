//! Control planes that work, and that leave nothing behind.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, PostParams};
use parallax_e2e::layout::Layout;
use parallax_e2e::process::ProcessIdentity;
use parallax_e2e::testing::own_fleet;
use parallax_e2e::waiting::{OnTimeout, blocking, until};
use parallax_e2e::{Component, FleetOptions, Signal};
use serde_json::json;

use crate::commands::{BARE, Detached, LIMIT, command, processes, scratch, up, wait_for_record};

fn options() -> FleetOptions {
    FleetOptions::new(env!("CARGO_BIN_EXE_fleet")).control_planes_only()
}

fn deployment(name: &str, image: &str, replicas: i32) -> Deployment {
    let labels = json!({ "app": name });
    serde_json::from_value(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": image }] },
            },
        },
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_becomes_ready_and_every_write_is_in_the_audit_log() {
    let fleet = own_fleet(options().members(1));
    let api: Api<Deployment> = Api::namespaced(fleet.client("member-1").await.unwrap(), "default");
    let puts = fleet.etcd_puts("member-1").await.unwrap();
    api.create(&PostParams::default(), &deployment("plain", "example.test/plain:1", 3)).await.unwrap();
    until("three ready replicas", LIMIT, OnTimeout::Dump(&fleet), async || {
        let status = api.get("plain").await?.status.unwrap_or_default();
        Ok((status.ready_replicas == Some(3)).then_some(()))
    })
    .await
    .unwrap();
    assert!(fleet.etcd_puts("member-1").await.unwrap() > puts);

    let created = until("the creation in the audit log", LIMIT, OnTimeout::Dump(&fleet), async || {
        let events = fleet.audit("member-1")?;
        Ok(events
            .into_iter()
            .find(|event| event.verb == "create" && event.object_ref.resource == "deployments"))
    })
    .await
    .unwrap();
    assert_eq!(created.user.username, "admin");
    assert!(created.is_write());

    api.delete("plain", &DeleteParams::default()).await.unwrap();
    until("the deployment to be gone", LIMIT, OnTimeout::Dump(&fleet), async || {
        Ok(api.get_opt("plain").await?.is_none().then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fleets_run_side_by_side_and_dropping_one_leaves_only_the_other() {
    let (first, second) = tokio::task::spawn_blocking(|| {
        let first = std::thread::spawn(|| own_fleet(options().members(0)));
        let second = own_fleet(options().members(0));
        (first.join().unwrap(), second)
    })
    .await
    .unwrap();
    assert_ne!(first.record().clusters[0].server, second.record().clusters[0].server);
    let (directory, processes) = (first.directory().to_path_buf(), processes(&first.record()));
    assert_eq!(processes.len(), 4);
    drop(first);
    assert!(processes.iter().all(|process| !process.is_alive()));
    assert!(!directory.exists());
    second.client("hub").await.unwrap().apiserver_version().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_was_killed_comes_back_with_its_objects_at_the_same_address() {
    let fleet = own_fleet(options().members(0));
    let client = fleet.client("hub").await.unwrap();
    let api: Api<Deployment> = Api::namespaced(client.clone(), "default");
    api.create(&PostParams::default(), &deployment("kept", "example.test/kept:1", 1)).await.unwrap();
    fleet.kill("hub", Component::KubeApiserver).await.unwrap();
    client.apiserver_version().await.unwrap_err();
    assert_eq!(fleet.process("hub", Component::KubeApiserver), None);
    fleet.restart("hub", Component::KubeApiserver).await.unwrap();
    until("the deployment to be there", LIMIT, OnTimeout::Dump(&fleet), async || {
        Ok(api.get_opt("kept").await?)
    })
    .await
    .unwrap();
}

#[test]
fn nothing_is_left_when_the_tool_is_killed() {
    let directory = scratch("killed");
    let mut tool = up(&directory);
    let record = wait_for_record(&directory);
    let processes = processes(&record);
    assert!(processes.iter().all(ProcessIdentity::is_alive));
    tool.kill().unwrap();
    tool.wait().unwrap();
    blocking::until("every process and the directory are gone", LIMIT, || {
        Ok((!directory.exists() && processes.iter().all(|process| !process.is_alive())).then_some(()))
    })
    .unwrap();
}

#[test]
fn nothing_is_left_after_ctrl_c_while_it_starts() {
    let directory = scratch("interrupted");
    let mut tool = up(&directory);
    let log = Layout::new(&directory).unwrap().log("hub", Component::Etcd);
    blocking::until("its etcd is started", LIMIT, || Ok(log.exists().then_some(()))).unwrap();
    ProcessIdentity::of(tool.id()).unwrap().signal(Signal::INT);
    assert_eq!(tool.wait().unwrap().code(), Some(130));
    assert!(!directory.exists());
}

#[test]
fn a_second_fleet_in_the_same_directory_is_refused_with_a_line_that_says_what_to_do() {
    let directory = scratch("twice");
    let mut tool = up(&directory);
    blocking::until("the first has the directory", LIMIT, || Layout::new(&directory)?.read()).unwrap();
    let second = command(&directory, &[&["up"], BARE].concat()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("already") && said.contains("fleet down"), "{said}");
    ProcessIdentity::of(tool.id()).unwrap().signal(Signal::TERM);
    tool.wait().unwrap();
    assert!(!directory.exists());
}

#[test]
fn down_ends_a_detached_fleet() {
    let fleet = Detached::start(scratch("detached"), BARE);
    let record = fleet.record();
    assert!(record.supervisor.is_alive());
    let (ok, status) = fleet.tool(&["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert!(ok && status["running"] == true, "{status}");
    let (ok, said) = fleet.tool(&["down"]);
    assert!(ok, "{said}");
    assert!(!record.supervisor.is_alive());
    assert!(processes(&record).iter().all(|process| !process.is_alive()));
    assert!(!fleet.directory.exists());
}
