//! What an agent's pods were made of, and are.

use k8s_openapi::api::apps::v1::ControllerRevision;
use parallax_hub_core::revisions::{About, Revision, RevisionId, data, listed, whole};
use serde_json::Value;

use crate::error::CliError;

/// A revision as the hub has stored it.
#[derive(Debug)]
pub struct Known {
    /// What its object is called.
    pub name: String,
    pub id: RevisionId,
    pub about: About,
    pub revision: Revision,
    /// The spec as it is written.
    pub spec: Value,
}

/// Those of the agent with this UID, the newest last.
pub fn known(objects: &[ControllerRevision], uid: &str) -> Result<Vec<Known>, CliError> {
    let mut all = Vec::new();
    for object in objects {
        let Some(found) = listed(&object.metadata)?.filter(|found| found.uid == uid) else { continue };
        all.push(Known {
            name: object.metadata.name.clone().unwrap_or_default(),
            revision: whole(object, &found.about)?,
            spec: data(object)?.clone(),
            id: found.id,
            about: found.about,
        });
    }
    all.sort_by_key(|known| known.about.number);
    Ok(all)
}

impl Known {
    /// The image that it runs where no override applies; empty where that can't be told.
    pub fn image(&self) -> String {
        self.revision.image().unwrap_or_default()
    }
}

/// The fields of two specs that differ, by name.
pub fn differing<'a>(one: &'a Value, other: &'a Value) -> Vec<&'a str> {
    let fields = |of: &'a Value| of.as_object().into_iter().flat_map(|fields| fields.keys());
    let mut names: Vec<_> = fields(one).chain(fields(other)).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| one.get(name) != other.get(name));
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_came_went_or_changed_differ() {
        let one = json!({"type": "claude", "role": "a", "image": "example.org/mine:1"});
        let other = json!({"type": "claude", "role": "b", "env": []});
        assert_eq!(differing(&one, &other), ["env", "image", "role"]);
        assert_eq!(differing(&one, &one), [""; 0]);
    }
}
