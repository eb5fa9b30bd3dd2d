//! How far an order has come into the cluster's objects.

use crate::build::ChildKind;

/// How far an order has come. That all is as ordered can only be said of objects that were looked at ([`Sync::of`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync(Option<Blocked>);

/// What became of one object: it is as ordered, or why not.
pub type Verdict = Result<(), Blocked>;

/// Why something is not as ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The cause.
    pub cause: Cause,
    /// A sentence that says what to do.
    pub message: String,
}

/// What keeps an order from being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The cluster has no name in a fleet yet.
    NotEnrolled,
    /// What is ordered has no form that an API server could be given.
    InvalidTemplate,
    /// An object of another owner has the name.
    NameConflict,
    /// An object of that name is on its way out: a step on the way, not a fault.
    ReplacingPredecessor,
    /// The member refuses the order, or the API server an object. The CamelCase word is theirs.
    Refused(&'static str),
}

impl Cause {
    /// A CamelCase word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotEnrolled => "NotEnrolled",
            Self::InvalidTemplate => "InvalidTemplate",
            Self::NameConflict => "NameConflict",
            Self::ReplacingPredecessor => "ReplacingPredecessor",
            Self::Refused(word) => word,
        }
    }

    /// Whether somebody has to do something about it.
    #[must_use]
    pub fn is_fault(self) -> bool {
        self != Self::ReplacingPredecessor
    }
}

impl Sync {
    /// Nothing was made, for this reason.
    #[must_use]
    pub fn blocked(cause: Cause, message: impl Into<String>) -> Self {
        Self(Some(Blocked { cause, message: message.into() }))
    }

    /// What became of the objects: the cause of the first that isn't as ordered, with the messages of all of them.
    /// None while a kind has not been looked at.
    #[must_use]
    pub fn of(made: &[(ChildKind, Verdict)]) -> Option<Self> {
        if !ChildKind::ALL.iter().all(|kind| made.iter().any(|(of, _)| of == kind)) {
            return None;
        }
        let blocked: Vec<_> = made.iter().filter_map(|(_, verdict)| verdict.as_ref().err()).collect();
        let messages: Vec<_> = blocked.iter().map(|blocked| blocked.message.as_str()).collect();
        let first = blocked.first().map(|first| Blocked { cause: first.cause, message: messages.join("; ") });
        Some(Self(first))
    }

    /// Why not every object is as ordered; none when each is.
    #[must_use]
    pub fn why_not(&self) -> Option<&Blocked> {
        self.0.as_ref()
    }

    /// Every object is as ordered.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Every object is as ordered.
    pub(crate) fn applied() -> Sync {
        Sync::of(&ChildKind::ALL.map(|kind| (kind, Ok(())))).unwrap()
    }

    fn refused(word: &'static str, message: &str) -> Verdict {
        Err(Blocked { cause: Cause::Refused(word), message: message.to_owned() })
    }

    #[test]
    fn applied_is_what_all_objects_are() {
        let mut made: Vec<(ChildKind, Verdict)> = ChildKind::ALL.map(|kind| (kind, Ok(()))).into();
        assert!(Sync::of(&made).unwrap().is_applied());
        made.pop();
        assert_eq!(Sync::of(&made), None, "one hasn't been looked at");
        assert_eq!(Sync::of(&[]), None);
    }

    #[test]
    fn every_object_that_is_not_as_ordered_is_named() {
        let mut made = ChildKind::ALL.map(|kind| (kind, Ok(())));
        let [first, .., last] = &mut made;
        first.1 = refused("Forbidden", "no Deployment");
        last.1 = refused("Invalid", "no Service");
        let sync = Sync::of(&made).unwrap();
        let blocked = sync.why_not().unwrap();
        assert_eq!(blocked.cause.word(), "Forbidden");
        assert_eq!(blocked.message, "no Deployment; no Service");
    }
}
