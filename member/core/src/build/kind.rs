//! The kinds whose objects an agent consists of.

/// A kind; the order is the one in which an agent's objects are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChildKind {
    /// v1. What the pods can't start without.
    PersistentVolumeClaim,
    /// apps/v1. What runs the agent, so that it comes before everything that pods can do without.
    Deployment,
    /// networking.k8s.io/v1.
    NetworkPolicy,
    /// v1.
    Service,
    /// autoscaling/v2, a HorizontalPodAutoscaler.
    Autoscaler,
    /// policy/v1.
    PodDisruptionBudget,
    /// monitoring.coreos.com/v1, which not every cluster has.
    PodMonitor,
    /// multicluster.x-k8s.io/v1alpha1, which not every cluster has.
    ServiceExport,
}

impl ChildKind {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::PersistentVolumeClaim,
        Self::Deployment,
        Self::NetworkPolicy,
        Self::Service,
        Self::Autoscaler,
        Self::PodDisruptionBudget,
        Self::PodMonitor,
        Self::ServiceExport,
    ];

    /// The kind's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Deployment => "Deployment",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Service => "Service",
            Self::Autoscaler => "HorizontalPodAutoscaler",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::PodMonitor => "PodMonitor",
            Self::ServiceExport => "ServiceExport",
        }
    }

    /// What the name of the object has after the agent's.
    fn suffix(self) -> &'static str {
        match self {
            Self::PersistentVolumeClaim => "-workspace",
            Self::Deployment
            | Self::NetworkPolicy
            | Self::Service
            | Self::PodDisruptionBudget
            | Self::PodMonitor
            | Self::ServiceExport => "",
            Self::Autoscaler => "-hpa",
        }
    }

    /// The name of the object of this kind of the agent of that name.
    #[must_use]
    pub fn object_name(self, agent: &str) -> String {
        format!("{agent}{}", self.suffix())
    }

    /// The agent whose object of this kind has that name; none when no agent's has.
    #[must_use]
    pub fn agent_of(self, object: &str) -> Option<&str> {
        object.strip_suffix(self.suffix()).filter(|agent| !agent.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_in_the_order() {
        assert!(ChildKind::ALL.is_sorted());
        for (place, kind) in ChildKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }

    #[test]
    fn the_name_of_an_object_says_whose_it_is() {
        for kind in ChildKind::ALL {
            assert_eq!(kind.agent_of(&kind.object_name("writer")), Some("writer"));
            assert_eq!(kind.agent_of(&kind.object_name("")), None);
        }
    }
}
