//! Who called.

use jiff::Timestamp;
use parallax_crds::names::ClusterName;
use tonic::{Request, Status};

use crate::identity::{Leaf, Role};

/// The member behind a call, as its verified certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Its cluster's name.
    pub cluster: ClusterName,
    /// Its certificate's serial number, as in [`Leaf::serial`].
    pub serial: String,
    /// Until when its certificate is valid.
    pub not_after: Timestamp,
}

/// Who made this call: only from the leaf certificate that the handshake verified, never from a message.
///
/// # Errors
/// `UNAUTHENTICATED` when the caller showed no certificate, with what to do about it.
pub fn peer_cluster<T>(request: &Request<T>) -> Result<PeerIdentity, Status> {
    let certificates = request.peer_certs();
    let Some(leaf) = certificates.as_ref().and_then(|chain| chain.first()) else {
        return Err(Status::unauthenticated(
            "this call needs a member's certificate: enroll first, with a token of `parallax-hub token CLUSTER`",
        ));
    };
    let leaf = Leaf::from_der(leaf).map_err(|error| Status::unauthenticated(error.to_string()))?;
    match leaf.id.role {
        Role::Member(cluster) => Ok(PeerIdentity { cluster, serial: leaf.serial, not_after: leaf.not_after }),
        Role::Hub => Err(Status::unauthenticated("this call is a member's, not a hub's")),
    }
}
