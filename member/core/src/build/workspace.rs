//! The claim of an agent's workspace.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parallax_crds::agent::Workspace;

use super::metadata::metadata;
use super::{ChildKind, RETAINED};
use crate::validate::Valid;

/// The volume's name in a pod.
const VOLUME: &str = "workspace";

/// The claim; none where the agent has no workspace. One that is to outlive the agent has no owner, since the garbage
/// collector would take it with the assignment.
pub(super) fn claim(assignment: &Valid<'_>) -> Option<PersistentVolumeClaim> {
    let workspace = assignment.template.runtime.workspace.as_ref()?;
    let common = metadata(ChildKind::PersistentVolumeClaim, assignment);
    let metadata = if workspace.is_retained() {
        let retained = BTreeMap::from([(RETAINED.to_owned(), "true".to_owned())]);
        ObjectMeta { annotations: Some(retained), owner_references: None, ..common }
    } else {
        common
    };
    Some(PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![<&'static str>::from(workspace.access()).to_owned()]),
            storage_class_name: workspace.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), workspace.size.clone())].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

/// The workspace as a volume of the agent's pods.
pub(super) fn volume(assignment: &Valid<'_>) -> Option<Volume> {
    assignment.template.runtime.workspace.as_ref().map(|_| Volume {
        name: VOLUME.into(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: ChildKind::PersistentVolumeClaim.object_name(assignment.agent.key.name()),
            read_only: None,
        }),
        ..Volume::default()
    })
}

/// Where a container finds it.
pub(super) fn mount(workspace: &Workspace) -> VolumeMount {
    VolumeMount { name: VOLUME.into(), mount_path: workspace.path().into(), ..VolumeMount::default() }
}
