//! An API server that has one object at most, for tests of races: patches under preconditions, applies that
//! conflict, versions that rise.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What the server has.
#[derive(Default)]
struct Stored {
    object: Option<Value>,
    version: u64,
}

/// A client of a new server without an object.
pub fn server() -> Client {
    let stored = Arc::new(Mutex::new(Stored::default()));
    let service = tower::service_fn(move |request: Request<Body>| {
        let stored = stored.clone();
        async move {
            let method = request.method().clone();
            let apply = request
                .headers()
                .get("content-type")
                .is_some_and(|t| t.as_bytes().starts_with(b"application/apply"));
            let body = request.into_body().collect_bytes().await?;
            // Whoever else calls gets in between a read and a write.
            tokio::task::yield_now().await;
            let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (status, answer) = stored.lock().answer(&method, apply, sent);
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            *response.status_mut() = status;
            Ok::<_, kube::Error>(response)
        }
    });
    Client::new(service, "test")
}

impl Stored {
    fn answer(&mut self, method: &Method, apply: bool, sent: Value) -> (StatusCode, Value) {
        match (&mut self.object, method == Method::GET, apply) {
            (Some(object), true, _) => (StatusCode::OK, object.clone()),
            (None, true, _) | (None, false, false) => failure(StatusCode::NOT_FOUND, "NotFound"),
            (Some(object), false, true) if object["data"] != sent["data"] => {
                failure(StatusCode::CONFLICT, "Conflict")
            }
            (object, false, true) => {
                *object = Some(sent);
                self.stored()
            }
            (Some(object), false, false) => {
                let precondition = &sent["metadata"]["resourceVersion"];
                if !precondition.is_null() && *precondition != object["metadata"]["resourceVersion"] {
                    return failure(StatusCode::CONFLICT, "Conflict");
                }
                for (key, value) in sent["data"].as_object().into_iter().flatten() {
                    if let Some(data) = object["data"].as_object_mut() {
                        if value.is_null() {
                            data.remove(key);
                        } else {
                            data.insert(key.clone(), value.clone());
                        }
                    }
                }
                self.stored()
            }
        }
    }

    fn stored(&mut self) -> (StatusCode, Value) {
        self.version += 1;
        let object = self.object.get_or_insert_default();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        (StatusCode::OK, object.clone())
    }
}

fn failure(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code.as_u16()}),
    )
}
