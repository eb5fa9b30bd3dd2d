//! A namespace per test, so that tests share a fleet without meeting.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use parallax_crds::ParallaxAgent;

use crate::Fleet;

/// A namespace on the hub. Members make it in their clusters when an agent of it arrives.
pub struct TestNamespace {
    name: String,
    hub: kube::Client,
}

impl TestNamespace {
    /// Makes one with a name that begins with `purpose` and that nothing else has.
    ///
    /// # Errors
    /// The hub's API server refuses it.
    pub async fn create(fleet: &Fleet, purpose: &str) -> anyhow::Result<Self> {
        Self::create_with(&fleet.client("hub").await?, purpose).await
    }

    /// The same with an administrator's client of the hub.
    ///
    /// # Errors
    /// The hub's API server refuses it.
    pub async fn create_with(hub: &kube::Client, purpose: &str) -> anyhow::Result<Self> {
        let name = format!("{purpose}-{:08x}", rand::random::<u32>());
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let api: Api<Namespace> = Api::all(hub.clone());
        api.create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("creating namespace {name}"))?;
        Ok(Self { name, hub: hub.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's client of the hub.
    pub fn hub(&self) -> kube::Client {
        self.hub.clone()
    }

    /// The hub's agents in it.
    pub fn agents(&self) -> Api<ParallaxAgent> {
        Api::namespaced(self.hub.clone(), &self.name)
    }

    /// Objects of a kind in it, in any cluster.
    ///
    /// # Errors
    /// There is no such cluster.
    pub async fn of<K>(&self, fleet: &Fleet, cluster: &str) -> anyhow::Result<Api<K>>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Ok(Api::namespaced(fleet.client(cluster).await?, &self.name))
    }

    /// Asks the hub to delete it, with the agents in it.
    ///
    /// # Errors
    /// The hub's API server refuses.
    pub async fn delete(self) -> anyhow::Result<()> {
        let api: Api<Namespace> = Api::all(self.hub.clone());
        let deleted = api.delete(&self.name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("deleting namespace {}", self.name)).map(drop)
    }
}
