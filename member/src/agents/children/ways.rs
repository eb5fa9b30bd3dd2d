//! Leads an agent's Service to the activators, and back to its pods.
//!
//! There is a way at every moment: the new one is there before the old one goes. Kubernetes' controllers leave what
//! they made behind when a Service stops selecting, the Endpoints too, which would be mirrored into new slices
//! (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#endpointslice-mirroring>).

use std::sync::Arc;

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Preconditions};
use parallax_crds::AgentKey;
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_member_core::activation::Standing;
use parallax_member_core::{ChildKind, Valid, build, difference};
use parallax_platform::{Conflicts, apply};
use serde_json::Value;

use crate::agents::Agents;
use crate::failure::{Failure, within};
use crate::store::{End, Slice, Versioned as _};

impl Agents {
    /// Brings the slices of the agent's Service to where it stands.
    pub(super) async fn lead(&self, valid: &Valid<'_>, standing: &Standing) -> Result<(), Failure> {
        let key = &valid.agent.key;
        let wanted = build::slices(valid, &standing.routes).map_err(|e| Failure::Invalid(e.to_string()))?;
        for (name, body) in &wanted {
            if !self.is_led(key, name, body) {
                self.write_slice(key, name, body).await?;
            }
        }
        for (name, slice) in self.superfluous(key, standing, &wanted) {
            tracing::info!(agent = %key, slice = name, "deleting a slice that leads elsewhere");
            self.delete_slice(key, &name, &slice).await?;
        }
        Ok(())
    }

    fn is_led(&self, key: &AgentKey, name: &str, body: &Value) -> bool {
        let index = self.index.lock();
        let Some(slot) = index.slot(key) else { return false };
        let live = slot.slices().find(|(of, _)| *of == name);
        live.is_some_and(|(_, slice)| slice.ours && difference(body, &slice.json()).is_none())
    }

    /// The slices that are to go, by name.
    fn superfluous(
        &self,
        key: &AgentKey,
        standing: &Standing,
        wanted: &[(String, Value)],
    ) -> Vec<(String, Arc<Slice>)> {
        let index = self.index.lock();
        let Some(slot) = index.slot(key) else { return Vec::new() };
        // While the Service selects, or there is no other way, they are the controllers' to keep.
        let replaced = standing.led
            && slot.slices().any(|(_, slice)| slice.ours && slice.ready)
            && slot.child(ChildKind::Service).live().is_some_and(|service| !service.selects_pods());
        let goes = |(name, slice): &(&str, &Arc<Slice>)| {
            if slice.ours { !standing.keep_ours && wanted.iter().all(|(of, _)| of != name) } else { replaced }
        };
        slot.slices().filter(goes).map(|(name, slice)| (name.to_owned(), Arc::clone(slice))).collect()
    }

    async fn write_slice(&self, key: &AgentKey, name: &str, body: &Value) -> Result<(), Failure> {
        let api = self.slices(key);
        let object = apply(&api, name, MEMBER_MANAGER, Conflicts::TakeOver, body).await?;
        self.slice_seen(object);
        Ok(())
    }

    /// Deletes a slice, and what a foreign one would be made of again.
    async fn delete_slice(&self, key: &AgentKey, name: &str, slice: &Slice) -> Result<(), Failure> {
        if !slice.ours {
            let endpoints: Api<Endpoints> = Api::namespaced(self.client.clone(), key.namespace());
            gone(within(endpoints.delete(key.name(), &DeleteParams::default())).await)?;
        }
        let same = Preconditions { uid: Some(slice.uid().to_owned()), resource_version: None };
        let api = self.slices(key);
        gone(within(api.delete(name, &DeleteParams::default().preconditions(same))).await)?;
        let news = self.with_index(|index| index.drop_slice(key, name, &End::known(slice.uid())));
        self.ways_changed(key, news);
        Ok(())
    }

    fn slices(&self, key: &AgentKey) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<EndpointSlice>(&());
        Api::namespaced_with(self.client.clone(), key.namespace(), &resource)
    }
}

/// What is gone already, or has another UID by now, needs no deletion.
fn gone<T>(deleted: Result<T, Failure>) -> Result<(), Failure> {
    match deleted {
        Ok(_) | Err(Failure::NotFound(_) | Failure::Conflict(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}
