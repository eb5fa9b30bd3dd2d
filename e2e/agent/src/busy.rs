//! The switch that makes the agent use processor time: what an autoscaler reacts to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Work and rest alternate in slices of this length together.
const SLICE: Duration = Duration::from_millis(100);

/// A thread that uses a share of one core.
#[derive(Clone, Debug)]
pub struct Busy {
    percent: Arc<AtomicU8>,
    thread: std::thread::Thread,
}

impl Busy {
    /// Starts the thread with a share in percent, at most 100.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(percent: u8) -> io::Result<Self> {
        let percent = Arc::new(AtomicU8::new(percent));
        let shared = percent.clone();
        let handle = std::thread::Builder::new().name("busy".into()).spawn(move || work(&shared))?;
        Ok(Self { percent, thread: handle.thread().clone() })
    }

    /// The share in percent.
    pub fn percent(&self) -> u8 {
        self.percent.load(Ordering::Relaxed)
    }

    /// Changes the share, at most 100.
    pub fn set(&self, percent: u8) {
        self.percent.store(percent.min(100), Ordering::Relaxed);
        self.thread.unpark();
    }
}

fn work(percent: &AtomicU8) {
    loop {
        let share = percent.load(Ordering::Relaxed);
        if share == 0 {
            std::thread::park();
            continue;
        }
        let until = Instant::now() + SLICE * u32::from(share) / 100;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        std::thread::sleep(SLICE * u32::from(100 - share) / 100);
    }
}
