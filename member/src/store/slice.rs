//! EndpointSlices: where the Services of agents, and that of the activators, lead.

use std::net::IpAddr;

use kube::api::{DynamicObject, ObjectMeta};
use parallax_crds::AgentKey;
use parallax_member_core::build::{SERVICE_NAME, SLICES_BY, SLICES_BY_MEMBER};
use serde_json::Value;

use super::kept::Versioned;
use super::objects::identity;

/// A slice of an agent's Service.
#[derive(Debug)]
pub struct Slice {
    uid: Box<str>,
    version: u64,
    /// One of the member's; the others are Kubernetes' own controllers'.
    pub ours: bool,
    /// It leads to somebody who takes requests.
    pub ready: bool,
    /// The object as JSON, when it is ours.
    pub body: Box<[u8]>,
}

impl Slice {
    /// What is kept of the object.
    pub fn new(mut object: DynamicObject) -> Self {
        let (uid, version) = identity(&object.metadata);
        let by = object.metadata.labels.as_ref().and_then(|labels| labels.get(SLICES_BY));
        let ours = by.is_some_and(|by| by == SLICES_BY_MEMBER);
        let ready = endpoints(&object).any(is_ready);
        let meta = &mut object.metadata;
        (meta.managed_fields, meta.resource_version, meta.generation) = (None, None, None);
        object.types = None;
        let body = if ours { serde_json::to_vec(&object).unwrap_or_default() } else { Vec::new() };
        Self { uid, version, ours, ready, body: body.into() }
    }

    /// The object as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Versioned for Slice {
    fn uid(&self) -> &str {
        &self.uid
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// The agent whose Service's slice this is.
pub fn served_by(meta: &ObjectMeta) -> Option<AgentKey> {
    let service = meta.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(AgentKey::new(meta.namespace.as_deref()?, service))
}

/// The addresses in a slice, and whether each takes requests. One that ends is still there: what it has begun with, it
/// may finish.
pub fn addresses(slice: &DynamicObject) -> Vec<(IpAddr, bool)> {
    let first = |endpoint: &Value| endpoint["addresses"][0].as_str().and_then(|text| text.parse().ok());
    endpoints(slice).filter_map(|endpoint| Some((first(endpoint)?, is_ready(endpoint)))).collect()
}

fn endpoints(slice: &DynamicObject) -> impl Iterator<Item = &Value> {
    slice.data["endpoints"].as_array().into_iter().flatten()
}

/// Unknown counts as ready (discovery.k8s.io/v1, EndpointConditions).
fn is_ready(endpoint: &Value) -> bool {
    endpoint["conditions"]["ready"] != false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn slice(by: &str, conditions: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {
                "namespace": "team", "name": "writer-x", "uid": "u", "resourceVersion": "1",
                "labels": {SERVICE_NAME: "writer", SLICES_BY: by},
            },
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": conditions}],
        }))
        .unwrap()
    }

    #[test]
    fn a_slice_says_whose_it_is_and_whether_it_leads_to_somebody() {
        let object = slice("endpointslice-controller.k8s.io", &json!({}));
        assert_eq!(served_by(&object.metadata), Some(AgentKey::new("team", "writer")));
        let (foreign, ours) =
            (Slice::new(object), Slice::new(slice(SLICES_BY_MEMBER, &json!({"ready": false}))));
        assert_eq!((foreign.ours, foreign.ready, ours.ours, ours.ready), (false, true, true, false));
    }

    #[test]
    fn an_activator_that_ends_is_listed_and_takes_no_requests() {
        let ending = slice("x", &json!({"ready": false, "serving": true, "terminating": true}));
        assert_eq!(addresses(&ending), [("10.0.0.1".parse().unwrap(), false)]);
    }
}
