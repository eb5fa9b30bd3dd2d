//! `fleet up`: in the foreground until Ctrl-C, or detached.

use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{UpArgs, down, print, supervise, this_binary};
use crate::demo;
use crate::fleet::{Fleet, FleetOptions, Place};
use crate::layout::{FleetRecord, Layout};
use crate::progress::Progress;

pub(super) async fn up(args: UpArgs) -> anyhow::Result<ExitCode> {
    let layout = args.directory.layout()?;
    if args.detach {
        return detached(&args, &layout).await;
    }
    let launcher = this_binary()?;
    let mut options = FleetOptions::new(launcher).members(usize::from(args.members));
    options.place = Place::At(layout.root().to_path_buf());
    options.progress = Progress::Told;
    options.product = !args.control_planes_only;
    if args.real_node {
        options = options.real_node("member-1");
    }
    if args.supervise {
        return supervise::supervise(options).await;
    }
    let mut end = supervise::end_signals()?;
    options.progress.line(&format!("A fleet in {}", layout.root().display()));
    let started = tokio::select! {
        started = Fleet::start(options) => started,
        () = end.wait() => return Ok(interrupted()),
    };
    let fleet = started?;
    let control = fleet.control()?;
    let record = fleet.record();
    let showing = async {
        if args.shows_demo() {
            demo::run(&record).await?;
        }
        next(&record, &args);
        anyhow::Ok(())
    };
    tokio::select! {
        shown = showing => shown?,
        () = end.wait() => return Ok(interrupted()),
    }
    supervise::watch_over(&fleet, &control, &mut end, |line| Progress::Told.line(line)).await;
    Progress::Told.line("Ending the fleet");
    fleet.shut_down().await;
    Ok(ExitCode::SUCCESS)
}

fn interrupted() -> ExitCode {
    Progress::Told.line("Interrupted: everything that was started is ended and removed");
    ExitCode::from(130)
}

/// Starts a supervisor that outlives this process, and shows what it says until the fleet works.
async fn detached(args: &UpArgs, layout: &Layout) -> anyhow::Result<ExitCode> {
    let launcher = this_binary()?;
    let mut end = supervise::end_signals()?;
    Progress::Told.line(&format!("A fleet in {}", layout.root().display()));
    let mut supervisor = start_supervisor(&launcher, args, layout)?;
    let mut said =
        BufReader::new(supervisor.stdout.take().context("the supervisor's standard output")?).lines();
    let mut told =
        BufReader::new(supervisor.stderr.take().context("the supervisor's standard error")?).lines();
    // The supervisor gives up when this end of its standard input is closed before the fleet works.
    let alive = supervisor.stdin.take();
    loop {
        tokio::select! {
            biased;
            Ok(Some(line)) = told.next_line() => Progress::Told.line(&line),
            line = said.next_line() => match line {
                Ok(Some(line)) if line == supervise::READY => break,
                _ => {
                    while let Ok(Some(line)) = told.next_line().await {
                        Progress::Told.line(&line);
                    }
                    supervisor.wait().await.ok();
                    return Ok(ExitCode::FAILURE);
                }
            },
            () = end.wait() => {
                drop(alive);
                supervisor.wait().await.ok();
                return Ok(interrupted());
            }
        }
    }
    let record = layout.read()?.context("the fleet is gone already")?;
    if args.shows_demo() {
        let shown = tokio::select! {
            shown = demo::run(&record) => shown,
            () = end.wait() => Err(anyhow::anyhow!("interrupted")),
        };
        if let Err(error) = shown {
            down::down(layout)?;
            bail!(error);
        }
    }
    next(&record, args);
    Ok(ExitCode::SUCCESS)
}

fn start_supervisor(launcher: &Path, args: &UpArgs, layout: &Layout) -> anyhow::Result<Child> {
    Command::new(launcher)
        .args(["up", "--supervise", "--members", &args.members.to_string()])
        .args(args.control_planes_only.then_some("--control-planes-only"))
        .args(args.real_node.then_some("--real-node"))
        .arg("--dir")
        .arg(layout.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", launcher.display()))
}

/// What a user has to know of the clusters to trust what they see.
fn simulated(args: &UpArgs) -> String {
    let (whose, but) = match args.real_node {
        true => ("of the other members ", " there"),
        false => ("", ""),
    };
    format!(
        "\nAPI servers, controllers and schedulers are the real ones; nodes and pods {whose}are simulated by KWOK:\n\
         no container runs{but}, and a pod is Running a moment after it is scheduled."
    )
}

/// What to try next.
fn next(record: &FleetRecord, args: &UpArgs) {
    let Some(hub) = record.clusters.first() else { return };
    let kubectl = record.kubectl.display();
    let directory = record.directory.display();
    print(&format!("\nThe fleet works. Try:\n\n  export KUBECONFIG={}", hub.kubeconfig.display()));
    if hub.hub.is_some() {
        print(&format!("  {kubectl} get memberclusters"));
        print(&format!("  {kubectl} get parallaxagents -A -o wide"));
    }
    if args.shows_demo() {
        print(&format!("  {kubectl} scale parallaxagent code-reviewer -n demo --replicas=5"));
        print(&format!("  {kubectl} describe parallaxagent code-reviewer -n demo"));
    }
    if hub.hub.is_some() && record.clusters.len() > 1 {
        print(&format!(
            "  cargo fleet stop hub --dir {directory}     # agents run on; `start hub` brings it back"
        ));
    }
    if let Some(member) = record.clusters.get(1) {
        print(&format!(
            "  {kubectl} --kubeconfig {} get nodes,deployments,pods -A",
            member.kubeconfig.display()
        ));
    }
    if record.clusters.len() > 1 {
        print(&simulated(args));
    }
    if hub.hub.is_some() {
        print("The members make missing namespaces (--create-namespaces).");
    }
    print(&format!(
        "\nEverything that runs: {directory}/fleet.json, or cargo fleet status --dir {directory}"
    ));
    print(&match args.detach {
        true => format!("cargo fleet down --dir {directory} ends the fleet."),
        false => "Ctrl-C ends the fleet.".to_owned(),
    });
}
