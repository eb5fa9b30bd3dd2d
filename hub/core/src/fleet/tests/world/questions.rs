//! What tests ask of a world.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use parallax_crds::ParallaxAgentStatus;

use super::{World, cluster, key};
use crate::fleet::*;

impl World {
    pub fn status(&self, name: &str) -> &ParallaxAgentStatus {
        self.agents[&key(name)].status.as_ref().unwrap()
    }

    pub fn held(&self, member: &str, name: &str) -> Option<i32> {
        self.members[&cluster(member)].held.get(&key(name)).map(|(_, _, scale)| scale.replicas)
    }

    /// What clusters have of an agent beyond their shares, by the stored decision.
    pub fn leaving(&self, name: &str) -> Vec<(&str, i32)> {
        let leaving = self.status(name).placement.iter().flat_map(|decision| &decision.leaving);
        leaving.map(|share| (share.cluster.as_str(), share.replicas)).collect()
    }

    pub fn incarnation_held(&self, member: &str, name: &str) -> Option<String> {
        self.members[&cluster(member)].held.get(&key(name)).map(|(i, ..)| i.to_string())
    }

    pub fn condition_of(&self, name: &str, type_: &str) -> Option<&Condition> {
        let status = self.clusters[&cluster(name)].status.as_ref()?;
        status.conditions.iter().find(|c| c.type_ == type_)
    }

    pub fn count(&self, which: impl Fn(&Effect) -> bool) -> usize {
        self.log.iter().filter(|e| which(e)).count()
    }

    pub fn agent_writes(&self) -> usize {
        self.count(|e| matches!(e, Effect::WriteAgentStatus { .. }))
    }

    pub fn writes(&self) -> usize {
        self.count(|e| {
            matches!(
                e,
                Effect::WriteAgentStatus { .. }
                    | Effect::WriteClusterStatus { .. }
                    | Effect::AddFinalizer { .. }
                    | Effect::ReleaseFinalizer { .. }
                    | Effect::WriteRevision { .. }
                    | Effect::DropRevision { .. }
                    | Effect::WriteTombstones { .. }
                    | Effect::PinCluster { .. }
                    | Effect::RaiseEpoch { .. }
                    | Effect::ClearPruneApproval { .. }
            )
        })
    }

    pub fn orders_and_removals(&self) -> usize {
        self.count(|e| matches!(e, Effect::Upsert { .. } | Effect::Remove { .. }))
    }
}
