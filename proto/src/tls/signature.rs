//! How the other end proves in a handshake that its certificate is its own: in TLS 1.3 only.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::CertificateDer;

use super::provider;

/// Why no signature of an older TLS is looked at: neither end offers one.
pub(super) fn never_tls12() -> Error {
    Error::General("TLS 1.2 is never spoken".to_owned())
}

/// Fails when `signature` isn't `certificate`'s under `message`.
pub(super) fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = provider().signature_verification_algorithms;
    rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
}

/// What a signature may be made by.
pub(super) fn schemes() -> Vec<SignatureScheme> {
    provider().signature_verification_algorithms.supported_schemes()
}
