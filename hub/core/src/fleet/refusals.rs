//! Why members are sent away, in the words that sessions, conditions and Events have for it.

/// Why a member is not let in until somebody does something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantArray)]
pub enum Refusal {
    /// Nobody has made its MemberCluster.
    NoMemberCluster,
    /// `spec.accepted` of its MemberCluster is false.
    NotAccepted,
    /// A second cluster uses the identity of one whose session is up.
    DuplicateIdentity,
    /// It isn't the cluster that was accepted.
    #[strum(serialize = "ClusterUIDMismatch")]
    ClusterUidMismatch,
    /// It has obeyed an epoch of this hub that is too far ahead of the hub's clock.
    EpochAhead,
    /// The API server doesn't store which cluster was accepted.
    #[strum(serialize = "ClusterUIDRefused")]
    ClusterUidRefused,
}

/// Why a session is ended; the member may come again, and is let in or told more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
pub enum Closing {
    /// Its member has begun another.
    Superseded,
    /// The MemberCluster was given another cluster's UID.
    #[strum(serialize = "ClusterUIDMismatch")]
    ClusterUidMismatch,
    /// The MemberCluster is no longer accepted.
    NotAccepted,
    /// The MemberCluster was deleted.
    Detached,
}

impl Refusal {
    /// As members, conditions and Events name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.into()
    }
}

impl Closing {
    /// As members name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn the_protocols_page_has_every_refusal() {
        let page = include_str!("../../../../docs/protocol.md");
        for refusal in Refusal::VARIANTS {
            let row = format!("| `{}` |", refusal.word());
            assert!(page.contains(&row), "docs/protocol.md has no row for {}", refusal.word());
        }
    }
}
