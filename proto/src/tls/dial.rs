//! The member's end: one dial, one connection, and a clear word when there is none.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::client::Resumption;
use rustls::{CertificateError, ClientConfig, Error};
use rustls_pki_types::{IpAddr, Ipv4Addr, ServerName};
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::error::{DialError, HubCertificateError, Refusal, TlsError};
use super::verify::{HubVerifier, roots};
use super::{ALPN_H2, CONNECTION_WINDOW, KEEPALIVE, STREAM_WINDOW, provider};
use crate::identity::{CaFingerprint, MemberIdentity};

/// How long TCP may take, and how long TLS may after it.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the hub at `address` (`HOST:PORT`) without a certificate of our own: for `Enroll`. The
/// hub is known by the CA's certificate that it shows along with its own.
///
/// The channel is one connection: when it ends, calls fail, and one dials again.
///
/// # Errors
/// When the hub can't be reached, or is not certified by that CA.
pub async fn enroll_channel(address: &str, ca: CaFingerprint) -> Result<Channel, DialError> {
    // Boxed, here and below: a handshake's state is large, and callers hold this future in theirs.
    Box::pin(dial(address, config(HubVerifier::Pinned(ca), None)?)).await
}

/// A connection to the hub at `address` (`HOST:PORT`) as this member. The hub must be of the member's own
/// trust domain, certified by a CA that the member trusts.
///
/// Returns only once the hub has accepted the member's certificate. The channel is one connection: when
/// it ends, calls fail, and one dials again.
///
/// # Errors
/// When the hub can't be reached or trusted, or doesn't accept the certificate; see
/// [`DialError::needs_somebody`].
pub async fn session_channel(address: &str, identity: &MemberIdentity) -> Result<Channel, DialError> {
    if identity.not_after() <= Timestamp::now() {
        return Err(DialError::Expired(identity.not_after()));
    }
    let verifier =
        HubVerifier::Fleet { roots: roots(identity.ca())?, trust_domain: identity.trust_domain().clone() };
    Box::pin(dial(address, config(verifier, Some(identity))?)).await
}

pub(super) fn config(
    verifier: HubVerifier,
    identity: Option<&MemberIdentity>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.chain_and_key();
            builder.with_client_auth_cert(chain, key).map_err(TlsError::Identity)?
        }
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

pub(super) async fn dial(address: &str, config: ClientConfig) -> Result<Channel, DialError> {
    let tcp = within(address, TcpStream::connect(address))
        .await?
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(|source| DialError::Connect { address: address.to_owned(), source })?;
    // The verifier looks at the URI; rustls wants some name nevertheless.
    let no_name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])));
    let connect = TlsConnector::from(Arc::new(config)).connect(no_name, tcp);
    let mut stream = within(address, connect).await?.map_err(|error| handshake_failure(address, error))?;
    // Under TLS 1.3 our handshake is done before the hub has looked at our certificate. Its first bytes
    // (HTTP/2 settings, which a server sends unasked) are what shows that it accepted it.
    let heard = within(address, stream.fill_buf()).await?;
    match heard.map(<[u8]>::is_empty) {
        Ok(false) => Ok(channel(stream).await?),
        Ok(true) => Err(DialError::Closed { address: address.to_owned() }),
        Err(error) => Err(refusal(address, error)),
    }
}

async fn within<F: Future>(address: &str, step: F) -> Result<F::Output, DialError> {
    timeout(STEP_TIMEOUT, step)
        .await
        .map_err(|_| DialError::TimedOut { address: address.to_owned(), after: STEP_TIMEOUT })
}

/// One connection as a channel. A second use of the connector means that the connection has ended.
async fn channel(stream: TlsStream<TcpStream>) -> Result<Channel, tonic::transport::Error> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.take().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotConnected, "the connection to the hub has ended; dial again")
        });
        std::future::ready(stream)
    });
    // Never resolved: the connector holds the connection already.
    Endpoint::from_static("http://parallax-hub")
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .buffer_size(16)
        .connect_with_connector(connector)
        .await
}

fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Our verifier's own words, when it was the one that ended the handshake.
fn handshake_failure(address: &str, source: io::Error) -> DialError {
    let address = address.to_owned();
    if let Some(Error::InvalidCertificate(why)) = rustls_error(&source) {
        let source = match why {
            CertificateError::Other(other) => other.0.downcast_ref::<HubCertificateError>().cloned(),
            _ => None,
        };
        let source =
            source.unwrap_or_else(|| HubCertificateError::Invalid(Error::InvalidCertificate(why.clone())));
        return DialError::HubCertificate { address, source };
    }
    DialError::Handshake { address, source }
}

/// The hub's answer to our certificate, when it was an alert.
fn refusal(address: &str, source: io::Error) -> DialError {
    let address = address.to_owned();
    match rustls_error(&source) {
        Some(Error::AlertReceived(alert)) => DialError::Refused { address, refusal: Refusal::from(*alert) },
        _ => DialError::Connect { address, source },
    }
}
