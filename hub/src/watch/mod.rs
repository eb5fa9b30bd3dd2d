//! What happens to the kinds that the fleet is told about. What a relist lacks is noticed only when the list is
//! complete.

mod known;

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use kube::{Api, Resource};
use parallax_crds::{AgentKey, ClusterName, MemberCluster, ParallaxAgent};
use parallax_hub_core::fleet::Input;
use parallax_platform::{Watch, readable};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use known::{Identity, Known};

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
pub async fn follow<K: Watched>(watch: Watch, inputs: mpsc::Sender<Input>, complete: impl FnOnce() + Send) {
    let mut events = watch.follow(Api::<DeserializeGuard<K>>::all);
    let mut known = Known::default();
    let mut complete = Some(complete);
    loop {
        let event = tokio::select! {
            biased;
            () = inputs.closed() => return,
            event = events.next() => event,
        };
        let Some(event) = event else { return };
        let whole = matches!(event, Event::InitDone);
        let news = match event {
            Event::Init => {
                known.begin_list();
                Vec::new()
            }
            Event::InitApply(object) => {
                known.listed(Identity::of(object.meta()));
                seen(object)
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
                seen(object)
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
        if whole && let Some(complete) = complete.take() {
            complete();
        }
    }
}

/// What there is to tell of an object.
fn seen<K: Watched>(object: DeserializeGuard<K>) -> Vec<Input> {
    readable(object).map(|object| K::seen(Arc::new(object))).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::Client;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_has_nothing_to_tell_ends_too_when_nobody_listens_any_more() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, kube::Error>>()
        });
        let (inputs, listener) = mpsc::channel(1);
        let watch = Watch::new(&Client::new(silent, "default"), "ParallaxAgents");
        let watch = tokio::spawn(follow::<ParallaxAgent>(watch, inputs, || {}));
        tokio::task::yield_now().await;
        drop(listener);
        assert!(tokio::time::timeout(Duration::from_secs(3600), watch).await.is_ok_and(|end| end.is_ok()));
    }
}
