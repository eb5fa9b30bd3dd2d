//! The example agents, and a table of them that lives until all run.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use futures::StreamExt as _;
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use parallax_crds::{ParallaxAgent, Phase};

use crate::layout::FleetRecord;
use crate::{client, manifests};

/// The namespace of the examples.
pub const NAMESPACE: &str = "demo";

/// Seconds are usual; a machine that builds at the same time takes longer.
const LIMIT: Duration = Duration::from_mins(2);

/// Applies the examples to the hub and shows them until every one is Running.
///
/// # Errors
/// One is refused, or not all run within two minutes; the message tells the phase of each.
pub async fn run(record: &FleetRecord) -> anyhow::Result<()> {
    let hub = record.clusters.first().context("a fleet without a hub")?;
    let client = client::from_kubeconfig(&hub.kubeconfig).await?;
    manifests::apply(&client, &manifests::read("e2e/demo")?).await?;
    let agents: Api<ParallaxAgent> = Api::namespaced(client, NAMESPACE);
    let mut screen = Screen::default();
    let watched = tokio::time::timeout(LIMIT, watch(&agents, &mut screen)).await;
    if let Ok(result) = watched {
        return result;
    }
    let late: Vec<String> = agents
        .list(&ListParams::default())
        .await?
        .iter()
        .filter(|agent| !is_running(agent))
        .map(|agent| row(agent).join(" "))
        .collect();
    bail!("not Running after {} s: {}; see `cargo fleet logs hub`", LIMIT.as_secs(), late.join("; "))
}

async fn watch(agents: &Api<ParallaxAgent>, screen: &mut Screen) -> anyhow::Result<()> {
    let changes = watcher(agents.clone(), watcher::Config::default()).default_backoff().touched_objects();
    let mut changes = std::pin::pin!(changes);
    while let Some(change) = changes.next().await {
        if change.is_err() {
            continue;
        }
        let list = agents.list(&ListParams::default()).await?;
        screen.show(&table(&list.items));
        if !list.items.is_empty() && list.items.iter().all(is_running) {
            return Ok(());
        }
    }
    bail!("the watch of the hub's agents has ended: see `cargo fleet logs hub kube-apiserver`")
}

fn is_running(agent: &ParallaxAgent) -> bool {
    agent.status.as_ref().is_some_and(|status| {
        status.phase == Some(Phase::Running) && status.observed_generation == agent.metadata.generation
    })
}

fn row(agent: &ParallaxAgent) -> [String; 5] {
    let status = agent.status.clone().unwrap_or_default();
    let clusters: Vec<String> = status
        .clusters
        .iter()
        .map(|row| format!("{} {}/{}", row.name, row.ready_replicas, row.replicas))
        .collect();
    [
        agent.metadata.name.clone().unwrap_or_default(),
        agent.spec.runtime.agent_type.clone(),
        status.phase.map_or_else(|| "-".to_owned(), |phase| format!("{phase:?}")),
        status.replica_summary.unwrap_or_else(|| "-".to_owned()),
        clusters.join(", "),
    ]
}

fn table(agents: &[ParallaxAgent]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["NAME", "TYPE", "PHASE", "REPLICAS", "CLUSTERS"]);
    for agent in agents {
        table.add_row(row(agent));
    }
    table.trim_fmt()
}

/// Draws over itself on a terminal; elsewhere prints what has changed.
#[derive(Default)]
struct Screen {
    shown: String,
}

impl Screen {
    fn show(&mut self, text: &str) {
        if text == self.shown {
            return;
        }
        let mut out = std::io::stdout().lock();
        let lines = self.shown.lines().count();
        let up = match (lines, out.is_terminal()) {
            (0, _) => String::new(),
            // Cursor up, then clear to the end of the screen.
            (lines, true) => format!("\x1b[{lines}A\x1b[J"),
            (_, false) => "\n".to_owned(),
        };
        writeln!(out, "{up}{text}").ok();
        self.shown = text.to_owned();
    }
}
