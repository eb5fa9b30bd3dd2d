//! Which objects a watch has shown: what a relist lacks is gone.

use std::collections::HashMap;

use kube::api::ObjectMeta;

/// What tells an object from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Another for each object of that name.
    pub uid: String,
}

impl Identity {
    /// An object's.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }
}

/// The UIDs of the objects that are there, by namespace and name.
#[derive(Debug, Default)]
pub struct Known {
    uids: HashMap<(String, String), String>,
    listing: HashMap<(String, String), String>,
}

impl Known {
    /// A list begins; what an interrupted one had shown so far counts for nothing.
    pub fn begin_list(&mut self) {
        self.listing.clear();
    }

    /// The list shows an object.
    pub fn listed(&mut self, Identity { namespace, name, uid }: Identity) {
        self.listing.insert((namespace, name), uid);
    }

    /// The list is complete; what it lacked.
    pub fn end_list(&mut self) -> Vec<Identity> {
        let mut before = std::mem::replace(&mut self.uids, std::mem::take(&mut self.listing));
        before.retain(|key, _| !self.uids.contains_key(key));
        before.into_iter().map(|((namespace, name), uid)| Identity { namespace, name, uid }).collect()
    }

    /// An object is there.
    pub fn seen(&mut self, Identity { namespace, name, uid }: Identity) {
        self.uids.insert((namespace, name), uid);
    }

    /// An object is gone.
    pub fn gone(&mut self, identity: &Identity) {
        self.uids.remove(&(identity.namespace.clone(), identity.name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, uid: &str) -> Identity {
        Identity { namespace: "team".into(), name: name.into(), uid: uid.into() }
    }

    #[test]
    fn a_relist_tells_what_has_gone_and_nothing_else() {
        let mut known = Known::default();
        for name in ["a", "b", "c"] {
            known.seen(object(name, "1"));
        }
        known.gone(&object("c", "1"));
        known.begin_list();
        known.listed(object("b", "2"));
        known.listed(object("d", "1"));
        assert_eq!(known.end_list(), [object("a", "1")]);
    }

    #[test]
    fn a_list_that_broke_off_tells_nothing() {
        let mut known = Known::default();
        known.seen(object("a", "1"));
        known.begin_list();
        known.listed(object("b", "1"));
        known.begin_list();
        known.listed(object("a", "1"));
        assert_eq!(known.end_list(), []);
    }
}
