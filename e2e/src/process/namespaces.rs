//! Starting processes inside the namespaces that another process keeps.
//!
//! Such a process is a child of this one all the same: its pid, its end and its parent-death signal are as those of
//! any other. Only a *thread's* children can be put into a PID namespace, hence a spawner for each; the remaining
//! namespaces are entered by `nsenter`, which then becomes the program.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use anyhow::Context as _;
use parking_lot::Mutex;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::spawner::Spawner;

/// The way into a set of PID, mount, network, UTS and IPC namespaces; closed until [`Namespaces::open`].
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    entrance: Arc<Mutex<Option<Entrance>>>,
}

#[derive(Debug)]
struct Entrance {
    keeper: u32,
    spawner: Spawner,
}

impl Namespaces {
    /// Opens the way into the namespaces that the process `keeper` is in, and into the PID namespace that its
    /// children are in. Replaces the way into those of an earlier keeper.
    ///
    /// # Errors
    /// The keeper is gone, or has no child yet, or this process lacks the right.
    pub fn open(&self, keeper: u32) -> anyhow::Result<()> {
        let path = format!("/proc/{keeper}/ns/pid_for_children");
        let namespace = File::open(&path).with_context(|| format!("opening {path}"))?;
        let enter = move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::ProcessID))
                .map_err(std::io::Error::from)
        };
        let spawner =
            Spawner::start(&format!("spawner-{keeper}"), enter).context("entering a PID namespace")?;
        *self.entrance.lock() = Some(Entrance { keeper, spawner });
        Ok(())
    }

    /// Starts, through the launcher, a program inside; `finish` completes the command before it is started.
    ///
    /// # Errors
    /// The way is not open, or the launcher can't be started.
    pub(super) fn spawn(
        &self,
        launcher: &Path,
        program: &Path,
        finish: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Child> {
        let entrance = self.entrance.lock();
        let Entrance { keeper, spawner } = entrance.as_ref().context("its node does not run")?;
        let mut command = Command::new(launcher);
        // From inside, a parent outside has no number.
        command.args(["__launch", "--parent", "0", "--"]).args(enter(*keeper)).arg(program);
        finish(&mut command);
        spawner.spawn(command).with_context(|| format!("starting {}", launcher.display()))
    }

    /// A command that runs to its end inside, but outside the PID namespace.
    ///
    /// # Errors
    /// The way is not open.
    pub fn command(&self, program: &str) -> anyhow::Result<Command> {
        let entrance = self.entrance.lock();
        let keeper = entrance.as_ref().context("the node does not run")?.keeper;
        let mut all = enter(keeper).into_iter();
        let mut command = Command::new(all.next().unwrap_or_default());
        command.args(all).arg(program);
        Ok(command)
    }
}

fn enter(keeper: u32) -> Vec<PathBuf> {
    let target = format!("--target={keeper}");
    ["nsenter", &target, "--mount", "--net", "--uts", "--ipc", "--"].map(PathBuf::from).to_vec()
}
