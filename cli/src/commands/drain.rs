//! Clusters that agents leave.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::runtime::watcher;
use parallax_crds::cluster::TaintEffect;
use parallax_crds::{AgentKey, ParallaxAgent};
use parallax_hub_core::placement::{Taint, tolerates};

use super::cordon::{DRAINED, change, with};
use crate::error::CliError;
use crate::hub::Hub;
use crate::output::say;

/// Has every agent leave a cluster, and waits for it unless `wait` is none.
pub async fn run(hub: &Hub, name: &str, dry_run: bool, wait: Option<Duration>) -> Result<(), CliError> {
    let cluster = hub.cluster(name).await?;
    change(hub, &cluster, with(&cluster, DRAINED, TaintEffect::NoExecute), "drained", dry_run).await?;
    match wait.filter(|_| !dry_run) {
        Some(limit) => until_empty(hub, name, limit).await,
        None => Ok(()),
    }
}

/// Tells whenever an agent has left, until none is there that the taint drives out.
async fn until_empty(hub: &Hub, cluster: &str, limit: Duration) -> Result<(), CliError> {
    let mut left = Left { cluster, there: BTreeSet::new(), listed: false };
    let changes = watcher::watcher(hub.every_agent(), watcher::Config::default());
    let ended = tokio::time::timeout(limit, async {
        let mut changes = std::pin::pin!(changes);
        // A watch that breaks begins again by itself.
        while let Some(change) = changes.next().await {
            let Ok(change) = change else { continue };
            left.take(change);
            if left.listed && left.there.is_empty() {
                return;
            }
        }
    })
    .await;
    if ended.is_err() {
        let agents = match left.there.len() {
            1 => "1 agent".to_owned(),
            more => format!("{more} agents"),
        };
        let cluster = cluster.to_owned();
        return Err(CliError::StillThere { agents, cluster, seconds: limit.as_secs() });
    }
    say(&format!("nothing runs on {cluster} any more that does not tolerate the taint {DRAINED}"));
    Ok(())
}

/// The agents that have not left yet.
struct Left<'a> {
    cluster: &'a str,
    there: BTreeSet<AgentKey>,
    listed: bool,
}

impl Left<'_> {
    fn take(&mut self, change: watcher::Event<ParallaxAgent>) {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        match change {
            Init => (self.listed, self.there) = (false, BTreeSet::new()),
            Delete(agent) => self.gone(&AgentKey::of(&agent.metadata)),
            Apply(agent) | InitApply(agent) => {
                let key = AgentKey::of(&agent.metadata);
                if is_on(&agent, self.cluster) && !stays(&agent) {
                    self.there.insert(key);
                } else {
                    self.gone(&key);
                }
            }
            InitDone => self.listed = true,
        }
    }

    fn gone(&mut self, key: &AgentKey) {
        if self.there.remove(key) {
            say(&format!("{key} has left; {} to go", self.there.len()));
        }
    }
}

/// It has a share there, or has not let go yet.
fn is_on(agent: &ParallaxAgent, cluster: &str) -> bool {
    let decision = agent.status.as_ref().and_then(|status| status.placement.as_ref());
    decision.is_some_and(|decision| {
        let mut shares = decision.targets.iter().chain(&decision.leaving);
        shares.any(|share| share.cluster == cluster)
            || decision.withdrawing.iter().any(|name| name == cluster)
    })
}

/// It tolerates the taint of a drained cluster.
fn stays(agent: &ParallaxAgent) -> bool {
    let taint = Taint {
        key: DRAINED.to_owned(),
        value: String::new(),
        effect: TaintEffect::NoExecute,
        since: Timestamp::UNIX_EPOCH,
    };
    agent.spec.placement.as_ref().is_some_and(|placement| tolerates(&placement.tolerations, &taint))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn agent(placement: &serde_json::Value, decision: &serde_json::Value) -> ParallaxAgent {
        serde_json::from_value(json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent",
            "metadata": {"namespace": "demo", "name": "a"},
            "spec": {"type": "claude", "placement": placement},
            "status": {"placement": decision},
        }))
        .unwrap()
    }

    #[test]
    fn an_agent_is_there_until_the_cluster_has_let_go_of_it() {
        for decision in [
            json!({"generation": 1, "targets": [{"cluster": "eu", "replicas": 1}]}),
            json!({"generation": 1, "leaving": [{"cluster": "eu", "replicas": 1}]}),
            json!({"generation": 1, "withdrawing": ["eu"]}),
        ] {
            assert!(is_on(&agent(&json!({}), &decision), "eu"), "{decision}");
            assert!(!is_on(&agent(&json!({}), &decision), "us"));
        }
    }

    #[test]
    fn only_who_tolerates_the_drain_without_end_is_not_waited_for() {
        let tolerating = |toleration| agent(&json!({"tolerations": [toleration]}), &json!({"generation": 1}));
        assert!(stays(&tolerating(json!({"key": DRAINED, "operator": "Exists", "effect": "NoExecute"}))));
        assert!(!stays(&tolerating(
            json!({"key": DRAINED, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60})
        )));
        assert!(!stays(&agent(&json!({}), &json!({"generation": 1}))));
    }

    #[test]
    fn what_has_left_is_counted_once_and_a_new_list_begins_anew() {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let on = agent(&json!({}), &json!({"generation": 1, "withdrawing": ["eu"]}));
        let off = agent(&json!({}), &json!({"generation": 2}));
        let mut left = Left { cluster: "eu", there: BTreeSet::new(), listed: false };
        for (change, there, listed) in [
            (Init, 0, false),
            (InitApply(on.clone()), 1, false),
            (InitDone, 1, true),
            (Apply(off.clone()), 0, true),
            (Apply(on.clone()), 1, true),
            (Init, 0, false),
            (InitApply(on), 1, false),
            (InitDone, 1, true),
            (Delete(off), 0, true),
        ] {
            left.take(change);
            assert_eq!((left.there.len(), left.listed), (there, listed));
        }
    }
}
