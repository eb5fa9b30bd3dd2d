//! The fleet's certificate authority: it writes names that the hub decided, and nothing that a
//! requester asked for.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use parallax_crds::names::ClusterName;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
    SubjectPublicKeyInfo,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::certificate::{instant, parse, serial_hex};
use super::entropy::random;
use super::{CaFingerprint, HubIdentity, IdentityError, Role, SpiffeId, TrustDomain};

/// How long a generated CA is valid: about ten years.
const CA_VALIDITY: Duration = Duration::from_secs(3653 * 24 * 3600);
/// How far a certificate's validity begins before now, for clocks that are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
/// The largest request that is looked at, in bytes; one with a P-256 key and no names has about 200.
const MAX_CSR: usize = 8 * 1024;

/// The CA that issues the identities of a hub and its members.
pub struct FleetCa {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    trust_domain: TrustDomain,
    not_after: Timestamp,
}

/// A CA as PEM, to be stored in a Secret.
pub struct CaPem {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// A certificate that the CA has issued to a member.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate_der: Vec<u8>,
    /// Its serial number, as in [`super::Leaf::serial`].
    pub serial_hex: String,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl FleetCa {
    /// Makes a CA: ECDSA P-256, for about ten years from `now`, that can issue leaves only.
    ///
    /// # Errors
    /// When there is no randomness, or `now` is no time that a certificate can state.
    pub fn generate(trust_domain: TrustDomain, now: Timestamp) -> Result<Self, IdentityError> {
        let not_after = now + CA_VALIDITY;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial_number()?);
        params.distinguished_name = common_name(&format!("Parallax fleet {trust_domain}"));
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = moment(now - CLOCK_SKEW)?;
        params.not_after = moment(not_after)?;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key), trust_domain, not_after })
    }

    /// Reads a CA, ours or the administrator's own.
    ///
    /// # Errors
    /// When either text is not PEM, the certificate is not a CA's or is for another trust domain, or the
    /// key is not its.
    pub fn from_pem(certificate: &str, key: &str, trust_domain: TrustDomain) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| IdentityError::Pem { what: "fleet CA's certificate", why: error.to_string() })?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| IdentityError::Pem { what: "fleet CA's key", why: error.to_string() })?;
        let key = KeyPair::try_from(&key)?;

        let parsed = parse(&certificate)?;
        let may_sign = match parsed.key_usage() {
            Ok(Some(usage)) => usage.value.key_cert_sign(),
            Ok(None) => true,
            Err(_) => false,
        };
        if !parsed.is_ca() || !may_sign {
            return Err(IdentityError::NotACa);
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(IdentityError::KeyMismatch);
        }
        if let Some(found) = stated_trust_domain(&parsed)
            && found != trust_domain.as_str()
        {
            return Err(IdentityError::OtherTrustDomain { found, expected: trust_domain.to_string() });
        }
        let not_after = instant(parsed.validity().not_after)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer, trust_domain, not_after })
    }

    /// The CA as [`Self::from_pem`] reads it. Holds the private key.
    #[must_use]
    pub fn to_pem(&self) -> CaPem {
        CaPem { certificate: certificate_pem(&self.certificate), key: self.issuer.key().serialize_pem() }
    }

    /// The CA's certificate: what both ends trust.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The fingerprint that join tokens carry.
    #[must_use]
    pub fn fingerprint(&self) -> CaFingerprint {
        CaFingerprint::of(&self.certificate)
    }

    /// The fleet that it issues for.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Until when the CA is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// A new key and a certificate for the hub (serverAuth), valid for `validity` from `now`, but not
    /// longer than the CA.
    ///
    /// # Errors
    /// When the CA has expired, or there is no randomness.
    pub fn issue_hub(&self, validity: Duration, now: Timestamp) -> Result<HubIdentity, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let issued = self.issue(Role::Hub, "parallax-hub", usage, &key, validity, now)?;
        Ok(HubIdentity {
            chain: vec![issued.certificate_der.into(), self.certificate.clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            not_after: issued.not_after,
            serial: issued.serial_hex,
        })
    }

    /// A certificate for a member (clientAuth) with the public key of a PKCS #10 request, valid for
    /// `validity` from `now`, but not longer than the CA. Whatever else the request asks for (names,
    /// usages, CA flags) is not even read.
    ///
    /// # Errors
    /// When the request is malformed, too large, not signed by its own key, or its key is not ECDSA
    /// P-256; when the CA has expired, or there is no randomness.
    pub fn issue_member(
        &self,
        cluster: &ClusterName,
        csr_der: &[u8],
        validity: Duration,
        now: Timestamp,
    ) -> Result<Issued, IdentityError> {
        let key = requested_key(csr_der)?;
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.issue(Role::Member(cluster.clone()), cluster.as_str(), usage, &key, validity, now)
    }

    fn issue(
        &self,
        role: Role,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        key: &impl PublicKeyData,
        validity: Duration,
        now: Timestamp,
    ) -> Result<Issued, IdentityError> {
        if now >= self.not_after {
            return Err(IdentityError::CaExpired(self.not_after));
        }
        let not_after = now.checked_add(validity).map_or(self.not_after, |end| end.min(self.not_after));
        // Certificates state whole seconds.
        let not_after = Timestamp::from_second(not_after.as_second()).unwrap_or(not_after);
        let id = SpiffeId { trust_domain: self.trust_domain.clone(), role };
        let serial = serial_number()?;
        let serial_hex = serial_hex(serial.as_ref());
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial);
        // For people only: nothing reads a name from the subject.
        params.distinguished_name = common_name(name);
        params.subject_alt_names = vec![uri(&id.to_string())?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.not_before = moment(now - CLOCK_SKEW)?;
        params.not_after = moment(not_after)?;
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Issued { certificate_der: certificate.der().to_vec(), serial_hex, not_after })
    }
}

impl fmt::Debug for FleetCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetCa")
            .field("trust_domain", &self.trust_domain)
            .field("fingerprint", &self.fingerprint())
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CaPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaPem").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// The public key of a request, once the request has shown that its sender has the private one.
fn requested_key(csr_der: &[u8]) -> Result<SubjectPublicKeyInfo, IdentityError> {
    let refused = |why: &str| IdentityError::Csr(why.to_owned());
    if csr_der.len() > MAX_CSR {
        return Err(refused("it is larger than 8 KiB"));
    }
    let Ok(([], request)) = X509CertificationRequest::from_der(csr_der) else {
        return Err(refused("it is not one PKCS #10 request in DER"));
    };
    request.verify_signature().map_err(|_| refused("its signature is not by the key that it shows"))?;
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| refused("its public key is of an unknown kind; use ECDSA P-256"))?;
    if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(refused("its public key is not ECDSA P-256"));
    }
    Ok(key)
}

/// The trust domain that a CA's certificate states as its URI, if it does.
fn stated_trust_domain(ca: &x509_parser::certificate::X509Certificate<'_>) -> Option<String> {
    let names = &ca.subject_alternative_name().ok()??.value.general_names;
    names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => {
            uri.strip_prefix("spiffe://").map(|domain| domain.trim_end_matches('/').to_owned())
        }
        _ => None,
    })
}

/// 126 random bits in 16 bytes; the first two bits are 01, so that the number is positive and has one
/// spelling.
fn serial_number() -> Result<SerialNumber, IdentityError> {
    let mut bytes = random::<16>()?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn uri(text: &str) -> Result<SanType, IdentityError> {
    Ok(SanType::URI(text.try_into()?))
}

fn moment(at: Timestamp) -> Result<OffsetDateTime, IdentityError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| IdentityError::Time(at))
}

/// A certificate as PEM.
pub(super) fn certificate_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests;
