//! `parallax-hub token CLUSTER`: lets one cluster into the fleet, once.

use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PostParams};
use kube::{Api, Client};
use parallax_crds::labels::HUB_MANAGER;
use parallax_crds::{ClusterName, MemberCluster, MemberClusterSpec};
use parallax_platform::{CallError, KubeArgs};
use parallax_proto::identity::{JoinToken, TrustDomain};
use serde_json::{Value, json};

use crate::enrollment::certificate_of;
use crate::error::HubError;
use crate::store::{as_hub, bounded, ca, join_tokens};

/// What is asked for.
pub struct Wish {
    /// For whom.
    pub cluster: ClusterName,
    /// Its present identity ends.
    pub reset: bool,
    /// How long the token is good for.
    pub ttl: Duration,
    /// How it is printed.
    pub output: Output,
    /// The namespace of the hub's own objects.
    pub namespace: String,
    /// The fleet's, for a CA that has to be made.
    pub trust_domain: TrustDomain,
}

/// How the token is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The token, alone on its line
    Text,
    /// An object with `cluster`, `token`, `caFingerprint` and `expires`
    Json,
}

/// Makes the token and prints it.
pub async fn make(kube: KubeArgs, wish: Wish) -> Result<(), HubError> {
    let Wish { cluster, reset, ttl, output, namespace, trust_domain } = wish;
    let client = parallax_platform::client(&kube).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let accepted = prepare(client, &cluster, reset).await?;
    let ca = ca::load_or_create(&secrets, &trust_domain).await?;
    let token = JoinToken::generate(cluster.clone(), ca.fingerprint())?;
    let expires = Timestamp::now() + ttl;
    join_tokens::store(&secrets, &token, expires).await?;
    print(&token, expires, output);
    tracing::info!(%cluster, "the token is good once, until {expires:.0}");
    if !accepted {
        tracing::warn!(
            "MemberCluster {cluster} is not accepted, so it will get no agents: kubectl patch membercluster {cluster} --type=merge -p '{{\"spec\":{{\"accepted\":true}}}}'"
        );
    }
    Ok(())
}

/// Sees to it that the MemberCluster is there and has no identity; whether it is accepted.
async fn prepare(client: Client, cluster: &ClusterName, reset: bool) -> Result<bool, HubError> {
    let clusters: Api<MemberCluster> = Api::all(client);
    let what = format!("MemberCluster {cluster}");
    let name = cluster.as_str();
    let found = match bounded(&what, clusters.get_opt(name)).await? {
        Some(found) => found,
        None => {
            let spec = MemberClusterSpec { accepted: true, ..MemberClusterSpec::default() };
            let params = PostParams { field_manager: Some(HUB_MANAGER.to_owned()), ..PostParams::default() };
            match bounded(&what, clusters.create(&params, &MemberCluster::new(name, spec))).await {
                Ok(created) => created,
                Err(HubError::Call { source: CallError::AlreadyExists(_), .. }) => {
                    bounded(&what, clusters.get(name)).await?
                }
                Err(error) if error.is_not_found() => {
                    return Err(HubError::MissingKind { kind: "MemberCluster", file: "memberclusters.yaml" });
                }
                Err(error) => return Err(error),
            }
        }
    };
    if reset {
        let spec = json!({"spec": {"clusterUID": Value::Null}});
        bounded(&what, clusters.patch(name, &as_hub(), &Patch::Merge(&spec))).await?;
        let status = json!({"status": {"certificate": Value::Null}});
        bounded(&what, clusters.patch_status(name, &as_hub(), &Patch::Merge(&status))).await?;
    } else if let Some(certificate) = certificate_of(&found) {
        return Err(HubError::AlreadyEnrolled {
            cluster: name.to_owned(),
            serial: certificate.serial.clone(),
        });
    }
    Ok(found.spec.accepted)
}

/// The token is the command's result: it goes to stdout, alone, and nowhere else.
#[allow(clippy::print_stdout)]
fn print(token: &JoinToken, expires: Timestamp, output: Output) {
    match output {
        Output::Text => println!("{token}"),
        Output::Json => println!(
            "{}",
            json!({
                "cluster": token.cluster().as_str(),
                "token": token.to_string(),
                "caFingerprint": token.ca_fingerprint().to_string(),
                "expires": expires.to_string(),
            })
        ),
    }
}
