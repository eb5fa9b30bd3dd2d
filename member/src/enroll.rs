//! Turns a join token into an identity, once in a cluster's life.

use std::path::Path;
use std::time::Duration;

use parallax_platform::chain;
use parallax_proto::identity::{JoinToken, MemberIdentity, MemberKey};
use parallax_proto::tls::enroll_channel;
use parallax_proto::v1::EnrollRequest;
use parallax_proto::v1::enrollment_client::EnrollmentClient;
use tonic::Code;

use crate::error::MemberError;
use crate::identity::IdentityStore;

/// The first pause before another attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause while the hub can't be reached.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The pause after a refusal: somebody has to do something first.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// The join token of the flags, if there is one. The file is read anew by each process.
pub fn token(file: Option<&Path>, given: Option<&str>) -> Result<Option<JoinToken>, MemberError> {
    let text = match (given.filter(|t| !t.is_empty()), file) {
        (Some(token), _) => token.to_owned(),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|why| MemberError::TokenFile { path: path.display().to_string(), why })?,
        (None, None) => return Ok(None),
    };
    text.parse().map(Some).map_err(MemberError::Token)
}

/// Why an attempt came to nothing.
enum Setback {
    /// It may well do later.
    Later(String),
    /// Somebody has to do something.
    Refused(String),
}

/// Enrolls this cluster at the hub, however long it takes, and keeps the identity.
pub async fn enroll(
    hub: &str,
    token: &JoinToken,
    cluster_uid: &str,
    store: &IdentityStore,
) -> MemberIdentity {
    let mut pause = FIRST_PAUSE;
    let mut said = String::new();
    let identity = loop {
        let (message, refused) = match attempt(hub, token, cluster_uid).await {
            Ok(identity) => break identity,
            Err(Setback::Later(message)) => (message, false),
            Err(Setback::Refused(message)) => (message, true),
        };
        // The same thing is said once, not at every attempt.
        if said == message {
            tracing::debug!("not enrolled yet: {message}");
        } else if refused {
            tracing::error!(
                "the hub refuses the join token: {message}; make a new one on the hub with: parallax-hub token {} --reset",
                token.cluster()
            );
        } else {
            tracing::warn!("not enrolled yet: {message}; trying again");
        }
        said = message;
        let jittered =
            (if refused { REFUSED_PAUSE } else { pause }).mul_f64(0.5 + rand::random::<f64>() / 2.0);
        tokio::time::sleep(jittered).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    tracing::info!(cluster = %identity.cluster(), "enrolled; the certificate is good until {}", identity.not_after());
    let mut pause = FIRST_PAUSE;
    // The token is used up: this identity must not be lost.
    while let Err(why) = store.save(&identity).await {
        tracing::error!("the identity could not be kept, and must be: {why}; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    identity
}

async fn attempt(hub: &str, token: &JoinToken, cluster_uid: &str) -> Result<MemberIdentity, Setback> {
    let later = |error: &(dyn std::error::Error + 'static)| Setback::Later(chain(error));
    let key = MemberKey::generate().map_err(|e| later(&e))?;
    let csr_der = key.csr_der().map_err(|e| later(&e))?;
    let channel = enroll_channel(hub, token.ca_fingerprint())
        .await
        .map_err(|e| if e.needs_somebody() { Setback::Refused(chain(&e)) } else { later(&e) })?;
    let request = EnrollRequest {
        token: token.to_string(),
        csr_der: csr_der.into(),
        cluster_uid: cluster_uid.to_owned(),
    };
    let answer =
        EnrollmentClient::new(channel).enroll(request).await.map_err(|status| match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::Cancelled
            | Code::ResourceExhausted
            | Code::Aborted => Setback::Later(status.message().to_owned()),
            _ => Setback::Refused(status.message().to_owned()),
        })?;
    let answer = answer.into_inner();
    MemberIdentity::enrolled(key, &answer.certificate_der, &answer.ca_der, token.ca_fingerprint())
        .map_err(|e| Setback::Refused(chain(&e)))
}
