//! The requests for an agent's objects. What comes back is in the index before anybody goes on.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use parallax_crds::AgentKey;
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_member_core::ChildKind;
use parallax_platform::{Conflicts, apply};
use serde_json::{Value, json};
use tracing::Instrument as _;

use crate::agents::Agents;
use crate::failure::{Failure, within};
use crate::store::{Child, End, Versioned as _, resource};

/// What is deleted.
pub(super) enum Which<'a> {
    /// This object, whatever has become of it.
    Object(&'a Child),
    /// This object as it was seen; what depends on it goes first.
    Version(&'a Child),
}

impl Agents {
    /// Reads an object live into the index; whether it exists.
    pub(super) async fn read(&self, kind: ChildKind, key: &AgentKey) -> Result<bool, Failure> {
        let name = kind.object_name(key.name());
        match within(async { self.objects(kind, key).get_opt(&name).await }).await? {
            Some(object) => {
                self.with_index(|index| index.put_child(kind, key, Child::new(kind, object)));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Applies an object.
    pub(super) async fn write(
        &self,
        kind: ChildKind,
        key: &AgentKey,
        desired: &Value,
        conflicts: Conflicts,
    ) -> Result<(), Failure> {
        self.write_as(MEMBER_MANAGER, kind, key, desired, conflicts).await
    }

    /// Applies an object, or a part of one, under that field manager.
    pub(super) async fn write_as(
        &self,
        manager: &'static str,
        kind: ChildKind,
        key: &AgentKey,
        desired: &Value,
        conflicts: Conflicts,
    ) -> Result<(), Failure> {
        let span = tracing::info_span!("write", kind = kind.name(), agent = %key);
        let name = kind.object_name(key.name());
        let api = self.objects(kind, key);
        let object = apply(&api, &name, manager, conflicts, desired).instrument(span).await?;
        self.child_seen(kind, key, Child::new(kind, object));
        Ok(())
    }

    /// Changes a part of an object as it was seen, where applying can't.
    pub(super) async fn merge(
        &self,
        kind: ChildKind,
        key: &AgentKey,
        live: &Child,
        mut patch: Value,
    ) -> Result<(), Failure> {
        patch["metadata"] = json!({"uid": live.uid(), "resourceVersion": live.version().to_string()});
        let name = kind.object_name(key.name());
        let params = PatchParams { field_manager: Some(MEMBER_MANAGER.to_owned()), ..PatchParams::default() };
        let request = async { self.objects(kind, key).patch(&name, &params, &Patch::Merge(&patch)).await };
        let object = within(request).await?;
        self.child_seen(kind, key, Child::new(kind, object));
        Ok(())
    }

    /// Deletes an object. One that is gone already is no failure.
    pub(super) async fn delete(
        &self,
        kind: ChildKind,
        key: &AgentKey,
        which: Which<'_>,
    ) -> Result<(), Failure> {
        let (live, params, resource_version) = match which {
            Which::Object(live) => (live, DeleteParams::background(), None),
            Which::Version(live) => (live, DeleteParams::foreground(), Some(live.version().to_string())),
        };
        let preconditions = Preconditions { uid: Some(live.uid().to_owned()), resource_version };
        let params = params.preconditions(preconditions);
        let name = kind.object_name(key.name());
        match within(async { self.objects(kind, key).delete(&name, &params).await }).await {
            Ok(answer) => {
                if let Some(object) = answer.left() {
                    self.child_seen(kind, key, Child::new(kind, object));
                }
                Ok(())
            }
            Err(Failure::NotFound(_)) => {
                self.child_deleted(kind, key, &End::known(live.uid()));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn objects(&self, kind: ChildKind, key: &AgentKey) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), key.namespace(), &resource(kind))
    }
}
