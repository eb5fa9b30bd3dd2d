//! An API server in memory, for the tests of what talks to one.
//!
//! It holds objects by path, with UIDs, versions that rise with every change, generations and the fields that each
//! manager has applied. It answers as a real one does: 404, 409 and 422 by existence, preconditions and tests, and it
//! keeps what a finalizer or a deletion in the foreground holds. What it doesn't know: schemas, defaults, and lists that
//! are merged by a key (they are replaced whole). Watches list, and then tell nothing.

mod answer;
mod apply;
mod object;
mod patch;

use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tower::BoxError;

use crate::api_calls::describe;
use object::Objects;

pub use answer::Refusal;

/// A call that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// As in `parallax_api_calls_total`: get, list, watch, create, apply, patch, delete.
    pub verb: &'static str,
    /// The path of the URL.
    pub path: String,
    /// What follows `?`.
    pub query: String,
    /// What was sent; null when nothing was.
    pub body: Value,
}

/// An API server. All clones are the same one.
#[derive(Clone, Default)]
pub struct ApiServer {
    objects: Arc<Mutex<Objects>>,
    script: Arc<Mutex<Vec<Scene>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    called: Arc<Notify>,
}

/// The manager of what a test changes.
const SOMEBODY: &str = "somebody";

/// What happens at a call.
struct Scene {
    verb: &'static str,
    /// What the path contains.
    path: String,
    act: Act,
}

enum Act {
    /// Each one is refused.
    Refuse(Refusal),
    /// The next one comes after this.
    First(Box<dyn FnOnce(&ApiServer) + Send>),
}

impl ApiServer {
    /// Without any object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        Client::new(service, "default")
    }

    /// Somebody else writes an object, all of it, at a path such as `/api/v1/namespaces/a/services/b`, and owns what they
    /// change; as it is then. Its UID stays, unless there is another in it.
    pub fn put(&self, path: &str, object: Value) -> Value {
        self.objects.lock().write(path, object, SOMEBODY)
    }

    /// Somebody else changes the object at a path.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut object = self.get(path).unwrap_or_default();
        change(&mut object);
        self.put(path, object)
    }

    /// From now on, an admission webhook does this to what is written where the path contains `path`.
    pub fn mutate(&self, path: &str, change: impl Fn(&mut Value) + Send + 'static) {
        self.objects.lock().mutate(path, change);
    }

    /// The object at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().get(path).cloned()
    }

    /// Somebody else takes an object away, whatever holds it.
    pub fn remove(&self, path: &str) {
        self.objects.lock().remove(path);
    }

    /// The paths of all objects.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.objects.lock().paths()
    }

    /// From now on, calls with that verb whose path contains `path` are refused.
    pub fn refuse(&self, verb: &'static str, path: &str, refusal: Refusal) {
        self.stage(verb, path, Act::Refuse(refusal));
    }

    /// Nothing is refused any more.
    pub fn relent(&self) {
        self.script.lock().retain(|scene| !matches!(scene.act, Act::Refuse(_)));
    }

    /// Before the next call with that verb whose path contains `path` is looked at, somebody else does this. Of several,
    /// one happens before each call.
    pub fn before(&self, verb: &'static str, path: &str, act: impl FnOnce(&Self) + Send + 'static) {
        self.stage(verb, path, Act::First(Box::new(act)));
    }

    fn stage(&self, verb: &'static str, path: &str, act: Act) {
        self.script.lock().push(Scene { verb, path: path.to_owned(), act });
    }

    /// The calls since this was last asked, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock())
    }

    /// The next call, once it was made.
    pub async fn call(&self) -> Call {
        loop {
            let called = self.called.notified();
            {
                let mut calls = self.calls.lock();
                if !calls.is_empty() {
                    return calls.remove(0);
                }
            }
            called.await;
        }
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (verb, _) = describe(&request);
        let (parts, body) = request.into_parts();
        let sent = body.collect_bytes().await?;
        // Whoever else calls gets in between a read and a write.
        tokio::task::yield_now().await;
        let call = Call {
            verb,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&sent).unwrap_or_default(),
        };
        self.calls.lock().push(call.clone());
        self.called.notify_one();
        let answer = match self.scripted(&call) {
            Some(refusal) => Err(refusal),
            None if call.verb == "watch" => return std::future::pending().await,
            None => self.objects.lock().answer(&call, &parts),
        };
        let (code, body) =
            answer.map_or_else(|refusal| (refusal.code(), refusal.status()), |body| (200, body));
        Ok(Response::builder().status(code).body(Body::from(body.to_string().into_bytes()))?)
    }

    /// Lets happen what comes before a call; how it is refused, if it is.
    fn scripted(&self, call: &Call) -> Option<Refusal> {
        let of = |scene: &Scene| scene.verb == call.verb && call.path.contains(&scene.path);
        let first = {
            let mut script = self.script.lock();
            let at = script.iter().position(|scene| of(scene) && matches!(scene.act, Act::First(_)));
            at.map(|at| script.remove(at).act)
        };
        if let Some(Act::First(act)) = first {
            act(self);
        }
        let script = self.script.lock();
        script.iter().filter(|scene| of(scene)).find_map(|scene| match &scene.act {
            Act::Refuse(refusal) => Some(refusal.clone()),
            Act::First(_) => None,
        })
    }
}

#[cfg(test)]
mod tests;
