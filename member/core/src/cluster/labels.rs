//! What all nodes of a cluster say alike.

use std::collections::BTreeMap;

use parallax_crds::labels::GPU_PRODUCT;

use super::node::NodeFacts;

/// The labels with one value for the whole cluster. One in several zones is in none of them; GPUs are of one model when
/// all nodes that have some say so.
#[must_use]
pub fn common<'a>(nodes: impl Iterator<Item = &'a NodeFacts>) -> BTreeMap<String, String> {
    let mut values: BTreeMap<&'static str, (usize, Option<&str>)> = BTreeMap::new();
    let mut count = 0;
    for node in nodes {
        count += 1;
        for (key, value) in &node.labels {
            let (said, common) = values.entry(key).or_insert((0, Some(value)));
            *said += 1;
            *common = common.filter(|common| common == value);
        }
    }
    values
        .into_iter()
        .filter(|(key, (said, _))| *said == count || *key == GPU_PRODUCT)
        .filter_map(|(key, (_, common))| Some((key.to_owned(), common?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use parallax_crds::Amounts;
    use parallax_crds::labels::{REGION, ZONE};

    use super::*;

    fn node(labels: &[(&'static str, &str)]) -> NodeFacts {
        NodeFacts {
            ready: true,
            takes_pods: true,
            capacity: Amounts::default(),
            allocatable: Amounts::default(),
            labels: labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_cluster_says_what_all_its_nodes_do() {
        let nodes = [
            node(&[(REGION, "eu"), (ZONE, "eu-1"), (GPU_PRODUCT, "H100")]),
            node(&[(REGION, "eu"), (ZONE, "eu-2")]),
        ];
        let common = common(nodes.iter());
        let said: Vec<_> = common.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(said, [(GPU_PRODUCT, "H100"), (REGION, "eu")]);
    }

    #[test]
    fn a_node_that_says_nothing_of_its_region_may_be_anywhere() {
        let nodes = [node(&[(REGION, "eu")]), node(&[])];
        assert_eq!(common(nodes.iter()), BTreeMap::new());
        assert_eq!(common([].iter()), BTreeMap::new());
    }
}
