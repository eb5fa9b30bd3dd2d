//! ControllerRevisions in the agents' namespaces: what `parallax_hub_core::revisions` keeps of each agent. The API server
//! deletes them with their agent.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, Client, Resource};
use parallax_crds::{AgentKey, ParallaxAgent, ParallaxAgentSpec, labels};
use parallax_hub_core::revisions::{self, About, Listed, Revision, RevisionId};

use super::bounded;
use crate::error::HubError;

/// How many are listed at a time.
const PAGE: u32 = 500;

/// All that are stored, of all agents. One that can't be read is left alone, with a line that names it.
pub async fn load(client: &Client) -> Result<Vec<Listed>, HubError> {
    let api: Api<ControllerRevision> = Api::all(client.clone());
    let mut params = ListParams::default().labels(labels::AGENT).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = bounded("list ControllerRevisions", api.list_metadata(&params)).await?;
        all.extend(page.items.iter().filter_map(|object| listed(&object.metadata)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// The spec of one, or none if it isn't stored; or why it can't be read.
pub async fn read(
    client: &Client,
    key: &AgentKey,
    id: RevisionId,
) -> Result<Option<Box<ParallaxAgentSpec>>, String> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), key.namespace());
    let name = id.name(key.name());
    let found = bounded("read a ControllerRevision", api.get_opt(&name)).await;
    let Some(object) = found.map_err(|error| error.to_string())? else { return Ok(None) };
    let data = revisions::data(&object).map_err(|error| error.to_string())?.clone();
    serde_json::from_value(data).map(Some).map_err(|error| error.to_string())
}

/// The object of one, to be applied.
pub fn object(
    key: &AgentKey,
    uid: String,
    id: RevisionId,
    about: &About,
    revision: &Revision,
) -> serde_json::Result<ControllerRevision> {
    let owner = OwnerReference {
        api_version: ParallaxAgent::api_version(&()).into_owned(),
        kind: ParallaxAgent::kind(&()).into_owned(),
        name: key.name().to_owned(),
        uid,
        controller: Some(true),
        block_owner_deletion: None,
    };
    revisions::object(key.namespace(), owner, id, about, revision)
}

/// None for what is no revision of an agent, or can't be read.
fn listed(metadata: &ObjectMeta) -> Option<Listed> {
    revisions::listed(metadata).unwrap_or_else(|error| {
        tracing::error!(%error, "a revision is left alone");
        None
    })
}
