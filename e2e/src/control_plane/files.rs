//! The files that a control plane's processes read: certificates, keys, kubeconfigs, policies.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::kubeconfig::{self, Login};
use crate::layout::Layout;
use crate::pki::Authority;
use crate::real_node::Network;

const AUDIT_POLICY: &str = include_str!("audit-policy.yaml");
const STAGES: &str = include_str!("stages.yaml");

/// The first address of the service range, which the API server gives to its own Service.
const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// Who has a client certificate: file name, user, groups.
const CLIENTS: [(&str, &str, &[&str]); 4] = [
    ("admin", "admin", &["system:masters"]),
    ("controller-manager", "system:kube-controller-manager", &[]),
    ("scheduler", "system:kube-scheduler", &[]),
    ("kwok", "kwok", &["system:masters"]),
];

/// Where a cluster's files lie, all written.
pub(super) struct Files {
    directory: PathBuf,
    /// The CA's certificate, PEM.
    pub ca: String,
}

impl Files {
    /// Writes all files of a new cluster; with those of a real node, where there is one.
    pub fn write(
        layout: &Layout,
        cluster: &str,
        server: &str,
        node: Option<(&str, Network)>,
    ) -> anyhow::Result<Self> {
        let directory = layout.pki(cluster);
        std::fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
        let authority = Authority::generate(cluster)?;
        let files = Self { directory, ca: authority.certificate().to_owned() };

        let mut addresses = vec![Ipv4Addr::LOCALHOST];
        match node {
            Some((_, network)) => addresses.extend([network.api_service(), network.host()]),
            None => addresses.push(API_SERVICE),
        }
        let api_server = authority.api_server(&addresses)?;
        let service_accounts = rcgen::KeyPair::generate().context("generating a key for service accounts")?;
        let private: [(&str, &str); 8] = [
            ("ca.crt", authority.certificate()),
            ("ca.key", &authority.key()),
            ("apiserver.crt", &api_server.certificate),
            ("apiserver.key", &api_server.key),
            ("service-accounts.key", &service_accounts.serialize_pem()),
            ("service-accounts.pub", &service_accounts.public_key_pem()),
            ("audit-policy.yaml", AUDIT_POLICY),
            ("stages.yaml", STAGES),
        ];
        for (name, content) in private {
            kubeconfig::write_private(&files.directory.join(name), content)?;
        }
        for (name, user, groups) in CLIENTS {
            let credential = authority.client(user, groups)?;
            let path = match name {
                "admin" => layout.admin_kubeconfig(cluster),
                other => files.directory.join(format!("{other}.kubeconfig")),
            };
            kubeconfig::write(&path, cluster, server, &files.ca, &Login::Certificate(&credential))?;
        }
        if let Some((name, network)) = node {
            files.write_node(&authority, cluster, server, name, network)?;
        }
        Ok(files)
    }

    /// What the API server and the node's programs need to speak with each other, and with aggregated APIs.
    fn write_node(
        &self,
        authority: &Authority,
        cluster: &str,
        server: &str,
        node: &str,
        network: Network,
    ) -> anyhow::Result<()> {
        // An authority of its own: whoever has a certificate of the cluster's must not pass for the front proxy.
        let front_authority = Authority::generate(&format!("{cluster} front proxy"))?;
        kubeconfig::write_private(&self.directory.join("front-proxy-ca.crt"), front_authority.certificate())?;
        let kubelet = authority.kubelet(node, network.node())?;
        let proxy = authority.client("system:kube-proxy", &[])?;
        for (name, credential) in [
            ("front-proxy", &front_authority.client("front-proxy-client", &[])?),
            ("kubelet-client", &authority.client("kube-apiserver-kubelet-client", &["system:masters"])?),
            ("kubelet", &kubelet),
        ] {
            let path = |extension: &str| self.directory.join(format!("{name}.{extension}"));
            kubeconfig::write_private(&path("crt"), &credential.certificate)?;
            kubeconfig::write_private(&path("key"), &credential.key)?;
        }
        for (name, credential) in [("kubelet", &kubelet), ("kube-proxy", &proxy)] {
            let path = self.directory.join(format!("{name}.kubeconfig"));
            kubeconfig::write(&path, cluster, server, &self.ca, &Login::Certificate(credential))?;
        }
        Ok(())
    }

    /// The path of one of them, as an argument.
    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).to_string_lossy().into_owned()
    }
}
