//! A throw-away certificate authority per cluster.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// How long a fleet's certificates hold: longer than anybody keeps one running.
const VALIDITY: Duration = Duration::days(365);
/// Clocks are the same machine's, but a certificate of this very second is refused by strict verifiers.
const BACKDATED: Duration = Duration::hours(1);

/// A certificate and its private key, both PEM.
pub struct Credential {
    /// The certificate.
    pub certificate: String,
    /// Its PKCS #8 key.
    pub key: String,
}

/// A cluster's authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes one with a new key.
    ///
    /// # Errors
    /// Only those of the random generator and the encoder.
    pub fn generate(cluster: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("generating a CA key")?;
        let mut params = params(&format!("{cluster} throw-away CA"), &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).context("signing a CA certificate")?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The CA's certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The CA's private key, PEM: the controller manager signs certificate requests with it.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for the API server at these addresses and under its in-cluster names.
    ///
    /// # Errors
    /// Only those of the random generator and the encoder.
    pub fn api_server(&self, addresses: &[Ipv4Addr]) -> anyhow::Result<Credential> {
        let mut params = params("kube-apiserver", &[])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ] {
            params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from(name)?));
        }
        let addresses = addresses.iter().map(|address| SanType::IpAddress(IpAddr::V4(*address)));
        params.subject_alt_names.extend(addresses);
        self.issue(params)
    }

    /// A kubelet's certificate, by which it both serves at its node's address and is a client.
    ///
    /// # Errors
    /// Only those of the random generator and the encoder.
    pub fn kubelet(&self, node: &str, address: Ipv4Addr) -> anyhow::Result<Credential> {
        let mut params = params(&format!("system:node:{node}"), &["system:nodes"])?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names =
            vec![SanType::DnsName(Ia5String::try_from(node)?), SanType::IpAddress(IpAddr::V4(address))];
        self.issue(params)
    }

    /// A client's certificate: Kubernetes takes the user from the common name and groups from the organizations.
    ///
    /// # Errors
    /// Only those of the random generator and the encoder.
    pub fn client(&self, user: &str, groups: &[&str]) -> anyhow::Result<Credential> {
        let mut params = params(user, groups)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> anyhow::Result<Credential> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context("generating a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("signing a certificate")?.pem();
        Ok(Credential { certificate, key: key.serialize_pem() })
    }
}

fn params(common_name: &str, organizations: &[&str]) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new()).context("beginning a certificate")?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    for organization in organizations {
        name.push(DnType::OrganizationName, *organization);
    }
    params.distinguished_name = name;
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + VALIDITY;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
