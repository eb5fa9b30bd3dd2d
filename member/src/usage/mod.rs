//! What agents use: what the cluster measures of their pods, and what these expose. Neither can be watched, so both are
//! asked in rounds; docs/decisions/0007-usage.md says why so.

mod pod_metrics;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use kube::Client;
use parallax_crds::{AgentKey, AgentRef};
use parallax_member_core::exposition::Sample;
use parallax_member_core::usage::{Exposed, Ledger, Measured};
use parallax_proto::driver::Clock;
use tokio_util::sync::CancellationToken;

use self::pod_metrics::ByPod;
use crate::agents::Agents;
use crate::failure::Failure;
use crate::scrape::scrape;

/// From one round to the next.
const ROUND: Duration = Duration::from_secs(15);
/// With more pods than a round has time for at this pace, it takes longer.
const PODS_A_SECOND: u32 = 100;
/// Pods that are asked at a time.
const AT_ONCE: usize = 32;
/// How long a pod may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// An agent whose pods may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Which.
    pub agent: AgentRef,
    /// Its pods.
    pub pods: Vec<Target>,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Where it exposes metrics, if it does and has an address.
    pub metrics: Option<SocketAddr>,
}

/// Asks in rounds until `shutdown`.
pub async fn run(agents: Arc<Agents>, client: Client, clock: Clock, shutdown: CancellationToken) {
    let mut ledger = Ledger::default();
    let mut cluster = Cluster::default();
    loop {
        let subjects = agents.subjects();
        let pods = subjects.iter().flat_map(|subject| &subject.pods);
        let asked = u32::try_from(pods.filter(|pod| pod.metrics.is_some()).count()).unwrap_or(u32::MAX);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = round(&agents, subjects, &mut ledger, &mut cluster, &client, &clock) => {}
        }
        let pause = ROUND.max(Duration::from_secs(1) * (asked / PODS_A_SECOND));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(
    agents: &Agents,
    subjects: Vec<Subject>,
    ledger: &mut Ledger,
    cluster: &mut Cluster,
    client: &Client,
    clock: &Clock,
) {
    let resources = if subjects.iter().any(|subject| !subject.pods.is_empty()) {
        cluster.measure(client).await
    } else {
        None
    };
    let mut measured: Vec<(AgentRef, Vec<Measured>)> = Vec::with_capacity(subjects.len());
    let mut pods = Vec::new();
    for Subject { agent, pods: mine } in subjects {
        pods.extend(mine.into_iter().map(|pod| (measured.len(), pod)));
        measured.push((agent, Vec::new()));
    }
    let ask = |(n, pod): (usize, Target)| async move { (n, exposed(&pod).await, pod.name) };
    let mut answers = stream::iter(pods).map(ask).buffer_unordered(AT_ONCE);
    while let Some((n, exposed, pod)) = answers.next().await {
        let (agent, pods) = &mut measured[n];
        let key = (agent.key.namespace().to_owned(), pod);
        let used = resources.as_ref().and_then(|all| all.get(&key));
        pods.push(Measured {
            cpu_millicores: used.map(|used| used.cpu_millicores),
            memory_bytes: used.map(|used| used.memory_bytes),
            exposed,
            pod: key.1,
        });
    }
    let now = clock.now();
    agents.uplink().tell(|link| {
        let there: HashSet<AgentKey> = measured.iter().map(|(agent, _)| agent.key.clone()).collect();
        for (agent, pods) in measured {
            link.usage(ledger.take(&agent, pods, now));
        }
        for key in ledger.end_round(|key| there.contains(key)) {
            link.forget_usage(&key);
        }
    });
}

/// What a pod says of itself; none when it has nothing to say, or doesn't.
async fn exposed(pod: &Target) -> Option<Exposed> {
    let address = pod.metrics?;
    let mut exposed = Exposed::default();
    let take = |sample: &Sample<'_>| exposed.take(sample);
    match tokio::time::timeout(ANSWER, scrape(address, take)).await {
        Ok(Ok(())) => return Some(exposed),
        Ok(Err(untold)) => tracing::debug!(pod = pod.name, "its metrics can't be read: {untold}"),
        Err(_) => tracing::debug!(pod = pod.name, "its metrics take longer than {ANSWER:?}"),
    }
    None
}

/// The cluster's measurements, and what was last said of them.
#[derive(Debug, Default)]
struct Cluster {
    missing: Option<String>,
}

impl Cluster {
    /// What pods use; none when nobody measures it.
    async fn measure(&mut self, client: &Client) -> Option<ByPod> {
        let why = match pod_metrics::list(client).await {
            Ok(resources) => {
                if self.missing.take().is_some() {
                    tracing::info!("the cluster measures its pods again");
                }
                return Some(resources);
            }
            Err(Failure::NotFound(_)) => "there is no metrics.k8s.io here: install metrics-server".to_owned(),
            Err(failure) => failure.to_string(),
        };
        if self.missing.as_ref() != Some(&why) {
            tracing::info!("agents' CPU and memory are unknown: {why}");
            self.missing = Some(why);
        }
        None
    }
}
