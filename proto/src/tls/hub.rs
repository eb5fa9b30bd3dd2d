//! The hub's end.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::error::TlsError;
use super::incoming::{Incoming, Limits};
use super::verify::MemberVerifier;
use super::{ALPN_H2, CONNECTION_WINDOW, KEEPALIVE, STREAM_WINDOW, provider};
use crate::identity::{HubIdentity, TrustDomain};

/// The streams that one member may have open at once.
const MAX_STREAMS: u32 = 64;
/// The largest set of headers that a caller may send, in bytes.
const MAX_HEADERS: u32 = 16 * 1024;

/// The hub's identity, which can be replaced while the listener runs, and whom it trusts.
#[derive(Debug)]
pub struct HubTls {
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Current(ArcSwap<Shown>);

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    not_after: Timestamp,
}

impl Shown {
    fn new(identity: HubIdentity) -> Result<Self, TlsError> {
        let key =
            CertifiedKey::from_der(identity.chain, identity.key, &provider()).map_err(TlsError::Identity)?;
        Ok(Self { key: Arc::new(key), not_after: identity.not_after })
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

impl HubTls {
    /// A hub that shows `identity` and admits members of `trust_domain` that one of `ca` has certified.
    ///
    /// # Errors
    /// When the identity or a CA's certificate is not usable.
    pub fn new(
        trust_domain: TrustDomain,
        identity: HubIdentity,
        ca: &[CertificateDer<'_>],
    ) -> Result<Self, TlsError> {
        let current = Arc::new(Current(ArcSwap::from_pointee(Shown::new(identity)?)));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Setup)?
            .with_client_cert_verifier(Arc::new(MemberVerifier::new(trust_domain, ca)?))
            .with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { current, config: Arc::new(config) })
    }

    /// Shows another identity from the next handshake on.
    ///
    /// # Errors
    /// When it is not usable; the old one stays.
    pub fn replace_identity(&self, identity: HubIdentity) -> Result<(), TlsError> {
        self.current.0.store(Arc::new(Shown::new(identity)?));
        Ok(())
    }

    /// Until when the identity that is shown now is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.current.0.load().not_after
    }

    /// The acceptor for single connections; [`Self::incoming`] uses it for many.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// The verified connections of a listener. Must be called within a tokio runtime.
    #[must_use]
    pub fn incoming(&self, listener: TcpListener, limits: Limits) -> Incoming {
        Incoming::start(listener, self.acceptor(), limits)
    }
}

/// A tonic server with the settings that the link needs: liveness, and bounds on what a peer can make
/// us hold.
pub fn hub_server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
}
