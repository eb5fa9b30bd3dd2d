//! Server-side apply: what a manager applied before and no longer does goes, unless another applies it too.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::object::{Objects, entries, object_mut, same};

/// An apply.
pub struct Applied<'a> {
    pub manager: &'a str,
    pub force: bool,
    /// The subresource.
    pub part: Option<&'a str>,
    pub config: &'a Value,
}

/// Fields by their path, with their values. A list is one field.
type Fields = BTreeMap<Vec<String>, Value>;

impl Objects {
    pub fn apply(&mut self, path: &str, applied: &Applied<'_>) -> Result<Value, Refusal> {
        let Applied { manager, force, part, config } = *applied;
        let existing = self.get(path).cloned();
        match &existing {
            Some(object) => same(object, &config["metadata"])?,
            None if !config["metadata"]["uid"].is_null() => {
                return Err(Refusal::conflict("no object has the uid"));
            }
            None if part.is_some() => return Err(Refusal::not_found()),
            None => {}
        }
        let mut object = existing.unwrap_or_else(
            || json!({"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": {}}),
        );
        let wanted = fields_of(config, part);
        let mut managers = managers(&object);
        let other = |(name, operation, of): &Owner| {
            (&**name, &**operation, of.as_deref()) != (manager, "Apply", part)
        };
        for (_, theirs) in managers.iter_mut().filter(|(who, _)| other(who)) {
            let taken =
                |path: &Vec<String>| wanted.get(path).is_some_and(|value| at(&object, path) != Some(value));
            if !force && theirs.iter().any(taken) {
                return Err(Refusal::conflict("another manager owns a field").because("FieldManagerConflict"));
            }
            theirs.retain(|path| !taken(path));
        }
        let mine = (manager.to_owned(), "Apply".to_owned(), part.map(str::to_owned));
        let before = managers.remove(&mine).unwrap_or_default();
        for path in before.iter().filter(|path| !wanted.contains_key(*path)) {
            if !managers.values().any(|theirs| theirs.contains(path)) {
                cut(&mut object, path);
            }
        }
        for (path, value) in &wanted {
            *reach(&mut object, path) = value.clone();
        }
        managers.insert(mine, wanted.into_keys().collect());
        object["metadata"]["managedFields"] = written(&managers);
        Ok(self.put(path, object))
    }
}

/// Who has set fields: manager, operation and subresource.
type Owner = (String, String, Option<String>);
/// Who has set which fields.
type Managers = BTreeMap<Owner, Vec<Vec<String>>>;

/// What of an object differs from what was there before is the manager's, and nobody else's.
pub fn claim(before: Option<&Value>, object: &mut Value, manager: &str) {
    let mut managers = managers(object);
    let before = before.map(|before| fields_of(before, None)).unwrap_or_default();
    let now = fields_of(object, None);
    let changed = |path: &Vec<String>| before.get(path) != now.get(path);
    managers.values_mut().for_each(|theirs| theirs.retain(|path| !changed(path)));
    let mine = managers.entry((manager.to_owned(), "Update".to_owned(), None)).or_default();
    mine.extend(now.keys().filter(|path| changed(path)).cloned());
    object["metadata"]["managedFields"] = written(&managers);
}

fn managers(object: &Value) -> Managers {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of = |entry: &Value| {
        let mut fields = Vec::new();
        leaves(&entry["fieldsV1"], &mut Vec::new(), &mut |path, _| {
            fields.push(path.iter().map(|part| part.strip_prefix("f:").unwrap_or(part).to_owned()).collect());
        });
        let [manager, operation] = ["manager", "operation"].map(|key| text(&entry[key]).unwrap_or_default());
        ((manager, operation, text(&entry["subresource"])), fields)
    };
    object["metadata"]["managedFields"].as_array().into_iter().flatten().map(of).collect()
}

fn written(managers: &Managers) -> Value {
    let entry = |((manager, operation, part), fields): (&Owner, &Vec<Vec<String>>)| {
        let mut tree = json!({});
        for path in fields {
            let path: Vec<_> = path.iter().map(|part| format!("f:{part}")).collect();
            *reach(&mut tree, &path) = json!({});
        }
        let mut entry =
            json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": tree});
        if let Some(part) = part {
            entry["subresource"] = json!(part);
        }
        entry
    };
    managers.iter().filter(|(_, fields)| !fields.is_empty()).map(entry).collect()
}

/// What an applied object sets: of a subresource that alone, of the rest all but that.
fn fields_of(config: &Value, part: Option<&str>) -> Fields {
    let mut fields = Fields::new();
    leaves(config, &mut Vec::new(), &mut |path, value| {
        let (first, second) = (path.first().map(String::as_str), path.get(1).map(String::as_str));
        let identity = matches!(first, Some("apiVersion" | "kind"))
            || (first == Some("metadata")
                && matches!(
                    second,
                    Some(
                        "name"
                            | "namespace"
                            | "uid"
                            | "resourceVersion"
                            | "generation"
                            | "managedFields"
                            | "deletionTimestamp"
                    ) | None
                ));
        let counts = part.map_or(first != Some("status"), |part| first == Some(part));
        if counts && !identity && !value.is_null() {
            fields.insert(path.to_vec(), value.clone());
        }
    });
    fields
}

fn leaves(value: &Value, path: &mut Vec<String>, found: &mut impl FnMut(&[String], &Value)) {
    match value {
        Value::Object(map) if !map.is_empty() || path.is_empty() => {
            for (key, value) in entries(value) {
                path.push(key.clone());
                leaves(value, path, found);
                path.pop();
            }
        }
        value => found(path, value),
    }
}

fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

fn reach<'a>(object: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(object, |value, key| object_mut(value).entry(key.clone()).or_insert(Value::Null))
}

/// Takes a field out, and what is empty then.
fn cut(object: &mut Value, path: &[String]) {
    let Some((last, above)) = path.split_last() else { return };
    let parent = reach(object, above);
    object_mut(parent).remove(last);
    if parent.as_object().is_some_and(Map::is_empty) && above.len() > 1 {
        cut(object, above);
    }
}
