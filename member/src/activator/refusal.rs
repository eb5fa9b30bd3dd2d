//! What a client is told whose request goes to no pod.

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use parallax_crds::AgentKey;
use serde_json::json;

use super::answer::Answer;

/// When a client had best come again, in seconds.
const AGAIN: u16 = 5;

/// Why a request goes to no pod, or came to nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many requests wait as may.
    Full,
    /// No pod was ready in time.
    TimedOut,
    /// The pod broke the connection off before it answered.
    Broken,
}

impl Refusal {
    /// The answer.
    pub fn answer(self, key: &AgentKey) -> Response<Answer> {
        let (status, reason, message) = match self {
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "TooManyPending",
                "the agent is waking, and as many requests wait for it as may (scaling.activation.maxPending)",
            ),
            Self::TimedOut => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ActivationTimeout",
                "no pod of the agent was ready in time (scaling.activation.holdSeconds)",
            ),
            Self::Broken => (
                StatusCode::BAD_GATEWAY,
                "ConnectionBroken",
                "the agent ended the connection before it answered; it may have begun with the request",
            ),
        };
        let words = json!({ "agent": key.to_string(), "reason": reason, "message": message });
        let mut answer = Response::new(Answer::Own(Some(Bytes::from(words.to_string() + "\n"))));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(AGAIN));
        }
        answer
    }
}
