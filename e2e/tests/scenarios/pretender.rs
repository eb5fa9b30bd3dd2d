//! Ends of the link that are not what they seem: certified by the fleet's CA, spoken by the test.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use parallax_crds::ClusterName;
use parallax_crds::labels::SYSTEM_NAMESPACE;
use parallax_proto::identity::{FleetCa, MemberIdentity, MemberKey, TrustDomain};
use parallax_proto::tls::{HubTls, Limits, hub_server};
use parallax_proto::v1;
use parallax_proto::v1::fleet_server::{Fleet, FleetServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::world::World;

/// The fleet's CA, which only the hub's administrator can read.
pub async fn fleet_ca(world: &World) -> Result<FleetCa> {
    let secrets: Api<Secret> = Api::namespaced(world.hub.clone(), SYSTEM_NAMESPACE);
    let data = secrets.get("parallax-fleet-ca").await?.data.context("the CA's Secret is empty")?;
    let pem = |key: &str| -> Result<String> {
        let value = data.get(key).with_context(|| format!("the CA's Secret has no {key}"))?;
        Ok(String::from_utf8(value.0.clone())?)
    };
    Ok(FleetCa::from_pem(&pem("ca.crt")?, &pem("ca.key")?, TrustDomain::DEFAULT.parse()?)?)
}

/// An identity that the hub would have issued at `begun`.
pub fn identity(ca: &FleetCa, cluster: &str, validity: Duration, begun: Timestamp) -> Result<MemberIdentity> {
    let key = MemberKey::generate()?;
    let name = ClusterName::new(cluster)?;
    let issued = ca.issue_member(&name, &key.csr_der()?, validity, begun)?;
    Ok(MemberIdentity::enrolled(key, &issued.certificate_der, &[ca.certificate()], ca.fingerprint())?)
}

/// A hub that answers every Hello with one Welcome, and says nothing more.
pub struct FalseHub {
    /// Where it listens.
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

struct Greeter(v1::Welcome);

#[tonic::async_trait]
impl Fleet for Greeter {
    type SessionStream = ReceiverStream<Result<v1::FromHub, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FromMember>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (frames, stream) = mpsc::channel(1);
        let welcome = v1::FromHub { frame: Some(v1::from_hub::Frame::Welcome(self.0.clone())) };
        tokio::spawn(async move {
            let mut incoming = request.into_inner();
            if let Ok(Some(_hello)) = incoming.message().await {
                frames.send(Ok(welcome)).await.ok();
            }
            while let Ok(Some(_)) = incoming.message().await {}
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl FalseHub {
    /// On a port of its own.
    pub async fn start(ca: &FleetCa, welcome: v1::Welcome) -> Result<Self> {
        let identity = ca.issue_hub(Duration::from_secs(3600), Timestamp::now())?;
        let tls = HubTls::new(ca.trust_domain().clone(), identity, std::slice::from_ref(ca.certificate()))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let incoming = tls.incoming(listener, Limits::default());
        let serving = tokio::spawn(async move {
            let server = hub_server().add_service(FleetServer::new(Greeter(welcome)));
            server.serve_with_incoming(incoming).await.ok();
        });
        Ok(Self { address, serving })
    }
}

impl Drop for FalseHub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What the fleet's hub, with this UID, would say to a member, but for what the test changes.
pub fn welcome(hub_uid: &str, cluster: &str) -> v1::Welcome {
    v1::Welcome {
        version: parallax_proto::VERSIONS[0],
        features: vec![],
        hub_uid: hub_uid.to_owned(),
        epoch: 1,
        session: "pretended".to_owned(),
        heartbeat_ms: 10_000,
        not_after: Timestamp::now().as_second() + 3600,
        cluster: cluster.to_owned(),
    }
}
