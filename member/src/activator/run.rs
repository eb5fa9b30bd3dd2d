//! The activator's life: from its settings to its last answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Client;
use kube::api::{Api, ApiResource, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use parallax_crds::AgentAssignment;
use parallax_platform::{
    Addresses, AdminServer, KubeArgs, ListenArgs, Readiness, Watch, admin, observed_client, readable,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admission::Admitted;
use super::metrics::Metrics;
use super::pods::WatchedPod;
use super::town::{self, Town, UNLISTED};
use crate::error::MemberError;
use crate::store::watch::{config, follow};

/// How long what is under way may take once the process ends. Before, it was unlisted for [`UNLISTED`].
const LAST_ANSWERS: Duration = Duration::from_secs(7);

/// What the command line says.
pub struct Settings {
    /// Which API server.
    pub kube: KubeArgs,
    /// Where to listen.
    pub listen: ListenArgs,
    /// The address that the cluster reaches this activator at.
    pub address: IpAddr,
    /// Who may connect beside an agent's own callers.
    pub admitted: Admitted,
}

/// Runs the activator until `shutdown`.
///
/// # Errors
/// When it can't start, or a watch ends too soon.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), MemberError> {
    let Settings { kube, listen: ListenArgs { bind, metrics_port, addresses_file }, address, admitted } =
        settings;
    let process = parallax_platform::Metrics::new("parallax-activator", env!("CARGO_PKG_VERSION"));
    let readiness = Readiness::default();
    let started = readiness.check("start");
    let admin = AdminServer::bind(bind, metrics_port, "--metrics-port (METRICS_PORT)")?;
    let addresses = Addresses { metrics: Some(admin.address()), ..Addresses::default() };
    let client = observed_client(&kube, &process).await?;
    addresses.publish(addresses_file.as_deref())?;
    let routes = admin::health(readiness.clone()).merge(admin::metrics(process.clone()));
    let ended = CancellationToken::new();
    let serving = tokio::spawn(admin.serve(routes, ended.clone()));

    let closing = CancellationToken::new();
    let settings = town::Settings { address, bind, admitted };
    let town = Town::new(client.clone(), settings, Metrics::new(&process), closing.clone());
    let mut watches = JoinSet::new();
    started.not_ready("the first lists are not complete");
    let listed = watch(&client, &readiness, &town, &mut watches);
    tokio::select! {
        listed = listed => listed?,
        () = shutdown.cancelled() => {}
    }
    started.ready();
    tokio::select! {
        () = shutdown.cancelled() => {}
        _ = watches.join_next() => return Err(MemberError::Halted("a watch")),
    }
    // Clients come until they are led elsewhere.
    started.not_ready("the process ends");
    tokio::time::sleep(UNLISTED).await;
    closing.cancel();
    town.tasks.close();
    // What is cut off then has had its time.
    let _ = tokio::time::timeout(LAST_ANSWERS, town.tasks.wait()).await;
    ended.cancel();
    let _ = serving.await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts the watches, and returns once they have listed what there is: who calls first, then the pods, so that no agent
/// looks deserted that isn't.
async fn watch(
    client: &Client,
    readiness: &Readiness,
    town: &Arc<Town>,
    tasks: &mut JoinSet<()>,
) -> Result<(), MemberError> {
    let begin = |what: &str| Watch::new(client, what).config(config()).shown_in(readiness);
    let to = Arc::clone(town);
    let api = |client| Api::<PartialObjectMeta<Namespace>>::all(client);
    let namespaces = follow(begin("Namespaces"), api, tasks, move |event| {
        to.with_sources(|sources| match event {
            Event::Init => sources.namespaces.list(),
            Event::Apply(namespace) | Event::InitApply(namespace) => {
                let name = namespace.metadata.name.as_deref().unwrap_or_default();
                sources.namespaces.put(name, namespace.metadata.labels.unwrap_or_default());
            }
            Event::Delete(namespace) => {
                sources.namespaces.remove(namespace.metadata.name.as_deref().unwrap_or_default());
            }
            Event::InitDone => sources.namespaces.sweep(),
        });
    });
    namespaces.await.map_err(|_| MemberError::Halted("a watch"))?;
    let api = |client| Api::<WatchedPod>::all_with(client, &ApiResource::erase::<Pod>(&()));
    let to = Arc::clone(town);
    let pods = follow(begin("Pods"), api, tasks, move |event| match event {
        Event::Init => to.with_pods(|pods| {
            pods.list();
            Vec::new()
        }),
        Event::Apply(pod) | Event::InitApply(pod) => to.pod_seen(&pod),
        Event::Delete(pod) => to.with_pods(|pods| pods.remove(&pod).into_iter().collect()),
        Event::InitDone => to.with_pods(super::pods::Pods::listed),
    });
    pods.await.map_err(|_| MemberError::Halted("a watch"))?;
    let api = Api::<DeserializeGuard<AgentAssignment>>::all;
    let to = Arc::clone(town);
    let mut listing = 0;
    let assignments = follow(begin("AgentAssignments"), api, tasks, move |event| match event {
        Event::Init => listing += 1,
        Event::Apply(object) | Event::InitApply(object) => match readable(object) {
            Ok(object) => to.assignment_seen(&object, listing),
            Err(meta) => to.assignment_kept(&meta, listing),
        },
        Event::Delete(object) => {
            let meta = kube::Resource::meta(&object);
            to.assignment_gone(
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            );
        }
        Event::InitDone => to.assignments_listed(listing),
    });
    assignments.await.map_err(|_| MemberError::Halted("a watch"))
}
