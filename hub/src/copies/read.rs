//! One look at an object.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt as _};
use parallax_crds::copies::{Content, Place, Source};
use parallax_crds::link::Withheld;
use parallax_platform::{CallError, Limit, call};
use parallax_proto::session::limits::COPY_BYTES;
use serde_json::{Value, json};

/// How long a look may take.
const LIMIT: Limit = Limit::seconds::<20>();

/// Why nothing is told of an object.
pub enum Unread {
    /// Somebody has to do something.
    Withheld(Withheld),
    /// It is to be tried again.
    Later(String),
}

/// What is in an object.
pub async fn read(client: &Client, place: &Place) -> Result<Content, Unread> {
    match &place.source {
        Source::Namespace => namespace(client, &place.namespace).await,
    }
}

async fn namespace(client: &Client, name: &str) -> Result<Content, Unread> {
    let what = format!("namespace {name}");
    let api = Api::<Namespace>::all(client.clone());
    let namespace = call(LIMIT, api.get_metadata(name)).await.map_err(|error| {
        let right = "apply deploy/hub/rbac.yaml of the hub's version";
        unread(&what, right, error)
    })?;
    content(&what, &json!({"labels": namespace.labels()}))
}

fn unread(what: &str, right: &str, error: CallError) -> Unread {
    match error {
        CallError::NotFound(_) => {
            withheld("Missing", format!("{what} does not exist on the hub; create it there"))
        }
        CallError::Forbidden(_) => withheld("Forbidden", format!("the hub may not read {what}; {right}")),
        error => Unread::Later(error.to_string()),
    }
}

fn withheld(reason: &str, message: String) -> Unread {
    Unread::Withheld(Withheld { reason: reason.to_owned(), message })
}

fn content(what: &str, fields: &Value) -> Result<Content, Unread> {
    let json = fields.to_string();
    let bytes = json.len();
    let content = Content::new(json.into()).filter(|_| bytes <= COPY_BYTES);
    content.ok_or_else(|| {
        let message = format!(
            "{what} has {bytes} bytes on the hub; {COPY_BYTES} are the most that is told; make it smaller"
        );
        withheld("TooLarge", message)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_platform::testing::ApiServer;

    use super::*;

    fn place() -> Place {
        Place { namespace: "team".to_owned(), source: Source::Namespace }
    }

    fn said(read: Result<Content, Unread>) -> String {
        match read {
            Ok(content) => std::str::from_utf8(content.json()).unwrap().to_owned(),
            Err(Unread::Withheld(why)) => {
                assert!(why.message.contains("namespace team"), "{}", why.message);
                why.reason
            }
            Err(Unread::Later(_)) => "later".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_labels_of_a_namespace_are_told_or_what_to_do() {
        let server = ApiServer::new();
        assert_eq!(said(read(&server.client(), &place()).await), "Missing");
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {"a": "b"}}});
        server.put("/api/v1/namespaces/team", object);
        assert_eq!(said(read(&server.client(), &place()).await), r#"{"labels":{"a":"b"}}"#);
    }

    #[test]
    fn what_is_forbidden_or_too_large_is_said_and_what_may_pass_is_tried_again() {
        let of = |error| said(Err(unread("namespace team", "let it", error)));
        assert_eq!(of(CallError::Forbidden("no".into())), "Forbidden");
        assert_eq!(of(CallError::Passing("slow".into())), "later");
        let large = json!({"labels": {"a": "x".repeat(COPY_BYTES)}});
        assert_eq!(said(content("namespace team", &large)), "TooLarge");
    }
}
