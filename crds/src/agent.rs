//! ParallaxAgent: the user's wish, on the hub.

mod containers;
mod credentials;
mod health;
mod metrics;
mod network;
mod overrides;
mod placement;
mod rollout;
mod runtime;
mod scaling;
mod status;
mod workspace;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{budget, schema};

pub use containers::{
    AGENT_CONTAINER, Companion, CompanionResources, EnvFrom, OptionalReference, Volume, VolumeMount,
};
pub use credentials::{Credentials, CredentialsSource, KeyReference, Rotation, native_variable};
pub use health::HealthCheck;
pub use metrics::Metrics;
pub use network::{IpBlock, Network, NetworkPeer, NetworkPort, NetworkProtocol};
pub use overrides::{ClusterOverride, OverridingResources};
pub use placement::{
    ClusterGroup, ClusterWeight, Division, DivisionMode, Failover, FailoverPolicy, Placement,
    PreferredClusters, ScoreWeight, Spread, Strategy,
};
pub use rollout::{Rollout, RolloutState, RolloutStatus, RolloutStrategy, Wave};
pub use runtime::{AgentRuntime, EnvVar, LocalObjectReference, PodIds, PullPolicy, Resources};
pub use scaling::{ActivationLimits, Bounds, Scaling, ScalingTargets};
pub use status::{
    ClusterRow, ClusterSummary, Freshness, Lent, ParallaxAgentStatus, Phase, PlacementDecision,
    PlacementTarget, Usage,
};

pub use workspace::{AccessMode, Workspace};

/// The types that have an image of their own; any other needs `image`.
pub const BUILT_IN_TYPES: [&str; 4] = ["claude", "codex", "gemini", "aider"];

/// What the user wants: an AI agent, and where it may run.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "parallax.io",
    version = "v1alpha1",
    kind = "ParallaxAgent",
    namespaced,
    shortname = "pa",
    shortname = "pagent",
    status = "ParallaxAgentStatus",
    derive = "PartialEq",
    doc = "An AI agent that runs in the clusters of the fleet.",
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: it becomes a Service's name, so that it must be at most 63 lower-case letters, digits and '-', begin with a letter and end with a letter or digit"),
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "REPLICAS", type_ = "string", json_path = ".status.replicaSummary"),
    printcolumn(name = "CLUSTERS", type_ = "integer", json_path = ".status.clusterSummary.assigned", priority = 1),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", priority = 1),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    // A type of the wrong form is refused for that alone: it may be a slip of one of these.
    validation = Rule::new("has(self.image) || self.type in ['claude', 'codex', 'gemini', 'aider'] || !self.type.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("image is needed: only the types claude, codex, gemini and aider have one of their own")
        .field_path(".image"),
    validation = Rule::new(budget::texts().rule())
        .message("command, args, the values and sources of env, podLabels, podAnnotations and the labels in tolerations, affinity, topologySpreadConstraints and network, and those of envFrom, volumes, volumeMounts, initContainers, sidecars and placement.overrides, must not have more than 16384 characters together: keep long texts in a ConfigMap"),
    validation = Rule::new(
        "!has(self.initContainers) || !has(self.sidecars) \
         || self.initContainers.all(c, !self.sidecars.exists(s, s.name == c.name))"
    )
    .message("sidecars: one has the name of an init container: choose another")
    .field_path(".sidecars"),
    validation = Rule::new(
        "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))"
    )
    .message("volumeMounts: name must be that of one of volumes")
    .field_path(".volumeMounts"),
    validation = Rule::new(
        "!has(self.volumeMounts) || !has(self.workspace) \
         || !self.volumeMounts.exists(m, m.mountPath == \
            (has(self.workspace.mountPath) ? self.workspace.mountPath : '/workspace'))"
    )
    .message("volumeMounts: the workspace is mounted there already: choose another mountPath")
    .field_path(".volumeMounts"),
    validation = Rule::new(
        "(has(self.initContainers) ? self.initContainers : []).all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, \
            m.name == 'workspace' ? has(self.workspace) : has(self.volumes) && self.volumes.exists(v, v.name == m.name)))"
    )
    .message("initContainers: the name of a volumeMount must be that of one of volumes, or workspace where there is one")
    .field_path(".initContainers"),
    validation = Rule::new(
        "(has(self.sidecars) ? self.sidecars : []).all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, \
            m.name == 'workspace' ? has(self.workspace) : has(self.volumes) && self.volumes.exists(v, v.name == m.name)))"
    )
    .message("sidecars: the name of a volumeMount must be that of one of volumes, or workspace where there is one")
    .field_path(".sidecars"),
    validation = Rule::new(
        "has(self.serviceAccountName) || !has(self.volumes) || self.volumes.all(v, !has(v.projected) \
            || v.projected.sources.all(s, !has(s.serviceAccountToken)))"
    )
    .message("volumes: a serviceAccountToken needs serviceAccountName, the account that it is of")
    .field_path(".volumes"),
    validation = Rule::new(
        "!has(self.credentials) || has(self.credentials.envName) || self.type in ['claude', 'codex', 'gemini'] \
         || [has(self.credentials.secretRef) ? self.credentials.secretRef.key \
             : has(self.credentials.externalSecretRef) ? self.credentials.externalSecretRef.key : 'KEY']\
            .all(k, k.matches('^[A-Za-z_]') && !k.startsWith('AGENT_') && !k.startsWith('PARALLAX_'))"
    )
    .message("credentials.envName is needed: the key's own name can't be a variable's here")
    .field_path(".credentials"),
    validation = Rule::new(
        "!has(self.credentials) || !has(self.env) \
         || [has(self.credentials.envName) ? self.credentials.envName \
             : has(self.credentials.secretRef) ? self.credentials.secretRef.key \
             : has(self.credentials.externalSecretRef) ? self.credentials.externalSecretRef.key : '']\
            .all(k, !self.env.exists(e, e.name == k))"
    )
    .message("env has the variable that the credentials arrive as: remove it, or choose another credentials.envName")
    .field_path(".env"),
    validation = Rule::new(
        "!has(self.credentials) || !has(self.placement) || !has(self.placement.overrides) \
         || [has(self.credentials.envName) ? self.credentials.envName \
             : has(self.credentials.secretRef) ? self.credentials.secretRef.key \
             : has(self.credentials.externalSecretRef) ? self.credentials.externalSecretRef.key : '']\
            .all(k, !self.placement.overrides.exists(o, has(o.env) && o.env.exists(e, e.name == k)))"
    )
    .message("placement.overrides: env has the variable that the credentials arrive as: remove it, or choose another credentials.envName")
    .field_path(".placement.overrides"),
    validation = Rule::new(
        "!has(self.placement) || !has(self.placement.overrides) \
         || has(self.scaling) && (has(self.scaling.targetCPUUtilization) || has(self.scaling.targetMemoryUtilization)) \
         || !self.placement.overrides.exists(o, has(o.scaling))"
    )
    .message("placement.overrides: scaling is instead of the targets of scaling, and there is none: add one, or remove it")
    .field_path(".placement.overrides"),
    validation = Rule::new(
        "!has(self.workspace) || has(self.workspace.accessMode) && self.workspace.accessMode == 'ReadWriteMany' \
         || self.replicas <= 1 && (!has(self.scaling) || self.scaling.minReplicas <= 1 \
            && (!has(self.scaling.maxReplicas) || self.scaling.maxReplicas <= 1))"
    )
    .message("workspace: it is for one replica, unless its accessMode is ReadWriteMany: keep replicas and scaling at 1")
    .field_path(".workspace"),
    validation = Rule::new(
        "!has(self.workspace) || !has(oldSelf.workspace) \
         || quantity(self.workspace.size).compareTo(quantity(oldSelf.workspace.size)) >= 0"
    )
    .message("workspace.size: a volume can't be made smaller; keep its size, or remove the workspace and add another")
    .field_path(".workspace.size"),
    validation = Rule::new(
        "!has(self.workspace) || !has(oldSelf.workspace) \
         || (has(self.workspace.storageClassName) ? self.workspace.storageClassName : '') \
            == (has(oldSelf.workspace.storageClassName) ? oldSelf.workspace.storageClassName : '')"
    )
    .message("workspace.storageClassName: a volume can't change it; keep it, or remove the workspace and add another")
    .field_path(".workspace.storageClassName"),
    validation = Rule::new(
        "!has(self.workspace) || !has(oldSelf.workspace) \
         || (has(self.workspace.accessMode) ? self.workspace.accessMode : 'ReadWriteOnce') \
            == (has(oldSelf.workspace.accessMode) ? oldSelf.workspace.accessMode : 'ReadWriteOnce')"
    )
    .message("workspace.accessMode: a volume can't change it; keep it, or remove the workspace and add another")
    .field_path(".workspace.accessMode")
)]
#[serde(rename_all = "camelCase")]
pub struct ParallaxAgentSpec {
    /// What its clusters run.
    #[serde(flatten)]
    pub runtime: AgentRuntime,
    /// The image; absent: `PREFIX/agent-TYPE:TAG`, with the hub's `--image-prefix` and `--image-tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = schema::IMAGE))]
    pub image: Option<String>,
    /// Replicas over the whole fleet (strategy Divide) or in each cluster (Replicate). `kubectl scale` writes it.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: i32,
    /// Lets the load choose the number of replicas; `replicas` is then where it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Zero replicas everywhere; the placement is kept.
    #[serde(default)]
    pub suspend: bool,
    /// Where the agent may run; absent: divided over all accepted clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// How a change of what pods are made of reaches clusters; absent: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

fn one() -> i32 {
    1
}
