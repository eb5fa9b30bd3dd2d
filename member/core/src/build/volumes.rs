//! The volumes of an agent's pods, and where its containers find them.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
};
use parallax_crds::agent::{self, AgentRuntime, Companion};

use super::workspace;
use crate::validate::Valid;

/// Every container has a `/tmp` of its own: what one writes there is no business of another's.
pub(super) fn volumes(assignment: &Valid<'_>) -> Vec<Volume> {
    let runtime = &assignment.template.runtime;
    let companions = runtime.init_containers.iter().chain(&runtime.sidecars);
    let tmp = std::iter::once("tmp".to_owned()).chain(companions.map(tmp_of)).map(|name| Volume {
        name,
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    });
    let named = runtime.volumes.iter().cloned().map(volume);
    tmp.chain(workspace::volume(assignment)).chain(named).collect()
}

/// Of the agent's own container.
pub(super) fn agents_mounts(runtime: &AgentRuntime) -> Vec<VolumeMount> {
    let own = runtime.workspace.as_ref().map(workspace::mount);
    let named = runtime.volume_mounts.iter().map(mount);
    std::iter::once(tmp("tmp".to_owned())).chain(own).chain(named).collect()
}

/// Of a container beside it.
pub(super) fn companions_mounts(companion: &Companion) -> Vec<VolumeMount> {
    std::iter::once(tmp(tmp_of(companion))).chain(companion.volume_mounts.iter().map(mount)).collect()
}

fn tmp_of(companion: &Companion) -> String {
    format!("tmp-{}", companion.name)
}

fn tmp(volume: String) -> VolumeMount {
    VolumeMount { name: volume, mount_path: "/tmp".into(), ..VolumeMount::default() }
}

fn volume(of: agent::Volume) -> Volume {
    let agent::Volume { name, config_map, empty_dir, persistent_volume_claim, projected, secret } = of;
    Volume {
        name,
        config_map,
        empty_dir,
        persistent_volume_claim: persistent_volume_claim
            .map(|claim| PersistentVolumeClaimVolumeSource { read_only: said(claim.read_only), ..claim }),
        projected,
        secret,
        ..Volume::default()
    }
}

fn mount(of: &agent::VolumeMount) -> VolumeMount {
    let agent::VolumeMount { name, mount_path, sub_path, read_only } = of;
    VolumeMount {
        name: name.clone(),
        mount_path: mount_path.clone(),
        sub_path: sub_path.clone(),
        read_only: said(*read_only),
        ..VolumeMount::default()
    }
}

/// An API server leaves false out of these; we do, too, or we would see a difference for ever.
fn said(flag: Option<bool>) -> Option<bool> {
    flag.filter(|flag| *flag)
}
