//! Whether a watch is well: its check in `/readyz`, a line when it is interrupted and one when it goes on.
//!
//! A watcher tells of its errors and of changes, but not that it was taken up again while nothing changes. The API
//! server's answers say so, and [`Health::client`] listens for them.

use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kube::runtime::watcher;
use parking_lot::Mutex;

use super::Interruption;
use crate::Readiness;
use crate::kubernetes::{explain_watch, is_forbidden};
use crate::readiness::Check;

/// What a watch waits for before its first list is complete.
pub(super) const FIRST_LIST: &str = "its first list is not complete";

/// How one watch fares. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Health {
    what: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// None for a watch without which the process is ready.
    check: Option<Check>,
    /// The first list was complete: what is watched is known.
    complete: bool,
    interrupted: bool,
}

impl State {
    /// What holds as long as nothing is wrong.
    fn well(&self) {
        match &self.check {
            Some(check) if self.complete => check.ready(),
            Some(check) => check.not_ready(FIRST_LIST),
            None => {}
        }
    }
}

impl Health {
    /// Of a watch of `what` that begins.
    pub(super) fn new(what: String) -> Self {
        Self { what: what.into(), state: Arc::default() }
    }

    /// `/readyz` tells of it.
    pub(super) fn show_in(&self, readiness: &Readiness) {
        let mut state = self.state.lock();
        state.check = Some(readiness.check(format!("watch of {}", self.what)));
        state.well();
    }

    /// The client that the watch is to use: its answers tell that an interruption is over.
    pub(super) fn client(&self, client: &Client) -> Client {
        let (health, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (health, inner) = (health.clone(), inner.clone());
            async move {
                let answer: Response<Body> = inner.send(request).await?;
                if answer.status().is_success() {
                    health.answered();
                }
                Ok::<_, kube::Error>(answer)
            }
        });
        Client::new(service, client.default_namespace())
    }

    /// The watcher gave an error; it backs off and goes on by itself. What it was.
    pub(super) fn interrupted(&self, error: &watcher::Error) -> Interruption {
        let forbidden = is_forbidden(error);
        let error = explain_watch(error);
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.interrupted, true) {
            tracing::warn!(
                error,
                "the watch of {} is interrupted; what is known stays in force, and it is tried again",
                self.what
            );
        }
        if let Some(check) = &state.check {
            check.not_ready(error.clone());
        }
        Interruption { message: error, forbidden }
    }

    /// Every object of a list has been given.
    pub(super) fn listed(&self) {
        let mut state = self.state.lock();
        state.complete = true;
        if !state.interrupted {
            state.well();
        }
    }

    fn answered(&self) {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.interrupted) {
            tracing::info!("the watch of {} goes on", self.what);
            state.well();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_no_list() {
        let readiness = Readiness::default();
        let health = Health::new("ConfigMaps".to_owned());
        health.show_in(&readiness);
        health.interrupted(&watcher::Error::NoResourceVersion);
        assert!(!readiness.report().text.contains(FIRST_LIST));
        health.answered();
        assert_eq!(readiness.report().text, format!("watch of ConfigMaps: not ready: {FIRST_LIST}\n"));
    }
}
