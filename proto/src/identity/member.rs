//! A member's key, which never leaves its cluster, and what it becomes once the hub has signed it.

use std::fmt;

use jiff::Timestamp;
use parallax_crds::names::ClusterName;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::ca::certificate_pem;
use super::certificate::parse;
use super::{CaFingerprint, IdentityError, Leaf, Role, TrustDomain};

/// A member's private key: ECDSA P-256.
pub struct MemberKey(KeyPair);

impl MemberKey {
    /// A new key.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// Reads a key that [`Self::to_pem`] wrote.
    ///
    /// # Errors
    /// When the text is not a private key in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| IdentityError::Pem { what: "member's private key", why: error.to_string() })?;
        Ok(Self(KeyPair::try_from(&key)?))
    }

    /// The key as PKCS #8 in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// A signing request (PKCS #10 in DER) that asks for no name: the hub gives it.
    ///
    /// # Errors
    /// When signing fails.
    pub fn csr_der(&self) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey(..)")
    }
}

/// A member's key and certificate, and the CAs by which it knows its hub.
pub struct MemberIdentity {
    key: MemberKey,
    certificate: CertificateDer<'static>,
    ca: Vec<CertificateDer<'static>>,
    leaf: Leaf,
    cluster: ClusterName,
}

impl MemberIdentity {
    /// What the hub's answer to an enrollment makes of a key.
    ///
    /// # Errors
    /// When the certificate is not for this key, or not a member's, or when the CA that the token named
    /// is not among those that the hub wants trusted.
    pub fn enrolled(
        key: MemberKey,
        certificate_der: &[u8],
        ca_der: &[impl AsRef<[u8]>],
        pinned: CaFingerprint,
    ) -> Result<Self, IdentityError> {
        let ca: Vec<_> = ca_der.iter().map(|ca| CertificateDer::from(ca.as_ref().to_vec())).collect();
        if !ca.iter().any(|ca| CaFingerprint::of(ca) == pinned) {
            return Err(IdentityError::Certificate(format!(
                "the hub's answer holds no CA with the token's fingerprint {pinned}"
            )));
        }
        Self::new(key, CertificateDer::from(certificate_der.to_vec()), ca)
    }

    /// Reads what [`Self::certificate_pem`], [`Self::key_pem`] and [`Self::ca_pem`] wrote.
    ///
    /// # Errors
    /// When a text is not PEM, the key is not the certificate's, or the certificate is not a member's.
    pub fn from_pem(certificate: &str, key: &str, ca: &str) -> Result<Self, IdentityError> {
        let pem = |what, why: rustls_pki_types::pem::Error| IdentityError::Pem { what, why: why.to_string() };
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| pem("member's certificate", error))?;
        let ca = CertificateDer::pem_slice_iter(ca.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| pem("fleet CA's certificate", error))?;
        Self::new(MemberKey::from_pem(key)?, certificate, ca)
    }

    fn new(
        key: MemberKey,
        certificate: CertificateDer<'static>,
        ca: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        use rcgen::PublicKeyData as _;
        if ca.is_empty() {
            return Err(IdentityError::Pem {
                what: "fleet CA's certificate",
                why: "there is none".to_owned(),
            });
        }
        for ca in &ca {
            if !parse(ca)?.is_ca() {
                return Err(IdentityError::NotACa);
            }
        }
        if parse(&certificate)?.public_key().raw != key.0.subject_public_key_info() {
            return Err(IdentityError::KeyMismatch);
        }
        let leaf = Leaf::from_der(&certificate)?;
        let Role::Member(cluster) = &leaf.id.role else {
            return Err(IdentityError::OtherSubject { found: leaf.id, expected: "a member".to_owned() });
        };
        let cluster = cluster.clone();
        Ok(Self { key, certificate, ca, leaf, cluster })
    }

    /// The cluster's name, as the hub gave it.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The fleet.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.leaf.id.trust_domain
    }

    /// The certificate's serial number, as in [`Leaf::serial`].
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.leaf.serial
    }

    /// From when the certificate is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.leaf.not_before
    }

    /// Until when the certificate is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.leaf.not_after
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        certificate_pem(&self.certificate)
    }

    /// The private key in PEM: for the member's own Secret only.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }

    /// The CAs that the member trusts, in PEM, one after the other.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.ca.iter().map(|ca| certificate_pem(ca)).collect()
    }

    /// The CAs that the member trusts.
    pub(crate) fn ca(&self) -> &[CertificateDer<'static>] {
        &self.ca
    }

    /// What TLS shows and signs with.
    pub(crate) fn chain_and_key(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.clone()], PrivateKeyDer::Pkcs8(self.key.0.serialize_der().into()))
    }
}

impl fmt::Debug for MemberIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberIdentity").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}
