//! What `docs/placement.md` shows is what placement says.

use std::path::Path;

use parallax_crds::cluster::TaintEffect;
use serde::Deserialize;

use super::*;

/// A cluster of the page's fleet.
#[derive(Deserialize)]
struct Example {
    name: String,
    region: String,
    site: String,
    cpu: i64,
    cost: i32,
    taint: Option<String>,
}

impl Example {
    fn facts(&self) -> ClusterFacts {
        let taint = |taint: &String| {
            let (key, value) = taint.split_once('=').unwrap();
            Taint {
                key: key.to_owned(),
                value: value.to_owned(),
                effect: TaintEffect::NoSchedule,
                since: Timestamp::UNIX_EPOCH,
            }
        };
        ClusterFacts {
            free: Some(Amounts { cpu: self.cpu * 1_000, memory: 1 << 40, pods: 110, ..Amounts::default() }),
            scores: BTreeMap::from([("cost".to_owned(), self.cost)]),
            taints: self.taint.iter().map(taint).collect(),
            ..cluster(&self.name).region(&self.region).labelled("site", &self.site)
        }
    }
}

/// An agent of the page.
#[derive(Deserialize)]
struct Wish {
    replicas: i32,
    placement: Option<Placement>,
    current: Option<BTreeMap<String, i32>>,
}

impl Wish {
    fn explained(&self, fleet: &[ClusterFacts]) -> String {
        let (incarnation, requests) =
            (Incarnation::new("example"), Amounts { cpu: 1_000, pods: 1, ..Amounts::default() });
        let request = request(&incarnation, self.replicas, self.placement.as_ref(), &requests);
        let current: Option<Shares> =
            self.current.as_ref().map(|shares| shares.iter().map(|(c, n)| (name(c), *n)).collect());
        explain(&request, fleet, current.as_ref(), Timestamp::UNIX_EPOCH).to_string()
    }
}

#[test]
fn the_page_shows_what_placement_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/placement.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut fleet: Vec<ClusterFacts> = Vec::new();
    let mut said: Option<String> = None;
    let mut shown = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap_or((block, ""));
        match language {
            "yaml" if text.starts_with("# fleet") => {
                let examples: Vec<Example> = serde_saphyr::from_str(text).unwrap();
                fleet = examples.iter().map(Example::facts).collect();
            }
            "yaml" => said = Some(serde_saphyr::from_str::<Wish>(text).unwrap().explained(&fleet)),
            "text" => {
                let said = said.take().unwrap();
                assert_eq!(text.trim_end(), said.trim_end(), "docs/placement.md should show:\n{said}");
                shown += 1;
            }
            other => panic!("docs/placement.md has a block of {other}"),
        }
    }
    assert!(shown > 10, "the page has lost its examples");
}
