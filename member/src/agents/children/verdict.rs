//! What became of one object, and what that means for its agent.

use parallax_crds::AgentKey;
use parallax_member_core::ChildKind;
use parallax_member_core::credentials::Held;
use parallax_member_core::sync::{Blocked, Cause, Verdict};

use crate::agents::persist::Then;
use crate::failure::Failure;

/// What became of one object.
#[derive(Debug)]
pub(super) enum Made {
    /// It is as ordered.
    Right {
        /// It was written to become so.
        written: bool,
    },
    /// Its pods lack their API key, whose watch will tell when it comes.
    Held(Held),
    /// It waits for another object to go, whose watch will tell.
    Waiting(String),
    /// An object of that name is not ours; its watch will tell when it goes.
    Taken,
    /// The API server didn't take it.
    Failed(Failure),
}

impl Made {
    /// The verdict on the object, and whether the work is to be tried again without a cause.
    pub(super) fn verdict(self, kind: ChildKind, key: &AgentKey) -> (Verdict, Then) {
        let object = || format!("{} {}/{}", kind.name(), key.namespace(), kind.object_name(key.name()));
        let blocked = |cause, message| Err(Blocked { cause, message });
        match self {
            Self::Right { .. } => (Ok(()), Then::Nothing),
            Self::Waiting(message) => (blocked(Cause::ReplacingPredecessor, message), Then::Nothing),
            Self::Held(Held { reason, message }) => (blocked(Cause::Refused(reason), message), Then::Nothing),
            Self::Taken => {
                let message = format!("{} exists and is not Parallax's; delete or rename it", object());
                (blocked(Cause::NameConflict, message), Then::Nothing)
            }
            Self::Failed(failure) => {
                let then = if failure.is_refusal() { Then::Late } else { Then::Retry };
                let message = format!("{}: {failure}", object());
                (blocked(Cause::Refused(failure.reason()), message), then)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn failed(failure: Failure) -> (Blocked, Then) {
        let (verdict, then) =
            Made::Failed(failure).verdict(ChildKind::Service, &AgentKey::new("team", "writer"));
        (verdict.unwrap_err(), then)
    }

    #[test]
    fn a_refused_object_is_named_with_what_the_api_server_says() {
        let (blocked, _) = failed(Failure::Forbidden("exceeded quota".into()));
        assert_eq!(blocked.cause.word(), "Forbidden");
        assert_eq!(blocked.message, "Service team/writer: exceeded quota");
    }

    #[test]
    fn what_repetition_does_not_mend_is_not_repeated_soon() {
        let text = String::new;
        for failure in [Failure::Invalid(text()), Failure::Forbidden(text())] {
            assert_eq!(failed(failure).1, Then::Late);
        }
        for failure in [Failure::Conflict(text()), Failure::Passing(text()), Failure::NotFound(text())] {
            assert_eq!(failed(failure).1, Then::Retry);
        }
    }
}
