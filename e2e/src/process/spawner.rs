//! The one thread that starts children.
//!
//! A parent-death signal fires when the thread that started the child ends. Tests start fleets from threads that
//! come and go, so every child is started by one thread that lives as long as the process.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};

struct Request {
    command: Command,
    answer: SyncSender<io::Result<Child>>,
}

static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();

/// Starts the command from the long-lived thread; blocks for as long as a fork takes.
///
/// # Errors
/// Those of [`Command::spawn`], or that the thread could not be started.
pub fn spawn(command: Command) -> io::Result<Child> {
    let (answer, started) = sync_channel(1);
    spawner()?
        .send(Request { command, answer })
        .map_err(|_| io::Error::other("the thread that starts processes has ended"))?;
    started.recv().map_err(|_| io::Error::other("the thread that starts processes has ended"))?
}

fn spawner() -> io::Result<&'static Sender<Request>> {
    if let Some(sender) = SPAWNER.get() {
        return Ok(sender);
    }
    let (sender, requests) = channel::<Request>();
    std::thread::Builder::new().name("spawner".into()).spawn(move || {
        for Request { mut command, answer } in requests {
            // Whoever asked may be gone; the child then is too, as its handle is dropped unwaited and its pid unused.
            if let Err(std::sync::mpsc::SendError(Ok(mut orphan))) = answer.send(command.spawn()) {
                orphan.kill().ok();
            }
        }
    })?;
    // A race of two first callers makes two threads; the loser's sender is dropped, and its thread ends unused.
    Ok(SPAWNER.get_or_init(|| sender))
}
