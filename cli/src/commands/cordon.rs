//! Clusters that get nothing new, and those that do again.

use parallax_crds::MemberCluster;
use parallax_crds::cluster::{ClusterTaint, TaintEffect};
use serde_json::json;

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::say;
use crate::what_if::Picture;

/// The taint of a cluster that gets nothing new.
pub const CORDONED: &str = "parallax.io/cordoned";
/// The taint of a cluster that agents leave.
pub const DRAINED: &str = "parallax.io/drained";

/// Gives a cluster nothing new.
pub async fn cordon(hub: &Hub, name: &str, dry_run: bool) -> Result<(), CliError> {
    let cluster = hub.cluster(name).await?;
    let taints = with(&cluster, CORDONED, TaintEffect::NoSchedule);
    change(hub, &cluster, taints, "cordoned", dry_run).await
}

/// Gives it new agents again.
pub async fn uncordon(hub: &Hub, name: &str, dry_run: bool) -> Result<(), CliError> {
    let cluster = hub.cluster(name).await?;
    let mut taints = cluster.spec.taints.clone();
    taints.retain(|taint| taint.key != CORDONED && taint.key != DRAINED);
    change(hub, &cluster, taints, "uncordoned", dry_run).await
}

/// Its taints, and one more unless it is there.
pub fn with(cluster: &MemberCluster, key: &str, effect: TaintEffect) -> Vec<ClusterTaint> {
    let mut taints = cluster.spec.taints.clone();
    if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
        taints.push(ClusterTaint { key: key.to_owned(), value: String::new(), effect, time_added: None });
    }
    taints
}

/// Gives a cluster these taints, or tells what that would move.
pub async fn change(
    hub: &Hub,
    cluster: &MemberCluster,
    taints: Vec<ClusterTaint>,
    done: &str,
    dry_run: bool,
) -> Result<(), CliError> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let object = format!("membercluster.parallax.io/{name}");
    if dry_run {
        let picture = Picture::of(hub).await?;
        let mut changed = cluster.clone();
        changed.spec.taints = taints;
        say(&picture.difference(&picture.with_cluster(changed)));
        say(&format!("{object} {done} (dry run: nothing was changed)"));
        return Ok(());
    }
    if taints == cluster.spec.taints {
        say(&format!("{object} already {done}"));
        return Ok(());
    }
    // Whoever changes the taints at the same time is not overwritten: the version must be the one that was read.
    let patch = json!({
        "metadata": {"resourceVersion": cluster.metadata.resource_version},
        "spec": {"taints": taints},
    });
    hub.patch_cluster(name, &patch).await?;
    say(&format!("{object} {done}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use parallax_crds::MemberClusterSpec;

    use super::*;

    #[test]
    fn a_taint_that_is_there_is_not_added_again() {
        let mut cluster = MemberCluster::new("a", MemberClusterSpec::default());
        cluster.spec.taints = with(&cluster, CORDONED, TaintEffect::NoSchedule);
        assert_eq!(cluster.spec.taints.len(), 1);
        assert_eq!(with(&cluster, CORDONED, TaintEffect::NoSchedule), cluster.spec.taints);
        assert_eq!(with(&cluster, DRAINED, TaintEffect::NoExecute).len(), 2);
    }
}
