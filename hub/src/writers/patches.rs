//! The patches that the hub sends: JSON patches that begin with a test of the object's UID, so that a
//! namesake is never written, and that touch nothing but what is ours, so that nobody's edit is lost.

use parallax_crds::labels::{FINALIZER, PRUNE_APPROVE};
use serde::Serialize;
use serde_json::{Value, json};

/// Our finalizer added to an object that has these; none when it has it already.
pub fn add_finalizer(uid: &str, existing: &[String]) -> Option<Value> {
    if existing.iter().any(|f| f == FINALIZER) {
        return None;
    }
    Some(if existing.is_empty() {
        // A test for null passes where there is no such field: a finalizer that came in between is safe.
        json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/metadata/finalizers", "value": null},
            {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]},
        ])
    } else {
        json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER},
        ])
    })
}

/// Our finalizer taken from an object that has these; none when it isn't there.
pub fn release_finalizer(uid: &str, existing: &[String]) -> Option<Value> {
    let at = existing.iter().position(|f| f == FINALIZER)?;
    let path = format!("/metadata/finalizers/{at}");
    Some(json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": path, "value": FINALIZER},
        {"op": "remove", "path": path},
    ]))
}

/// One step of a patch; its value is written without a detour.
#[derive(Serialize)]
struct Step<V> {
    op: &'static str,
    path: &'static str,
    value: V,
}

/// The whole status; we are its only writer.
pub fn status<S: Serialize>(uid: &str, status: &S) -> impl Serialize {
    (
        Step { op: "test", path: "/metadata/uid", value: uid },
        Step { op: "add", path: "/status", value: status },
    )
}

/// The annotation by which a removal was approved, taken away while it still says so.
pub fn clear_prune_approval(digest: &str) -> Value {
    let path = format!("/metadata/annotations/{}", PRUNE_APPROVE.replace('~', "~0").replace('/', "~1"));
    json!([
        {"op": "test", "path": path, "value": digest},
        {"op": "remove", "path": path},
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn finalizers(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_finalizer_is_added_beside_others_or_as_the_first() {
        let first = add_finalizer("u", &[]).unwrap();
        assert_eq!(first[1], json!({"op": "test", "path": "/metadata/finalizers", "value": null}));
        assert_eq!(first[2]["value"], json!([FINALIZER]));
        let beside = add_finalizer("u", &finalizers(&["a/b"])).unwrap();
        assert_eq!(beside[1]["path"], "/metadata/finalizers/-");
        assert_eq!(add_finalizer("u", &finalizers(&["a/b", FINALIZER])), None);
    }

    #[test]
    fn a_release_takes_only_our_own_finalizer() {
        let patch = release_finalizer("u", &finalizers(&["a/b", FINALIZER, "c/d"])).unwrap();
        assert_eq!(patch[1], json!({"op": "test", "path": "/metadata/finalizers/1", "value": FINALIZER}));
        assert_eq!(patch[2]["path"], "/metadata/finalizers/1");
        assert_eq!(release_finalizer("u", &finalizers(&["a/b"])), None);
    }

    #[test]
    fn every_patch_of_an_agent_begins_with_a_test_of_its_uid() {
        for patch in [
            add_finalizer("u", &[]).unwrap(),
            add_finalizer("u", &finalizers(&["a/b"])).unwrap(),
            release_finalizer("u", &finalizers(&[FINALIZER])).unwrap(),
            serde_json::to_value(status("u", &json!({"phase": "Running"}))).unwrap(),
        ] {
            assert_eq!(patch[0], json!({"op": "test", "path": "/metadata/uid", "value": "u"}));
        }
    }

    #[test]
    fn an_approval_is_cleared_under_its_escaped_key() {
        let patch = clear_prune_approval("d1");
        assert_eq!(
            patch[0],
            json!({"op": "test", "path": "/metadata/annotations/parallax.io~1prune-approve", "value": "d1"})
        );
    }
}
