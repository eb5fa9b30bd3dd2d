#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use rcgen::{CustomExtension, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use super::*;
use crate::identity::{Leaf, MemberIdentity, MemberKey};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn domain() -> TrustDomain {
    "parallax.local".parse().unwrap()
}

fn ca() -> FleetCa {
    FleetCa::generate(domain(), now()).unwrap()
}

fn cluster() -> ClusterName {
    ClusterName::new("member-1").unwrap()
}

fn uris(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    names.iter().map(|name| format!("{name:?}")).collect()
}

#[test]
fn a_generated_ca_can_issue_leaves_only_and_for_ten_years() {
    let ca = ca();
    let parsed = parse(ca.certificate()).unwrap();
    let constraints = parsed.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
    assert!(ca.not_after() > now() + Duration::from_secs(3650 * 24 * 3600));
    assert_eq!(uris(&parsed), [r#"URI("spiffe://parallax.local")"#]);
}

#[test]
fn a_ca_survives_its_pem() {
    let ca = ca();
    let pem = ca.to_pem();
    let read = FleetCa::from_pem(&pem.certificate, &pem.key, domain()).unwrap();
    assert_eq!(read.fingerprint(), ca.fingerprint());
    // Certificates state whole seconds.
    assert_eq!(read.not_after().as_second(), ca.not_after().as_second());
    let key = MemberKey::generate().unwrap();
    let issued = read.issue_member(&cluster(), &key.csr_der().unwrap(), DAY, now()).unwrap();
    parse(&issued.certificate_der)
        .unwrap()
        .verify_signature(Some(parse(ca.certificate()).unwrap().public_key()))
        .unwrap();
}

#[test]
fn a_ca_of_another_kind_key_or_domain_is_refused() {
    let (one, two) = (ca().to_pem(), ca().to_pem());
    let mismatch = FleetCa::from_pem(&one.certificate, &two.key, domain()).unwrap_err();
    assert!(matches!(mismatch, IdentityError::KeyMismatch), "{mismatch}");

    let elsewhere =
        FleetCa::from_pem(&one.certificate, &one.key, "other.example".parse().unwrap()).unwrap_err();
    assert!(elsewhere.to_string().contains("--trust-domain other.example"), "{elsewhere}");

    let hub = ca().issue_hub(DAY, now()).unwrap();
    let leaf = certificate_pem(&hub.chain[0]);
    let not_a_ca = FleetCa::from_pem(&leaf, &one.key, domain()).unwrap_err();
    assert!(matches!(not_a_ca, IdentityError::NotACa), "{not_a_ca}");

    for (certificate, key) in [("", one.key.as_str()), (one.certificate.as_str(), ""), ("x", "y")] {
        let unreadable = FleetCa::from_pem(certificate, key, domain()).unwrap_err();
        assert!(matches!(unreadable, IdentityError::Pem { .. }), "{unreadable}");
    }
}

#[test]
fn a_member_gets_one_name_one_usage_and_a_day() {
    let ca = ca();
    let key = MemberKey::generate().unwrap();
    let issued = ca.issue_member(&cluster(), &key.csr_der().unwrap(), DAY, now()).unwrap();
    assert_only_its_own(&issued.certificate_der);

    let leaf = Leaf::from_der(&issued.certificate_der).unwrap();
    assert_eq!(leaf.serial, issued.serial_hex);
    assert_eq!(leaf.serial.len(), 32);
    assert_eq!(leaf.not_before, now() - CLOCK_SKEW);
    assert_eq!((leaf.not_after, issued.not_after), (now() + DAY, now() + DAY));
}

fn assert_only_its_own(certificate_der: &[u8]) {
    let parsed = parse(certificate_der).unwrap();
    assert_eq!(uris(&parsed), [r#"URI("spiffe://parallax.local/cluster/member-1")"#]);
    assert!(!parsed.is_ca());
    assert_eq!(parsed.subject().to_string(), "CN=member-1");
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any && !usage.code_signing);
    assert!(usage.other.is_empty());
    let key_usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(key_usage.digital_signature() && !key_usage.key_cert_sign() && !key_usage.crl_sign());
    for extension in parsed.extensions() {
        assert!(!matches!(extension.parsed_extension(), ParsedExtension::NameConstraints(_)));
    }
    assert_eq!(parsed.extensions().len(), 6, "no more than names, usages, constraints and key ids");
}

/// What a member that wants to be more than it is might ask for.
fn hostile_requests() -> Vec<(&'static str, CertificateParams)> {
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        params
    };
    let named = |uris: &[&str]| uris.iter().map(|text| uri(text).unwrap()).collect::<Vec<_>>();
    vec![
        (
            "another cluster",
            with(&|p| p.subject_alt_names = named(&["spiffe://parallax.local/cluster/member-2"])),
        ),
        ("the hub", with(&|p| p.subject_alt_names = named(&["spiffe://parallax.local/hub"]))),
        (
            "its own name in another case",
            with(&|p| {
                p.subject_alt_names = named(&["spiffe://parallax.local/cluster/MEMBER-1"]);
            }),
        ),
        (
            "a name that begins with its own",
            with(&|p| {
                p.subject_alt_names = named(&["spiffe://parallax.local/cluster/member-10"]);
            }),
        ),
        (
            "a second name",
            with(&|p| {
                p.subject_alt_names = named(&[
                    "spiffe://parallax.local/cluster/member-1",
                    "spiffe://parallax.local/cluster/member-2",
                ]);
            }),
        ),
        (
            "DNS names",
            with(&|p| p.subject_alt_names = vec![SanType::DnsName("hub.parallax.local".try_into().unwrap())]),
        ),
        ("a CA flag", with(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        (
            "signing others",
            with(&|p| p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]),
        ),
        (
            "any usage",
            with(&|p| {
                p.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        ("another subject", with(&|p| p.distinguished_name = common_name("parallax-hub"))),
        (
            "an extension of its own",
            with(&|p| {
                let mut own = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                own.set_criticality(true);
                p.custom_extensions = vec![own];
            }),
        ),
    ]
}

#[test]
fn a_request_for_more_gets_its_own_name_and_nothing_else() {
    let ca = ca();
    for (what, params) in hostile_requests() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let csr = params.serialize_request(&key).unwrap();
        let issued =
            ca.issue_member(&cluster(), csr.der(), DAY, now()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_only_its_own(&issued.certificate_der);
        assert_eq!(
            parse(&issued.certificate_der).unwrap().public_key().raw,
            key.subject_public_key_info(),
            "{what}"
        );
    }
}

#[test]
fn a_request_that_is_damaged_or_of_another_key_is_refused() {
    let ca = ca();
    let good = MemberKey::generate().unwrap().csr_der().unwrap();
    let refused = |csr: &[u8]| {
        let error = ca.issue_member(&cluster(), csr, DAY, now()).unwrap_err();
        assert!(matches!(error, IdentityError::Csr(_)), "{error}");
        error.to_string()
    };
    refused(&[]);
    refused(b"-----BEGIN CERTIFICATE REQUEST-----");
    refused(&good[..good.len() - 1]);
    refused(&[good.as_slice(), b"x"].concat());
    refused(&vec![0x30; MAX_CSR + 1]);

    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(refused(&forged).contains("signature"));

    // Another's public key under one's own signature.
    let key = |csr: &[u8]| {
        X509CertificationRequest::from_der(csr)
            .unwrap()
            .1
            .certification_request_info
            .subject_pki
            .subject_public_key
            .data
            .to_vec()
    };
    let other = key(&MemberKey::generate().unwrap().csr_der().unwrap());
    let own = key(&good);
    let at = good.windows(own.len()).position(|window| window == own).unwrap();
    let mut stolen = good.clone();
    stolen[at..at + own.len()].copy_from_slice(&other);
    assert!(refused(&stolen).contains("signature"));

    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        assert!(refused(csr.der()).contains("P-256"));
    }
}

#[test]
fn no_damaged_byte_of_a_request_panics_or_issues_another_name() {
    let ca = ca();
    let good = MemberKey::generate().unwrap().csr_der().unwrap();
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x55;
        if let Ok(issued) = ca.issue_member(&cluster(), &damaged, DAY, now()) {
            assert_only_its_own(&issued.certificate_der);
        }
    }
}

#[test]
fn the_hub_is_issued_one_name_and_one_usage_and_shows_its_ca() {
    let ca = ca();
    let hub = ca.issue_hub(DAY, now()).unwrap();
    assert_eq!(hub.chain.len(), 2);
    assert_eq!(CaFingerprint::of(&hub.chain[1]), ca.fingerprint());
    let parsed = parse(&hub.chain[0]).unwrap();
    assert_eq!(uris(&parsed), [r#"URI("spiffe://parallax.local/hub")"#]);
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(!format!("{hub:?} {ca:?} {:?}", ca.to_pem()).contains("PRIVATE"));
}

#[test]
fn no_certificate_outlives_its_ca() {
    let ca = ca();
    let late = ca.not_after() - Duration::from_secs(3600);
    assert!(ca.issue_hub(DAY, late).unwrap().not_after <= ca.not_after());
    assert!(ca.issue_hub(Duration::MAX, now()).unwrap().not_after <= ca.not_after());
    let error = ca.issue_hub(DAY, ca.not_after()).unwrap_err();
    assert!(matches!(error, IdentityError::CaExpired(_)), "{error}");
}

#[test]
fn no_serial_number_comes_twice() {
    let ca = ca();
    let serials: HashSet<_> = (0..100).map(|_| ca.issue_hub(DAY, now()).unwrap().serial).collect();
    assert_eq!(serials.len(), 100);
}

#[test]
fn a_member_identity_survives_its_pem() {
    let ca = ca();
    let identity = enrolled(&ca, MemberKey::generate().unwrap());
    let read = MemberIdentity::from_pem(&identity.certificate_pem(), &identity.key_pem(), &identity.ca_pem())
        .unwrap();
    assert_eq!(read.cluster(), &cluster());
    assert_eq!(read.trust_domain(), &domain());
    assert_eq!(read.serial(), identity.serial());
    assert_eq!(read.ca(), identity.ca());
    assert_eq!(read.not_after(), now() + DAY);
    assert!(!format!("{read:?}").contains("PRIVATE"));
}

fn enrolled(ca: &FleetCa, key: MemberKey) -> MemberIdentity {
    let issued = ca.issue_member(&cluster(), &key.csr_der().unwrap(), DAY, now()).unwrap();
    MemberIdentity::enrolled(key, &issued.certificate_der, &[ca.certificate()], ca.fingerprint()).unwrap()
}

#[test]
fn a_member_refuses_what_is_not_its_own() {
    let ca = ca();
    let pem = |key: &MemberKey| {
        let issued = ca.issue_member(&cluster(), &key.csr_der().unwrap(), DAY, now()).unwrap();
        certificate_pem(&issued.certificate_der)
    };
    let (one, two) = (MemberKey::generate().unwrap(), MemberKey::generate().unwrap());
    let ca_pem = ca.to_pem().certificate;

    let mismatch = MemberIdentity::from_pem(&pem(&one), &two.to_pem(), &ca_pem).unwrap_err();
    assert!(matches!(mismatch, IdentityError::KeyMismatch), "{mismatch}");
    let no_ca = MemberIdentity::from_pem(&pem(&one), &one.to_pem(), "").unwrap_err();
    assert!(matches!(no_ca, IdentityError::Pem { .. }), "{no_ca}");
    let leaf_as_ca = MemberIdentity::from_pem(&pem(&one), &one.to_pem(), &pem(&two)).unwrap_err();
    assert!(matches!(leaf_as_ca, IdentityError::NotACa), "{leaf_as_ca}");

    let hub = ca.issue_hub(DAY, now()).unwrap();
    let hub_key = KeyPair::try_from(&hub.key).unwrap().serialize_pem();
    let a_hub = MemberIdentity::from_pem(&certificate_pem(&hub.chain[0]), &hub_key, &ca_pem).unwrap_err();
    assert!(matches!(a_hub, IdentityError::OtherSubject { .. }), "{a_hub}");
}

#[test]
fn an_enrollment_that_drops_the_pinned_ca_is_refused() {
    let ca = ca();
    let key = MemberKey::generate().unwrap();
    let issued = ca.issue_member(&cluster(), &key.csr_der().unwrap(), DAY, now()).unwrap();
    let other = FleetCa::generate(domain(), now()).unwrap();
    let error =
        MemberIdentity::enrolled(key, &issued.certificate_der, &[ca.certificate()], other.fingerprint())
            .unwrap_err();
    assert!(error.to_string().contains("no CA with the token's fingerprint"), "{error}");
}
