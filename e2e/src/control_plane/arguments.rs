//! The command lines of a control plane's processes. Pure: ports and files in, arguments out.

use super::files::Files;
use crate::layout::Layout;
use crate::real_node::Network;

const SERVICE_RANGE: &str = "10.96.0.0/16";
const POD_RANGE: &str = "10.244.0.0/16";

/// Ports of one control plane. The scheduler and the controller manager serve nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub etcd_client: u16,
    pub etcd_peer: u16,
    pub etcd_metrics: u16,
    pub api_server: u16,
}

pub(super) fn etcd(layout: &Layout, cluster: &str, ports: Ports) -> Vec<String> {
    let client = format!("http://127.0.0.1:{}", ports.etcd_client);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    vec![
        format!("--name={cluster}"),
        format!("--data-dir={}", layout.cluster(cluster).join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={cluster}={peer}"),
        format!("--listen-metrics-urls=http://127.0.0.1:{}", ports.etcd_metrics),
        // What a power cut would lose is thrown away anyway.
        "--unsafe-no-fsync".into(),
        "--auto-compaction-retention=1h".into(),
        "--log-level=warn".into(),
    ]
}

pub(super) fn api_server(
    layout: &Layout,
    cluster: &str,
    files: &Files,
    ports: Ports,
    node: Option<Network>,
) -> Vec<String> {
    let keys = files.path("service-accounts.key");
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd_client),
        format!("--secure-port={}", ports.api_server),
        format!("--tls-cert-file={}", files.path("apiserver.crt")),
        format!("--tls-private-key-file={}", files.path("apiserver.key")),
        format!("--client-ca-file={}", files.path("ca.crt")),
        format!("--service-account-key-file={}", files.path("service-accounts.pub")),
        format!("--service-account-signing-key-file={keys}"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        "--authorization-mode=RBAC,Node".into(),
        "--allow-privileged=true".into(),
        format!("--audit-policy-file={}", files.path("audit-policy.yaml")),
        format!("--audit-log-path={}", layout.audit_log(cluster).display()),
        // Unbuffered: an event is in the file at most an instant after the answer. Rotation would hide old ones.
        "--audit-log-mode=blocking".into(),
        "--audit-log-maxsize=4096".into(),
    ];
    match node {
        Some(network) => args.extend(with_node(files, network)),
        None => args.extend([
            "--bind-address=127.0.0.1".into(),
            // Without these two the endpoint of the Service "kubernetes" is refused for being loopback.
            "--advertise-address=127.0.0.1".into(),
            "--endpoint-reconciler-type=none".into(),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        ]),
    }
    args
}

/// How the API server is reached from a real node, and reaches the kubelet and aggregated APIs.
fn with_node(files: &Files, network: Network) -> Vec<String> {
    let host = network.host();
    vec![
        format!("--bind-address={host}"),
        format!("--advertise-address={host}"),
        format!("--service-cluster-ip-range={}", network.services()),
        "--enable-admission-plugins=NodeRestriction".into(),
        format!("--kubelet-client-certificate={}", files.path("kubelet-client.crt")),
        format!("--kubelet-client-key={}", files.path("kubelet-client.key")),
        format!("--kubelet-certificate-authority={}", files.path("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--requestheader-client-ca-file={}", files.path("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!("--proxy-client-cert-file={}", files.path("front-proxy.crt")),
        format!("--proxy-client-key-file={}", files.path("front-proxy.key")),
    ]
}

pub(super) fn controller_manager(files: &Files, node: Option<Network>, extra: &[String]) -> Vec<String> {
    let kubeconfig = files.path("controller-manager.kubeconfig");
    let mut args = vec![
        format!("--kubeconfig={kubeconfig}"),
        "--secure-port=0".into(),
        "--leader-elect=false".into(),
        "--use-service-account-credentials=true".into(),
        format!("--service-account-private-key-file={}", files.path("service-accounts.key")),
        format!("--root-ca-file={}", files.path("ca.crt")),
        format!("--cluster-signing-cert-file={}", files.path("ca.crt")),
        format!("--cluster-signing-key-file={}", files.path("ca.key")),
        // The defaults (20 requests a second) would be what a burst of agents waits for.
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=2000".into(),
        "--concurrent-deployment-syncs=20".into(),
        "--concurrent-replicaset-syncs=20".into(),
        "--concurrent-gc-syncs=20".into(),
        "--concurrent-namespace-syncs=20".into(),
    ];
    if node.is_some() {
        // Real figures come every ten seconds: the defaults, made for large clusters, would be waited for in minutes.
        args.extend(
            [
                "--horizontal-pod-autoscaler-sync-period=5s",
                "--horizontal-pod-autoscaler-cpu-initialization-period=20s",
                "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
                "--horizontal-pod-autoscaler-downscale-stabilization=30s",
            ]
            .map(String::from),
        );
    }
    args.extend_from_slice(extra);
    args
}

pub(super) fn scheduler(files: &Files) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", files.path("scheduler.kubeconfig")),
        "--secure-port=0".into(),
        "--leader-elect=false".into(),
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=2000".into(),
    ]
}

pub(super) fn kwok(files: &Files) -> Vec<String> {
    vec![
        format!("--config={}", files.path("stages.yaml")),
        format!("--kubeconfig={}", files.path("kwok.kubeconfig")),
        "--manage-all-nodes=true".into(),
        "--node-lease-duration-seconds=40".into(),
        "--node-ip=192.0.2.1".into(),
        format!("--cidr={POD_RANGE}"),
    ]
}
