//! What an enrollment decides, seen in what the API server is asked for.
#![allow(clippy::unwrap_used)]

use parallax_platform::testing::ApiServer;
use parallax_proto::identity::{MemberKey, TrustDomain};
use serde_json::Value;

use super::*;

const CLUSTER: &str = "/apis/parallax.io/v1alpha1/memberclusters/a";
const TOKENS: &str = "/api/v1/namespaces/parallax-system/secrets/parallax-join-tokens";

struct World {
    server: ApiServer,
    enroller: Enroller,
    token: JoinToken,
    csr: Vec<u8>,
}

/// A hub with the cluster `a`, for which a token is out.
async fn world() -> World {
    let server = ApiServer::new();
    let client = server.client();
    let ca = FleetCa::generate(TrustDomain::DEFAULT.parse().unwrap(), Timestamp::now()).unwrap();
    let token = JoinToken::generate(ClusterName::new("a").unwrap(), ca.fingerprint()).unwrap();
    let secrets = Api::namespaced(client.clone(), "parallax-system");
    join_tokens::store(&secrets, &token, Timestamp::now() + Duration::from_secs(60)).await.unwrap();
    server.put(CLUSTER, serde_json::to_value(MemberCluster::new("a", Default::default())).unwrap());
    let validity = Duration::from_secs(3600);
    let enroller = Enroller { ca: Arc::new(ca), validity, secrets, clusters: Api::all(client) };
    let csr = MemberKey::generate().unwrap().csr_der().unwrap();
    let _ = server.calls();
    World { server, enroller, token, csr }
}

impl World {
    async fn enroll(&self) -> Result<Issued, Refusal> {
        self.enroller.admit(&self.token, &self.csr).await
    }

    fn certificate(&self) -> Value {
        self.server.get(CLUSTER).unwrap()["status"]["certificate"]["serial"].clone()
    }

    /// Whether the token is still good.
    fn is_out(&self) -> bool {
        !self.server.get(TOKENS).unwrap()["data"]["a"].is_null()
    }
}

/// Somebody notes a certificate.
fn enrolled(server: &ApiServer) {
    server.edit(CLUSTER, |cluster| {
        cluster["status"]["certificate"] = json!({"serial": "other", "notAfter": "2030-01-01T00:00:00Z"});
    });
}

#[tokio::test]
async fn a_good_token_is_used_up_for_a_certificate_that_is_noted() {
    let world = world().await;
    let issued = world.enroll().await.unwrap();
    assert_eq!(world.certificate(), issued.serial_hex);
    assert!(!world.is_out());
    let again = world.enroll().await;
    assert!(matches!(again, Err(Refusal::Token(TokenRefusal::Unknown, _))), "{again:?}");
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_which_clusters_exist() {
    let mut world = world().await;
    for cluster in ["a", "no-such-cluster"] {
        let cluster = ClusterName::new(cluster).unwrap();
        world.token = JoinToken::generate(cluster, world.enroller.ca.fingerprint()).unwrap();
        assert!(matches!(world.enroll().await, Err(Refusal::Token(..))));
        let asked: Vec<_> = world.server.calls().into_iter().map(|call| call.path).collect();
        assert_eq!(asked, [TOKENS], "the token is judged before the cluster is looked for");
    }
}

#[tokio::test]
async fn what_is_refused_uses_no_token_up() {
    let mut world = world().await;
    let csr = std::mem::replace(&mut world.csr, b"no request".to_vec());
    assert!(matches!(world.enroll().await, Err(Refusal::Request(_))));
    assert!(world.is_out());
    world.csr = csr;
    enrolled(&world.server);
    assert!(matches!(world.enroll().await, Err(Refusal::Enrolled(_))));
    assert!(world.is_out());
    world.server.remove(CLUSTER);
    assert!(matches!(world.enroll().await, Err(Refusal::NoCluster(_))));
    assert!(world.is_out());
}

#[tokio::test]
async fn an_identity_that_was_noted_in_between_is_not_replaced() {
    let world = world().await;
    world.server.before("patch", "memberclusters/a", enrolled);
    assert!(matches!(world.enroll().await, Err(Refusal::Enrolled(_))));
    assert_eq!(world.certificate(), "other");
}

#[tokio::test]
async fn another_change_of_the_cluster_in_between_hinders_nobody() {
    let world = world().await;
    world.server.before("patch", "memberclusters/a", |server| {
        server.edit(CLUSTER, |cluster| cluster["status"]["conditions"] = json!([]));
    });
    let issued = world.enroll().await.unwrap();
    assert_eq!(world.certificate(), issued.serial_hex);
}

#[tokio::test]
async fn of_two_who_present_a_token_at_once_one_is_let_in() {
    let world = world().await;
    let (one, other) = tokio::join!(world.enroll(), world.enroll());
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_hub_whose_api_server_is_away_asks_to_try_again() {
    let world = world().await;
    let away = parallax_platform::testing::Refusal::new(503, "ServiceUnavailable", "etcd has no leader");
    world.server.refuse("get", "memberclusters", away);
    let refusal = world.enroll().await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Hub(error) if error.is_passing()), "{refusal}");
    let status = Status::from(refusal);
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(!status.message().contains("etcd"), "{status}");
    assert!(world.is_out());
}
