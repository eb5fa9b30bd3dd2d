//! `fleet logs`.

use anyhow::Context as _;

use super::print;
use crate::layout::{Component, Layout};
use crate::process::tail;

/// Lines of each component when none is named.
const LINES: usize = 20;

pub(super) fn logs(layout: &Layout, cluster: &str, component: Option<Component>) -> anyhow::Result<()> {
    let record =
        layout.read()?.with_context(|| format!("no fleet in {}: start one", layout.root().display()))?;
    let cluster = record.cluster(cluster)?;
    if let Some(component) = component {
        let path = layout.log(&cluster.name, component);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("{} runs no {component}: {} can't be read", cluster.name, path.display())
        })?;
        print(text.trim_end());
        return Ok(());
    }
    for process in &cluster.processes {
        print(&format!("==> {} ({})", process.component, process.log.display()));
        print(&tail(&process.log, LINES));
    }
    Ok(())
}
