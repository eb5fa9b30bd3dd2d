//! Ends a hub that another has taken over from: both would write the same statuses, in turns, for ever.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use parallax_platform::Watch;

use crate::error::HubError;
use crate::store::state::{self, HubState};

/// Returns when the hub's record says that another process has begun an epoch since `holder` did; what is wrong with
/// the record otherwise, or with the way to it, ends nobody.
pub async fn superseded(client: Client, namespace: String, holder: String) -> HubError {
    let only = Config::default().fields(&format!("metadata.name={}", state::NAME));
    let watch = Watch::new(&client, "the hub's record").config(only);
    let mut events = watch.follow(|client| Api::<ConfigMap>::namespaced(client, &namespace));
    while let Some(event) = events.next().await {
        if let Event::Apply(object) | Event::InitApply(object) = event
            && let Some(epoch) = begun_by_another(&object, &holder)
        {
            return HubError::Superseded { epoch };
        }
    }
    HubError::Halted { part: "the watch of the hub's record" }
}

/// The epoch that another process than `holder` has begun.
fn begun_by_another(object: &ConfigMap, holder: &str) -> Option<u64> {
    let stored = HubState::of(object).ok()?;
    (stored.holder != holder && !stored.holder.is_empty()).then_some(stored.epoch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(data: &serde_json::Value) -> ConfigMap {
        serde_json::from_value(serde_json::json!({"metadata": {"name": state::NAME}, "data": data})).unwrap()
    }

    #[test]
    fn only_another_process_ends_this_one() {
        let ours = record(&serde_json::json!({"uid": "u", "epoch": "7", "holder": "p-1"}));
        assert_eq!(begun_by_another(&ours, "p-1"), None);
        assert_eq!(begun_by_another(&ours, "p-2"), Some(7));
    }

    #[test]
    fn a_damaged_or_restored_record_ends_nobody() {
        for data in [serde_json::json!({"epoch": "7"}), serde_json::json!({"uid": "u", "epoch": "7"})] {
            assert_eq!(begun_by_another(&record(&data), "p-1"), None);
        }
    }
}
