//! What tests wait for.

use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use parallax_crds::agent::Freshness;
use parallax_crds::{MemberCluster, ParallaxAgent, Phase};
use parallax_e2e::waiting::{self, OnTimeout};

use super::{LIMIT, World, cluster_condition, condition, of};

impl World {
    /// Waits for a condition, and dumps the fleet when it doesn't come.
    pub async fn eventually(
        &self,
        what: &str,
        mut condition: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<()> {
        self.until(what, async || Ok(condition().await?.then_some(()))).await
    }

    /// Waits for a value, and dumps the fleet when it doesn't come.
    pub async fn until<T>(&self, what: &str, condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let value = waiting::until(what, LIMIT, OnTimeout::Dump(self.fleet()), condition).await;
        self.dumped.fetch_or(value.is_err(), Ordering::Relaxed);
        value
    }

    /// Waits until the agent is Running at its current generation with this summary.
    pub async fn running(&self, name: &str, summary: &str) -> Result<ParallaxAgent> {
        self.agent_until(name, &format!("{name} is Running with {summary}"), |agent| {
            let status = agent.status.as_ref();
            status.is_some_and(|s| {
                s.phase == Some(Phase::Running)
                    && s.observed_generation == agent.metadata.generation
                    && s.replica_summary.as_deref() == Some(summary)
            })
        })
        .await
    }

    /// Waits until the agent on the hub satisfies a condition, and returns it.
    pub async fn agent_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&ParallaxAgent) -> bool,
    ) -> Result<ParallaxAgent> {
        let agents = self.agents();
        self.until(what, async || Ok(agents.get_opt(name).await?.filter(&holds))).await
    }

    /// Waits until the hub has noticed that a cluster's word about the agent is no longer fresh.
    pub async fn not_fresh(&self, name: &str, cluster: &str) -> Result<()> {
        self.agent_until(name, &format!("{cluster}'s word about {name} is not fresh"), |agent| {
            let rows = agent.status.as_ref().map(|s| s.clusters.as_slice()).unwrap_or_default();
            rows.iter().any(|row| row.name == cluster && row.freshness != Freshness::Fresh)
        })
        .await?;
        Ok(())
    }

    /// Waits until the agent is gone from the hub.
    pub async fn gone_from_hub(&self, name: &str) -> Result<()> {
        let agents = self.agents();
        self.eventually(&format!("{name} is gone from the hub"), || async {
            Ok(agents.get_opt(name).await?.is_none())
        })
        .await
    }

    /// Waits until nothing of the agent is left in the member.
    pub async fn gone_from_member(&self, member: usize, name: &str) -> Result<()> {
        let pods = of(name);
        self.eventually(&format!("nothing of {name} is left in member-{}", member + 1), || async {
            Ok(self.assignments(member).get_opt(name).await?.is_none()
                && self.deployments(member).get_opt(name).await?.is_none()
                && self.services(member).get_opt(name).await?.is_none()
                && self.pods(member).list_metadata(&pods).await?.items.is_empty())
        })
        .await
    }

    /// Waits until the members' Deployments ask for these replicas, in any order of the members.
    pub async fn shared_out(&self, name: &str, expected: &[i32]) -> Result<()> {
        self.eventually(&format!("{name} is shared out as {expected:?}"), || async {
            let mut shares: Vec<_> = self.shares(name).await?.into_iter().flatten().collect();
            shares.sort_unstable_by(|a, b| b.cmp(a));
            Ok(shares == expected)
        })
        .await
    }

    /// Waits until a member's own record of an agent is the last that it has to write: it writes one a second at most.
    pub async fn recorded(&self, member: usize, name: &str, ready: i32) -> Result<()> {
        self.eventually(&format!("member-{}'s assignment {name} has caught up", member + 1), || async {
            let status = self.assignments(member).get(name).await?.status.unwrap_or_default();
            Ok(status.phase == Some(Phase::Running) && status.ready_replicas == ready)
        })
        .await
    }

    /// Waits until a MemberCluster's condition has this status and reason, and returns its message.
    pub async fn cluster_says(
        &self,
        cluster: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let is =
            |c: &MemberCluster| cluster_condition(c, type_).filter(|(s, r, _)| s == status && r == reason);
        let what = format!("{cluster} has {type_}={status}, {reason}");
        let found = self.cluster_until(cluster, &what, |c| is(c).is_some()).await?;
        let (.., message) = is(&found).with_context(|| format!("a moment ago, {what}"))?;
        Ok(message)
    }

    /// Waits until the cluster's `Connected` condition is true.
    pub async fn connected(&self, cluster: &str) -> Result<()> {
        self.cluster_until(cluster, &format!("{cluster} is connected"), |c| {
            condition(c, "Connected").is_some_and(|(status, _)| status == "True")
        })
        .await?;
        Ok(())
    }

    /// Waits until a MemberCluster satisfies a condition, and returns it.
    pub async fn cluster_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&MemberCluster) -> bool,
    ) -> Result<MemberCluster> {
        let clusters = self.clusters();
        self.until(what, async || Ok(clusters.get_opt(name).await?.filter(&holds))).await
    }
}
