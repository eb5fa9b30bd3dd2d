//! Label, annotation and finalizer keys, and the field managers, that Parallax uses.

/// `app.kubernetes.io/managed-by`, always [`MANAGED_BY_PARALLAX`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGED_BY_PARALLAX: &str = "parallax";
/// `app.kubernetes.io/name`, always [`APP_NAME_AGENT`].
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// The value of [`APP_NAME`].
pub const APP_NAME_AGENT: &str = "parallax-agent";
/// `app.kubernetes.io/instance`: the agent's name.
pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";
/// The agent's name; with [`INCARNATION`] the Deployment's selector.
pub const AGENT: &str = "parallax.io/agent";
/// The agent's type.
pub const TYPE: &str = "parallax.io/type";
/// The agent's incarnation: a label in members, an annotation on the hub (where a restore may set it).
pub const INCARNATION: &str = "parallax.io/incarnation";
/// The label of the control plane's pods, which agents let in.
pub const CONTROL_PLANE: (&str, &str) = ("app", "parallax-control-plane");
/// A W3C traceparent: on a ParallaxAgent the trace that its changes continue, on an AgentAssignment that of the change
/// that it came with.
pub const TRACEPARENT: &str = "parallax.io/traceparent";
/// On a ParallaxAgent: wakes it where it sleeps, whenever its value is another than before. See [`crate::WakeUp`].
pub const WAKE: &str = "parallax.io/wake";
/// On a MemberCluster: the digest of a held removal that the administrator approves.
pub const PRUNE_APPROVE: &str = "parallax.io/prune-approve";
/// On a ParallaxAgent: another value than before makes the hub place it once as if it ran nowhere.
pub const REBALANCE: &str = "parallax.io/rebalance";
/// On a ParallaxAgent: another value than before makes the hub resolve it with the fleet's present defaults; or, where the
/// value ends in `/` and the ten digits of a revision that is kept, with those of that revision.
pub const REFRESH: &str = "parallax.io/refresh";
/// On a ControllerRevision of the hub's: what is said of the revision, as JSON.
pub const REVISION: &str = "parallax.io/revision";
/// On a ParallaxAgent: `REVISION/WAVE`, which approves the waves of that rollout up to this one.
pub const APPROVE: &str = "parallax.io/approve";
/// On a ParallaxAgent: `REVISION/WAVE`, which lets that rollout go on past what has failed in its waves up to this one.
pub const RESUME_ROLLOUT: &str = "parallax.io/resume-rollout";
/// On a MemberCluster whose session is lost: with the value [`FAILOVER_PROCEED`], its agents are placed again though so much
/// of the fleet fell silent at once.
pub const FAILOVER: &str = "parallax.io/failover";
/// The value of [`FAILOVER`].
pub const FAILOVER_PROCEED: &str = "Proceed";
/// On a ParallaxAgent: held until its clusters have let go of it.
pub const FINALIZER: &str = "parallax.io/withdraw";
/// The region of a cluster, on a MemberCluster.
pub const REGION: &str = "topology.kubernetes.io/region";
/// The zone of a cluster, on a MemberCluster.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Who runs the machines of a cluster, on a MemberCluster.
pub const PROVIDER: &str = "parallax.io/provider";
/// The model of a cluster's GPUs, on a MemberCluster.
pub const GPU_PRODUCT: &str = "nvidia.com/gpu.product";

/// The hub's field manager.
pub const HUB_MANAGER: &str = "parallax-hub";
/// The member's field manager.
pub const MEMBER_MANAGER: &str = "parallax-member";
/// The Service through which the member finds the activators, in its own namespace.
pub const ACTIVATOR: &str = "parallax-activator";
/// The ConfigMap with the scores that a cluster gives itself, in the member's namespace.
pub const SCORES: &str = "parallax-scores";
/// The activators' field manager.
pub const ACTIVATOR_MANAGER: &str = "parallax-activator";
/// The namespace of the hub's and the member's own objects.
pub const SYSTEM_NAMESPACE: &str = "parallax-system";
