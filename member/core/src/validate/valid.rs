//! What has passed, and what it says about the number of replicas.

use std::time::Duration;

use parallax_crds::agent::Bounds;
use parallax_crds::assignment::AgentTemplate;
use parallax_crds::{AgentRef, SpecHash};

use crate::replicas::Autoscaled;

/// An assignment that may be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid<'a> {
    /// The UID of the AgentAssignment, which owns what is built.
    pub owner_uid: &'a str,
    /// Which agent.
    pub agent: AgentRef,
    /// The hash of `template`.
    pub hash: SpecHash,
    /// How many replicas; with bounds, that is where the count starts.
    pub replicas: i32,
    /// Between how many replicas load may choose.
    pub bounds: Option<Bounds>,
    /// What to run.
    pub template: &'a AgentTemplate,
    /// It is idle, and its pods are to go.
    pub asleep: bool,
    /// Its Service leads to the activators instead of selecting its pods.
    pub led: bool,
}

impl Valid<'_> {
    /// How long the agent must be idle before it goes to zero; none: it doesn't. Nothing wakes one that is ordered to
    /// have no replicas.
    #[must_use]
    pub fn sleep_delay(&self) -> Option<Duration> {
        let sleep = self.template.sleep.filter(|_| self.replicas > 0)?;
        Some(Duration::from_secs(u64::try_from(sleep.delay_seconds).unwrap_or_default()))
    }

    /// The number of replicas that the member applies; none while it is an autoscaler's: see [`crate::replicas`].
    #[must_use]
    pub fn own_replicas(&self) -> Option<i32> {
        if self.asleep { Some(0) } else { self.autoscaled().is_none().then_some(self.replicas) }
    }

    /// How load chooses the number of replicas; none: it doesn't.
    #[must_use]
    pub fn autoscaled(&self) -> Option<Autoscaled> {
        let targets = self.template.scaling;
        let bounds = self.bounds.filter(|_| !targets.is_empty())?;
        Some(Autoscaled { bounds, targets, share: self.replicas })
    }
}
