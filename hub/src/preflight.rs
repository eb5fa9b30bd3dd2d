//! What must be so before the hub starts: a reachable API server, our kinds, our rights.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client};
use parallax_crds::{MemberCluster, ParallaxAgent};

use crate::error::HubError;
use crate::store::bounded;

/// Whether our kinds are installed and we may list them.
pub async fn check(client: &Client) -> Result<(), HubError> {
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (crd, kind, file) in [
        (crate::writers::AGENT_CRD, "ParallaxAgent", "parallaxagents.yaml"),
        ("memberclusters.parallax.io", "MemberCluster", "memberclusters.yaml"),
    ] {
        let found = bounded(&format!("CustomResourceDefinition {crd}"), kinds.get_metadata_opt(crd)).await?;
        if found.is_none() {
            return Err(HubError::MissingKind { kind, file });
        }
    }
    let one = ListParams::default().limit(1);
    let agents = Api::<ParallaxAgent>::all(client.clone());
    bounded("list ParallaxAgents", agents.list_metadata(&one)).await?;
    let clusters = Api::<MemberCluster>::all(client.clone());
    bounded("list MemberClusters", clusters.list_metadata(&one)).await?;
    Ok(())
}
