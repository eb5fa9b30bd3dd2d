//! The identity that the hub shows to members, made anew while it is half-way through.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_proto::identity::{FleetCa, TrustDomain};
use parallax_proto::tls::HubTls;
use tokio_util::sync::CancellationToken;

use crate::error::HubError;

/// Between attempts to make the next identity.
const RETRY: Duration = Duration::from_secs(60);

/// A listener's TLS that shows a new identity from the fleet's CA, and goes on doing so until `stop`.
pub fn show_identity(
    ca: &Arc<FleetCa>,
    trust_domain: TrustDomain,
    validity: Duration,
    stop: &CancellationToken,
) -> Result<Arc<HubTls>, HubError> {
    let identity = ca.issue_hub(validity, Timestamp::now())?;
    let tls = Arc::new(HubTls::new(trust_domain, identity, std::slice::from_ref(ca.certificate()))?);
    tokio::spawn(renew(tls.clone(), ca.clone(), validity, stop.clone()));
    Ok(tls)
}

async fn renew(tls: Arc<HubTls>, ca: Arc<FleetCa>, validity: Duration, stop: CancellationToken) {
    let mut wait = validity / 2;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let renewed = ca
            .issue_hub(validity, Timestamp::now())
            .map_err(HubError::from)
            .and_then(|identity| tls.replace_identity(identity).map_err(HubError::from));
        wait = match renewed {
            Ok(()) => {
                tracing::info!(not_after = %tls.not_after(), "the hub's certificate was renewed");
                validity / 2
            }
            Err(error) => {
                tracing::error!(%error, not_after = %tls.not_after(), "the hub's certificate could not be renewed; trying again");
                RETRY
            }
        };
    }
}
