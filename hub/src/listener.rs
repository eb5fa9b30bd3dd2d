//! The port that members come to: sessions and enrollment, over the fleet's TLS.

use std::sync::Arc;

use parallax_platform::addresses::Port;
use parallax_proto::session::limits;
use parallax_proto::tls::{HubTls, Limits, hub_server};
use parallax_proto::v1::enrollment_server::EnrollmentServer;
use parallax_proto::v1::fleet_server::FleetServer;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::enrollment::Enroller;
use crate::error::HubError;
use crate::sessions::Sessions;

/// An enrollment is a token and a key.
const ENROLLMENT_BYTES: usize = 64 * 1024;

/// Lets members in, until `stop`.
pub fn let_in(
    port: Port,
    tls: &Arc<HubTls>,
    sessions: Sessions,
    enroller: Enroller,
    stop: &CancellationToken,
) -> Result<JoinHandle<Result<(), tonic::transport::Error>>, HubError> {
    let incoming = tls.incoming(port.listen()?, Limits::default());
    let serving = hub_server()
        .add_service(FleetServer::new(sessions).max_decoding_message_size(limits::DECODE_BYTES))
        .add_service(EnrollmentServer::new(enroller).max_decoding_message_size(ENROLLMENT_BYTES))
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    Ok(tokio::spawn(serving))
}
