//! The watches of namespaces that have agents with credentials: of metadata only, each for as long as it is needed.

use std::sync::Weak;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::{Client, Resource};
use parallax_crds::AgentKey;
use parallax_member_core::credentials::HELM_RELEASE;
use parallax_platform::Watch;
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
        let watch = |config| {
            let what = format!("{kind:?}s of {namespace}");
            Watch::new(&self.client, what).config(config)
        };
        let config = Config::default().page_size(PAGE);
        let place = (kind, namespace.to_owned());
        match kind {
            Kind::Secret => {
                let watch = watch(config.fields(&format!("type!={HELM_RELEASE}")));
                let api = |client: Client| Api::<PartialObjectMeta<Secret>>::namespaced(client, namespace);
                tokio::spawn(follow(watch.follow(api), place, keys, ended.clone()));
            }
            Kind::ExternalSecret => {
                let resource = state.definition.as_ref()?.resource()?;
                let api = |client: Client| {
                    Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(client, namespace, &resource)
                };
                tokio::spawn(follow(watch(config).follow(api), place, keys, ended.clone()));
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

async fn follow<K: Resource>(
    mut events: BoxStream<'static, Event<PartialObjectMeta<K>>>,
    (kind, namespace): (Kind, String),
    keys: Weak<Keys>,
    ended: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            event = events.next() => event,
        };
        let Some(keys) = keys.upgrade() else { return };
        let tell = |told: Told<'_>| keys.told(kind, &namespace, &told);
        match event {
            None => return,
            Some(Event::Init) => tell(Told::Listing),
            Some(Event::InitApply(object) | Event::Apply(object)) => tell(Told::There(&object.metadata)),
            Some(Event::Delete(object)) => tell(Told::Gone(&object.metadata)),
            Some(Event::InitDone) => tell(Told::Listed),
        }
    }
}
