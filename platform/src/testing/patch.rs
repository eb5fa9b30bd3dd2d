//! Merge patches and JSON patches.

use serde_json::Value;

use super::answer::Refusal;
use super::object::{entries, object_mut};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Json,
    Merge,
}

/// What a patch makes of an object: with a part, of that alone.
pub fn patched(
    object: &Value,
    part: Option<&str>,
    dialect: Dialect,
    patch: &Value,
) -> Result<Value, Refusal> {
    let mut changed = object.clone();
    match dialect {
        Dialect::Merge => merge(&mut changed, patch),
        Dialect::Json => {
            for step in patch.as_array().into_iter().flatten() {
                take(&mut changed, step)?;
            }
        }
    }
    let Some(part) = part else {
        // A status is written by its own path only.
        if let Some(map) = changed.as_object_mut() {
            map.remove("status");
            map.extend(object.get("status").map(|status| ("status".to_owned(), status.clone())));
        }
        return Ok(changed);
    };
    let mut whole = object.clone();
    whole[part] = changed[part].take();
    // Preconditions hold for every path.
    for key in ["uid", "resourceVersion"] {
        whole["metadata"][key] = changed["metadata"][key].take();
    }
    Ok(whole)
}

/// RFC 7386.
fn merge(value: &mut Value, patch: &Value) {
    if !patch.is_object() {
        *value = patch.clone();
        return;
    }
    let map = object_mut(value);
    for (key, patch) in entries(patch) {
        if patch.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), patch);
        }
    }
}

/// One step of RFC 6902; a test for null passes where there is nothing.
fn take(object: &mut Value, step: &Value) -> Result<(), Refusal> {
    let refused =
        || Refusal::new(422, "Invalid", "the server rejected our request due to an error in our request");
    let path = step["path"].as_str().ok_or_else(refused)?;
    let (parent, last) = path.rsplit_once('/').ok_or_else(refused)?;
    let key = last.replace("~1", "/").replace("~0", "~");
    if step["op"] == "test" {
        let is = object.pointer(path).unwrap_or(&Value::Null);
        return if *is == step["value"] { Ok(()) } else { Err(refused()) };
    }
    match (object.pointer_mut(parent).ok_or_else(refused)?, step["op"].as_str()) {
        (Value::Object(map), Some("add")) => {
            map.insert(key, step["value"].clone());
        }
        (Value::Object(map), Some("remove")) => {
            map.remove(&key).ok_or_else(refused)?;
        }
        (Value::Array(list), Some("add")) if key == "-" => list.push(step["value"].clone()),
        (Value::Array(list), Some("remove")) => {
            let at = key.parse().ok().filter(|at| *at < list.len()).ok_or_else(refused)?;
            list.remove(at);
        }
        _ => return Err(refused()),
    }
    Ok(())
}
