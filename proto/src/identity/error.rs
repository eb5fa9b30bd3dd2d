//! What can be wrong with an identity, and what to do about it.

use jiff::Timestamp;

use super::SpiffeId;

/// An identity that can't be read, made or trusted.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not a name that a SPIFFE id can begin with.
    #[error(
        "trust domain {0:?} is not valid: use DNS labels of lower-case letters, digits and '-', separated by dots (default: parallax.local)"
    )]
    TrustDomain(String),
    /// Not an id of a hub or a member.
    #[error(
        "{0:?} is not an identity of a fleet: use spiffe://TRUST-DOMAIN/hub or spiffe://TRUST-DOMAIN/cluster/NAME"
    )]
    SpiffeId(String),
    /// The bytes are not a certificate that we can read.
    #[error("can't read the certificate: {0}; issue it again")]
    Certificate(String),
    /// A certificate must say who it is about, once.
    #[error(
        "the certificate names {0} instead of exactly one URI: it was not issued by a Parallax hub; enroll again with a join token"
    )]
    Names(String),
    /// A CA certificate where a hub's or member's belongs.
    #[error("this is a CA's certificate, not a hub's or member's: use one that the CA has issued")]
    IsCa,
    /// A certificate of another kind where a CA's belongs.
    #[error(
        "the certificate is not a CA's (basicConstraints CA:TRUE and key usage keyCertSign are needed): put the fleet CA's certificate into ca.crt"
    )]
    NotACa,
    /// A PEM text without what was looked for.
    #[error(
        "can't read the {what} as PEM: {why}; restore it from where it was issued, or let it be issued again"
    )]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Key and certificate don't belong together.
    #[error(
        "the private key is not the certificate's: restore both from the same source, or delete both and let them be made again"
    )]
    KeyMismatch,
    /// A signing request that can't be honoured.
    #[error(
        "the certificate signing request is refused: {0}; let a parallax-member of the hub's version make it"
    )]
    Csr(String),
    /// Not a join token. Never says what was given, since it may be a secret with a slip in it.
    #[error(
        "the join token is not valid ({0}): copy the whole line that `parallax-hub token CLUSTER` printed"
    )]
    Token(&'static str),
    /// Not a fingerprint.
    #[error("not a CA fingerprint: use the SHA-256 of its certificate, as 64 lower-case hexadecimal digits")]
    Fingerprint,
    /// The CA can't issue any more.
    #[error(
        "the fleet's CA expired at {0}: put a new one into the Secret parallax-fleet-ca, and enroll the members again"
    )]
    CaExpired(Timestamp),
    /// The CA belongs to another trust domain than the one configured.
    #[error(
        "the fleet's CA is for {found}, but the hub runs with --trust-domain {expected}: use the CA's, or another CA"
    )]
    OtherTrustDomain {
        /// What the CA's certificate says.
        found: String,
        /// What the hub is configured with.
        expected: String,
    },
    /// A certificate about somebody else.
    #[error(
        "the certificate is for {found}, expected {expected}: it belongs to another process; enroll again with a join token"
    )]
    OtherSubject {
        /// Whom the certificate is about.
        found: SpiffeId,
        /// Who it should be about.
        expected: String,
    },
    /// A moment that a certificate can't state.
    #[error("certificates can't state the time {0}: check the clock and the validity asked for")]
    Time(Timestamp),
    /// The operating system gave no randomness.
    #[error(
        "no randomness from the operating system: check that getrandom(2) works for this process, which a seccomp profile can forbid"
    )]
    Entropy,
    /// Making a key or signing failed.
    #[error(
        "can't make a key or sign a certificate: {0}; check that the keys are ECDSA P-256 in PKCS #8, and let what is not be made again"
    )]
    Signing(#[from] rcgen::Error),
}
