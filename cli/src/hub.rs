//! The hub's API server, as the user's kubeconfig and flags name it.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource as _};
use parallax_crds::{MemberCluster, ParallaxAgent, labels};
use parallax_platform::{CallError, KubeArgs, Limit, call, client_in};
use serde_json::Value;

use crate::error::CliError;

/// Who changes what the commands change.
const MANAGER: &str = "kubectl-parallax";
const LIMIT: Limit = Limit::seconds::<20>();

/// Which API server, and which namespace.
#[derive(Debug, Clone, clap::Args)]
pub struct HubArgs {
    #[command(flatten)]
    kube: KubeArgs,
    /// The kubeconfig's context to use
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
    /// The namespace of agents; by default the context's
    #[arg(long, short, value_name = "NAME", global = true)]
    namespace: Option<String>,
}

/// The hub's API server.
pub struct Hub {
    client: Client,
    /// Where agents are looked for.
    pub namespace: String,
}

impl Hub {
    /// Nothing is asked yet.
    pub async fn of(args: &HubArgs) -> Result<Self, CliError> {
        let HubArgs { kube, context, namespace } = args;
        let client = client_in(kube, context.as_deref()).await?;
        let namespace = namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        Ok(Self { client, namespace })
    }

    /// One agent of the namespace.
    pub async fn agent(&self, name: &str) -> Result<ParallaxAgent, CliError> {
        let what = format!("ParallaxAgent {}/{name}", self.namespace);
        let found = call(LIMIT, self.agents().get_opt(name)).await;
        found.map_err(|source| failed(&what, source))?.ok_or(CliError::NoSuch(what))
    }

    /// One agent of the namespace as it is written, with the fields that this version doesn't know.
    pub async fn agent_as_written(&self, name: &str) -> Result<DynamicObject, CliError> {
        let what = format!("ParallaxAgent {}/{name}", self.namespace);
        let kind = ApiResource::erase::<ParallaxAgent>(&());
        let agents: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let found = call(LIMIT, agents.get_opt(name)).await;
        found.map_err(|source| failed(&what, source))?.ok_or(CliError::NoSuch(what))
    }

    /// The ControllerRevisions of agents of this name.
    pub async fn revisions(&self, agent: &str) -> Result<Vec<ControllerRevision>, CliError> {
        let api: Api<ControllerRevision> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default().labels(&format!("{}={agent}", labels::AGENT));
        let all = call(LIMIT, api.list(&params)).await;
        Ok(all.map_err(|source| kind_failed("ControllerRevision", source))?.items)
    }

    /// Every agent of the fleet.
    pub async fn all_agents(&self) -> Result<Vec<ParallaxAgent>, CliError> {
        let api: Api<ParallaxAgent> = Api::all(self.client.clone());
        let all = call(LIMIT, api.list(&ListParams::default())).await;
        Ok(all.map_err(|source| kind_failed("ParallaxAgent", source))?.items)
    }

    /// Every agent of the namespace.
    pub async fn agents_here(&self) -> Result<Vec<ParallaxAgent>, CliError> {
        let all = call(LIMIT, self.agents().list(&ListParams::default())).await;
        Ok(all.map_err(|source| kind_failed("ParallaxAgent", source))?.items)
    }

    /// One cluster.
    pub async fn cluster(&self, name: &str) -> Result<MemberCluster, CliError> {
        let what = format!("MemberCluster {name}");
        let found = call(LIMIT, self.clusters().get_opt(name)).await;
        found.map_err(|source| failed(&what, source))?.ok_or(CliError::NoSuch(what))
    }

    /// Every cluster of the fleet.
    pub async fn all_clusters(&self) -> Result<Vec<MemberCluster>, CliError> {
        let all = call(LIMIT, self.clusters().list(&ListParams::default())).await;
        Ok(all.map_err(|source| kind_failed("MemberCluster", source))?.items)
    }

    /// Changes an agent of the namespace by a merge patch.
    pub async fn patch_agent(&self, name: &str, patch: &Value) -> Result<(), CliError> {
        let patched = call(LIMIT, self.agents().patch(name, &params(), &Patch::Merge(patch))).await;
        patched
            .map(drop)
            .map_err(|source| failed(&format!("ParallaxAgent {}/{name}", self.namespace), source))
    }

    /// Changes an agent of the namespace by the steps of a JSON patch; in a dry run the API server only says whether it
    /// would.
    pub async fn step_agent(&self, name: &str, steps: &Value, dry_run: bool) -> Result<(), CliError> {
        let what = format!("ParallaxAgent {}/{name}", self.namespace);
        let url = ParallaxAgent::url_path(&(), Some(&self.namespace));
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        let request = http::Request::patch(format!("{url}/{name}?fieldManager={MANAGER}{dry_run}"))
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .body(steps.to_string().into_bytes())
            .map_err(|error| CliError::Form(error.to_string()))?;
        match call(LIMIT, self.client.request::<ParallaxAgent>(request)).await {
            Ok(_) => Ok(()),
            Err(CallError::Conflict(_) | CallError::Unprocessable(_)) => Err(CliError::Changed(what)),
            Err(source) => Err(failed(&what, source)),
        }
    }

    /// Changes a cluster by a merge patch.
    pub async fn patch_cluster(&self, name: &str, patch: &Value) -> Result<(), CliError> {
        let patched = call(LIMIT, self.clusters().patch(name, &params(), &Patch::Merge(patch))).await;
        patched.map(drop).map_err(|source| failed(&format!("MemberCluster {name}"), source))
    }

    /// The agents of all namespaces, to be watched.
    pub fn every_agent(&self) -> Api<ParallaxAgent> {
        Api::all(self.client.clone())
    }

    fn agents(&self) -> Api<ParallaxAgent> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn clusters(&self) -> Api<MemberCluster> {
        Api::all(self.client.clone())
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

fn failed(what: &str, source: CallError) -> CliError {
    CliError::Call { what: what.to_owned(), source }
}

/// A list that isn't found is one of a kind that the API server doesn't have.
fn kind_failed(kind: &'static str, source: CallError) -> CliError {
    match source {
        CallError::NotFound(_) => CliError::NoHub(kind),
        source => failed(&format!("the list of every {kind}"), source),
    }
}
