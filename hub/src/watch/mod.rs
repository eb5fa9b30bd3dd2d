//! Watches that survive: one object that can't be read stalls nothing, errors back off and say once what
//! to do, and what a relist lacks is noticed only when the list is complete.

mod known;

use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use parallax_crds::{AgentKey, ClusterName, MemberCluster, ParallaxAgent};
use parallax_hub_core::fleet::Input;
use parallax_platform::WatchHealth;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use known::{Identity, Known};

/// kubectl's copy of what was applied: nobody here reads it, and it is as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A kind that the fleet is told about.
pub trait Watched:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// An object is there.
    fn seen(object: Arc<Self>) -> Input;
    /// An object is no longer there; none for a name that can't be one of ours.
    fn gone(identity: Identity) -> Option<Input>;
    /// Every object of the first list has been given.
    fn listed() -> Input;
}

impl Watched for ParallaxAgent {
    fn seen(object: Arc<Self>) -> Input {
        Input::AgentSeen(object)
    }

    fn gone(Identity { namespace, name, uid }: Identity) -> Option<Input> {
        Some(Input::AgentGone { key: AgentKey::new(&namespace, &name), uid })
    }

    fn listed() -> Input {
        Input::AgentsListed
    }
}

impl Watched for MemberCluster {
    fn seen(object: Arc<Self>) -> Input {
        Input::ClusterSeen(object)
    }

    fn gone(Identity { name, .. }: Identity) -> Option<Input> {
        ClusterName::new(&name).ok().map(Input::ClusterGone)
    }

    fn listed() -> Input {
        Input::ClustersListed
    }
}

/// Tells `inputs` of everything that happens to the objects of a kind, until nobody listens any more. Says
/// `complete` once, when the first list has been told whole.
pub async fn follow<K: Watched>(
    client: Client,
    inputs: mpsc::Sender<Input>,
    health: WatchHealth,
    complete: impl FnOnce() + Send,
) {
    let api = Api::<DeserializeGuard<K>>::all(health.client(&client));
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    pin_mut!(stream);
    let mut known = Known::default();
    let mut complete = Some(complete);
    loop {
        let event = tokio::select! {
            biased;
            () = inputs.closed() => return,
            event = stream.next() => event,
        };
        let event = match event {
            None => return,
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                health.interrupted(&error);
                continue;
            }
        };
        let whole = matches!(event, Event::InitDone);
        let news = match event {
            Event::Init => {
                known.begin_list();
                Vec::new()
            }
            Event::InitApply(object) => {
                known.listed(Identity::of(object.meta()));
                readable(object).map(|object| K::seen(Arc::new(object))).into_iter().collect()
            }
            Event::InitDone => {
                let mut news: Vec<_> = known.end_list().into_iter().filter_map(K::gone).collect();
                if complete.is_some() {
                    news.push(K::listed());
                }
                news
            }
            Event::Apply(object) => {
                known.seen(Identity::of(object.meta()));
                readable(object).map(|object| K::seen(Arc::new(object))).into_iter().collect()
            }
            Event::Delete(object) => {
                let identity = Identity::of(object.meta());
                known.gone(&identity);
                K::gone(identity).into_iter().collect()
            }
        };
        for input in news {
            if inputs.send(input).await.is_err() {
                return;
            }
        }
        if whole {
            health.listed();
            if let Some(complete) = complete.take() {
                complete();
            }
        }
    }
}

/// The object, without what nobody reads; none, and a line that names it, when it can't be read.
fn readable<K: Resource<DynamicType = ()>>(object: DeserializeGuard<K>) -> Option<K> {
    match object.0 {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            object.annotations_mut().remove(LAST_APPLIED);
            Some(object)
        }
        Err(invalid) => {
            tracing::error!(
                kind = %K::kind(&()),
                namespace = invalid.metadata.namespace.as_deref().unwrap_or_default(),
                name = invalid.metadata.name.as_deref().unwrap_or_default(),
                error = %invalid.error,
                "an object can't be read and stays as it was; apply the CRDs of this version, then the object again"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parallax_platform::Readiness;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_has_nothing_to_tell_ends_too_when_nobody_listens_any_more() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, kube::Error>>()
        });
        let (inputs, listener) = mpsc::channel(1);
        let health = WatchHealth::begin("ParallaxAgent", Readiness::default().check("watch"));
        let watch =
            tokio::spawn(follow::<ParallaxAgent>(Client::new(silent, "default"), inputs, health, || {}));
        tokio::task::yield_now().await;
        drop(listener);
        assert!(tokio::time::timeout(Duration::from_secs(3600), watch).await.is_ok_and(|end| end.is_ok()));
    }
}
