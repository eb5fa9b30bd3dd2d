//! Calls of the tool.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parallax_e2e::Component;
use parallax_e2e::layout::{FleetRecord, Layout};
use parallax_e2e::process::ProcessIdentity;
use parallax_e2e::waiting::blocking::until;

pub const LIMIT: Duration = Duration::from_secs(180);

/// What keeps a fleet of control planes alone.
pub const BARE: &[&str] = &["--members", "1", "--control-planes-only"];

/// Whether the tool succeeded, and all that it said.
pub fn fleet(directory: &Path, args: &[&str]) -> (bool, String) {
    let output = command(directory, args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The tool, in a directory.
pub fn command(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.args(args).arg("--dir").arg(directory).stdin(Stdio::null());
    command
}

/// A directory that nobody else uses.
pub fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("parallax-e2e-{}-{name}", std::process::id()))
}

/// The tool as it keeps control planes in the foreground.
pub fn up(directory: &Path) -> Child {
    let args = [&["up"], BARE].concat();
    command(directory, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The record of a fleet whose control planes run.
pub fn wait_for_record(directory: &Path) -> FleetRecord {
    let layout = Layout::new(directory).unwrap();
    let started = |record: &FleetRecord| record.clusters.iter().any(|cluster| !cluster.processes.is_empty());
    until("the control planes run", LIMIT, || Ok(layout.read()?.filter(started))).unwrap()
}

pub fn processes(record: &FleetRecord) -> Vec<ProcessIdentity> {
    record.clusters.iter().flat_map(|cluster| &cluster.processes).map(|process| process.identity).collect()
}

/// A detached fleet, which goes with the test whatever becomes of that.
pub struct Detached {
    pub directory: PathBuf,
}

impl Detached {
    /// Starts one with these arguments of `up`.
    pub fn start(directory: PathBuf, args: &[&str]) -> Self {
        let (ok, said) = fleet(&directory, &[&["up", "--detach"], args].concat());
        assert!(ok, "{said}");
        Self { directory }
    }

    /// Whether the tool succeeded, and all that it said.
    pub fn tool(&self, args: &[&str]) -> (bool, String) {
        fleet(&self.directory, args)
    }

    pub fn record(&self) -> FleetRecord {
        Layout::new(&self.directory).unwrap().read().unwrap().unwrap()
    }

    /// The process of a component; none while it is stopped.
    pub fn process(&self, cluster: &str, component: Component) -> Option<ProcessIdentity> {
        let record = self.record();
        let mut there = record.cluster(cluster).unwrap().processes.iter();
        there.find(|process| process.component == component).map(|process| process.identity)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if self.directory.exists() {
            fleet(&self.directory, &["down"]);
        }
    }
}
