//! What the hub finds stored about itself when it starts, or makes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use parallax_hub_core::Tombstone;
use parallax_hub_core::revisions::Listed;
use parallax_proto::identity::{FleetCa, TrustDomain};

use super::state::{self, HubState};
use super::{ca, revisions, tombstones};
use crate::error::HubError;

/// See the module.
pub struct AtStart {
    /// Its UID, and the epoch that it has just begun.
    pub state: HubState,
    /// The fleet's CA.
    pub ca: FleetCa,
    /// What clusters that were away have to remove.
    pub tombstones: Vec<Tombstone>,
    /// What was pinned of the fleet's defaults with each agent.
    pub revisions: Vec<Listed>,
}

impl AtStart {
    /// Reads all of it, most from the hub's namespace. The epoch is begun last: before, another hub may still be at work.
    pub async fn load(
        client: &Client,
        namespace: &str,
        trust_domain: &TrustDomain,
    ) -> Result<Self, HubError> {
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let ca = ca::load_or_create(&secrets, trust_domain).await?;
        let tombstones = tombstones::load(&config_maps).await?;
        let revisions = revisions::load(client).await?;
        let unix_millis = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        let state = state::begin_epoch(&config_maps, unix_millis).await?;
        Ok(Self { state, ca, tombstones, revisions })
    }
}
