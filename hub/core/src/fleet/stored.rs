//! An object of the hub's API server whose status only the hub writes: the object as it was last seen, what is stored of
//! its status, and what is being written.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parallax_crds::{MemberCluster, MemberClusterStatus, ParallaxAgent, ParallaxAgentStatus};

use super::WriteOutcome;
use crate::writes::REFUSED_PAUSE;

/// A kind with a status of ours.
pub(super) trait Kind: Debug {
    type Status: Clone + PartialEq + Debug;
    fn metadata(&self) -> &ObjectMeta;
    fn status(&self) -> Option<&Self::Status>;
}

impl Kind for ParallaxAgent {
    type Status = ParallaxAgentStatus;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn status(&self) -> Option<&ParallaxAgentStatus> {
        self.status.as_ref()
    }
}

impl Kind for MemberCluster {
    type Status = MemberClusterStatus;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn status(&self) -> Option<&MemberClusterStatus> {
        self.status.as_ref()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stored<K: Kind> {
    /// As it was last seen.
    pub object: Arc<K>,
    /// The newest resourceVersion known, as a number: what is older is an echo.
    version: u64,
    /// The resourceVersion that `status` is of.
    status_version: u64,
    /// What was written since `object` was seen: it stands in for the object's own status.
    written: Option<Box<K::Status>>,
    writing: Option<Box<K::Status>>,
    /// Why the API server refuses the status, if it does and people were told.
    refused: Option<String>,
}

/// What a newer object says.
#[derive(Debug)]
pub(super) struct Change<K: Kind> {
    /// As it was seen before.
    pub object: Arc<K>,
    /// What was written since.
    written: Option<Box<K::Status>>,
    /// Somebody else has written the status.
    pub foreign: bool,
}

impl<K: Kind> Change<K> {
    /// The status as it was stored before, as far as was known.
    pub fn status(&self) -> Option<&K::Status> {
        self.written.as_deref().or(self.object.status())
    }
}

impl<K: Kind> Stored<K> {
    /// As it is seen first.
    pub fn new(object: Arc<K>) -> Self {
        let version = version(object.metadata().resource_version.as_deref());
        Self { object, version, status_version: version, written: None, writing: None, refused: None }
    }

    /// Takes in the object as it is seen now; none if it is older than what is known.
    pub fn seen(&mut self, object: Arc<K>) -> Option<Change<K>> {
        let seen = version(object.metadata().resource_version.as_deref());
        if seen != 0 && seen < self.version {
            return None;
        }
        (self.version, self.status_version) = (seen, seen);
        let ours = |known: Option<&K::Status>| object.status() == known;
        let foreign = !ours(self.status()) && !self.writing.as_deref().is_some_and(|w| ours(Some(w)));
        let written = self.written.take();
        Some(Change { object: std::mem::replace(&mut self.object, object), written, foreign })
    }

    /// A write of anything but the status has made the object this resourceVersion.
    pub fn has_become(&mut self, resource_version: &str) {
        self.version = self.version.max(version(Some(resource_version)));
    }

    /// Whether the object is known as it was at this resourceVersion, or as it was later.
    pub fn is_newer_than(&self, resource_version: &str) -> bool {
        self.version > version(Some(resource_version))
    }

    /// The status that is stored.
    pub fn status(&self) -> Option<&K::Status> {
        self.written.as_deref().or(self.object.status())
    }

    /// The status that is being written, or else the one that is stored.
    pub fn latest(&self) -> Option<&K::Status> {
        self.writing.as_deref().or(self.status())
    }

    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// A write of this status begins.
    pub fn begin(&mut self, status: Box<K::Status>) {
        self.writing = Some(status);
    }

    /// The write is over. What people are to be told, if the API server refuses it: once for each reason that it gives.
    pub fn written(&mut self, outcome: &WriteOutcome) -> Option<String> {
        let written = self.writing.take();
        match outcome {
            WriteOutcome::Ok(stored) => {
                self.refused = None;
                let stored = version(Some(stored));
                // A newer object may have been seen meanwhile; it says what is stored.
                if let Some(written) = written.filter(|_| stored >= self.status_version) {
                    self.version = self.version.max(stored);
                    self.status_version = stored;
                    // Most often the watch was faster, and has shown the same.
                    self.written = (self.object.status() != Some(&*written)).then_some(written);
                }
                None
            }
            WriteOutcome::Invalid(why) if self.refused.as_ref() != Some(why) => {
                self.refused = Some(why.clone());
                Some(format!(
                    "the status here is out of date, since the API server refuses the new one: {why}. Apply the CRDs of \
                     the hub's version; it is tried again every {} minutes",
                    REFUSED_PAUSE.as_secs() / 60
                ))
            }
            WriteOutcome::Invalid(_)
            | WriteOutcome::NotFound
            | WriteOutcome::Conflict
            | WriteOutcome::Failed(_) => None,
        }
    }
}

/// A resourceVersion as a number (API servers promise that they compare so since 1.35, and did before); 0 for others.
fn version(text: Option<&str>) -> u64 {
    text.and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn status(summary: &str) -> MemberClusterStatus {
        MemberClusterStatus { agent_summary: Some(summary.to_owned()), ..MemberClusterStatus::default() }
    }

    fn object(version: &str, status: Option<MemberClusterStatus>) -> Arc<MemberCluster> {
        let mut object = MemberCluster::new("a", parallax_crds::MemberClusterSpec::default());
        object.metadata.resource_version = Some(version.to_owned());
        object.status = status;
        Arc::new(object)
    }

    #[test]
    fn an_older_object_is_an_echo_and_changes_nothing() {
        let mut stored = Stored::new(object("5", Some(status("1/1"))));
        assert!(stored.seen(object("4", None)).is_none());
        stored.has_become("7");
        assert!(stored.seen(object("6", None)).is_none());
        assert_eq!(stored.status(), Some(&status("1/1")));
        assert!(stored.is_newer_than("6") && !stored.is_newer_than("7"));
    }

    #[test]
    fn a_status_is_foreign_unless_it_is_the_stored_one_or_the_one_that_is_written() {
        let mut stored = Stored::new(object("1", None));
        stored.begin(Box::new(status("0/1")));
        assert!(!stored.seen(object("2", None)).unwrap().foreign);
        assert!(!stored.seen(object("3", Some(status("0/1")))).unwrap().foreign, "the answer is late");
        assert!(stored.seen(object("4", Some(status("9/9")))).unwrap().foreign);
        assert!(stored.seen(object("5", None)).unwrap().foreign, "somebody has wiped it");
    }

    #[test]
    fn an_answer_that_an_object_has_overtaken_says_nothing_of_what_is_stored() {
        let mut stored = Stored::new(object("1", None));
        stored.begin(Box::new(status("0/1")));
        assert_eq!(stored.latest(), Some(&status("0/1")));
        stored.seen(object("9", Some(status("9/9")))).unwrap();
        stored.written(&WriteOutcome::Ok("2".to_owned()));
        assert_eq!((stored.status(), stored.is_writing()), (Some(&status("9/9")), false));
        stored.begin(Box::new(status("1/1")));
        stored.written(&WriteOutcome::Ok("10".to_owned()));
        assert_eq!(stored.status(), Some(&status("1/1")));
        stored.written(&WriteOutcome::Ok("11".to_owned()));
        assert_eq!(stored.status(), Some(&status("1/1")), "of a write that this object knows nothing of");
    }

    #[test]
    fn a_refusal_is_told_once_for_each_reason_until_a_write_is_taken() {
        let mut stored = Stored::new(object("1", None));
        let invalid = |why: &str| WriteOutcome::Invalid(why.to_owned());
        let tells = |stored: &mut Stored<MemberCluster>, outcome| stored.written(&outcome).is_some();
        assert!(tells(&mut stored, invalid("phase")));
        assert!(!tells(&mut stored, invalid("phase")));
        assert!(!tells(&mut stored, WriteOutcome::Failed("away".to_owned())));
        assert!(tells(&mut stored, invalid("reason")));
        assert!(!tells(&mut stored, WriteOutcome::Ok("2".to_owned())));
        assert!(tells(&mut stored, invalid("reason")));
    }
}
