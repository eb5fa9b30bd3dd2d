//! Secret `parallax-join-tokens`: the join tokens that are out, one per cluster, stored as hashes. A
//! token is redeemed by taking its entry out under the version at which it was read, so that of two who
//! present it at once exactly one wins.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, Patch};
use parallax_crds::ClusterName;
use parallax_proto::identity::JoinToken;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ATTEMPTS, Created, as_hub, bounded, create_once};
use crate::error::HubError;

/// The object's name.
pub const NAME: &str = "parallax-join-tokens";

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// [`JoinToken::hash`].
    pub hash: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// There is none for the cluster: never made, or used.
    #[error("no such join token is out: it was used already, or never made")]
    Unknown,
    /// There is another one.
    #[error("the join token is not the one that is out for the cluster")]
    Wrong,
    /// It came too late.
    #[error("the join token has expired")]
    Expired,
}

/// Whether `presented` is good against what is stored for its cluster.
pub fn judge(
    stored: Option<&StoredToken>,
    presented: &JoinToken,
    now: Timestamp,
) -> Result<(), TokenRefusal> {
    let stored = stored.ok_or(TokenRefusal::Unknown)?;
    if !presented.matches(&stored.hash) {
        return Err(TokenRefusal::Wrong);
    }
    if stored.expires <= now { Err(TokenRefusal::Expired) } else { Ok(()) }
}

/// Whether `token` could be redeemed now, without doing so.
pub async fn check(
    api: &Api<Secret>,
    token: &JoinToken,
    now: Timestamp,
) -> Result<Result<(), TokenRefusal>, HubError> {
    let secret = bounded(&format!("Secret {NAME}"), api.get_opt(NAME)).await?;
    let stored = secret.and_then(|secret| entry(&secret, token.cluster()));
    Ok(judge(stored.as_ref(), token, now))
}

/// Stores the hash of `token`; a token that was out for the same cluster ends.
pub async fn store(api: &Api<Secret>, token: &JoinToken, expires: Timestamp) -> Result<(), HubError> {
    let what = format!("Secret {NAME}");
    let entry = encode(&StoredToken { hash: token.hash(), expires })?;
    let key = token.cluster().as_str();
    for _ in 0..ATTEMPTS {
        if bounded(&what, api.get_opt(NAME)).await?.is_some() {
            let patch = json!({"data": {key: entry}});
            bounded(&what, api.patch(NAME, &as_hub(), &Patch::Merge(&patch))).await?;
            return Ok(());
        }
        let secret = Secret {
            metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([(key.to_owned(), entry.clone())])),
            ..Secret::default()
        };
        if let Created::Ours(_) = create_once(api, NAME, &secret).await? {
            return Ok(());
        }
    }
    Err(HubError::Contended { what })
}

/// Takes `token` out of the store: the one call that succeeds for it.
pub async fn redeem(
    api: &Api<Secret>,
    token: &JoinToken,
    now: Timestamp,
) -> Result<Result<(), TokenRefusal>, HubError> {
    let what = format!("Secret {NAME}");
    for _ in 0..ATTEMPTS {
        let Some(secret) = bounded(&what, api.get_opt(NAME)).await? else {
            return Ok(Err(TokenRefusal::Unknown));
        };
        if let Err(refusal) = judge(entry(&secret, token.cluster()).as_ref(), token, now) {
            return Ok(Err(refusal));
        }
        let patch = json!({
            "metadata": {"resourceVersion": secret.metadata.resource_version},
            "data": {token.cluster().as_str(): Value::Null},
        });
        match bounded(&what, api.patch(NAME, &as_hub(), &Patch::Merge(&patch))).await {
            Ok(_) => return Ok(Ok(())),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    Err(HubError::Contended { what })
}

/// What is stored for a cluster; an entry that can't be read counts as none.
fn entry(secret: &Secret, cluster: &ClusterName) -> Option<StoredToken> {
    let bytes = secret.data.as_ref()?.get(cluster.as_str())?;
    serde_json::from_slice(&bytes.0).ok()
}

fn encode(stored: &StoredToken) -> Result<ByteString, HubError> {
    serde_json::to_vec(stored)
        .map(ByteString)
        .map_err(|source| HubError::Json { what: "the join token".to_owned(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use parallax_platform::testing::ApiServer;
    use parallax_proto::identity::CaFingerprint;

    use super::*;

    fn token(cluster: &str) -> JoinToken {
        JoinToken::generate(ClusterName::new(cluster).unwrap(), CaFingerprint::of(b"ca")).unwrap()
    }

    fn stored(token: &JoinToken) -> StoredToken {
        StoredToken { hash: token.hash(), expires: Timestamp::UNIX_EPOCH + Duration::from_secs(60) }
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let token = token("a");
        let kept = stored(&token);
        assert_eq!(judge(Some(&kept), &token, kept.expires - Duration::from_nanos(1)), Ok(()));
        assert_eq!(judge(Some(&kept), &token, kept.expires), Err(TokenRefusal::Expired));
    }

    #[test]
    fn a_token_that_is_not_out_or_not_the_one_is_refused() {
        let one = token("a");
        assert_eq!(judge(None, &one, Timestamp::UNIX_EPOCH), Err(TokenRefusal::Unknown));
        assert_eq!(judge(Some(&stored(&token("a"))), &one, Timestamp::UNIX_EPOCH), Err(TokenRefusal::Wrong));
    }

    #[test]
    fn an_expired_token_that_is_wrong_says_only_that_it_is_wrong() {
        let kept = stored(&token("a"));
        assert_eq!(judge(Some(&kept), &token("a"), kept.expires), Err(TokenRefusal::Wrong));
    }

    #[test]
    fn what_is_stored_holds_the_hash_and_not_the_secret() {
        let token = token("a");
        let text = String::from_utf8(encode(&stored(&token)).unwrap().0).unwrap();
        let line = token.to_string();
        assert!(!text.contains(line.split('.').nth(2).unwrap()), "{text}");
        assert!(text.contains(&token.hash()));
    }

    #[test]
    fn an_entry_that_cannot_be_read_counts_as_none() {
        let cluster = ClusterName::new("a").unwrap();
        let secret =
            Secret { data: Some([("a".to_owned(), ByteString(b"{".to_vec()))].into()), ..Secret::default() };
        assert_eq!(entry(&secret, &cluster), None);
    }

    #[tokio::test]
    async fn of_many_who_present_a_token_at_once_exactly_one_is_let_in() {
        let api: Api<Secret> = Api::namespaced(ApiServer::new().client(), "test");
        let (one, other) = (token("a"), token("b"));
        let now = Timestamp::now();
        let expires = now + Duration::from_secs(60);
        store(&api, &one, expires).await.unwrap();
        store(&api, &other, expires).await.unwrap();
        let redeemed = futures::future::join_all((0..5).map(|_| redeem(&api, &one, now))).await;
        let let_in = redeemed.iter().filter(|result| matches!(result, Ok(Ok(())))).count();
        assert_eq!(let_in, 1, "{redeemed:?}");
        assert!(redeemed.iter().all(Result::is_ok), "{redeemed:?}");
        // Another cluster's token is untouched.
        assert_eq!(redeem(&api, &other, now).await.unwrap(), Ok(()));
    }
}
