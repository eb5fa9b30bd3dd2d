//! Carries out what the fleet wants written: each write in a task of its own, bounded in number and time,
//! answered exactly once.

mod call;
mod finalizer;
mod patches;
mod refusals;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use parallax_crds::{
    AgentKey, ClusterName, MemberCluster, MemberClusterStatus, ParallaxAgent, ParallaxAgentStatus,
};
use parallax_hub_core::Tombstone;
use parallax_hub_core::fleet::{CrdState, Input, Write, WriteOutcome};
use parallax_hub_core::revisions::{About, Revision, RevisionId};
use parallax_platform::Stage;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::metrics::Metrics;
use crate::store::{revisions, state, tombstones};
use call::{Dialect, Part};
use refusals::Refusals;

/// Pins, approvals, tombstones and epochs under way at a time; more wait in the order in which they came. (Of statuses,
/// finalizers and revisions, of which there may be thousands to write, the fleet asks for no more than it bounds itself.)
const RARE_WRITES: usize = 32;
/// The CRD whose deletion is not the deletion of agents.
pub const AGENT_CRD: &str = "parallaxagents.parallax.io";

/// Where writes go and are answered. Cheap to clone.
#[derive(Clone)]
pub struct Writers {
    client: Client,
    config_maps: Api<ConfigMap>,
    holder: Arc<str>,
    answers: mpsc::Sender<Input>,
    metrics: Metrics,
    tasks: TaskTracker,
    rare: Arc<Semaphore>,
    refusals: Arc<Refusals>,
}

impl Writers {
    /// Writers that answer to `answers`; `config_maps` are the hub's namespace's, and `holder` is who writes in them.
    pub fn new(
        client: Client,
        config_maps: Api<ConfigMap>,
        holder: &str,
        answers: mpsc::Sender<Input>,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Self {
        let (holder, rare, refusals) = (holder.into(), Arc::new(Semaphore::new(RARE_WRITES)), Arc::default());
        Self { client, config_maps, holder, answers, metrics, tasks, rare, refusals }
    }

    /// Adds our finalizer to an agent.
    pub fn add_finalizer(&self, key: AgentKey, uid: String) {
        let client = self.client.clone();
        let write = Write::AddFinalizer(key.clone(), uid.clone());
        self.spawn(write, async move { finalizer::add(&client, &key, &uid).await });
    }

    /// Takes our finalizer from an agent.
    pub fn release_finalizer(&self, key: AgentKey, uid: String) {
        let client = self.client.clone();
        let write = Write::ReleaseFinalizer(key.clone(), uid.clone());
        self.spawn(write, async move { finalizer::release(&client, &key, &uid).await });
    }

    /// Replaces an agent's status.
    pub fn agent_status(
        &self,
        key: AgentKey,
        uid: String,
        status: Box<ParallaxAgentStatus>,
        traceparent: &str,
    ) {
        let mut stage = self.metrics.stages.begin(Stage::StatusWrite);
        stage.span().record("agent", tracing::field::display(&key));
        stage.traceparent(Some(traceparent));
        let client = self.client.clone();
        let write = Write::AgentStatus(key.clone(), uid.clone());
        let span = stage.span().clone();
        let call = async move {
            // Recorded when it is over, the wait for a turn included.
            let _stage = stage;
            let patch = patches::status(&uid, &status);
            let written = call::patch::<ParallaxAgent>(
                &client,
                Some(key.namespace()),
                key.name(),
                Part::Status,
                Dialect::Json,
                &patch,
            )
            .await;
            outcome(written)
        };
        self.spawn(write, call.instrument(span));
    }

    /// Replaces a cluster's status.
    pub fn cluster_status(&self, cluster: ClusterName, uid: String, status: Box<MemberClusterStatus>) {
        let client = self.client.clone();
        let write = Write::ClusterStatus(cluster.clone());
        self.spawn(write, async move {
            let patch = patches::status(&uid, &status);
            outcome(patch_cluster(&client, &cluster, Part::Status, Dialect::Json, &patch).await)
        });
    }

    /// Pins a cluster's UID, in the version of the object that was looked at.
    pub fn pin_cluster(&self, cluster: ClusterName, resource_version: &str, cluster_uid: &str) {
        let client = self.client.clone();
        let write = Write::PinCluster(cluster.clone(), cluster_uid.to_owned());
        let patch = json!({
            "metadata": {"resourceVersion": resource_version},
            "spec": {"clusterUID": cluster_uid},
        });
        self.spawn_rare(write, async move {
            outcome(patch_cluster(&client, &cluster, Part::Whole, Dialect::Merge, &patch).await)
        });
    }

    /// Takes away an approval that was used.
    pub fn clear_prune_approval(&self, cluster: ClusterName, digest: &str) {
        let client = self.client.clone();
        let write = Write::PruneApproval(cluster.clone());
        let patch = patches::clear_prune_approval(digest);
        self.spawn_rare(write, async move {
            outcome(patch_cluster(&client, &cluster, Part::Whole, Dialect::Json, &patch).await)
        });
    }

    /// Stores a revision of an agent, or what is said of it now.
    pub fn revision(&self, key: AgentKey, uid: String, id: RevisionId, about: &About, revision: &Revision) {
        let client = self.client.clone();
        let object = revisions::object(&key, uid, id, about, revision);
        self.spawn(Write::Revision(key.clone(), id), async move {
            let object = match object {
                Ok(object) => object,
                Err(error) => return WriteOutcome::Invalid(error.to_string()),
            };
            let (namespace, name) = (key.namespace(), id.name(key.name()));
            let written = call::patch::<ControllerRevision>(
                &client,
                Some(namespace),
                &name,
                Part::Whole,
                Dialect::Apply,
                &object,
            );
            outcome(written.await)
        });
    }

    /// Takes a revision of an agent away.
    pub fn drop_revision(&self, key: AgentKey, id: RevisionId) {
        let client = self.client.clone();
        self.spawn(Write::Revision(key.clone(), id), async move {
            let (namespace, name) = (key.namespace(), id.name(key.name()));
            call::delete::<ControllerRevision>(&client, Some(namespace), &name).await
        });
    }

    /// Reads a revision of an agent.
    pub fn read_revision(&self, key: AgentKey, id: RevisionId) {
        let (client, answers) = (self.client.clone(), self.answers.clone());
        self.tasks.spawn(async move {
            let read = whatever_happens(revisions::read(&client, &key, id)).await;
            let read = read.unwrap_or_else(|panicked| Err(describe(&panicked)));
            if let Err(error) = &read {
                tracing::warn!(agent = %key, revision = %id, %error, "a revision can't be read, so that clusters that wait for a rollout are sent nothing; it is tried again");
            }
            // Nobody listens any more: the hub is stopping.
            let _ = answers.send(Input::RevisionRead { key, id, read }).await;
        });
    }

    /// Stores tombstones and drops others.
    pub fn tombstones(&self, store: Vec<Tombstone>, drop: Vec<Tombstone>) {
        let api = self.config_maps.clone();
        self.spawn_rare(Write::Tombstones, async move {
            match tombstones::write(&api, &store, &drop).await {
                Ok(()) => WriteOutcome::Ok(String::new()),
                Err(error) => WriteOutcome::Failed(error.to_string()),
            }
        });
    }

    /// Stores a higher epoch.
    pub fn raise_epoch(&self, to: u64) {
        let (api, holder) = (self.config_maps.clone(), self.holder.clone());
        let metrics = self.metrics.clone();
        self.spawn_rare(Write::Epoch, async move {
            match state::raise_epoch(&api, &holder, to).await {
                Ok(true) => {
                    tracing::warn!(epoch = to, "members have obeyed a higher epoch than this hub's record had: a backup was restored, or a second hub runs on the record; going on above it");
                    metrics.epoch(to);
                    WriteOutcome::Ok(String::new())
                }
                Ok(false) => WriteOutcome::Conflict,
                Err(error) => WriteOutcome::Failed(error.to_string()),
            }
        });
    }

    /// Reads the agents' CRD.
    pub fn check_crd(&self) {
        let client = self.client.clone();
        let answers = self.answers.clone();
        self.tasks.spawn(async move {
            let read = call::read::<CustomResourceDefinition>(&client, None, AGENT_CRD);
            let state = match whatever_happens(read).await.unwrap_or_else(Err) {
                Ok(meta) if meta.deletion_timestamp.is_some() => CrdState::Going,
                Ok(_) => CrdState::Live,
                Err(WriteOutcome::NotFound) => CrdState::Going,
                Err(other) => CrdState::Unknown(describe(&other)),
            };
            // Nobody listens any more: the hub is stopping.
            let _ = answers.send(Input::Crd(state)).await;
        });
    }

    /// A write of which the fleet may ask for any number at a time.
    fn spawn_rare(&self, write: Write, call: impl Future<Output = WriteOutcome> + Send + 'static) {
        let slots = self.rare.clone();
        self.spawn(write, async move {
            // Never closed; were it, the bound would be gone and nothing else.
            let _slot = slots.acquire_owned().await;
            call.await
        });
    }

    fn spawn(&self, write: Write, call: impl Future<Output = WriteOutcome> + Send + 'static) {
        let (answers, metrics, refusals) =
            (self.answers.clone(), self.metrics.clone(), self.refusals.clone());
        metrics.write_began();
        self.tasks.spawn(async move {
            let outcome = whatever_happens(call).await.unwrap_or_else(|failed| failed);
            metrics.write_ended(write.name(), outcome.name());
            report(&write, &outcome, refusals.is_news(&write, &outcome));
            // Nobody listens any more: the hub is stopping.
            let _ = answers.send(Input::Written { write, outcome }).await;
        });
    }
}

/// What a call says, or that it panicked: without an answer, the fleet would wait for it for ever.
async fn whatever_happens<T>(call: impl Future<Output = T>) -> Result<T, WriteOutcome> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|_| {
        WriteOutcome::Failed("it panicked, which is a defect of the hub: report the log".to_owned())
    })
}

async fn patch_cluster(
    client: &Client,
    cluster: &ClusterName,
    part: Part,
    dialect: Dialect,
    patch: &impl serde::Serialize,
) -> Result<kube::api::ObjectMeta, WriteOutcome> {
    call::patch::<MemberCluster>(client, None, cluster.as_str(), part, dialect, patch).await
}

/// The object's new version, or what went wrong.
fn outcome(written: Result<kube::api::ObjectMeta, WriteOutcome>) -> WriteOutcome {
    match written {
        Ok(meta) => WriteOutcome::Ok(meta.resource_version.unwrap_or_default()),
        Err(outcome) => outcome,
    }
}

fn describe(outcome: &WriteOutcome) -> String {
    match outcome {
        WriteOutcome::Invalid(message) | WriteOutcome::Failed(message) => message.clone(),
        other => other.name().to_owned(),
    }
}

/// A line for what somebody has to look at; conflicts and absences are everyday matters, and so is a refusal that was
/// said before.
fn report(write: &Write, outcome: &WriteOutcome, news: bool) {
    match outcome {
        WriteOutcome::Ok(_) | WriteOutcome::Conflict | WriteOutcome::NotFound => {
            tracing::debug!(?write, ?outcome, "written");
        }
        WriteOutcome::Invalid(_) if !news => tracing::debug!(?write, ?outcome, "refused again"),
        WriteOutcome::Invalid(message) => {
            tracing::error!(?write, %message, "the API server will never take this write; apply the CRDs of this version");
        }
        WriteOutcome::Failed(message) => {
            tracing::warn!(?write, %message, "a write failed and will be tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use parallax_hub_core::FleetDefaults;
    use parallax_hub_core::revisions::{Listed, part_of, pods_of};
    use parallax_platform::testing::ApiServer;

    use super::*;
    use crate::sessions::Registry;

    fn writers(server: &ApiServer) -> (Writers, mpsc::Receiver<Input>) {
        let (answers, answered) = mpsc::channel(1);
        let client = server.client();
        let metrics =
            Metrics::register(&parallax_platform::Metrics::new("hub", "1"), &Arc::new(Registry::default()));
        let config_maps = Api::namespaced(client.clone(), "parallax-system");
        (Writers::new(client, config_maps, "us", answers, metrics, TaskTracker::new()), answered)
    }

    async fn is_stored(answered: &mut mpsc::Receiver<Input>) -> bool {
        matches!(answered.recv().await, Some(Input::Written { outcome: WriteOutcome::Ok(_), .. }))
    }

    #[tokio::test]
    async fn a_revision_is_stored_said_more_of_listed_and_dropped() {
        let server = ApiServer::new();
        let (writers, mut answered) = writers(&server);
        let (key, uid) = (AgentKey::new("team", "writer"), "uid".to_owned());
        let spec = part_of(&serde_json::from_value(json!({"type": "claude"})).unwrap());
        let defaults = Arc::new(FleetDefaults::default());
        let id = RevisionId::of(&uid, &spec, &defaults).unwrap();
        let pods = pods_of(&spec, &defaults).unwrap();
        let mut about = About { number: 1, generation: 1, pods, defaults: defaults.clone(), refreshed: None };
        for number in [1, 4] {
            about.number = number;
            let revision = Revision { number, generation: 1, spec: spec.clone(), defaults: defaults.clone() };
            writers.revision(key.clone(), uid.clone(), id, &about, &revision);
            assert!(is_stored(&mut answered).await);
        }
        let path = format!("/apis/apps/v1/namespaces/team/controllerrevisions/{}", id.name("writer"));
        assert_eq!(server.get(&path).unwrap()["revision"], 4);
        let listed = revisions::load(&server.client()).await.unwrap();
        assert_eq!(listed, [Listed { agent: key.clone(), uid, id, about }]);
        for _ in 0..2 {
            writers.drop_revision(key.clone(), id);
            assert!(is_stored(&mut answered).await, "it is no failure that it is gone already");
            assert_eq!(server.get(&path), None);
        }
    }

    #[tokio::test]
    async fn a_write_that_panics_is_answered() {
        let (writers, mut answered) = writers(&ApiServer::new());
        writers.spawn_rare(Write::Epoch, async { panic!("a defect") });
        let answer = answered.recv().await;
        let failed =
            matches!(&answer, Some(Input::Written { write: Write::Epoch, outcome: WriteOutcome::Failed(_) }));
        assert!(failed, "{answer:?}");
    }
}
