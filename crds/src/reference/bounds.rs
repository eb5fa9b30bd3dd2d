//! What a field may be, in words.

use serde_json::Value;

use super::{code, word};
use crate::schema;

/// The type of a field: `string`, `list of objects`, `map of quantities`.
pub(super) fn kind(schema: &Value) -> String {
    match (&schema["items"], &schema["additionalProperties"]) {
        (items @ Value::Object(_), _) => format!("list of {}", plural(simple(items))),
        (_, values @ Value::Object(_)) => format!("map of {}", plural(simple(values))),
        _ => simple(schema).to_owned(),
    }
}

fn simple(schema: &Value) -> &str {
    if schema["x-kubernetes-int-or-string"] == true {
        return "quantity";
    }
    match schema["format"].as_str() {
        Some("date-time") => "time",
        _ => word(&schema["type"]),
    }
}

fn plural(kind: &str) -> String {
    kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"))
}

/// The bounds of a field: lengths, numbers, form.
pub(super) fn of(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    let known = match word(&schema["type"]) {
        "array" => {
            vec![range(schema, ["minItems", "maxItems"], ""), once(schema), inner("each", &schema["items"])]
        }
        "object" => vec![
            range(schema, ["minProperties", "maxProperties"], ""),
            inner("values", &schema["additionalProperties"]),
        ],
        "integer" => vec![range(schema, ["minimum", "maximum"], "")],
        _ => vec![range(schema, ["minLength", "maxLength"], " characters"), form(schema)],
    };
    known.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn inner(which: &str, schema: &Value) -> Option<String> {
    let bounds = if schema.is_object() { of(schema) } else { String::new() };
    (!bounds.is_empty()).then(|| format!("{which} {bounds}"))
}

fn once(schema: &Value) -> Option<String> {
    match word(&schema["x-kubernetes-list-type"]) {
        "set" => Some("each once".to_owned()),
        "map" => {
            let keys: Vec<String> =
                schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().map(code).collect();
            Some(format!("each {} once", keys.join(" and ")))
        }
        _ => None,
    }
}

fn range(schema: &Value, [least, most]: [&str; 2], unit: &str) -> Option<String> {
    let number = |name: &str| schema[name].as_i64().map(grouped);
    match (number(least), number(most)) {
        (Some(least), Some(most)) if least == most => Some(format!("{least}{unit}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

/// A number with commas between thousands.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a pattern admits; the pattern itself where there are no words for it.
fn form(schema: &Value) -> Option<String> {
    let words = match schema["pattern"].as_str()? {
        schema::DNS_LABEL => "a DNS label",
        schema::DNS_SUBDOMAIN => "a DNS name",
        schema::LABEL_KEY => "a label's key",
        schema::LABEL_VALUE => "of the form of a label's value",
        schema::CONFIG_KEY => "letters, digits, `-`, `_` and `.`",
        schema::ENV_NAME => "a variable's name",
        schema::IMAGE => "an image reference",
        schema::URL_PATH => "the path of a URL, and its query",
        schema::TEXT => "no control characters but tab and line breaks",
        schema::QUANTITY => "a quantity that isn't negative: `2`, `0.5`, `250m`, `512Mi`",
        schema::CIDR => "an address, `/` and a number of bits",
        schema::ABSOLUTE_PATH => "an absolute path",
        pattern => return Some(format!("`{pattern}`")),
    };
    Some(words.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_told_in_words() {
        for (schema, type_, bounds) in [
            (json!({"type": "boolean"}), "boolean", ""),
            (json!({"type": "integer", "minimum": 0, "maximum": 10_000}), "integer", "0 to 10,000"),
            (json!({"type": "integer", "minimum": -1_000}), "integer", "at least -1,000"),
            (json!({"type": "string", "enum": ["A", "B"]}), "string", "`A`, `B`"),
            (json!({"type": "string", "format": "date-time"}), "time", ""),
            (json!({"type": "string", "minLength": 32, "maxLength": 32}), "string", "32 characters"),
            (json!({"type": "string", "pattern": "^x$"}), "string", "`^x$`"),
            (
                json!({"type": "array", "maxItems": 4, "x-kubernetes-list-type": "set",
                       "items": {"type": "string", "maxLength": 63, "pattern": schema::DNS_LABEL}}),
                "list of strings",
                "at most 4; each once; each at most 63 characters; a DNS label",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                       "items": {"type": "object", "properties": {}}}),
                "list of objects",
                "each `name` once",
            ),
            (
                json!({"type": "object", "maxProperties": 2,
                       "additionalProperties": {"x-kubernetes-int-or-string": true, "pattern": "^1$"}}),
                "map of quantities",
                "at most 2; values `^1$`",
            ),
        ] {
            assert_eq!((kind(&schema).as_str(), of(&schema).as_str()), (type_, bounds), "{schema}");
        }
    }
}
