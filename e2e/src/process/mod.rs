//! Children that can't outlive the process that started them, and handles that can't hit another process.

mod identity;
mod launch;
mod namespaces;
pub mod spawner;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
pub use identity::ProcessIdentity;
pub use launch::launch;
pub use namespaces::Namespaces;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::watch;

/// Variables of this process's environment that children see; everything else is set explicitly, so that a `PORT`
/// or `KUBECONFIG` in the user's shell changes nothing.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TZ", "RUST_LOG", "RUST_BACKTRACE"];

/// How to start a process; kept, so that it can be started again in the same way.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables beside the few that are inherited.
    pub env: Vec<(String, String)>,
    /// Standard output and error are appended to this file.
    pub log: PathBuf,
    /// The namespaces to start it in; this process's own without.
    pub inside: Option<Namespaces>,
}

/// A running (or ended) child.
#[derive(Debug)]
pub struct Process {
    identity: ProcessIdentity,
    handle: OwnedFd,
    ended: watch::Receiver<Option<ExitStatus>>,
    log: PathBuf,
}

impl Process {
    /// Starts the process through the launcher (the path of the `fleet` binary), in a process group of its own, so
    /// that a Ctrl-C in the terminal reaches only the tool, which then stops the children in order.
    ///
    /// # Errors
    /// The log file can't be opened, or the launcher can't be started.
    pub fn start(launcher: &Path, spec: &ProcessSpec) -> anyhow::Result<Arc<Self>> {
        let log = open_log(&spec.log)?;
        let also_log = log.try_clone().context("duplicating a log file's handle")?;
        let finish = |command: &mut Command| {
            command
                .args(&spec.args)
                .env_clear()
                .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
                .envs(spec.env.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::null())
                .stdout(also_log)
                .stderr(log)
                .process_group(0);
        };
        let started = match &spec.inside {
            Some(namespaces) => namespaces.spawn(launcher, &spec.program, finish),
            None => {
                let mut command = launched(launcher, &spec.program);
                finish(&mut command);
                spawner::spawn(command).map_err(anyhow::Error::from)
            }
        };
        let mut child = started
            .with_context(|| format!("starting {} through {}", spec.program.display(), launcher.display()))?;
        let pid = child.id();
        let adopted = adopt(pid);
        let (say_ended, ended) = watch::channel(None);
        std::thread::Builder::new()
            .name(format!("wait-{pid}"))
            .spawn(move || say_ended.send_replace(child.wait().ok()))
            .context("starting the thread that waits for a process")?;
        let (identity, handle) = adopted?;
        Ok(Arc::new(Self { identity, handle, ended, log: spec.log.clone() }))
    }

    /// What to recognise it by, also after this tool is gone.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Sends a signal; one that has ended gets none.
    pub fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.handle, signal).ok();
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// SIGTERM, and SIGKILL when it has not ended within the grace.
    pub async fn stop(&self, grace: Duration) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            self.kill().await;
        }
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// A command that starts a program through the launcher (the path of the `fleet` binary), so that it is killed when
/// this process ends. It must be started by [`spawner::spawn`].
pub fn launched(launcher: &Path, program: &Path) -> Command {
    let mut command = Command::new(launcher);
    command.arg("__launch").arg("--parent").arg(std::process::id().to_string()).arg("--").arg(program);
    command
}

/// The handle and identity of a child that can't have been reaped yet, because its waiter has not started.
fn adopt(pid: u32) -> anyhow::Result<(ProcessIdentity, OwnedFd)> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a child without a process id")?;
    let handle =
        pidfd_open(raw, PidfdFlags::empty()).context("opening a pidfd: Linux 5.3 or newer is needed")?;
    // A child that failed at once is a zombie, whose start time still reads as none: any number will do, it is dead.
    let identity = ProcessIdentity::of(pid).unwrap_or(ProcessIdentity { pid, start_time: 0 });
    Ok((identity, handle))
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

/// The last lines of a text file, read from at most its last 256 KiB; empty when it can't be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(256 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
