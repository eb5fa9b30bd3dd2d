//! The watches of namespaces that have agents with credentials: of metadata only, each for as long as it is needed.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Weak;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::api::{Api, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use parallax_crds::AgentKey;
use parallax_member_core::credentials::HELM_RELEASE;
use parallax_platform::explain_watch;
use serde::de::DeserializeOwned;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Keys, Kind, State};

/// Objects in a page of a listing.
const PAGE: u32 = 100;

/// What a watch tells of.
enum Told<'a> {
    Listing,
    There(&'a ObjectMeta),
    Gone(&'a ObjectMeta),
    Listed,
}

impl Keys {
    /// Begins the watch of a namespace; none where the cluster doesn't have the kind.
    pub(super) fn watch(
        self: &std::sync::Arc<Self>,
        state: &State,
        kind: Kind,
        namespace: &str,
    ) -> Option<DropGuard> {
        let ended = CancellationToken::new();
        let keys = std::sync::Arc::downgrade(self);
        let (client, config) = (self.client.clone(), Config::default().page_size(PAGE));
        match kind {
            Kind::Secret => {
                let api = Api::<PartialObjectMeta<Secret>>::namespaced(client, namespace);
                let config = config.fields(&format!("type!={HELM_RELEASE}"));
                tokio::spawn(follow(api, config, (kind, namespace.to_owned()), keys, ended.clone()));
            }
            Kind::ExternalSecret => {
                let resource = state.definition.as_ref()?.resource()?;
                let api =
                    Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(client, namespace, &resource);
                tokio::spawn(follow(api, config, (kind, namespace.to_owned()), keys, ended.clone()));
            }
        }
        Some(ended.drop_guard())
    }

    fn told(&self, kind: Kind, namespace: &str, told: &Told<'_>) {
        let name = |meta: &ObjectMeta| meta.name.clone().unwrap_or_default();
        let version = |meta: &ObjectMeta| meta.resource_version.clone().unwrap_or_default();
        let mut state = self.state.lock();
        let State { secrets, externals, .. } = &mut *state;
        let changed: Vec<AgentKey> = match (kind, told) {
            (Kind::Secret, Told::Listing) => {
                secrets.list(namespace);
                Vec::new()
            }
            (Kind::Secret, Told::There(meta)) => secrets.seen(namespace, &name(meta), &version(meta)),
            (Kind::Secret, Told::Gone(meta)) => secrets.gone(namespace, &name(meta)),
            (Kind::Secret, Told::Listed) => secrets.listed(namespace),
            (Kind::ExternalSecret, Told::Listing) => {
                externals.list(namespace);
                Vec::new()
            }
            (Kind::ExternalSecret, Told::There(meta)) => {
                externals.seen(namespace, &name(meta), &version(meta))
            }
            (Kind::ExternalSecret, Told::Gone(meta)) => externals.gone(namespace, &name(meta)),
            (Kind::ExternalSecret, Told::Listed) => externals.listed(namespace),
        };
        drop(state);
        self.wake(&changed);
    }
}

async fn follow<K>(
    api: Api<PartialObjectMeta<K>>,
    config: Config,
    (kind, namespace): (Kind, String),
    keys: Weak<Keys>,
    ended: CancellationToken,
) where
    K: Resource + 'static,
    PartialObjectMeta<K>: Resource + DeserializeOwned + Clone + Debug + Send,
{
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut troubled = false;
    loop {
        let event = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            event = events.next() => event,
        };
        let Some(keys) = keys.upgrade() else { return };
        let tell = |told: Told<'_>| keys.told(kind, &namespace, &told);
        troubled &= !matches!(event, Some(Ok(ref event)) if !matches!(event, Event::Init));
        match event {
            None => return,
            Some(Ok(Event::Init)) => tell(Told::Listing),
            Some(Ok(Event::InitApply(object) | Event::Apply(object))) => tell(Told::There(&object.metadata)),
            Some(Ok(Event::Delete(object))) => tell(Told::Gone(&object.metadata)),
            Some(Ok(Event::InitDone)) => tell(Told::Listed),
            // Said once, until it is well again: without the right to it, this lasts.
            Some(Err(error)) if !std::mem::replace(&mut troubled, true) => {
                tracing::warn!("watching {kind:?}s of {namespace}: {}; trying again", explain_watch(&error));
            }
            Some(Err(_)) => {}
        }
    }
}
