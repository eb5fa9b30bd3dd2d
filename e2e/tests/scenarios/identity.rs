//! Identities that turn up where they don't belong, or too late.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use parallax_crds::MemberCluster;
use parallax_crds::labels::SYSTEM_NAMESPACE;
use parallax_e2e::Component;
use parallax_proto::identity::MemberIdentity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::pretender::{fleet_ca, identity};
use crate::stand_in::{Member, StandIn};
use crate::world::World;

/// Where a member keeps who it is.
const IDENTITY: &str = "parallax-member-identity";
/// Long enough for a member to start and connect on a busy machine, short enough to be waited for.
const SHORT_LIFE: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_identity_is_refused_while_the_true_member_goes_on() -> Result<()> {
    let world = World::alone("copied").await?;
    world.apply("calm", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("calm", "1/1").await?;
    let before = world.fingerprint().await?;
    let hub_log = world.log("hub", Component::ParallaxHub)?;

    let copy = copy_of_member_1(&world).await?;
    let message = world.cluster_says("member-1", "Connected", "True", "DuplicateIdentity").await?;
    let uid = cluster_uid(&world, 1).await?;
    for words in [uid.as_str(), "member-1", "under a name of its own"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    hub_log.says(&world, &["WARN", "member-1", "DuplicateIdentity", &uid, "name of its own"]).await?;
    copy.log.says(&world, &["ERROR", "DuplicateIdentity", &uid, "name of its own"]).await?;
    assert_eq!(copy.log.line(&["connected to the hub"]), None, "the copy was let in");

    // The true one still carries out orders.
    world.apply("after", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("after", "1/1").await?;
    let mut after = world.fingerprint().await?;
    after.retain(|object, _| !object.contains(" after"));
    assert_eq!(before, after);

    copy.kill().await;
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.cluster_says("member-1", "Connected", "True", "SessionUp").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_another_uid_is_refused_until_it_is_accepted_again() -> Result<()> {
    let world = World::alone("rebuilt").await?;
    let (old, new) = (cluster_uid(&world, 0).await?, cluster_uid(&world, 1).await?);
    let hub_log = world.log("hub", Component::ParallaxHub)?;
    world.fleet().kill("member-1", Component::ParallaxMember).await?;

    // As if the cluster had been rebuilt, and its member's Secret put back.
    let rebuilt = copy_of_member_1(&world).await?;
    let message = world.cluster_says("member-1", "Accepted", "False", "ClusterUIDMismatch").await?;
    for words in [old.as_str(), new.as_str(), "removing spec.clusterUID"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    world.cluster_says("member-1", "Connected", "False", "ClusterUIDMismatch").await?;
    hub_log.says(&world, &["WARN", "member-1", "ClusterUIDMismatch", &old, &new, "spec.clusterUID"]).await?;
    rebuilt.log.says(&world, &["ERROR", "ClusterUIDMismatch", &old, &new, "spec.clusterUID"]).await?;

    // As the message says.
    unpin(&world).await?;
    accepted_as(&world, &new).await?;
    rebuilt.kill().await;
    unpin(&world).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    accepted_as(&world, &old).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_ends_the_session_and_a_new_token_mends_it() -> Result<()> {
    let world = World::alone("expired").await?;
    world.apply("calm", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("calm", "1/1").await?;
    let before = world.fingerprint().await?;
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    let hub = world.fleet().hub_endpoints()?.session;
    let hub_log = world.log("hub", Component::ParallaxHub)?;

    let short = identity(&fleet_ca(&world).await?, "member-1", SHORT_LIFE, Timestamp::now())?;
    keep(&world, &short).await?;
    let member = Member { cluster: "member-1", hub: &hub, namespace: None, token: None };
    let offline = StandIn::member(&world, &member)?;
    world
        .cluster_until("member-1", "the certificate of a short life is in use", |c| {
            let certificate = c.status.as_ref().and_then(|status| status.certificate.as_ref());
            certificate.is_some_and(|certificate| certificate.serial == short.serial())
        })
        .await?;
    let message = world.cluster_says("member-1", "CertificateValid", "False", "Expired").await?;
    assert!(message.contains("join token"), "{message}");
    hub_log.says(&world, &["disconnected", "member-1", "certificate", "parallax-hub token"]).await?;
    offline.log.says(&world, &["WARN", "certificate expired at", "parallax-hub token", "--reset"]).await?;
    assert_eq!(world.fingerprint().await?, before, "its workloads don't depend on it");
    offline.kill().await;

    let token = token(&world, "member-1").await?;
    let again = StandIn::member(&world, &Member { token: Some(&token), ..member })?;
    world.cluster_says("member-1", "CertificateValid", "True", "Valid").await?;
    world.cluster_says("member-1", "Connected", "True", "SessionUp").await?;
    world.running("calm", "1/1").await?;
    assert_eq!(world.fingerprint().await?, before);
    again.kill().await;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.running("calm", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_with_a_certificate_that_has_ended() -> Result<()> {
    let world = World::calm("over").await?;
    let log = world.log("hub", Component::ParallaxHub)?;
    let hour = Duration::from_secs(3600);
    let over = identity(&fleet_ca(&world).await?, &world.namespace, hour, Timestamp::now() - 2 * hour)?;
    // Our own member would not even dial; one whose clock is late would.
    assert_eq!(alert(&world, &over).await?, Some(AlertDescription::CertificateExpired));
    log.says(&world, &["WARN", "certificate was refused", "expired", "parallax-hub token CLUSTER --reset"])
        .await?;
    world.finish().await
}

/// A member in member-2's cluster with the Secret of member-1's.
async fn copy_of_member_1(world: &World) -> Result<StandIn> {
    let namespaces: Api<Namespace> = Api::all(world.members[1].clone());
    let metadata = ObjectMeta { name: Some(world.namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let from: Api<Secret> = Api::namespaced(world.members[0].clone(), SYSTEM_NAMESPACE);
    let to: Api<Secret> = Api::namespaced(world.members[1].clone(), &world.namespace);
    let Secret { data, type_, .. } = from.get(IDENTITY).await?;
    let metadata = ObjectMeta { name: Some(IDENTITY.to_owned()), ..ObjectMeta::default() };
    to.create(&PostParams::default(), &Secret { metadata, data, type_, ..Secret::default() }).await?;
    let hub = world.fleet().hub_endpoints()?.session;
    let namespace = Some(world.namespace.as_str());
    StandIn::member(world, &Member { cluster: "member-2", hub: &hub, namespace, token: None })
}

/// Accepts member-1 with whatever UID it comes.
async fn unpin(world: &World) -> Result<()> {
    let unpinned = json!({"spec": {"clusterUID": null}});
    world.clusters().patch("member-1", &PatchParams::default(), &Patch::Merge(&unpinned)).await?;
    Ok(())
}

/// Waits until member-1 has a session as the cluster with this UID.
async fn accepted_as(world: &World, uid: &str) -> Result<()> {
    let pinned = |c: &MemberCluster| c.spec.cluster_uid.as_deref() == Some(uid);
    world.cluster_until("member-1", &format!("member-1 is accepted as {uid}"), pinned).await?;
    world.cluster_says("member-1", "Accepted", "True", "Accepted").await?;
    world.cluster_says("member-1", "Connected", "True", "SessionUp").await?;
    Ok(())
}

/// Gives member-1 an identity, in the place of the one that it has.
async fn keep(world: &World, identity: &MemberIdentity) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(world.members[0].clone(), SYSTEM_NAMESPACE);
    let patch = json!({"stringData": {
        "tls.crt": identity.certificate_pem(), "tls.key": identity.key_pem(), "ca.crt": identity.ca_pem(),
    }});
    secrets.patch(IDENTITY, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// The UID of a member cluster's kube-system.
async fn cluster_uid(world: &World, member: usize) -> Result<String> {
    let namespaces: Api<Namespace> = Api::all(world.members[member].clone());
    namespaces.get("kube-system").await?.metadata.uid.context("a namespace without a UID")
}

/// A token with which a cluster that had an identity enrolls anew.
async fn token(world: &World, cluster: &str) -> Result<String> {
    let hub = Path::new(env!("CARGO_BIN_EXE_fleet")).with_file_name("parallax-hub");
    let output = tokio::process::Command::new(hub)
        .args(["token", cluster, "--reset", "--kubeconfig"])
        .arg(&world.fleet().record().cluster("hub")?.kubeconfig)
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What the hub answers, in the words of TLS, to somebody who shows this; `None` when it lets them in.
async fn alert(world: &World, shown: &MemberIdentity) -> Result<Option<AlertDescription>> {
    let provider = Arc::new(ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(shown.certificate_pem().as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(shown.key_pem().as_bytes())?;
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyHub(provider)))
        .with_client_auth_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(world.fleet().hub_endpoints()?.session).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from("parallax-hub")?, tcp).await?;
    // Under TLS 1.3 the hub looks at our certificate after our handshake is done.
    let Err(error) = stream.read_u8().await else { return Ok(None) };
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => Ok(Some(*alert)),
        _ => Err(error.into()),
    }
}

/// Takes anybody for the hub: here it is the hub that judges.
#[derive(Debug)]
struct AnyHub(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyHub {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is never spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
