//! Enrollment: a join token and a key in, a certificate out, once per token.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::Patch;
use parallax_crds::cluster::CertificateInfo;
use parallax_crds::{ClusterName, MemberCluster};
use parallax_proto::identity::{FleetCa, Issued, JoinToken};
use parallax_proto::v1::enrollment_server::Enrollment;
use parallax_proto::v1::{EnrollRequest, EnrollResponse};
use serde_json::json;
use tonic::{Request, Response, Status};

use crate::error::HubError;
use crate::store::join_tokens::{self, TokenRefusal};
use crate::store::{ATTEMPTS, as_hub, bounded};

/// The service that turns join tokens into certificates.
pub struct Enroller {
    /// The fleet's CA.
    pub ca: Arc<FleetCa>,
    /// How long a member's certificate is valid.
    pub validity: Duration,
    /// Secrets of the hub's namespace.
    pub secrets: Api<Secret>,
    /// The clusters.
    pub clusters: Api<MemberCluster>,
}

/// Why nobody was let in. The messages go to whoever asked, who has shown nothing yet: they say what to
/// do and nothing about the fleet.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Request(String),
    #[error("{0}; make a new one on the hub: parallax-hub token {1}")]
    Token(TokenRefusal, ClusterName),
    #[error("there is no MemberCluster {0}; make a new token on the hub: parallax-hub token {0}")]
    NoCluster(ClusterName),
    #[error(
        "cluster {0} already has an identity; if this is its successor, make a token on the hub: parallax-hub token {0} --reset"
    )]
    Enrolled(ClusterName),
    #[error("the hub could not store the enrollment; try again")]
    Hub(#[from] HubError),
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Request(_) => Self::invalid_argument(message),
            Refusal::Token(..) => Self::permission_denied(message),
            Refusal::NoCluster(_) | Refusal::Enrolled(_) => Self::failed_precondition(message),
            Refusal::Hub(_) => Self::unavailable(message),
        }
    }
}

#[tonic::async_trait]
impl Enrollment for Enroller {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let EnrollRequest { token, csr_der, cluster_uid } = request.into_inner();
        // The token's own words are never repeated, neither in a log nor in an answer.
        let token: JoinToken = token.parse().map_err(|error| {
            tracing::warn!(%error, "an enrollment is refused");
            Status::invalid_argument(format!("{error}"))
        })?;
        let cluster = token.cluster().clone();
        match self.admit(&token, &csr_der).await {
            Ok(issued) => {
                tracing::info!(%cluster, %cluster_uid, serial = %issued.serial_hex, not_after = %issued.not_after, "enrolled a member");
                Ok(Response::new(EnrollResponse {
                    certificate_der: issued.certificate_der.into(),
                    ca_der: vec![self.ca.certificate().to_vec().into()],
                    cluster: cluster.as_str().to_owned(),
                }))
            }
            Err(refusal) => {
                if let Refusal::Hub(error) = &refusal {
                    tracing::error!(%cluster, %error, "an enrollment failed");
                } else {
                    tracing::warn!(%cluster, reason = %refusal, "an enrollment is refused");
                }
                Err(refusal.into())
            }
        }
    }
}

impl Enroller {
    /// Everything that can be refused is looked at before the token is used up; after that only a fault
    /// of the API server can fail it, and then a new token is needed.
    async fn admit(&self, token: &JoinToken, csr_der: &[u8]) -> Result<Issued, Refusal> {
        let cluster = token.cluster();
        let now = Timestamp::now();
        // A stranger learns nothing of which clusters exist: the token is judged first.
        join_tokens::check(&self.secrets, token, now)
            .await?
            .map_err(|refusal| Refusal::Token(refusal, cluster.clone()))?;
        let found = self.read(cluster).await?.ok_or_else(|| Refusal::NoCluster(cluster.clone()))?;
        if certificate_of(&found).is_some() {
            return Err(Refusal::Enrolled(cluster.clone()));
        }
        let issued = self
            .ca
            .issue_member(cluster, csr_der, self.validity, now)
            .map_err(|error| Refusal::Request(error.to_string()))?;
        join_tokens::redeem(&self.secrets, token, now)
            .await?
            .map_err(|refusal| Refusal::Token(refusal, cluster.clone()))?;
        self.record(found, &issued).await?;
        Ok(issued)
    }

    async fn read(&self, cluster: &ClusterName) -> Result<Option<MemberCluster>, HubError> {
        bounded(&format!("MemberCluster {cluster}"), self.clusters.get_opt(cluster.as_str())).await
    }

    /// Notes the certificate in the MemberCluster's status, unless another was noted in between.
    async fn record(&self, mut found: MemberCluster, issued: &Issued) -> Result<(), Refusal> {
        let name = found.metadata.name.clone().unwrap_or_default();
        let cluster = ClusterName::new(&name).map_err(|error| Refusal::Request(error.to_string()))?;
        let certificate =
            CertificateInfo { serial: issued.serial_hex.clone(), not_after: Time(issued.not_after) };
        let params = as_hub();
        for _ in 0..ATTEMPTS {
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": found.metadata.resource_version},
                "status": {"certificate": certificate},
            }));
            let written = self.clusters.patch_status(&name, &params, &patch);
            match bounded(&format!("MemberCluster {cluster}"), written).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
            found = self.read(&cluster).await?.ok_or_else(|| Refusal::NoCluster(cluster.clone()))?;
            if certificate_of(&found).is_some() {
                return Err(Refusal::Enrolled(cluster));
            }
        }
        Err(HubError::Contended { what: format!("MemberCluster {cluster}") }.into())
    }
}

/// The identity that the cluster has, if it has one.
pub fn certificate_of(cluster: &MemberCluster) -> Option<&CertificateInfo> {
    cluster.status.as_ref()?.certificate.as_ref()
}

#[cfg(test)]
mod tests;
