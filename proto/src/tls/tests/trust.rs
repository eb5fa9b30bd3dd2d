//! Who believes whom.

use super::*;

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
