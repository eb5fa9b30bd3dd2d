//! The configuration files of the node's programs. Pure: names and addresses in, text out.

use std::path::Path;

use serde_json::{Value, json};

use super::images::SANDBOX;
use super::network::Network;

/// What the kubelet would set for the whole machine, which other clusters and the user share. In the node, files with
/// these values lie over them, so that it finds them set already.
pub(super) const SYSCTLS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Names and places that the files refer to.
pub(super) struct Site<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The directory with the node's files.
    pub directory: &'a Path,
    /// The directory with the cluster's certificates.
    pub pki: &'a Path,
    /// The cgroup under which pods are kept.
    pub cgroup: &'a str,
    /// Its addresses.
    pub network: Network,
}

/// containerd's, in the shape that 1.6 understands and later ones convert.
pub(super) fn containerd(site: &Site<'_>) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX}"
  disable_hugetlb_controller = true
  # Without CAP_SYS_RESOURCE, which machines in machines often lack, runc may not lower a process's score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
        site.directory.join("net.d").display()
    )
}

/// The pods' network: a bridge in the node.
pub(super) fn cni(site: &Site<'_>) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "parallax",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": site.network.pods() }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
}

/// The kubelet's.
pub(super) fn kubelet(site: &Site<'_>) -> Value {
    let pki = |name: &str| site.pki.join(name);
    // The machine's disk is shared: what fills it is nothing that evicting agents would help against.
    let eviction = json!({
        "memory.available": "100Mi",
        "nodefs.available": "1%",
        "imagefs.available": "1%",
        "nodefs.inodesFree": "1%",
        "imagefs.inodesFree": "1%",
    });
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", site.cgroup),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "imageServiceEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": pki("kubelet.crt"),
        "tlsPrivateKeyFile": pki("kubelet.key"),
        "clusterDNS": [site.network.dns()],
        "clusterDomain": "cluster.local",
        "resolvConf": site.directory.join("resolv.conf"),
        "failSwapOn": false,
        // An imported image that is collected can't be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": eviction,
    })
}

/// kube-proxy's.
pub(super) fn kube_proxy(site: &Site<'_>) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": { "kubeconfig": site.pki.join("kube-proxy.kubeconfig") },
        "clusterCIDR": site.network.pods(),
        "hostnameOverride": site.node,
        "nodePortAddresses": ["primary"],
        "metricsBindAddress": "127.0.0.1:10249",
        // These are sysctls of the whole machine.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    })
}
