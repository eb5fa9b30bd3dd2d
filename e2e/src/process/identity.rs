//! Which process a recorded pid meant: pids are reused, so a number alone is never enough to kill by.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process as it can be recognised later, also by another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: u32,
    /// Start of the process in clock ticks since the machine's boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The identity of a process that runs now; `None` when there is no such process, or only its zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let start_time = parse_stat(&stat).filter(|stat| !stat.is_dead())?.start_time;
        Some(Self { pid, start_time })
    }

    /// Whether exactly this process still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends a signal to exactly this process, and says whether it was there to get one.
    ///
    /// The pidfd is opened before the identity is checked, so that the number can't be reused in between.
    pub fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return false;
        };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return false;
        };
        self.is_alive() && pidfd_send_signal(&handle, signal).is_ok()
    }

    /// The memory that the process has resident, in bytes; `None` when it is gone.
    pub fn resident_bytes(&self) -> Option<u64> {
        if !self.is_alive() {
            return None;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status_kib(&status, "VmRSS:").map(|kib| kib * 1024)
    }

    /// The anonymous part of the resident memory, in bytes; `None` when the process is gone.
    pub fn anonymous_bytes(&self) -> Option<u64> {
        if !self.is_alive() {
            return None;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status_kib(&status, "RssAnon:").map(|kib| kib * 1024)
    }
}

struct Stat {
    state: char,
    start_time: u64,
}

impl Stat {
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The command's name, in parentheses, may itself contain spaces and parentheses: fields count from the last one.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_time })
}

fn status_kib(status: &str, field: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|value| value.trim().trim_end_matches("kB").trim().parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_command_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (odd) name)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1000 10";
        let stat = parse_stat(stat).unwrap();
        assert_eq!((stat.state, stat.start_time), ('S', 987_654));
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_not_it() {
        let me = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let earlier = ProcessIdentity { start_time: me.start_time.wrapping_sub(1), ..me };
        assert!(!earlier.is_alive());
        assert!(!earlier.signal(Signal::KILL), "a foreign process must never get the signal");
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(status_kib("Name:\tx\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12));
        let me = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(me.resident_bytes().unwrap() > 100_000);
    }
}
