//! Why two ends don't trust each other, in words that say what to do.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError};

use crate::identity::{CaFingerprint, IdentityError, SpiffeId};

/// A TLS configuration that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate among the trusted ones is not usable.
    #[error("a CA's certificate can't be trusted ({0}): check ca.crt")]
    Root(rustls::Error),
    /// No CA at all.
    #[error("no CA's certificate to trust: check ca.crt")]
    NoRoots,
    /// Key and certificate are unusable together.
    #[error("certificate and key can't be used together ({0}): let them be issued again")]
    Identity(rustls::Error),
    /// The protocol's settings were refused.
    #[error("TLS can't be set up: {0}; report it, it is a defect of this build")]
    Setup(rustls::Error),
}

/// Why a member can't reach or won't trust a hub, or isn't trusted by it.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection.
    #[error(
        "can't connect to the hub at {address}: {source}; check the address, the hub's Service and the network between"
    )]
    Connect {
        /// What was dialled.
        address: String,
        /// What happened.
        source: io::Error,
    },
    /// Nothing heard in time.
    #[error(
        "the hub at {address} didn't answer within {after:?}; check that a hub listens there and that nothing between drops packets"
    )]
    TimedOut {
        /// What was dialled.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// The hub shows a certificate that the member doesn't accept.
    #[error("the hub at {address} is not trusted: {source}")]
    HubCertificate {
        /// What was dialled.
        address: String,
        /// Why not.
        source: HubCertificateError,
    },
    /// The member's own certificate is over.
    #[error(
        "this member's certificate expired at {0}: make a token with `parallax-hub token CLUSTER --reset` and start the member with it"
    )]
    Expired(Timestamp),
    /// The hub doesn't accept the member's certificate.
    #[error("the hub at {address} refused this member's certificate: {refusal}")]
    Refused {
        /// What was dialled.
        address: String,
        /// Why.
        refusal: Refusal,
    },
    /// The handshake failed in another way.
    #[error(
        "no TLS 1.3 connection with {address}: {source}; check that it is a hub's session port and that nothing between ends TLS"
    )]
    Handshake {
        /// What was dialled.
        address: String,
        /// What happened.
        source: io::Error,
    },
    /// The connection ended before the hub said anything.
    #[error(
        "the hub at {address} closed the connection at once: it may be stopping or too busy; it is tried again"
    )]
    Closed {
        /// What was dialled.
        address: String,
    },
    /// Our own side can't be set up.
    #[error(transparent)]
    Setup(#[from] TlsError),
    /// HTTP/2 can't be set up.
    #[error("no HTTP/2 with the hub: {0}; check that the address is a hub's session port")]
    Transport(#[from] tonic::transport::Error),
}

impl DialError {
    /// Whether trying again is of no use until somebody does something: a matter of trust, not of
    /// reachability.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        matches!(self, Self::HubCertificate { .. } | Self::Expired(_) | Self::Refused { .. } | Self::Setup(_))
    }
}

/// Why a hub's certificate is not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HubCertificateError {
    /// No certificate of the token's CA is among those shown.
    #[error("the token names the CA {expected}, the hub shows {}: the token is of another hub, or something stands between; check the address, or make a new token on this hub", shown(.presented))]
    OtherCa {
        /// What the token says.
        expected: CaFingerprint,
        /// What the hub showed beside its own certificate.
        presented: Vec<CaFingerprint>,
    },
    /// Signed by a CA that the member doesn't trust.
    #[error(
        "its certificate was issued by a CA that this member doesn't trust: it is another hub, or its CA was replaced; enroll again with a new token"
    )]
    UnknownCa,
    /// Over.
    #[error(
        "its certificate expired at {0} by this machine's clock: check the clocks, and restart the hub if its clock is right"
    )]
    Expired(Timestamp),
    /// Not yet begun.
    #[error("its certificate is valid only from {0} by this machine's clock: check the clocks")]
    NotYetValid(Timestamp),
    /// Trusted, but somebody else.
    #[error(
        "it calls itself {found}, not {expected}: something else of the fleet answers there; check the address"
    )]
    NotTheHub {
        /// Who it says it is.
        found: SpiffeId,
        /// Who should be there.
        expected: String,
    },
    /// No id of a fleet in it.
    #[error("{0}")]
    Unreadable(String),
    /// Anything else that the verification found.
    #[error("its certificate is not valid: {0}; restart the hub, which then issues itself another")]
    Invalid(rustls::Error),
}

fn shown(presented: &[CaFingerprint]) -> String {
    match presented {
        [] => "no CA".to_owned(),
        all => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

impl From<IdentityError> for HubCertificateError {
    fn from(error: IdentityError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Why a hub doesn't accept a member's certificate, as far as TLS says it; the hub's log says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Over, by the hub's clock.
    #[error(
        "it has expired by the hub's clock; check the clocks, or enroll again: `parallax-hub token CLUSTER --reset`"
    )]
    Expired,
    /// Issued by a CA that the hub doesn't know.
    #[error(
        "the hub doesn't know the CA that issued it; the fleet's CA was replaced, or this is another fleet's hub; enroll again: `parallax-hub token CLUSTER --reset`"
    )]
    UnknownCa,
    /// Another reason.
    #[error("TLS alert {0:?}; the hub's log says why")]
    Other(AlertDescription),
}

impl From<AlertDescription> for Refusal {
    fn from(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateExpired => Self::Expired,
            // The latter when the CA that it doesn't know has the name of one that it does.
            AlertDescription::UnknownCA | AlertDescription::DecryptError => Self::UnknownCa,
            other => Self::Other(other),
        }
    }
}

/// What the hub's log says of a handshake that failed for the member's certificate; None when it failed for
/// another reason.
pub(super) fn member_refused(error: &io::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(why) = error.get_ref()?.downcast_ref()? else { return None };
    Some(match why {
        CertificateError::Other(ours) => ours.0.to_string(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; check the clocks, or enroll the member again: `parallax-hub token CLUSTER --reset`".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it was not issued by this fleet's CA; enroll the member again: `parallax-hub token CLUSTER --reset`"
                .to_owned()
        }
        other => other.to_string(),
    })
}
