//! What is answered to a call.

use http::{header, request};
use serde_json::{Value, json};

use super::Call;
use super::object::Objects;
use super::patch::Dialect;
use super::{apply, patch};

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    causes: Vec<&'static str>,
}

impl Refusal {
    /// With that HTTP status, reason and message, and no cause.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: &str) -> Self {
        Self { code, reason, message: message.to_owned(), causes: Vec::new() }
    }

    /// For that cause.
    #[must_use]
    pub fn because(mut self, cause: &'static str) -> Self {
        self.causes.push(cause);
        self
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "NotFound", "not found")
    }

    pub(super) fn conflict(message: &str) -> Self {
        Self::new(409, "Conflict", message)
    }

    pub(super) fn code(&self) -> u16 {
        self.code
    }

    pub(super) fn status(&self) -> Value {
        let Self { code, reason, message, causes } = self;
        let causes: Vec<_> =
            causes.iter().map(|cause| json!({"reason": cause, "message": message, "field": ""})).collect();
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": code, "reason": reason, "message": message, "details": {"causes": causes},
        })
    }
}

impl Objects {
    /// The object or list that is the answer.
    pub(super) fn answer(&mut self, call: &Call, parts: &request::Parts) -> Result<Value, Refusal> {
        let (path, part) = match call.path.strip_suffix("/status") {
            Some(path) => (path, Some("status")),
            None => (&*call.path, None),
        };
        match call.verb {
            "list" => Ok(self.list(path)),
            "get" => self.get(path).cloned().ok_or_else(Refusal::not_found),
            "create" => {
                let manager = parameter(&call.query, "fieldManager").unwrap_or_default();
                self.create(path, call.body.clone(), manager)
            }
            "delete" => self.delete(path, &call.body),
            "apply" => {
                let applied = apply::Applied {
                    manager: parameter(&call.query, "fieldManager").unwrap_or_default(),
                    force: parameter(&call.query, "force") == Some("true"),
                    part,
                    config: &call.body,
                };
                self.apply(path, &applied)
            }
            "patch" => {
                let kind = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
                let dialect =
                    if kind.starts_with(b"application/json-patch") { Dialect::Json } else { Dialect::Merge };
                let manager = parameter(&call.query, "fieldManager").unwrap_or_default();
                self.patch(path, manager, |object| patch::patched(object, part, dialect, &call.body))
            }
            verb => Err(Refusal::new(405, "MethodNotAllowed", verb)),
        }
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
