//! What keeps a pod from running, in words that stay the same for as long as it does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pod::{ContainerState, ContainerStatus, PodStatus};

/// What keeps a pod from running. The order is the severity: the last is the worst.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// It won't run without help.
    pub failing: bool,
    /// A CamelCase word of Kubernetes.
    pub reason: String,
    /// The first line of what goes with it.
    pub message: String,
}

impl Trouble {
    fn new(failing: bool, reason: &str, message: &str) -> Self {
        Self { failing, reason: reason.to_owned(), message: first_line(message) }
    }
}

/// The first line, cut to 256 bytes at the boundary of a character.
pub(crate) fn first_line(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    line[..line.floor_char_boundary(256)].to_owned()
}

impl PodStatus {
    /// What keeps the pod from running.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let unscheduled =
            self.conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False").and_then(|c| {
                let reason = c.reason.as_deref()?;
                // Who closed the gate will open it.
                let failing = reason != "SchedulingGated";
                Some(Trouble::new(failing, reason, c.message.as_deref().unwrap_or_default()))
            });
        let whole = self
            .reason
            .as_deref()
            .map(|reason| Trouble::new(false, reason, self.message.as_deref().unwrap_or_default()));
        let all = self.init_container_statuses.iter().chain(&self.container_statuses);
        let containers = all.filter_map(ContainerStatus::trouble);
        containers.chain(unscheduled).chain(whole).max()
    }
}

/// The kubelet's words for a container that ends again and again, and for an image that can't be had.
const CRASH_LOOP: &str = "CrashLoopBackOff";
const NO_IMAGE: &str = "ImagePullBackOff";

/// A container that ran for longer does not make a crash loop when it ends: the kubelet's back-off begins anew then.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>
const BRIEF_SECONDS: i64 = 600;

impl ContainerStatus {
    /// What goes on for long is told in the same words throughout, though the kubelet's change with every try: an
    /// agent does not mend, and then fail again, because its container is being started once more.
    fn trouble(&self) -> Option<Trouble> {
        let last = self.last_state.get("terminated");
        if let Some(waiting) = self.state.get("waiting") {
            let reason = waiting.reason.as_deref()?;
            let message = waiting.message.as_deref().unwrap_or_default();
            return match reason {
                // Ordinary steps on the way up are no trouble.
                "ContainerCreating" | "PodInitializing" => None,
                CRASH_LOOP => {
                    let words = last.map_or_else(|| message.to_owned(), ContainerState::last_words);
                    Some(Trouble::new(true, CRASH_LOOP, &words))
                }
                "ErrImagePull" | NO_IMAGE => Some(Trouble::new(true, NO_IMAGE, cause(message))),
                _ => {
                    let failing = matches!(
                        reason,
                        "InvalidImageName"
                            | "ErrImageNeverPull"
                            | "CreateContainerConfigError"
                            | "CreateContainerError"
                            | "RunContainerError"
                    );
                    Some(Trouble::new(failing, reason, message))
                }
            };
        }
        let ended = self.state.get("terminated");
        let latest = ended.or(last)?;
        let ends = self.restart_count + i32::from(ended.is_some());
        if !self.ready && ends >= 2 && latest.was_brief() {
            return Some(Trouble::new(true, CRASH_LOOP, &latest.last_words()));
        }
        let ended = ended.filter(|state| state.exit_code != Some(0))?;
        Some(Trouble::new(false, ended.reason.as_deref().unwrap_or("Error"), &ended.last_words()))
    }
}

/// What went wrong, without the preamble of a kubelet that waits before it tries again.
fn cause(message: &str) -> &str {
    message.split_once(": ErrImagePull: ").map_or(message, |(_, cause)| cause)
}

impl ContainerState {
    /// What an ended container left as its message, or else how it ended.
    fn last_words(&self) -> String {
        if let Some(own) = self.message.as_deref().filter(|message| !message.trim().is_empty()) {
            return own.to_owned();
        }
        let code = self.exit_code.map(|code| format!("exit code {code}"));
        // "Error" says no more than that the code isn't 0.
        let reason = self.reason.clone().filter(|reason| reason != "Error");
        reason.into_iter().chain(code).collect::<Vec<_>>().join(", ")
    }

    fn was_brief(&self) -> bool {
        match (&self.started_at, &self.finished_at) {
            (Some(Time(started)), Some(Time(finished))) => {
                finished.duration_since(*started).as_secs() < BRIEF_SECONDS
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
