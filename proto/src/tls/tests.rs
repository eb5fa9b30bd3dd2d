#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use parallax_crds::names::ClusterName;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
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

#[tokio::test]
async fn a_member_is_known_by_its_certificate() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let channel = hub.dial(&member(&ca, Timestamp::now())).await.unwrap();
    assert_eq!(who_am_i(&channel).await.unwrap(), "member-1");
}

#[tokio::test]
async fn a_caller_without_a_certificate_can_enroll_but_is_nobody() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let channel = enroll_channel(&hub.address.to_string(), ca.fingerprint()).await.unwrap();
    let status = who_am_i(&channel).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert!(status.message().contains("enroll first"), "{status}");
}

#[tokio::test]
async fn a_hub_of_another_ca_is_not_told_the_token() {
    let (ours, theirs) = (ca(), ca());
    let hub = Hub::start(&theirs).await;
    let error = enroll_channel(&hub.address.to_string(), ours.fingerprint()).await.err().unwrap();
    assert!(error.needs_somebody());
    let text = error.to_string();
    assert!(text.contains(&ours.fingerprint().to_string()), "{text}");
    assert!(text.contains(&theirs.fingerprint().to_string()), "{text}");
}

#[tokio::test]
async fn showing_the_pinned_ca_without_being_issued_by_it_is_not_enough() {
    let (ours, theirs) = (ca(), ca());
    let mut identity = theirs.issue_hub(DAY, Timestamp::now()).unwrap();
    identity.chain[1] = ours.certificate().clone();
    let hub = Hub::showing(&theirs, identity, Limits::default()).await;
    match enroll_channel(&hub.address.to_string(), ours.fingerprint()).await {
        Err(DialError::HubCertificate { source: HubCertificateError::UnknownCa, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pinned_leaf_is_not_a_ca() {
    let ca = ca();
    let identity = ca.issue_hub(DAY, Timestamp::now()).unwrap();
    let leaf = crate::identity::CaFingerprint::of(&identity.chain[0]);
    let hub = Hub::showing(&ca, identity, Limits::default()).await;
    assert!(enroll_channel(&hub.address.to_string(), leaf).await.is_err());
}

#[tokio::test]
async fn a_member_does_not_trust_a_hub_of_another_ca() {
    let (ours, theirs) = (ca(), ca());
    let hub = Hub::start(&theirs).await;
    let error = hub.dial_error(&member(&ours, Timestamp::now())).await;
    assert!(
        matches!(&error, DialError::HubCertificate { source: HubCertificateError::UnknownCa, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn only_the_hubs_own_name_is_the_hub() {
    let ca = ca();
    for (what, sans) in [
        ("a member", &["spiffe://parallax.local/cluster/member-2"][..]),
        ("another fleet's hub", &["spiffe://other.example/hub"]),
    ] {
        let error = complaint(&ca, forged(&ca, sans, |_| ())).await;
        assert!(matches!(error, HubCertificateError::NotTheHub { .. }), "{what}: {error}");
    }
    for (what, sans) in [
        ("no name", &[][..]),
        ("a DNS name", &["dns:parallax-hub"]),
        ("a second name", &["spiffe://parallax.local/hub", "dns:parallax-hub"]),
        ("two hubs", &["spiffe://parallax.local/hub", "spiffe://other.example/hub"]),
        ("another spelling", &["spiffe://parallax.local/%68ub"]),
    ] {
        let error = complaint(&ca, forged(&ca, sans, |_| ())).await;
        assert!(matches!(error, HubCertificateError::Unreadable(_)), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_hub_certificate_that_is_over_early_or_for_clients_is_refused() {
    let ca = ca();
    let hub = &["spiffe://parallax.local/hub"];
    let now = OffsetDateTime::now_utc();
    let expired = complaint(&ca, forged(&ca, hub, |params| params.not_after = now - DAY)).await;
    assert!(matches!(expired, HubCertificateError::Expired(_)), "{expired}");
    assert!(expired.to_string().contains("check the clocks"));
    let early = complaint(&ca, forged(&ca, hub, |params| params.not_before = now + DAY)).await;
    assert!(matches!(early, HubCertificateError::NotYetValid(_)), "{early}");
    let usage = complaint(
        &ca,
        forged(&ca, hub, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
    );
    assert!(matches!(usage.await, HubCertificateError::Invalid(_)));
}

#[tokio::test]
async fn a_member_whose_certificate_is_over_says_so_before_it_dials() {
    let ca = ca();
    let old = member(&ca, Timestamp::now() - 2 * DAY);
    let error = session_channel("127.0.0.1:1", &old).await.err().unwrap();
    assert!(matches!(error, DialError::Expired(_)) && error.needs_somebody(), "{error}");
}

#[tokio::test]
async fn a_refused_member_learns_it_when_it_dials() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let trusting = |identity: &MemberIdentity| {
        let verifier =
            HubVerifier::Fleet { roots: roots(&[ca.certificate().clone()]).unwrap(), trust_domain: domain() };
        config(verifier, Some(identity)).unwrap()
    };
    let refusal =
        async |identity: MemberIdentity| match dial(&hub.address.to_string(), trusting(&identity)).await {
            Err(DialError::Refused { refusal, .. }) => refusal,
            other => panic!("{other:?}"),
        };
    assert_eq!(refusal(member(&ca, Timestamp::now() - 2 * DAY)).await, Refusal::Expired);
    assert_eq!(refusal(member(&self::ca(), Timestamp::now())).await, Refusal::UnknownCa);
}

/// A client that shows whatever it is given, to a hub that it trusts.
async fn shown_to_the_hub(ca: &FleetCa, identity: HubIdentity) -> Result<(), std::io::Error> {
    let hub = Hub::start(ca).await;
    let verifier =
        HubVerifier::Fleet { roots: roots(&[ca.certificate().clone()]).unwrap(), trust_domain: domain() };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(identity.chain, identity.key)
        .unwrap();
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    let tcp = TcpStream::connect(hub.address).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(some_name(), tcp).await?;
    stream.read_u8().await.map(|_| ())
}

fn some_name() -> ServerName<'static> {
    ServerName::try_from("parallax-hub").unwrap()
}

#[tokio::test]
async fn the_hub_admits_members_of_its_fleet_only() {
    let ca = ca();
    let member = &["spiffe://parallax.local/cluster/member-1"];
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    shown_to_the_hub(&ca, forged(&ca, member, for_clients)).await.unwrap();

    for (what, sans) in [
        ("the hub's name", &["spiffe://parallax.local/hub"][..]),
        ("another fleet", &["spiffe://other.example/cluster/member-1"]),
        (
            "two names",
            &["spiffe://parallax.local/cluster/member-1", "spiffe://parallax.local/cluster/member-2"],
        ),
        ("another kind of name beside", &["spiffe://parallax.local/cluster/member-1", "dns:member-1"]),
        ("another case", &["spiffe://parallax.local/cluster/Member-1"]),
        ("a path", &["spiffe://parallax.local/cluster/member-1/x"]),
        ("no name", &[]),
    ] {
        assert!(shown_to_the_hub(&ca, forged(&ca, sans, for_clients)).await.is_err(), "{what}");
    }
    let as_server = forged(&ca, member, |_| ());
    assert!(shown_to_the_hub(&ca, as_server).await.is_err(), "serverAuth");
    let as_ca = forged(&ca, member, |params| {
        for_clients(params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert!(shown_to_the_hub(&ca, as_ca).await.is_err(), "a CA");
}

#[tokio::test]
async fn a_certificate_issued_by_a_member_is_refused() {
    let ca = ca();
    let middle = member(&ca, Timestamp::now());
    let issuer =
        Issuer::from_ca_cert_pem(&middle.certificate_pem(), KeyPair::from_pem(&middle.key_pem()).unwrap());
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        vec![SanType::URI("spiffe://parallax.local/cluster/member-2".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = params.signed_by(&key, &issuer.unwrap()).unwrap().der().clone();
    let (chain, _) = middle.chain_and_key();
    let identity = HubIdentity {
        chain: vec![leaf, chain[0].clone()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        not_after: Timestamp::now(),
        serial: String::new(),
    };
    assert!(shown_to_the_hub(&ca, identity).await.is_err());
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

#[tokio::test]
async fn tls_1_2_is_refused() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let tcp = TcpStream::connect(hub.address).await.unwrap();
    let config = anybody(&rustls::version::TLS12, &ca);
    let error = TlsConnector::from(Arc::new(config)).connect(some_name(), tcp).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}

#[tokio::test]
async fn no_session_is_resumed() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let mut config = anybody(&rustls::version::TLS13, &ca);
    config.resumption = Resumption::in_memory_sessions(8);
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..3 {
        let tcp = TcpStream::connect(hub.address).await.unwrap();
        let mut stream = connector.connect(some_name(), tcp).await.unwrap();
        // A ticket would come before the first byte of HTTP/2.
        stream.read_u8().await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn identity_and_cas_are_replaced_while_the_listener_runs() {
    let (old, new) = (ca(), ca());
    let hub = Hub::start(&old).await;
    let (veteran, recruit) = (member(&old, Timestamp::now()), member(&new, Timestamp::now()));
    let channel = hub.dial(&veteran).await.unwrap();

    hub.tls.replace_identity(new.issue_hub(DAY, Timestamp::now()).unwrap()).unwrap();
    hub.tls.replace_ca(&[new.certificate().clone()]).unwrap();
    let fresh = hub.dial(&recruit).await.unwrap();
    assert_eq!(who_am_i(&fresh).await.unwrap(), "member-1");
    assert!(hub.dial_error(&veteran).await.needs_somebody());
    // What was connected stays.
    assert_eq!(who_am_i(&channel).await.unwrap(), "member-1");

    assert!(hub.tls.replace_ca(&[]).is_err());
    assert!(hub.tls.replace_ca(&[CertificateDer::from(vec![1, 2, 3])]).is_err());
    assert!(hub.dial(&recruit).await.is_ok());
}

#[tokio::test]
async fn slow_handshakes_do_not_hold_up_others() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(hub.address).await.unwrap());
    }
    let identity = member(&ca, Timestamp::now());
    let dialled = hub.dial(&identity);
    eventually("a dial beside silent connections", dialled).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_never_comes_gives_its_place_back() {
    let ca = ca();
    let identity = ca.issue_hub(DAY, Timestamp::now()).unwrap();
    let handshake_timeout = Duration::from_millis(200);
    let limits = Limits { handshakes: 1, handshake_timeout, ..Limits::default() };
    let hub = Hub::showing(&ca, identity, limits).await;
    let mut silent = TcpStream::connect(hub.address).await.unwrap();
    let identity = member(&ca, Timestamp::now());
    let dialled = hub.dial(&identity);
    eventually("a dial after a silent connection", dialled).await.unwrap();
    let end = eventually("the end of the silent connection", silent.read_u8()).await;
    assert!(end.is_err());
}

#[tokio::test]
async fn callers_without_a_certificate_are_few_and_do_not_stay() {
    let ca = ca();
    let identity = ca.issue_hub(DAY, Timestamp::now()).unwrap();
    let limits = Limits { anonymous: 1, anonymous_lifetime: Duration::from_millis(300), ..Limits::default() };
    let hub = Hub::showing(&ca, identity, limits).await;
    let address = hub.address.to_string();
    let first = enroll_channel(&address, ca.fingerprint()).await.unwrap();
    let second = enroll_channel(&address, ca.fingerprint()).await.err().unwrap();
    assert!(matches!(second, DialError::Closed { .. } | DialError::Connect { .. }), "{second}");
    // Members are not concerned.
    let session = hub.dial(&member(&ca, Timestamp::now())).await.unwrap();
    eventually("the end of the first caller's time", async {
        while who_am_i(&first).await.unwrap_err().code() == tonic::Code::Unauthenticated {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A channel is one connection: it doesn't come back by itself.
    let status = who_am_i(&first).await.unwrap_err();
    assert!(format!("{status:?}").contains("dial again"), "{status:?}");
    enroll_channel(&address, ca.fingerprint()).await.unwrap();
    assert_eq!(who_am_i(&session).await.unwrap(), "member-1");
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    // Over in a second, and cut five later.
    let short = member(&ca, Timestamp::now() - DAY + Duration::from_secs(1));
    let channel = hub.dial(&short).await.unwrap();
    assert_eq!(who_am_i(&channel).await.unwrap(), "member-1");
    eventually("the connection's end", async {
        while who_am_i(&channel).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_listener_closes_with_its_stream_of_connections() {
    let ca = ca();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let identity = ca.issue_hub(DAY, Timestamp::now()).unwrap();
    let tls = HubTls::new(domain(), identity, &[ca.certificate().clone()]).unwrap();
    drop(tls.incoming(listener, Limits::default()));
    eventually("the listener's end", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_hub_is_told_from_what_is_not_there() {
    let ca = ca();
    let identity = member(&ca, Timestamp::now());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        drop(listener);
        stream
    });
    let error = session_channel(&address.to_string(), &identity).await.err().unwrap();
    assert!(matches!(error, DialError::Handshake { .. }) && !error.needs_somebody(), "{error}");
    drop(answering.await.unwrap());
    let error = session_channel(&address.to_string(), &identity).await.err().unwrap();
    assert!(matches!(error, DialError::Connect { .. }) && !error.needs_somebody(), "{error}");
    let error = session_channel("no port", &identity).await.err().unwrap();
    assert!(matches!(error, DialError::Connect { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_says_nothing_is_given_up() {
    let ca = ca();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = session_channel(&address, &member(&ca, Timestamp::now())).await.err().unwrap();
    assert!(matches!(error, DialError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn the_hubs_log_says_why_a_member_was_refused() {
    let ca = ca();
    let refused = async |identity: HubIdentity| {
        let tls =
            HubTls::new(domain(), ca.issue_hub(DAY, Timestamp::now()).unwrap(), &[ca.certificate().clone()]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(HubVerifier::Pinned(ca.fingerprint())))
            .with_client_auth_cert(identity.chain, identity.key)
            .unwrap();
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        let (accepted, _) = listener.accept().await.unwrap();
        let acceptor = tls.unwrap().acceptor();
        let (server, _client) = tokio::join!(
            acceptor.accept(accepted),
            TlsConnector::from(Arc::new(config)).connect(some_name(), tcp)
        );
        super::error::member_refused(&server.unwrap_err()).unwrap()
    };
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let expired = forged(&ca, &["spiffe://parallax.local/cluster/a"], |params| {
        for_clients(params);
        params.not_after = OffsetDateTime::now_utc() - DAY;
    });
    assert!(refused(expired).await.contains("token CLUSTER --reset"));
    let foreign = forged(&self::ca(), &["spiffe://parallax.local/cluster/a"], for_clients);
    assert!(refused(foreign).await.contains("not issued by this fleet's CA"));
    let hub = forged(&ca, &["spiffe://parallax.local/hub"], for_clients);
    assert!(
        refused(hub).await.contains("for spiffe://parallax.local/hub, expected a member of parallax.local")
    );
    let nameless = forged(&ca, &[], for_clients);
    assert!(refused(nameless).await.contains("exactly one URI"));
}
