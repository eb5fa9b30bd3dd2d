//! What an agent's clusters are sent: most agents are the same in all of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use parallax_crds::{ClusterName, ParallaxAgentSpec, SpecHash};

use crate::overrides::{Applying, of};
use crate::placement::{Amounts, ClusterFacts};
use crate::requests::per_replica;
use crate::resolve::{FleetDefaults, ResolveError, resolve_where};

/// A resolved spec on its way.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub hash: SpecHash,
    pub json: Bytes,
    /// What one replica requests.
    pub requests: Amounts,
}

/// The resolved specs of an agent.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    /// Where no override applies.
    plain: Template,
    /// Where some do.
    others: BTreeMap<Applying, Template>,
    /// Those of the agent's clusters in which some do.
    clusters: BTreeMap<ClusterName, Applying>,
}

impl Templates {
    /// Of a spec that is to run in `clusters`. Nothing of it is sent to any of them while some entry of its overrides can't
    /// be applied.
    pub fn new<'a>(
        spec: &ParallaxAgentSpec,
        defaults: &FleetDefaults,
        facts: &[ClusterFacts],
        clusters: impl Iterator<Item = &'a ClusterName>,
    ) -> Result<Self, ResolveError> {
        let plain = resolved(spec, Applying::NONE, defaults)?;
        let mut templates = Self { plain, others: BTreeMap::new(), clusters: BTreeMap::new() };
        if of(spec).is_empty() {
            return Ok(templates);
        }
        for alone in Applying::each(of(spec)) {
            resolved(spec, alone, defaults)?;
        }
        for name in clusters {
            let Ok(found) = facts.binary_search_by(|facts| facts.name.cmp(name)) else { continue };
            let applying = Applying::to(of(spec), &facts[found].labels);
            if applying == Applying::NONE {
                continue;
            }
            if let Entry::Vacant(other) = templates.others.entry(applying) {
                other.insert(resolved(spec, applying, defaults)?);
            }
            templates.clusters.insert(name.clone(), applying);
        }
        Ok(templates)
    }

    /// What a cluster is sent.
    pub fn of(&self, cluster: &ClusterName) -> &Template {
        self.clusters.get(cluster).and_then(|applying| self.others.get(applying)).unwrap_or(&self.plain)
    }

    /// Where no override applies.
    pub fn plain(&self) -> &Template {
        &self.plain
    }

    /// The hashes of all that is sent.
    pub fn hashes(&self) -> impl Iterator<Item = SpecHash> {
        std::iter::once(self.plain.hash).chain(self.others.values().map(|template| template.hash))
    }
}

/// What a replica requests in those clusters in which that is otherwise for an override.
pub(super) fn otherwise(
    spec: &ParallaxAgentSpec,
    defaults: &FleetDefaults,
    facts: &[ClusterFacts],
) -> BTreeMap<ClusterName, Amounts> {
    if of(spec).iter().all(|entry| entry.resources.is_none()) {
        return BTreeMap::new();
    }
    let mut known: BTreeMap<Applying, Option<Amounts>> = BTreeMap::new();
    let requests = |facts: &ClusterFacts| {
        let applying = Applying::to(of(spec), &facts.labels);
        let resolve = || resolved(spec, applying, defaults).ok().map(|template| template.requests);
        let requests = known.entry(applying).or_insert_with(resolve).clone()?;
        (applying != Applying::NONE).then(|| (facts.name.clone(), requests))
    };
    facts.iter().filter_map(requests).collect()
}

fn resolved(
    spec: &ParallaxAgentSpec,
    applying: Applying,
    defaults: &FleetDefaults,
) -> Result<Template, ResolveError> {
    let resolved = resolve_where(spec, applying, defaults)?;
    let requests = per_replica(&resolved.template.runtime);
    Ok(Template { hash: resolved.hash, json: resolved.json, requests })
}
