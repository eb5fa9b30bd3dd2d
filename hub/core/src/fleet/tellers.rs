//! Members' events about one agent, put together: an Event is written at most once a minute for each reason, so the
//! one that is written last speaks for all clusters that said the same.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::ClusterName;

/// How many other clusters are named.
const NAMED: usize = 3;
/// How many reasons are remembered.
const REASONS: usize = 32;

/// By reason, the clusters that gave it.
#[derive(Debug, Default)]
pub(super) struct Tellers(BTreeMap<String, BTreeSet<ClusterName>>);

impl Tellers {
    /// Notes that `cluster` says this, and returns what to tell: its own words, and who else gave that reason.
    pub fn tell(&mut self, reason: &str, cluster: &ClusterName, message: &str) -> String {
        if !self.0.contains_key(reason) && self.0.len() >= REASONS {
            return format!("{cluster}: {message}");
        }
        let clusters = self.0.entry(reason.to_owned()).or_default();
        let others: Vec<_> = clusters.iter().filter(|c| *c != cluster).map(ClusterName::as_str).collect();
        let more = if others.len() > NAMED { " and more" } else { "" };
        let others = others[..others.len().min(NAMED)].join(", ");
        // One more than is named is enough to know that there are more.
        if clusters.len() <= NAMED + 1 {
            clusters.insert(cluster.clone());
        }
        if others.is_empty() {
            format!("{cluster}: {message}")
        } else {
            format!("{cluster}: {message} (likewise {others}{more})")
        }
    }

    /// Forgets everything: the agent was edited.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_one_speaks_for_all_that_gave_the_reason() {
        let mut tellers = Tellers::default();
        let mut tell =
            |cluster: &str, reason| tellers.tell(reason, &ClusterName::new(cluster).unwrap(), "done");
        assert_eq!(tell("a", "Applied"), "a: done");
        assert_eq!(tell("a", "Applied"), "a: done");
        assert_eq!(tell("b", "RolledOut"), "b: done");
        assert_eq!(tell("b", "Applied"), "b: done (likewise a)");
        for cluster in ["c", "d", "e", "f", "g"] {
            tell(cluster, "Applied");
        }
        assert_eq!(tell("h", "Applied"), "h: done (likewise a, b, c and more)");
    }

    #[test]
    fn reasons_are_bounded() {
        let mut tellers = Tellers::default();
        for i in 0..100 {
            tellers.tell(&format!("Reason{i}"), &ClusterName::new("a").unwrap(), "");
        }
        assert_eq!(tellers.0.len(), REASONS);
    }
}
