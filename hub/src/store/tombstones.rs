//! ConfigMaps `parallax-tombstones-0` to `-15`: the removals that clusters which are away still have to
//! carry out. An entry's key is a hash of what it is about, which also chooses its ConfigMap, so that
//! writing one never waits for another.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, Patch};
use parallax_crds::{AgentKey, AgentRef, ClusterName, Incarnation};
use parallax_hub_core::Tombstone;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{ATTEMPTS, Created, as_hub, bounded, create_once};
use crate::error::HubError;

/// How many ConfigMaps there are. An entry has about 200 bytes, a ConfigMap a megabyte.
const SHARDS: u8 = 16;

/// A tombstone as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    cluster: ClusterName,
    namespace: String,
    name: String,
    incarnation: Incarnation,
}

impl From<&Tombstone> for Stored {
    fn from(Tombstone { cluster, agent: AgentRef { key, incarnation } }: &Tombstone) -> Self {
        Self {
            cluster: cluster.clone(),
            namespace: key.namespace().to_owned(),
            name: key.name().to_owned(),
            incarnation: incarnation.clone(),
        }
    }
}

impl From<Stored> for Tombstone {
    fn from(Stored { cluster, namespace, name, incarnation }: Stored) -> Self {
        Self { cluster, agent: AgentRef { key: AgentKey::new(&namespace, &name), incarnation } }
    }
}

/// What changes in one ConfigMap: entries to be there, and (none) to be gone.
type Changes = BTreeMap<String, Option<String>>;

/// All tombstones that are stored. An entry that can't be read is left alone, with a line that names it.
pub async fn load(api: &Api<ConfigMap>) -> Result<Vec<Tombstone>, HubError> {
    let shards = try_join_all((0..SHARDS).map(|shard| async move {
        let name = shard_name(shard);
        bounded(&format!("ConfigMap {name}"), api.get_opt(&name)).await
    }))
    .await?;
    Ok(shards.into_iter().flatten().flat_map(|shard| entries(&shard)).collect())
}

/// Stores some tombstones and drops others; over when all of it is in the API server.
pub async fn write(api: &Api<ConfigMap>, store: &[Tombstone], drop: &[Tombstone]) -> Result<(), HubError> {
    let changes = changes(store, drop)?;
    try_join_all(changes.iter().map(|(shard, changes)| write_shard(api, *shard, changes))).await?;
    Ok(())
}

async fn write_shard(api: &Api<ConfigMap>, shard: u8, changes: &Changes) -> Result<(), HubError> {
    let name = shard_name(shard);
    let what = format!("ConfigMap {name}");
    let params = as_hub();
    for _ in 0..ATTEMPTS {
        // Entries are independent of each other, so no precondition is needed.
        match bounded(&what, api.patch(&name, &params, &Patch::Merge(json!({"data": changes})))).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let data: BTreeMap<_, _> =
            changes.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        if data.is_empty() {
            return Ok(());
        }
        let object = ConfigMap {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            data: Some(data),
            ..ConfigMap::default()
        };
        if let Created::Ours(_) = create_once(api, &name, &object).await? {
            return Ok(());
        }
    }
    Err(HubError::Contended { what })
}

fn shard_name(shard: u8) -> String {
    format!("parallax-tombstones-{shard}")
}

/// Where a tombstone is kept: its ConfigMap, and its key there.
fn place(tombstone: &Tombstone) -> (u8, String) {
    let Tombstone { cluster, agent: AgentRef { key, incarnation } } = tombstone;
    let mut hash = Sha256::new();
    for part in [cluster.as_str(), key.namespace(), key.name(), incarnation.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    let digest = hash.finalize();
    (digest[0] % SHARDS, digest[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn changes(store: &[Tombstone], drop: &[Tombstone]) -> Result<BTreeMap<u8, Changes>, HubError> {
    let mut changes = BTreeMap::<u8, Changes>::new();
    for tombstone in drop {
        let (shard, key) = place(tombstone);
        changes.entry(shard).or_default().insert(key, None);
    }
    for tombstone in store {
        let (shard, key) = place(tombstone);
        let value = serde_json::to_string(&Stored::from(tombstone)).map_err(|source| HubError::Json {
            what: format!("the tombstone of {}", tombstone.agent.key),
            source,
        })?;
        changes.entry(shard).or_default().insert(key, Some(value));
    }
    Ok(changes)
}

fn entries(shard: &ConfigMap) -> Vec<Tombstone> {
    let read = |(key, value): (&String, &String)| match serde_json::from_str::<Stored>(value) {
        Ok(stored) => Some(stored.into()),
        Err(error) => {
            let object = shard.metadata.name.as_deref().unwrap_or_default();
            tracing::error!(%object, %key, %error, "a tombstone can't be read and is left alone; mend or delete the entry");
            None
        }
    };
    shard.data.iter().flatten().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tombstone(cluster: &str, name: &str) -> Tombstone {
        Tombstone {
            cluster: ClusterName::new(cluster).unwrap(),
            agent: AgentRef { key: AgentKey::new("team", name), incarnation: Incarnation::new("uid-1") },
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let stored = [tombstone("a", "x"), tombstone("b", "x"), tombstone("a", "y")];
        let mut read: Vec<_> = changes(&stored, &[])
            .unwrap()
            .into_values()
            .flat_map(|entries_of| {
                let data = entries_of.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
                entries(&ConfigMap { data: Some(data), ..ConfigMap::default() })
            })
            .collect();
        read.sort();
        let mut expected = stored.to_vec();
        expected.sort();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_drop_names_the_entry_that_the_store_made() {
        let one = [tombstone("a", "x")];
        let stored = changes(&one, &[]).unwrap();
        let dropped = changes(&[], &one).unwrap();
        let keys = |c: &BTreeMap<u8, Changes>| -> Vec<(u8, String)> {
            c.iter().flat_map(|(shard, entries)| entries.keys().map(|key| (*shard, key.clone()))).collect()
        };
        assert_eq!(keys(&stored), keys(&dropped));
        assert!(dropped.values().all(|entries| entries.values().all(Option::is_none)));
    }

    #[test]
    fn a_tombstone_that_is_stored_and_dropped_at_once_is_stored() {
        let one = [tombstone("a", "x")];
        assert!(changes(&one, &one).unwrap().values().all(|entries| entries.values().all(Option::is_some)));
    }

    #[test]
    fn an_entry_that_cannot_be_read_hides_no_other() {
        let (_, key) = place(&tombstone("a", "x"));
        let good = serde_json::to_string(&Stored::from(&tombstone("a", "x"))).unwrap();
        let shard = ConfigMap {
            data: Some([("bad".to_owned(), "{".to_owned()), (key, good)].into()),
            ..ConfigMap::default()
        };
        assert_eq!(entries(&shard), [tombstone("a", "x")]);
    }

    #[test]
    fn tombstones_spread_over_every_shard() {
        let used: std::collections::BTreeSet<u8> =
            (0..400).map(|i| place(&tombstone("a", &format!("agent-{i}"))).0).collect();
        assert_eq!(used.len(), usize::from(SHARDS));
    }
}
