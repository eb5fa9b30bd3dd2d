//! Whether the process is ready, and if not, what it waits for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

/// The named checks of a process: it is ready when all of them are. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// What each check waits for; None when it is ready.
    checks: Arc<Mutex<BTreeMap<Arc<str>, Option<String>>>>,
}

/// One check of a [`Readiness`], held by what it is about. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Check {
    readiness: Readiness,
    name: Arc<str>,
}

/// What `/readyz` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether all checks are ready.
    pub ready: bool,
    /// A line for each check.
    pub text: String,
}

impl Readiness {
    /// A new check, not ready yet.
    #[must_use]
    pub fn check(&self, name: impl Into<Arc<str>>) -> Check {
        let check = Check { readiness: self.clone(), name: name.into() };
        check.not_ready("starting");
        check
    }

    /// How things stand. Without any check, not ready: nothing has begun.
    #[must_use]
    pub fn report(&self) -> Report {
        let checks = self.checks.lock();
        let mut text = String::new();
        for (name, waits_for) in checks.iter() {
            // Writing to a String can't fail.
            let _ = match waits_for {
                None => writeln!(text, "{name}: ready"),
                Some(why) => writeln!(text, "{name}: not ready: {why}"),
            };
        }
        Report { ready: !checks.is_empty() && checks.values().all(Option::is_none), text }
    }
}

impl Check {
    /// It is ready.
    pub fn ready(&self) {
        self.readiness.checks.lock().insert(self.name.clone(), None);
    }

    /// It is not ready (any more), and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.readiness.checks.lock().insert(self.name.clone(), Some(why.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_all_of_its_checks_are() {
        let readiness = Readiness::default();
        assert!(!readiness.report().ready);
        let caches = readiness.check("caches");
        let session = readiness.check("session");
        caches.ready();
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.text, "caches: ready\nsession: not ready: starting\n");
        session.ready();
        assert!(readiness.report().ready);
        caches.not_ready("etcdserver: request timed out (HTTP 500)");
        let report = readiness.report();
        assert!(!report.ready);
        assert!(report.text.contains("caches: not ready: etcdserver: request timed out (HTTP 500)"));
    }
}
