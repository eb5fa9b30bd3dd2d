//! The fleet tool itself: control planes that work, and that leave nothing behind.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, PostParams};
use parallax_e2e::layout::{FleetRecord, Layout};
use parallax_e2e::process::ProcessIdentity;
use parallax_e2e::testing::own_fleet;
use parallax_e2e::waiting::{OnTimeout, blocking, until};
use parallax_e2e::{Component, FleetOptions, Signal};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

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
    blocking::until("every process and the directory are gone", LIMIT * 3, || {
        Ok((!directory.exists() && processes.iter().all(|process| !process.is_alive())).then_some(()))
    })
    .unwrap();
}

#[test]
fn nothing_is_left_after_ctrl_c_while_it_starts() {
    let directory = scratch("interrupted");
    let mut tool = up(&directory);
    let log = Layout::new(&directory).unwrap().log("hub", Component::Etcd);
    blocking::until("its etcd is started", LIMIT * 3, || Ok(log.exists().then_some(()))).unwrap();
    ProcessIdentity::of(tool.id()).unwrap().signal(Signal::INT);
    assert_eq!(tool.wait().unwrap().code(), Some(130));
    assert!(!directory.exists());
}

#[test]
fn a_second_fleet_in_the_same_directory_is_refused_with_a_line_that_says_what_to_do() {
    let directory = scratch("twice");
    let mut tool = up(&directory);
    blocking::until("the first has the directory", LIMIT * 3, || Layout::new(&directory)?.read()).unwrap();
    let second = up_command(&directory).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("already") && said.contains("fleet down"), "{said}");
    ProcessIdentity::of(tool.id()).unwrap().signal(Signal::TERM);
    tool.wait().unwrap();
    assert!(!directory.exists());
}

#[test]
fn down_ends_a_detached_fleet() {
    let directory = scratch("detached");
    let tool = up_command(&directory).arg("--detach").output().unwrap();
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    let record = Layout::new(&directory).unwrap().read().unwrap().unwrap();
    assert!(record.supervisor.is_alive());
    let status = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["status", "-o", "json", "--dir"])
        .arg(&directory)
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["running"], true, "{status}");
    let down =
        Command::new(env!("CARGO_BIN_EXE_fleet")).args(["down", "--dir"]).arg(&directory).output().unwrap();
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(!record.supervisor.is_alive());
    assert!(processes(&record).iter().all(|process| !process.is_alive()));
    assert!(!directory.exists());
}

#[test]
fn a_component_of_a_running_fleet_is_stopped_and_started_again() {
    let directory = scratch("component");
    let nothing = fleet(&directory, &["stop", "hub"]);
    assert!(!nothing.0 && nothing.1.contains("cargo fleet up"), "{}", nothing.1);
    let tool = up_command(&directory).arg("--detach").output().unwrap();
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    let layout = Layout::new(&directory).unwrap();
    let kwok = || {
        let record = layout.read().unwrap().unwrap();
        let member = record.cluster("member-1").unwrap();
        member.processes.iter().find(|process| process.component == Component::Kwok).map(|one| one.identity)
    };
    let before = kwok().unwrap();

    for said in ["kwok of member-1 is stopped", "kwok of member-1 is down already"] {
        let (ok, text) = fleet(&directory, &["stop", "member-1", "kwok"]);
        assert!(ok && text.contains(said), "{text}");
        assert!(!before.is_alive());
    }
    let (all_run, status) = fleet(&directory, &["status"]);
    assert!(!all_run && status.contains("stopped"), "{status}");
    for said in ["kwok of member-1 is started", "kwok of member-1 runs already"] {
        let (ok, text) = fleet(&directory, &["start", "member-1", "kwok"]);
        assert!(ok && text.contains(said), "{text}");
        assert!(kwok().is_some_and(|now| now != before && now.is_alive()));
    }

    kwok().unwrap().signal(Signal::KILL);
    blocking::until("its end shows", LIMIT * 3, || {
        Ok(fleet(&directory, &["status"]).1.contains("ended").then_some(()))
    })
    .unwrap();
    let (ok, text) = fleet(&directory, &["start", "member-1", "kwok"]);
    assert!(ok && text.contains("is started"), "{text}");
    let (all_run, status) = fleet(&directory, &["status"]);
    assert!(all_run, "{status}");

    for (args, said) in [
        (["stop", "member-2"].as_slice(), "it has hub, member-1"),
        (&["stop", "hub"], "hub has no hub and no member: name one of etcd, "),
        (&["start", "member-1", "parallax-member"], "member-1 has no parallax-member: it has etcd, "),
        (&["stop", "hub", "etc"], "[possible values: etcd, "),
    ] {
        let (ok, text) = fleet(&directory, args);
        assert!(!ok && text.contains(said), "{text}");
    }
    let now = kwok().unwrap();
    assert!(fleet(&directory, &["down"]).0);
    assert!(!now.is_alive() && !directory.exists());
}

/// Whether the tool succeeded, and all that it said.
fn fleet(directory: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(args)
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn processes(record: &FleetRecord) -> Vec<ProcessIdentity> {
    record.clusters.iter().flat_map(|cluster| &cluster.processes).map(|process| process.identity).collect()
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("parallax-e2e-{}-{name}", std::process::id()))
}

fn up_command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command
        .args(["up", "--members", "1", "--control-planes-only", "--dir"])
        .arg(directory)
        .stdin(Stdio::null());
    command
}

fn up(directory: &Path) -> std::process::Child {
    up_command(directory).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The record of a fleet whose control planes run.
fn wait_for_record(directory: &Path) -> FleetRecord {
    let layout = Layout::new(directory).unwrap();
    let started = |record: &FleetRecord| record.clusters.iter().any(|cluster| !cluster.processes.is_empty());
    blocking::until("the control planes run", LIMIT * 3, || Ok(layout.read()?.filter(started))).unwrap()
}
