//! Whether a live object already is what it should be: every field that we set is there with our value.
//! What API servers default and what others add is theirs, and no difference.

use std::fmt;

use parallax_crds::quantity;
use serde_json::{Map, Value};

use crate::build::{CREDENTIALS_STAMP, SPEC_HASH};

/// The first field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path, "spec.template.spec.containers[agent].image".
    pub path: String,
}

impl Difference {
    /// Whether somebody else must have changed the live object. Not so where the order itself may have changed: its
    /// hash, its replicas, their bounds, or the value of a key that it names.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        let by_order =
            [SPEC_HASH, CREDENTIALS_STAMP].iter().any(|annotation| self.path.ends_with(annotation));
        let numbers = ["spec.replicas", "spec.minReplicas", "spec.maxReplicas"];
        !by_order && !numbers.contains(&self.path.as_str())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// Where the live object isn't what is desired; none when a write would change nothing. Both are of one kind:
/// items of a list don't say theirs.
///
/// A field that a former desired object had and this one hasn't is not seen here: an annotation with the
/// hash of the order differs then, and server-side apply drops the field.
#[must_use]
pub fn difference(desired: &Value, live: &Value) -> Option<Difference> {
    let mut path = Path::default();
    let same = match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => desired
            .iter()
            .filter(|(key, _)| *key != "apiVersion" && *key != "kind")
            .all(|(key, value)| covers_field(key, value, live, &mut path)),
        _ => covers(desired, live, &mut path),
    };
    (!same).then(|| Difference { path: path.text() })
}

/// The way down to a value. On a difference it is left standing where that is.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn text(&self) -> String {
        let mut out = String::new();
        for part in &self.0 {
            if !out.is_empty() && !part.starts_with('[') {
                out.push('.');
            }
            out.push_str(part);
        }
        out
    }

    fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// Runs `below` one step down; the step is taken back when all is well.
    fn step(&mut self, part: String, below: impl FnOnce(&mut Self) -> bool) -> bool {
        self.0.push(part);
        let same = below(self);
        if same {
            self.0.pop();
        }
        same
    }

    /// Whether the value here is an amount: under requests or limits, or a size limit.
    fn is_quantity(&self) -> bool {
        let above = self.0.len().checked_sub(2).and_then(|i| self.0.get(i));
        self.last() == "sizeLimit" || above.is_some_and(|p| p == "requests" || p == "limits")
    }
}

fn covers(desired: &Value, live: &Value, path: &mut Path) -> bool {
    match (desired, live) {
        _ if is_whole(path.last()) => same_whole(desired, live),
        (Value::Object(desired), Value::Object(live)) => covers_map(desired, live, path),
        (Value::Array(desired), Value::Array(live)) => covers_list(desired, live, path),
        (desired, Value::Null) => is_empty(desired),
        (Value::Null, _) => true,
        _ if path.is_quantity() => {
            amount(desired).zip(amount(live)).is_some_and(|(desired, live)| quantity::same(&desired, &live))
        }
        _ => desired == live,
    }
}

fn covers_map(desired: &Map<String, Value>, live: &Map<String, Value>, path: &mut Path) -> bool {
    desired.iter().all(|(key, value)| covers_field(key, value, live, path))
}

fn covers_field(key: &str, value: &Value, live: &Map<String, Value>, path: &mut Path) -> bool {
    // An emptyDir is told from no volume source at all by being there, empty.
    let missing = !live.contains_key(key) && value.is_object() && key == "emptyDir";
    path.step(key.to_owned(), |path| !missing && covers(value, live.get(key).unwrap_or(&Value::Null), path))
}

/// Lists with keys: each of ours is there, in our order, with whatever others put between. Other lists are
/// ours as a whole.
fn covers_list(desired: &[Value], live: &[Value], path: &mut Path) -> bool {
    let Some(keys) = keys_of(path.last()) else {
        return desired.len() == live.len()
            && desired
                .iter()
                .zip(live)
                .enumerate()
                .all(|(i, (d, l))| path.step(format!("[{i}]"), |p| covers(d, l, p)));
    };
    let mut rest = live.iter();
    desired.iter().all(|wanted| {
        let name = keys.iter().find_map(|k| amount(&wanted[*k])).unwrap_or_default();
        path.step(format!("[{name}]"), |path| {
            rest.by_ref()
                .find(|l| keys.iter().all(|k| l[*k] == wanted[*k]))
                .is_some_and(|l| covers(wanted, l, path))
        })
    })
}

/// The merge keys of the lists that we write, as Kubernetes' schema has them.
fn keys_of(field: &str) -> Option<&'static [&'static str]> {
    match field {
        "initContainers" | "containers" | "env" | "volumes" | "imagePullSecrets" => Some(&["name"]),
        "volumeMounts" => Some(&["mountPath"]),
        // Containers' ports have a containerPort, Services' a port; the other key is null on both sides.
        "ports" => Some(&["containerPort", "port", "protocol"]),
        "ownerReferences" => Some(&["uid"]),
        _ => None,
    }
}

/// Fields that are ours as a whole, since what others add changes what ours mean: a label more in a selector selects
/// less, a rule more admits more. We write them just as API servers keep them.
fn is_whole(field: &str) -> bool {
    matches!(field, "selector" | "podSelector" | "ingress" | "egress" | "policyTypes")
}

/// Equal, where an empty list is as good as none. An empty selector is not: it selects all.
fn same_whole(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(a), Value::Object(b)) => {
            let of = |map: &Map<String, Value>, key: &String| map.get(key).cloned().unwrap_or_default();
            a.keys().chain(b.keys()).all(|key| same_whole(&of(a, key), &of(b, key)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_whole(a, b))
        }
        (a, b) => a == b || (is_nothing(a) && is_nothing(b)),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// What an API server may leave out: an empty map, list or text. Where we write false or zero, it keeps it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn amount(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
