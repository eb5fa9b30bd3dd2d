//! The two verifiers: a chain to the fleet's CA, then exactly the name that belongs there.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::error::{HubCertificateError, TlsError};
use super::{provider, signature};
use crate::identity::{CaFingerprint, IdentityError, Leaf, Role, TrustDomain};

/// The CAs of `certificates` as trust anchors.
pub(super) fn roots(certificates: &[CertificateDer<'_>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone().into_owned()).map_err(TlsError::Root)?;
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn refused(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

/// The hub's: a member's certificate, if one is shown, must be of this fleet.
#[derive(Debug)]
pub(super) struct MemberVerifier {
    trust_domain: TrustDomain,
    chain: Arc<dyn ClientCertVerifier>,
}

impl MemberVerifier {
    pub(super) fn new(trust_domain: TrustDomain, ca: &[CertificateDer<'_>]) -> Result<Self, TlsError> {
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
            .clear_root_hint_subjects()
            .allow_unauthenticated()
            .build()
            .map_err(|error| TlsError::Setup(Error::General(error.to_string())))?;
        Ok(Self { trust_domain, chain })
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let leaf = Leaf::from_der(end_entity).map_err(refused)?;
        match leaf.id.role {
            Role::Member(_) if leaf.id.trust_domain == self.trust_domain => Ok(verified),
            _ => Err(refused(IdentityError::OtherSubject {
                found: leaf.id,
                expected: format!("a member of {}", self.trust_domain),
            })),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(signature::never_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature::schemes()
    }
}

/// The member's: whom it takes for its hub.
#[derive(Debug)]
pub(super) enum HubVerifier {
    /// Whoever a CA with this fingerprint, shown along, has certified as a hub (enrollment).
    Pinned(CaFingerprint),
    /// The hub of this fleet, certified by one of these CAs.
    Fleet {
        /// What the member trusts.
        roots: RootCertStore,
        /// The member's own.
        trust_domain: TrustDomain,
    },
}

impl HubVerifier {
    fn chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), HubCertificateError> {
        let pinned;
        let roots = match self {
            Self::Fleet { roots, .. } => roots,
            Self::Pinned(expected) => {
                let Some(ca) = intermediates.iter().find(|shown| CaFingerprint::of(shown) == *expected)
                else {
                    let presented = intermediates.iter().map(|shown| CaFingerprint::of(shown)).collect();
                    return Err(HubCertificateError::OtherCa { expected: *expected, presented });
                };
                pinned = self::roots(std::slice::from_ref(ca))
                    .map_err(|error| HubCertificateError::Unreadable(error.to_string()))?;
                &pinned
            }
        };
        let algorithms = provider().signature_verification_algorithms;
        ParsedCertificate::try_from(end_entity)
            .and_then(|leaf| {
                verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms.all)
            })
            .map_err(explained)
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), HubCertificateError> {
        self.chain(end_entity, intermediates, now)?;
        let leaf = Leaf::from_der(end_entity)?;
        let expected = match self {
            Self::Pinned(_) => None,
            Self::Fleet { trust_domain, .. } => Some(trust_domain),
        };
        let of_the_fleet = expected.is_none_or(|domain| *domain == leaf.id.trust_domain);
        if leaf.id.role == Role::Hub && of_the_fleet {
            return Ok(());
        }
        let expected = match expected {
            Some(domain) => format!("spiffe://{domain}/hub"),
            None => "a hub".to_owned(),
        };
        Err(HubCertificateError::NotTheHub { found: leaf.id, expected })
    }
}

fn explained(error: Error) -> HubCertificateError {
    let timestamp = |time: UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|s| Timestamp::from_second(s).ok())
            .unwrap_or(Timestamp::MAX)
    };
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            HubCertificateError::UnknownCa
        }
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            HubCertificateError::Expired(timestamp(not_after))
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            HubCertificateError::NotYetValid(timestamp(not_before))
        }
        other => HubCertificateError::Invalid(other),
    }
}

impl ServerCertVerifier for HubVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(signature::never_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature::schemes()
    }
}
