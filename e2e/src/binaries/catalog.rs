//! The programs of which a cluster is made: their versions, and how each is recognised and built.

/// Kubernetes' version, as in `control-plane/go.mod`.
pub const KUBERNETES: &str = "1.36.3";

/// One program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The scheduler.
    Scheduler,
    /// The controller manager.
    ControllerManager,
    /// The command line.
    Kubectl,
    /// The simulation of nodes and pods.
    Kwok,
    /// A real node's agent.
    Kubelet,
    /// A real node's service addresses.
    KubeProxy,
    /// Resource metrics of real pods.
    MetricsServer,
    /// The DNS of real pods.
    CoreDns,
}

impl Tool {
    /// Those of a control plane, in the order in which they are built: the API server's packages are most of every
    /// other one's.
    pub const CONTROL_PLANE: [Self; 6] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kubectl, Self::Kwok];

    /// Those that a real node needs beside, in the order in which they are built.
    pub const REAL_NODE: [Self; 4] = [Self::Kubelet, Self::KubeProxy, Self::MetricsServer, Self::CoreDns];

    /// Those of a fleet, with a real node or without.
    pub fn needed(real_node: bool) -> impl Iterator<Item = Self> {
        let node = real_node.then_some(Self::REAL_NODE).into_iter().flatten();
        Self::CONTROL_PLANE.into_iter().chain(node)
    }

    /// The file's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::MetricsServer => "metrics-server",
            Self::CoreDns => "coredns",
        }
    }

    /// The Go package that it is built from.
    pub fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Scheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok",
            Self::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
            Self::KubeProxy => "k8s.io/kubernetes/cmd/kube-proxy",
            Self::MetricsServer => "sigs.k8s.io/metrics-server/cmd/metrics-server",
            Self::CoreDns => "github.com/coredns/coredns",
        }
    }

    /// How long its build takes on two cores when those before it in [`Tool::needed`] are built.
    pub fn usual_build(self) -> &'static str {
        match self {
            Self::ApiServer => "about 6 min",
            Self::Etcd | Self::ControllerManager => "about 1 min",
            Self::CoreDns => "about 90 s",
            Self::Kubelet => "about 40 s",
            Self::Scheduler | Self::Kubectl | Self::Kwok | Self::KubeProxy | Self::MetricsServer => {
                "about 20 s"
            }
        }
    }

    /// The arguments that make it print its version.
    pub fn version_args(self) -> &'static [&'static str] {
        match self {
            Self::Kubectl => &["version", "--client"],
            Self::CoreDns => &["-version"],
            _ => &["--version"],
        }
    }

    /// Whether what it printed is a version that the fleet works with.
    pub fn accepts(self, printed: &str) -> bool {
        let wanted: &[&str] = match self {
            Self::Etcd => &["etcd Version: 3.6.", "etcd Version: 3.7."],
            Self::Kubectl => &["Client Version: v1.36."],
            Self::Kwok => &["kwok version v0.8."],
            Self::CoreDns => &["CoreDNS-1.15."],
            // Built from its module it does not know its version: one on the PATH can't be recognised.
            Self::MetricsServer => &[],
            Self::ApiServer | Self::ControllerManager | Self::Scheduler | Self::Kubelet | Self::KubeProxy => {
                &["Kubernetes v1.36."]
            }
        };
        printed.lines().any(|line| wanted.iter().any(|start| line.starts_with(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_minor_version_of_kubernetes_is_not_taken_from_the_path() {
        assert!(Tool::ApiServer.accepts("Kubernetes v1.36.3\n"));
        assert!(!Tool::ApiServer.accepts("Kubernetes v1.35.9\n"));
        assert!(!Tool::ApiServer.accepts("Kubernetes v1.360.0\n"));
        assert!(Tool::Kubectl.accepts("Client Version: v1.36.0\nKustomize Version: v5.8.1\n"));
        assert!(!Tool::Kubectl.accepts("Client Version: v1.32.4\n"));
    }

    #[test]
    fn the_version_here_is_the_one_that_the_go_module_requires() {
        let module = include_str!("../../control-plane/go.mod");
        assert!(module.contains(&format!("k8s.io/kubernetes v{KUBERNETES}\n")));
    }
}
