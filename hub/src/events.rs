//! What the fleet tells people, on the objects that they look at.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use parallax_crds::{MemberCluster, ParallaxAgent};
use parallax_hub_core::fleet::Subject;

/// The object that an event is about, as events refer to it.
pub fn reference(subject: &Subject) -> ObjectReference {
    match subject {
        Subject::Agent { key, uid } => to::<ParallaxAgent>(Some(key.namespace()), key.name(), uid),
        Subject::Cluster { name, uid } => to::<MemberCluster>(None, name.as_str(), uid),
    }
}

fn to<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: namespace.map(str::to_owned),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}
