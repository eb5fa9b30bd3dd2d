#![allow(clippy::unwrap_used)]

mod connections;
mod trust;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use parallax_crds::names::ClusterName;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::dial::{config, dial};
use super::verify::{HubVerifier, roots};
use super::*;
use crate::identity::{FleetCa, HubIdentity, MemberIdentity, MemberKey, TrustDomain};
use crate::v1::enrollment_client::EnrollmentClient;
use crate::v1::enrollment_server::{Enrollment, EnrollmentServer};
use crate::v1::{EnrollRequest, EnrollResponse};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn domain() -> TrustDomain {
    "parallax.local".parse().unwrap()
}

fn ca() -> FleetCa {
    FleetCa::generate(domain(), Timestamp::now()).unwrap()
}

fn member(ca: &FleetCa, now: Timestamp) -> MemberIdentity {
    let key = MemberKey::generate().unwrap();
    let name = ClusterName::new("member-1").unwrap();
    let issued = ca.issue_member(&name, &key.csr_der().unwrap(), DAY, now).unwrap();
    MemberIdentity::enrolled(key, &issued.certificate_der, &[ca.certificate()], ca.fingerprint()).unwrap()
}

/// Answers with the name of the member that calls.
struct WhoAmI;

#[tonic::async_trait]
impl Enrollment for WhoAmI {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let cluster = peer_cluster(&request)?.cluster.to_string();
        Ok(Response::new(EnrollResponse { cluster, ..EnrollResponse::default() }))
    }
}

async fn who_am_i(channel: &Channel) -> Result<String, Status> {
    let answer = EnrollmentClient::new(channel.clone()).enroll(EnrollRequest::default()).await?;
    Ok(answer.into_inner().cluster)
}

struct Hub {
    address: SocketAddr,
    tls: Arc<HubTls>,
}

impl Hub {
    async fn start(ca: &FleetCa) -> Self {
        Self::showing(ca, ca.issue_hub(DAY, Timestamp::now()).unwrap(), Limits::default()).await
    }

    async fn showing(ca: &FleetCa, identity: HubIdentity, limits: Limits) -> Self {
        let tls = Arc::new(HubTls::new(domain(), identity, &[ca.certificate().clone()]).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tls.incoming(listener, limits);
        tokio::spawn(hub_server().add_service(EnrollmentServer::new(WhoAmI)).serve_with_incoming(incoming));
        Self { address, tls }
    }

    async fn dial(&self, identity: &MemberIdentity) -> Result<Channel, DialError> {
        session_channel(&self.address.to_string(), identity).await
    }

    async fn dial_error(&self, identity: &MemberIdentity) -> DialError {
        self.dial(identity).await.err().unwrap()
    }
}

/// A hub's identity that our CA would never issue.
fn forged(ca: &FleetCa, sans: &[&str], change: impl FnOnce(&mut CertificateParams)) -> HubIdentity {
    let pem = ca.to_pem();
    let issuer = Issuer::from_ca_cert_pem(&pem.certificate, KeyPair::from_pem(&pem.key).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = sans
        .iter()
        .map(|san| match san.strip_prefix("dns:") {
            Some(name) => SanType::DnsName(name.try_into().unwrap()),
            None => SanType::URI((*san).try_into().unwrap()),
        })
        .collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    HubIdentity {
        chain: vec![params.signed_by(&key, &issuer).unwrap().der().clone(), ca.certificate().clone()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        not_after: Timestamp::now() + DAY,
        serial: String::new(),
    }
}

/// What a client says about a hub that shows `identity`.
async fn complaint(ca: &FleetCa, identity: HubIdentity) -> HubCertificateError {
    let hub = Hub::showing(ca, identity, Limits::default()).await;
    match hub.dial_error(&member(ca, Timestamp::now())).await {
        DialError::HubCertificate { source, .. } => source,
        other => panic!("{other}"),
    }
}

async fn eventually<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn some_name() -> ServerName<'static> {
    ServerName::try_from("parallax-hub").unwrap()
}

fn anybody(version: &'static rustls::SupportedProtocolVersion, ca: &FleetCa) -> ClientConfig {
    let verifier = HubVerifier::Pinned(ca.fingerprint());
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config
}
