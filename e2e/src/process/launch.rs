//! The launcher: the step between fork and exec that makes a child die with the process that started it.
//!
//! It is a program of its own (`fleet __launch`) rather than a hook between fork and exec, which only unsafe code can be.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, bail};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Becomes `program`, which is killed as soon as the process `parent` is gone; 0 is a parent outside this PID namespace.
///
/// The signal survives exec. It is sent when the *thread* that started this process ends, which is why every child
/// is started by [`super::spawner`]'s one thread.
///
/// # Errors
/// Returns only with one: the parent is gone already, or the program can't be started.
pub fn launch(parent: u32, program: &str, args: &[String]) -> anyhow::Result<std::convert::Infallible> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("setting the parent-death signal")?;
    // The parent may have ended before the line above: then nothing would ever send the signal.
    let now = getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != parent {
        bail!("process {parent}, which wanted {program}, is gone");
    }
    Err(Command::new(program).args(args).exec())
        .with_context(|| format!("starting {program}: does the file exist?"))
}
