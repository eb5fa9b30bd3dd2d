//! What kind of fleet to start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::progress::Progress;

/// Where a fleet lives.
#[derive(Clone, Debug)]
pub enum Place {
    /// A new directory under the system's temporary one.
    Temporary,
    /// This directory, which is made, or is empty.
    At(PathBuf),
}

/// Everything that [`super::Fleet::start`] can be told. Clusters are named `hub`, `member-1`, `member-2`, …
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// The `fleet` binary, through which all processes are started; `env!("CARGO_BIN_EXE_fleet")` in a test.
    pub launcher: PathBuf,
    /// Where its files go.
    pub place: Place,
    /// How many member clusters there are beside the hub's.
    pub members: usize,
    /// The hub's own cluster has a member too, named `hub`, and simulated nodes: with no other, a fleet of one.
    pub hub_is_member: bool,
    /// Install the CRDs and manifests, and start the hub and the members; without it, control planes only.
    pub product: bool,
    /// The cluster whose node is a real one, which runs real containers; the others' nodes are simulated.
    pub real_node: Option<String>,
    /// Further arguments of a cluster's controller manager, by the cluster's name.
    pub controller_manager_args: BTreeMap<String, Vec<String>>,
    /// Further arguments of the hub.
    pub hub_args: Vec<String>,
    /// Further arguments of every member.
    pub member_args: Vec<String>,
    /// Where the steps are told.
    pub progress: Progress,
}

impl FleetOptions {
    /// A silent, temporary fleet of a hub and two members.
    pub fn new(launcher: impl Into<PathBuf>) -> Self {
        Self {
            launcher: launcher.into(),
            place: Place::Temporary,
            members: 2,
            hub_is_member: false,
            product: true,
            real_node: None,
            controller_manager_args: BTreeMap::new(),
            hub_args: Vec::new(),
            member_args: Vec::new(),
            progress: Progress::Silent,
        }
    }

    /// With this many members.
    #[must_use]
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// One cluster with a hub and a member in it.
    #[must_use]
    pub fn of_one(mut self) -> Self {
        self.members = 0;
        self.hub_is_member = true;
        self
    }

    /// Control planes only: nothing of the product is installed or started.
    #[must_use]
    pub fn control_planes_only(mut self) -> Self {
        self.product = false;
        self
    }

    /// Gives a cluster a real node. It needs root and some programs of the machine, which are asked for at the start.
    #[must_use]
    pub fn real_node(mut self, cluster: &str) -> Self {
        self.real_node = Some(cluster.to_owned());
        self
    }

    /// Adds an argument to the controller manager of a cluster.
    #[must_use]
    pub fn controller_manager_arg(mut self, cluster: &str, argument: &str) -> Self {
        self.controller_manager_args.entry(cluster.to_owned()).or_default().push(argument.to_owned());
        self
    }

    /// The names of all clusters, the hub first.
    pub fn clusters(&self) -> Vec<String> {
        std::iter::once("hub".to_owned())
            .chain((1..=self.members).map(|index| format!("member-{index}")))
            .collect()
    }

    /// The names of the clusters that have a member.
    pub fn member_clusters(&self) -> Vec<String> {
        self.clusters().into_iter().filter(|name| name != "hub" || self.hub_is_member).collect()
    }

    /// The region of a cluster's nodes and of its MemberCluster: `region-N` for `member-N`, none for a mere hub.
    pub fn region(&self, cluster: &str) -> Option<String> {
        match cluster.strip_prefix("member-") {
            Some(index) => Some(format!("region-{index}")),
            None => self.hub_is_member.then(|| "region-1".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_comes_first_and_only_members_have_nodes() {
        let options = FleetOptions::new("fleet").members(2);
        assert_eq!(options.clusters(), ["hub", "member-1", "member-2"]);
        assert_eq!(options.member_clusters(), ["member-1", "member-2"]);
        assert_eq!(options.region("hub"), None);
        assert_eq!(options.region("member-2").as_deref(), Some("region-2"));
    }

    #[test]
    fn a_fleet_of_one_is_a_hub_with_nodes_and_a_member() {
        let options = FleetOptions::new("fleet").of_one();
        assert_eq!(options.clusters(), ["hub"]);
        assert_eq!(options.member_clusters(), ["hub"]);
        assert_eq!(options.region("hub").as_deref(), Some("region-1"));
    }
}
