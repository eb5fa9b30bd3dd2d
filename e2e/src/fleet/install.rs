//! What a cluster needs before the hub or a member can run in it: kinds, RBAC, and a service account's kubeconfig.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use parallax_crds::labels::SYSTEM_NAMESPACE;

use crate::kubeconfig::Login;
use crate::layout::{ClusterRecord, Layout};
use crate::{client, manifests};

/// Longer than anybody keeps a fleet: tokens of real pods are renewed by the kubelet, which these clusters lack.
const TOKEN_SECONDS: i64 = 30 * 24 * 3600;

/// A cluster into which the product can be installed.
pub(super) struct Installable {
    pub record: ClusterRecord,
    /// The CA's certificate, PEM.
    pub ca: String,
}

/// What of the product a cluster holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Hub,
    Member,
}

impl Role {
    /// Folders of manifests; the optional one because the fleet's members run with `--create-namespaces`, and its agents may
    /// have credentials in any of these.
    fn manifests(self) -> &'static [&'static str] {
        match self {
            Self::Hub => &["deploy/hub"],
            Self::Member => &["deploy/member", "deploy/member/optional"],
        }
    }

    /// The accounts that its processes run as.
    fn service_accounts(self) -> &'static [&'static str] {
        match self {
            Self::Hub => &["parallax-hub"],
            Self::Member => &["parallax-member", "parallax-activator"],
        }
    }

    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Hub => &["parallaxagents.parallax.io", "memberclusters.parallax.io"],
            Self::Member => &["agentassignments.parallax.io"],
        }
    }
}

/// Where the kubeconfig of a service account is.
pub(super) fn kubeconfig(layout: &Layout, cluster: &str, account: &str) -> PathBuf {
    layout.cluster(cluster).join(format!("{account}.kubeconfig"))
}

/// Applies the role's CRDs and manifests, and writes a [`kubeconfig`] for each of its service accounts.
///
/// # Errors
/// A manifest is missing or refused.
pub(super) async fn install(layout: &Layout, cluster: &Installable, role: Role) -> anyhow::Result<()> {
    let client = client::from_kubeconfig(&cluster.record.kubeconfig).await?;
    let mut kinds = manifests::read("crds/yaml")?;
    kinds.retain(|kind| kind.metadata.name.as_deref().is_some_and(|name| role.kinds().contains(&name)));
    manifests::apply(&client, &kinds).await?;
    for directory in role.manifests() {
        manifests::apply(&client, &manifests::read(directory)?).await?;
    }
    for account in role.service_accounts() {
        let path = kubeconfig(layout, &cluster.record.name, account);
        write_kubeconfig(&client, cluster, account, &path).await?;
    }
    Ok(())
}

async fn write_kubeconfig(
    client: &kube::Client,
    cluster: &Installable,
    account: &str,
    path: &Path,
) -> anyhow::Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .with_context(|| format!("asking for a token of the service account {SYSTEM_NAMESPACE}/{account}"))?;
    let token = answer.status.context("the API server answered without a token")?.token;
    crate::kubeconfig::write(
        path,
        &cluster.record.name,
        &cluster.record.server,
        &cluster.ca,
        &Login::Token(&token),
    )
}
