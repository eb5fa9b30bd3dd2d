//! What has become of a test's objects, and who has written.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::api::ListParams;
use parallax_crds::labels;
use parallax_e2e::audit::AuditEvent;

use super::World;

impl World {
    /// The replicas that each member's Deployment of this name asks for; `None` where there is none.
    pub async fn shares(&self, name: &str) -> Result<Vec<Option<i32>>> {
        let mut shares = vec![];
        for member in 0..self.members.len() {
            let deployment = self.deployments(member).get_opt(name).await?;
            shares.push(deployment.and_then(|d| d.spec).and_then(|spec| spec.replicas));
        }
        Ok(shares)
    }

    /// UIDs and creation times of all that belongs to the test's agents in the members, pods included: what a
    /// resync must not change.
    pub async fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        let ours =
            ListParams::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PARALLAX));
        let mut all = BTreeMap::new();
        for member in 0..self.members.len() {
            let mut note = |kind: &str, meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
                let created = meta.creation_timestamp.as_ref().map(|time| time.0.to_string());
                let name = meta.name.clone().unwrap_or_default();
                all.insert(
                    format!("member-{} {kind} {name}", member + 1),
                    format!("{:?} {created:?}", meta.uid),
                );
            };
            for object in self.assignments(member).list_metadata(&ListParams::default()).await? {
                note("AgentAssignment", &object.metadata);
            }
            for object in self.deployments(member).list_metadata(&ours).await? {
                note("Deployment", &object.metadata);
            }
            for object in self.services(member).list_metadata(&ours).await? {
                note("Service", &object.metadata);
            }
            for object in self.pods(member).list_metadata(&ours).await? {
                note("Pod", &object.metadata);
            }
        }
        Ok(all)
    }

    /// What the hub's or a member's own service account has written in a cluster since `mark` events.
    pub fn writes_since(&self, cluster: &str, account: &str, mark: usize) -> Result<Vec<AuditEvent>> {
        let mut events = self.fleet().audit(cluster)?;
        let new = events.split_off(mark.min(events.len()));
        Ok(new.into_iter().filter(|e| e.is_write() && e.is_by_service_account(account)).collect())
    }
}
