//! Writes the local truth beside each assignment: a little later than the hub is told, and only what changed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::AgentKey;
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_member_core::report::status;
use parallax_platform::{Conflicts, apply_status};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Agents;
use crate::failure::Failure;

/// What changes within this time is one write.
pub const PAUSE: Duration = Duration::from_secs(1);
/// Writes at the same time; orders come first.
const WRITERS: usize = 4;

/// Writes until `shutdown`.
pub async fn run(agents: Arc<Agents>, shutdown: CancellationToken) {
    let mut work = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Some(_) = work.join_next(), if !work.is_empty() => {}
            turn = agents.statuses.next(), if work.len() < WRITERS => {
                let agents = Arc::clone(&agents);
                work.spawn(async move { agents.write_status(turn.key()).await });
            }
        }
    }
}

impl Agents {
    async fn write_status(&self, key: &AgentKey) {
        let wanted = self.with_index(|index| {
            let slot = index.slot_mut(key)?;
            slot.status_due = false;
            let assignment = slot.assignment.live()?;
            let report = slot.reported.as_ref().filter(|r| r.agent == assignment.agent)?;
            let current = assignment.object.status.as_ref();
            let wanted = status(report, assignment.generation(), current, &Time(Timestamp::now()));
            (current != Some(&wanted)).then_some(wanted)
        });
        let Some(mut wanted) = wanted else { return };
        // They are written elsewhere, by the activators too, and may be newer by now.
        (wanted.activation, wanted.activators) = Default::default();
        let body = json!({
            "apiVersion": "parallax.io/v1alpha1",
            "kind": "AgentAssignment",
            "metadata": { "namespace": key.namespace(), "name": key.name() },
            "status": wanted,
        });
        let api = self.assignments(key);
        match apply_status(&api, key.name(), MEMBER_MANAGER, Conflicts::TakeOver, &body).await {
            Ok(object) => {
                self.statuses.settled(key);
                self.assignment_seen(object);
            }
            Err(Failure::NotFound(_)) => self.statuses.settled(key),
            Err(failure) => {
                tracing::info!(agent = %key, "the assignment's status was not written, and will be: {failure}");
                self.statuses.retry(key, rand::random());
            }
        }
    }
}
