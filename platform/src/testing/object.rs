//! The objects that there are.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::apply::claim;

/// All objects by path.
#[derive(Default)]
pub struct Objects {
    all: BTreeMap<String, Value>,
    /// The last version that was given out. UIDs are of the same numbers.
    version: u64,
    /// What admission does to what is written, by a part of the path.
    mutations: Vec<(String, Mutation)>,
}

type Mutation = Box<dyn Fn(&mut Value) + Send>;

impl Objects {
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.all.get(path)
    }

    pub fn paths(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }

    pub fn mutate(&mut self, path: &str, change: impl Fn(&mut Value) + Send + 'static) {
        self.mutations.push((path.to_owned(), Box::new(change)));
    }

    pub fn remove(&mut self, path: &str) {
        self.all.remove(path);
    }

    /// The objects of a kind, of one namespace or of all.
    pub fn list(&self, path: &str) -> Value {
        let items: Vec<_> =
            self.all.iter().filter(|(of, _)| is_listed(path, of)).map(|(_, object)| object).collect();
        let version = self.version.to_string();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
    }

    /// Stores an object; what changes in it is the manager's then.
    pub fn write(&mut self, path: &str, mut object: Value, manager: &str) -> Value {
        claim(self.all.get(path), &mut object, manager);
        self.put(path, object)
    }

    /// The object as it is stored: with its name and identity, and a version of its own if it is another than before.
    pub fn put(&mut self, path: &str, mut object: Value) -> Value {
        for (_, change) in self.mutations.iter().filter(|(part, _)| path.contains(part)) {
            change(&mut object);
        }
        let before = self.all.get(path);
        let fresh = (self.version + 1).to_string();
        let (rest, name) = path.rsplit_once('/').unwrap_or_default();
        let namespace = rest.split_once("/namespaces/").and_then(|(_, rest)| rest.split('/').next());
        let old = |key: &str| before.map(|old| old["metadata"][key].clone()).filter(|value| !value.is_null());
        let meta = &mut object["metadata"];
        meta["name"] = name.into();
        if let Some(namespace) = namespace {
            meta["namespace"] = namespace.into();
        }
        if meta["uid"].is_null() {
            meta["uid"] = old("uid").unwrap_or_else(|| format!("uid-{fresh}").into());
        }
        // As API servers store it.
        if finalizers(&object).is_empty() {
            object_mut(&mut object["metadata"]).remove("finalizers");
        }
        let generation = old("generation").and_then(|value| value.as_u64()).unwrap_or_default();
        let respecified = before.is_none_or(|old| old["spec"] != object["spec"]);
        object["metadata"]["generation"] = (generation + u64::from(respecified)).into();
        object["metadata"]["resourceVersion"] = old("resourceVersion").unwrap_or_default();
        if before != Some(&object) {
            self.version += 1;
            object["metadata"]["resourceVersion"] = fresh.into();
        }
        // Nothing holds it any more.
        if !object["metadata"]["deletionTimestamp"].is_null() && finalizers(&object).is_empty() {
            self.all.remove(path);
        } else {
            self.all.insert(path.to_owned(), object.clone());
        }
        object
    }

    pub fn create(&mut self, list: &str, object: Value, manager: &str) -> Result<Value, Refusal> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{list}/{name}");
        if self.all.contains_key(&path) {
            return Err(Refusal::new(409, "AlreadyExists", "already exists"));
        }
        Ok(self.write(&path, object, manager))
    }

    /// What a patch makes of an object, unless it is no longer the one that it is for.
    pub fn patch(
        &mut self,
        path: &str,
        manager: &str,
        patched: impl FnOnce(&Value) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let object = self.all.get(path).ok_or_else(Refusal::not_found)?;
        let patched = patched(object)?;
        same(object, &patched["metadata"])?;
        Ok(self.write(path, patched, manager))
    }

    /// What is left of it, or that nothing is.
    pub fn delete(&mut self, path: &str, options: &Value) -> Result<Value, Refusal> {
        let object = self.all.get(path).ok_or_else(Refusal::not_found)?;
        same(object, &options["preconditions"])?;
        let mut object = object.clone();
        let mut held = finalizers(&object);
        if options["propagationPolicy"] == "Foreground" && !held.iter().any(|by| by == FOREGROUND) {
            held.push(FOREGROUND.into());
        }
        if held.is_empty() {
            self.all.remove(path);
            return Ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
        }
        object["metadata"]["finalizers"] = held.into();
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        Ok(self.put(path, object))
    }
}

/// Whether the object at a path is in the list at another.
fn is_listed(list: &str, path: &str) -> bool {
    let Some((parent, _)) = path.rsplit_once('/') else { return false };
    let Some((root, resource)) = list.rsplit_once('/') else { return false };
    let of_namespace = parent.strip_prefix(root).and_then(|rest| rest.strip_prefix("/namespaces/"));
    parent == list || of_namespace.and_then(|rest| rest.split_once('/')).is_some_and(|(_, of)| of == resource)
}

/// What holds an object until those that it owns are gone.
const FOREGROUND: &str = "foregroundDeletion";

fn finalizers(object: &Value) -> Vec<Value> {
    object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default()
}

/// Whether an object has the UID and the version that somebody expects, if they do.
pub fn same(object: &Value, expected: &Value) -> Result<(), Refusal> {
    for key in ["uid", "resourceVersion"] {
        if !expected[key].is_null() && expected[key] != object["metadata"][key] {
            return Err(Refusal::conflict(&format!("the {key} is another")));
        }
    }
    Ok(())
}

/// The entries of an object; of anything else, none.
pub fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The object that is there, or an empty one in its place.
pub fn object_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made one"),
    }
}
