//! Secret `parallax-fleet-ca`: the fleet's own CA. Made at the hub's first start or by the first token,
//! whichever comes first; an administrator may put an own one there beforehand.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ObjectMeta;
use parallax_proto::identity::{CaPem, FleetCa, TrustDomain};

use super::{ATTEMPTS, Created, bounded, create_once};
use crate::error::HubError;

/// The object's name.
pub const NAME: &str = "parallax-fleet-ca";
const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";

/// The fleet's CA, made and stored if there is none. `trust_domain` is that of a new one; an existing
/// one must be for it.
pub async fn load_or_create(api: &Api<Secret>, trust_domain: &TrustDomain) -> Result<FleetCa, HubError> {
    let what = format!("Secret {NAME}");
    for _ in 0..ATTEMPTS {
        if let Some(secret) = bounded(&what, api.get_opt(NAME)).await? {
            return parse(&secret, trust_domain);
        }
        let ca = FleetCa::generate(trust_domain.clone(), Timestamp::now())?;
        if let Created::Ours(_) = create_once(api, NAME, &object_of(&ca)).await? {
            tracing::info!(fingerprint = %ca.fingerprint(), "made the fleet's CA, in Secret {NAME}; keep a backup of it");
            return Ok(ca);
        }
    }
    Err(HubError::Contended { what })
}

fn parse(secret: &Secret, trust_domain: &TrustDomain) -> Result<FleetCa, HubError> {
    let field = |key: &str| {
        secret
            .data
            .as_ref()
            .and_then(|data| data.get(key))
            .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
            .ok_or_else(|| HubError::Malformed {
                what: format!("Secret {NAME}"),
                problem: format!("`{key}` is missing or not PEM"),
                consequence: "for a new CA, with which every member must enroll again",
            })
    };
    Ok(FleetCa::from_pem(field(CERTIFICATE)?, field(KEY)?, trust_domain.clone())?)
}

fn object_of(ca: &FleetCa) -> Secret {
    let CaPem { certificate, key } = ca.to_pem();
    Secret {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        data: Some(
            [
                (CERTIFICATE.to_owned(), ByteString(certificate.into_bytes())),
                (KEY.to_owned(), ByteString(key.into_bytes())),
            ]
            .into(),
        ),
        ..Secret::default()
    }
}
