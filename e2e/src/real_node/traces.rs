//! What a real node leaves on the machine when its namespaces end: cgroups, and for a while its link, which the kernel
//! keeps as long as a connection's end is waited for. Both carry the fleet's id, so that they are found without a record.

use super::{cgroups, network};

/// The name that a cluster's cgroup and link carry.
pub fn name(fleet: &str, cluster: &str) -> String {
    format!("{}{cluster}", prefix(fleet))
}

fn prefix(fleet: &str) -> String {
    format!("parallax-{}-", fleet.get(..12).unwrap_or(fleet))
}

/// Removes everything that is left of the real nodes of the fleet with this id.
///
/// # Errors
/// Something can't be removed: a process is still in it, or the right is missing.
pub fn remove(fleet: &str) -> anyhow::Result<()> {
    network::release(&prefix(fleet))?;
    cgroups::remove(&prefix(fleet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleets_traces_are_found_by_its_id() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(name(id, "member-1"), "parallax-0123456789ab-member-1");
        assert!(name(id, "member-1").starts_with(&prefix(id)));
    }
}
