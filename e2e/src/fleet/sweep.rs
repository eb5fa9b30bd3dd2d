//! Who owns a fleet's directory, and how it is cleared away however its owner ends.
//!
//! The owner holds a lock in the directory, and the write end of a pipe to a sweeper process. When the owner ends,
//! also by SIGKILL, the kernel closes the pipe; the sweeper then ends what is left and removes the directory.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use crate::layout::{FleetRecord, Layout};
use crate::process::ProcessIdentity;
use crate::real_node::traces;
use crate::waiting::blocking::until;

/// How long clearing away may take: killed processes leave their memory and files within moments.
const LIMIT: Duration = Duration::from_secs(10);

/// The right to use a fleet's directory.
pub struct Claim {
    lock: File,
    sweeper: Child,
}

impl Claim {
    /// Takes the directory for a new fleet, clears away what a killed one left, and starts the sweeper.
    ///
    /// # Errors
    /// A fleet runs there already, or the directory holds something else.
    pub fn take(layout: &Layout, launcher: &Path, record: &FleetRecord) -> anyhow::Result<Self> {
        let lock = acquire(layout)?;
        if let Some(old) = layout.read()? {
            end(&processes(&old));
            traces::remove(&old.id)?;
        }
        empty(layout.root())?;
        layout.write(record)?;
        let sweeper = Command::new(launcher)
            .args(["__sweep", "--id", &record.id, "--dir"])
            .arg(layout.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", launcher.display()))?;
        Ok(Self { lock, sweeper })
    }

    /// Waits until the processes are gone, and lets the sweeper remove the directory.
    pub fn release(mut self, processes: impl Iterator<Item = ProcessIdentity>) {
        end(&processes.collect::<Vec<_>>());
        self.lock.unlock().ok();
        drop(self.sweeper.stdin.take());
        self.sweeper.wait().ok();
    }
}

fn acquire(layout: &Layout) -> anyhow::Result<File> {
    let what = format!("{} is cleared away", layout.root().display());
    // What stands in the way for good ends the wait as its value.
    let lock = until(&what, LIMIT, || Ok(try_acquire(layout).transpose()));
    lock.context("another fleet is still being ended there: try again in a moment")?
}

/// The lock; none while the fleet before is still being cleared away.
fn try_acquire(layout: &Layout) -> anyhow::Result<Option<File>> {
    let root = layout.root();
    let path = layout.lock_path();
    refuse_foreign(layout)?;
    std::fs::create_dir_all(root).with_context(|| format!("creating {}", root.display()))?;
    let lock = match File::create(&path) {
        Ok(lock) => lock,
        // The sweeper of the fleet before removed the directory in between.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("creating {}", path.display())),
    };
    let locked = lock.try_lock().is_ok();
    // The locked file may be one that a sweeper has just removed.
    if locked && same_file(&lock, &path) {
        return Ok(Some(lock));
    }
    let owner = layout.read().ok().flatten().map(|record| record.supervisor);
    if !locked && owner.is_some_and(|owner| owner.is_alive()) {
        bail!(
            "a fleet runs in {0} already: see `cargo fleet status --dir {0}`, or end it with `cargo fleet down --dir {0}`",
            root.display()
        );
    }
    Ok(None)
}

/// A directory with something in it that is no fleet is somebody's.
fn refuse_foreign(layout: &Layout) -> anyhow::Result<()> {
    let root = layout.root();
    let is_ours = layout.record_path().exists() || layout.lock_path().exists();
    let is_empty = std::fs::read_dir(root).map_or(true, |mut entries| entries.next().is_none());
    if !is_ours && !is_empty {
        bail!("{} is not empty and holds no fleet: choose another --dir", root.display());
    }
    Ok(())
}

fn same_file(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), std::fs::metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// The sweeper: waits until its owner has let go of standard input, and clears away that owner's fleet.
///
/// # Errors
/// The directory can't be removed.
pub fn sweep(directory: &Path, id: &str) -> anyhow::Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new()).ok();
    clear(&Layout::new(directory)?, id)
}

/// Ends what is left of the fleet `id` and removes its directory; nothing when another fleet has it by now.
///
/// # Errors
/// Its processes don't end, its lock is not let go of, or the directory, or what a real node leaves, can't be removed.
pub fn clear(layout: &Layout, id: &str) -> anyhow::Result<()> {
    let is_ours =
        || -> anyhow::Result<Option<FleetRecord>> { Ok(layout.read()?.filter(|record| record.id == id)) };
    let Some(record) = is_ours()? else { return Ok(()) };
    end(&processes(&record));
    let path = layout.lock_path();
    let lock = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let what = format!("{} is not in use any more", layout.root().display());
    until(&what, LIMIT, || Ok((lock.try_lock().is_ok() || is_ours()?.is_none()).then_some(())))
        .with_context(|| format!("end process {} first", record.supervisor.pid))?;
    if is_ours()?.is_none() {
        return Ok(());
    }
    traces::remove(id)?;
    // A process that was just killed may still be finishing a write: what it made is removed in the next round.
    until(&format!("{} is removed", layout.root().display()), LIMIT, || {
        match std::fs::remove_dir_all(layout.root()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(Some(())),
        }
    })
}

fn processes(record: &FleetRecord) -> Vec<ProcessIdentity> {
    record.clusters.iter().flat_map(|cluster| &cluster.processes).map(|process| process.identity).collect()
}

/// Kills exactly these processes and waits until they are gone.
fn end(processes: &[ProcessIdentity]) {
    for process in processes {
        process.signal(Signal::KILL);
    }
    // One that can't be killed shows when its directory can't be removed.
    let gone = || Ok(processes.iter().all(|process| !process.is_alive()).then_some(()));
    until("the processes are gone", LIMIT, gone).ok();
}

/// Removes everything in the directory but the lock.
fn empty(root: &Path) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(root).with_context(|| format!("reading {}", root.display()))?;
    for entry in entries.flatten().filter(|entry| entry.file_name() != "lock") {
        let path = entry.path();
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scratch(name: &str) -> Layout {
        let root = std::env::temp_dir().join(format!("parallax-sweep-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        Layout::new(&root).unwrap()
    }

    fn record(layout: &Layout, id: &str) -> FleetRecord {
        FleetRecord {
            version: crate::layout::VERSION,
            id: id.into(),
            directory: layout.root().into(),
            supervisor: ProcessIdentity { pid: std::process::id(), start_time: 0 },
            kubectl: "kubectl".into(),
            clusters: Vec::new(),
        }
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_refused_and_untouched() {
        let layout = scratch("foreign");
        std::fs::write(layout.root().join("thesis.txt"), "mine").unwrap();
        let error = acquire(&layout).unwrap_err().to_string();
        assert!(error.contains("choose another --dir"), "{error}");
        assert!(layout.root().join("thesis.txt").exists());
        std::fs::remove_dir_all(layout.root()).unwrap();
    }

    #[test]
    fn the_directory_of_another_fleet_is_not_cleared() {
        let layout = scratch("other");
        layout.write(&record(&layout, "new")).unwrap();
        File::create(layout.lock_path()).unwrap();
        clear(&layout, "old").unwrap();
        assert!(layout.record_path().exists());
        clear(&layout, "new").unwrap();
        assert!(!layout.root().exists());
    }
}
