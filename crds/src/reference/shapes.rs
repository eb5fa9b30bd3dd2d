//! Objects that occur more than once: their fields are told where the first is, and the others lead there.

use std::collections::HashMap;

use serde_json::Value;

/// Where an object's fields are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The page's file.
    pub file: String,
    /// The object, from the root: `spec.scaling`.
    pub path: String,
    /// The section whose table has the fields.
    pub section: String,
}

impl Place {
    /// The place of an object in this section, which may get a section of its own.
    pub(super) fn below(&self, path: &str, has_section: bool) -> Self {
        let path = format!("{}.{path}", self.path);
        let section = if has_section { path.clone() } else { self.section.clone() };
        Self { file: self.file.clone(), path, section }
    }

    /// A link from a page to the section.
    pub(super) fn link_from(&self, file: &str) -> String {
        let anchor: String =
            self.section.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let page = if self.file == file { "" } else { &self.file };
        format!("{page}#{anchor}")
    }
}

/// The objects that have been told.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    places: HashMap<String, Place>,
}

impl Shapes {
    /// Where the fields of such an object have been told; `None` the first time, which is then at `place`.
    pub(super) fn place_of(&mut self, object: &Value, place: &Place) -> Option<Place> {
        let mut shape = object.clone();
        if let Value::Object(map) = &mut shape {
            map.remove("description");
        }
        without_defaults(&mut shape);
        let key = shape.to_string();
        let known = self.places.get(&key).cloned();
        if known.is_none() {
            self.places.insert(key, place.clone());
        }
        known
    }
}

/// An assignment's template has none: the hub writes all out.
fn without_defaults(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("default");
            map.values_mut().for_each(without_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(without_defaults),
        _ => {}
    }
}
