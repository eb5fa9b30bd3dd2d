//! What stays different after a write is what an API server makes of it (an admission webhook, a rounding): it isn't
//! written again until one side changes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use parallax_crds::AgentKey;
use parallax_member_core::{ChildKind, difference};
use parking_lot::Mutex;
use serde_json::Value;

/// Objects that stayed different: what was wanted and what came of it.
#[derive(Default)]
pub struct Stubborn(Mutex<HashMap<(ChildKind, AgentKey), (u64, u64)>>);

impl Stubborn {
    /// Whether a write of this has already led to that.
    pub(super) fn is(&self, kind: ChildKind, key: &AgentKey, wanted: &Value, live: &Value) -> bool {
        let seen = (fingerprint(wanted), fingerprint(live));
        self.0.lock().get(&(kind, key.clone())) == Some(&seen)
    }

    /// A write of this led to that.
    pub(super) fn remember(&self, kind: ChildKind, key: &AgentKey, wanted: &Value, live: &Value) {
        let mut all = self.0.lock();
        if let Some(left) = difference(wanted, live) {
            tracing::warn!(kind = kind.name(), agent = %key, difference = %left, "the API server keeps another value");
            all.insert((kind, key.clone()), (fingerprint(wanted), fingerprint(live)));
        } else {
            all.remove(&(kind, key.clone()));
        }
    }

    /// An agent is gone.
    pub fn forget(&self, key: &AgentKey) {
        self.0.lock().retain(|(_, of), _| of != key);
    }
}

/// Tells values apart within this process.
fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_api_server_keeps_is_written_again_when_either_side_changes() {
        let (stubborn, key) = (Stubborn::default(), AgentKey::new("team", "writer"));
        let is = |wanted, live| stubborn.is(ChildKind::Service, &key, &wanted, &live);
        let [one, two, three] = [1, 2, 3].map(|port| json!({"spec": {"port": port}}));
        stubborn.remember(ChildKind::Service, &key, &one, &two);
        assert!(is(one.clone(), two.clone()));
        assert!(!is(one.clone(), three.clone()) && !is(three, two.clone()));
        stubborn.remember(ChildKind::Service, &key, &two, &two);
        assert!(!is(one, two), "a write did what it should");
    }
}
