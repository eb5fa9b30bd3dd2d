//! The threads that start children.
//!
//! A parent-death signal fires when the thread that started the child ends. Tests start fleets from threads that
//! come and go, so children are started by a thread that lives for as long as they may: one per program, and one
//! more per PID namespace, because a thread's children can be in only one.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};

struct Request {
    command: Command,
    answer: SyncSender<io::Result<Child>>,
}

static SPAWNER: OnceLock<Spawner> = OnceLock::new();

/// Starts the command from the thread that lives as long as the program; blocks for as long as a fork takes.
///
/// # Errors
/// Those of [`Command::spawn`], or that the thread could not be started.
pub fn spawn(command: Command) -> io::Result<Child> {
    if let Some(spawner) = SPAWNER.get() {
        return spawner.spawn(command);
    }
    let spawner = Spawner::start("spawner", || Ok(()))?;
    // A race of two first callers makes two threads; the loser's sender is dropped, and its thread ends unused.
    SPAWNER.get_or_init(|| spawner).spawn(command)
}

/// A thread that starts children. It ends when this is dropped, and with it its children that asked for a
/// parent-death signal.
#[derive(Debug)]
pub struct Spawner {
    requests: Sender<Request>,
}

impl Spawner {
    /// Starts the thread and lets it prepare itself.
    ///
    /// # Errors
    /// The thread could not be started, or could not prepare itself.
    pub fn start(name: &str, prepare: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (requests, queue) = channel::<Request>();
        let (say_prepared, prepared) = sync_channel(1);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let result = prepare();
            let works = result.is_ok();
            say_prepared.send(result).ok();
            if !works {
                return;
            }
            for Request { mut command, answer } in queue {
                // Whoever asked may be gone; the child then is too, as its handle is dropped unwaited and its pid
                // unused.
                if let Err(std::sync::mpsc::SendError(Ok(mut orphan))) = answer.send(command.spawn()) {
                    orphan.kill().ok();
                }
            }
        })?;
        prepared.recv().map_err(|_| ended())??;
        Ok(Self { requests })
    }

    /// Starts the command; blocks for as long as a fork takes.
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, started) = sync_channel(1);
        self.requests.send(Request { command, answer }).map_err(|_| ended())?;
        started.recv().map_err(|_| ended())?
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that starts processes has ended")
}
