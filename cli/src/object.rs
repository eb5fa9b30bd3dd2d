//! What a command is about, as people name it.

use std::fmt;
use std::str::FromStr;

/// `NAME` or `agent/NAME` is an agent of the namespace, `cluster/NAME` a cluster of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A ParallaxAgent.
    Agent(String),
    /// A MemberCluster.
    Cluster(String),
}

impl FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once('/').unwrap_or(("agent", text));
        if name.is_empty() || name.contains('/') {
            return Err(format!("{text:?} names nothing: give NAME, agent/NAME or cluster/NAME"));
        }
        match kind {
            "agent" | "parallaxagent" | "parallaxagents" | "pa" => Ok(Self::Agent(name.to_owned())),
            "cluster" | "membercluster" | "memberclusters" | "mc" => Ok(Self::Cluster(name.to_owned())),
            _ => Err(format!("{kind:?} is no kind of the fleet: give NAME, agent/NAME or cluster/NAME")),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => write!(f, "parallaxagent.parallax.io/{name}"),
            Self::Cluster(name) => write!(f, "membercluster.parallax.io/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_object_is_named_as_kubectl_names_it() {
        for text in ["a", "agent/a", "pa/a", "parallaxagent/a"] {
            assert_eq!(text.parse(), Ok(Object::Agent("a".to_owned())));
        }
        for text in ["cluster/a", "mc/a", "memberclusters/a"] {
            assert_eq!(text.parse(), Ok(Object::Cluster("a".to_owned())));
        }
        assert_eq!("mc/a".parse::<Object>().unwrap().to_string(), "membercluster.parallax.io/a");
    }

    #[test]
    fn what_names_nothing_is_refused_with_what_would() {
        for text in ["", "agent/", "pod/a", "a/b/c"] {
            assert!(text.parse::<Object>().unwrap_err().contains("agent/NAME"), "{text}");
        }
    }
}
