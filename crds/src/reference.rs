//! The fields of the kinds as pages of the documentation, made of the definitions: what a field means, what it may
//! be, and which rules hold between fields is said once, in the types.

mod bounds;
mod shapes;

use serde_json::Value;

use crate::definitions;
use shapes::{Place, Shapes};

/// One page, with the name of its file under `docs/reference/fields/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The file's name: the kind in lower case, and `.md`.
    pub file: String,
    /// The page, in Markdown.
    pub text: String,
}

/// A page for each kind.
///
/// # Errors
/// When a definition has no JSON form, which would be a defect of the types.
pub fn pages() -> Result<Vec<Page>, serde_json::Error> {
    let mut shapes = Shapes::default();
    Ok(definitions::all()?.iter().map(|definition| page(&definition.body["spec"], &mut shapes)).collect())
}

fn page(definition: &Value, shapes: &mut Shapes) -> Page {
    let (names, version) = (&definition["names"], &definition["versions"][0]);
    let schema = &version["schema"]["openAPIV3Schema"];
    let file = format!("{}.md", word(&names["singular"]));
    let short: Vec<String> = names["shortNames"].as_array().into_iter().flatten().map(code).collect();
    let mut text = format!(
        "<!-- Generated from the types in crds/src by crdgen; edit those. -->\n\n# {}: every field\n\n{}\n\n\
         `{}/{}`, scope {}, short names {}. A field without a default may be left out unless it is required.\n{}",
        word(&names["kind"]),
        word(&schema["description"]),
        word(&definition["group"]),
        word(&version["name"]),
        word(&definition["scope"]),
        short.join(" and "),
        refusals(&messages("", schema)),
    );
    for part in ["spec", "status"] {
        let place = Place { file: file.clone(), path: part.to_owned(), section: part.to_owned() };
        text.push_str(&section("##", &place, &schema["properties"][part], shapes));
    }
    Page { file, text }
}

/// An object's own fields in a table, and then sections for the objects among them. In those, what lies deeper is in
/// the same table.
fn section(heading: &str, place: &Place, schema: &Value, shapes: &mut Shapes) -> String {
    let mut table = Table { is_of_part: heading == "##", messages: messages("", schema), ..Table::default() };
    table.add("", schema, place, shapes);
    let description = word(&schema["description"]);
    let mut text = format!(
        "\n{heading} {}\n\n{description}\n\n| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n{}{}",
        place.path,
        table.rows,
        refusals(&table.messages),
    );
    for (place, schema) in table.sections {
        text.push_str(&section("###", &place, &schema, shapes));
    }
    text
}

#[derive(Default)]
struct Table {
    /// It is of the spec or the status: the objects in it get sections of their own.
    is_of_part: bool,
    rows: String,
    messages: Vec<String>,
    sections: Vec<(Place, Value)>,
}

impl Table {
    /// Adds the fields of an object, each with the `prefix` that leads to it from the section's own object.
    fn add(&mut self, prefix: &str, object: &Value, section: &Place, shapes: &mut Shapes) {
        for (name, field) in object["properties"].as_object().into_iter().flatten() {
            let (inside, suffix) = inside(field);
            let (path, path_inside) = (format!("{prefix}{name}"), format!("{prefix}{name}{suffix}"));
            let place = section.below(&path_inside, self.is_of_part);
            let is_object = inside["properties"].is_object();
            let known = if is_object { shapes.place_of(inside, &place) } else { None };
            let gets_a_section = is_object && known.is_none() && self.is_of_part;

            let mut type_ = bounds::kind(field);
            if gets_a_section {
                type_ = format!("[{type_}]({})", place.link_from(&place.file));
            }
            let mut meaning = word(&field["description"]).to_owned();
            if let Some(known) = &known {
                let link = known.link_from(&place.file);
                meaning.push_str(&format!(" Fields as of [{}]({link}).", known.path));
            }
            let default = default(object, name);
            self.rows.push_str(&row([&format!("`{path}`"), &type_, &default, &bounds::of(field), &meaning]));

            if !suffix.is_empty() {
                self.messages.extend(messages(&path, field));
            }
            if gets_a_section {
                let mut object = inside.clone();
                if object["description"].is_null() {
                    object["description"] = field["description"].clone();
                }
                self.sections.push((place, object));
            } else if known.is_none() {
                self.messages.extend(messages(&path_inside, inside));
                self.add(&format!("{path_inside}."), inside, section, shapes);
            }
        }
    }
}

/// A line of a table. A description in several lines is one here.
fn row(cells: [&str; 5]) -> String {
    format!("| {} |\n", cells.map(|cell| literal(cell).replace('|', "\\|").replace('\n', " ")).join(" | "))
}

/// What a field is when it is left out; `required` where it can't be.
fn default(object: &Value, name: &str) -> String {
    let is_required = object["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    match (&object["properties"][name]["default"], is_required) {
        (Value::Null, true) => "required".to_owned(),
        (Value::Null, false) => String::new(),
        (default, _) => code(default),
    }
}

/// What has the fields of a field that is an object, a list or a map of objects; and what to write after its name.
fn inside(field: &Value) -> (&Value, &'static str) {
    match (&field["items"], &field["additionalProperties"]) {
        (items @ Value::Object(_), _) => (items, "[]"),
        (_, values @ Value::Object(_)) => (values, "{}"),
        _ => (field, ""),
    }
}

/// What the rules of a field say when they are broken, after its path unless they name it themselves.
fn messages(path: &str, schema: &Value) -> Vec<String> {
    let name = path.rsplit('.').next().unwrap_or_default();
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules
        .map(|rule| word(&rule["message"]))
        .map(|message| match path.is_empty() || message.starts_with(&format!("{name}:")) {
            true => literal(message),
            false => format!("`{path}`: {}", literal(message)),
        })
        .collect()
}

fn refusals(messages: &[String]) -> String {
    if messages.is_empty() {
        return String::new();
    }
    let lines: String = messages.iter().map(|message| format!("* {message}\n")).collect();
    format!("\nWhat is refused besides, in the words of the refusal:\n\n{lines}")
}

/// Text in which nothing is taken for an HTML tag.
fn literal(text: &str) -> String {
    text.replace('<', "\\<")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A value as code, text without its quotes.
fn code(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("`{value}`"), |text| format!("`{text}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A definition whose spec and status are of these schemas.
    fn definition(spec: &Value, status: &Value) -> Value {
        let schema = json!({"description": "A thing.", "properties": {"spec": spec, "status": status}});
        json!({
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "singular": "thing", "shortNames": ["t", "th"]},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
        })
    }

    #[test]
    fn a_page_has_each_field_and_each_refusal_once_and_leads_to_what_is_told_before() {
        let point = json!({
            "type": "object",
            "description": "Where.",
            "required": ["x"],
            "properties": {"x": {"type": "integer", "description": "To the\nright.", "minimum": 0}},
            "x-kubernetes-validations": [{"rule": "…", "message": "it must lie <inside>"}],
        });
        let spec = json!({
            "type": "object",
            "description": "What is wanted.",
            "properties": {
                "at": point.clone(),
                "line": {
                    "type": "object",
                    "description": "From there to there.",
                    "properties": {"ends": {
                        "type": "array", "description": "Both.", "maxItems": 2, "items": point,
                        "x-kubernetes-validations": [{"rule": "…", "message": "ends: they must differ"}],
                    }},
                },
                "on": {
                    "type": "boolean", "description": "Yes | no.", "default": false,
                    "x-kubernetes-validations": [{"rule": "…", "message": "not now"}],
                },
            },
        });
        let status = json!({"type": "object", "description": "What is.", "properties": {}});
        let page = page(&definition(&spec, &status), &mut Shapes::default());
        assert_eq!(page.file, "thing.md");
        let expected = "\
## spec

What is wanted.

| field | type | default | bounds | meaning |
|---|---|---|---|---|
| `at` | [object](#specat) |  |  | Where. |
| `line` | [object](#specline) |  |  | From there to there. |
| `on` | boolean | `false` |  | Yes \\| no. |

What is refused besides, in the words of the refusal:

* `on`: not now

### spec.at

Where.

| field | type | default | bounds | meaning |
|---|---|---|---|---|
| `x` | integer | required | at least 0 | To the right. |

What is refused besides, in the words of the refusal:

* it must lie \\<inside>

### spec.line

From there to there.

| field | type | default | bounds | meaning |
|---|---|---|---|---|
| `ends` | list of objects |  | at most 2 | Both. Fields as of [spec.at](#specat). |

What is refused besides, in the words of the refusal:

* ends: they must differ

## status
";
        assert!(page.text.contains(expected), "{}", page.text);
    }
}
