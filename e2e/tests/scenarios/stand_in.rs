//! A hub or a member of the test's own, in the place of one of the fleet's or beside it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use parallax_e2e::layout::Layout;
use parallax_e2e::process::{Process, ProcessSpec};

use crate::log::Log;
use crate::world::World;

/// A process that ends with the test.
pub struct StandIn {
    process: Arc<Process>,
    /// Everything that it has said.
    pub log: Log,
}

/// What a member is started with.
pub struct Member<'a> {
    /// In which cluster.
    pub cluster: &'a str,
    /// `HOST:PORT` that it dials.
    pub hub: &'a str,
    /// Where its own objects are; none: where the fleet's member has them.
    pub namespace: Option<&'a str>,
    /// For a cluster without an identity.
    pub token: Option<&'a str>,
}

impl StandIn {
    /// A member that creates no namespaces. In the fleet's member's namespace it has that one's rights, elsewhere an
    /// administrator's.
    pub fn member(world: &World, member: &Member<'_>) -> Result<Self> {
        let Member { cluster, hub, namespace, token } = member;
        let kubeconfig = match namespace {
            None => {
                Layout::new(world.fleet().directory())?.cluster(cluster).join("parallax-member.kubeconfig")
            }
            Some(_) => world.fleet().record().cluster(cluster)?.kubeconfig.clone(),
        };
        let mut args = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hub={hub}"),
            "--bind=127.0.0.1".to_owned(),
            "--metrics-port=0".to_owned(),
        ];
        args.extend(namespace.map(|namespace| format!("--system-namespace={namespace}")));
        let env = token.map(|token| ("PARALLAX_JOIN_TOKEN".to_owned(), token.to_owned()));
        Self::start(world, cluster, "parallax-member", args, env.into_iter().collect())
    }

    /// A hub where the fleet's listens for members, which must be down, with one more argument.
    pub fn hub(world: &World, argument: &str) -> Result<Self> {
        let session = world.fleet().hub_endpoints()?.session;
        let (_, port) = session.rsplit_once(':').context("the hub's address has a port")?;
        Self::hub_at(world, port, &[argument])
    }

    /// A hub beside the fleet's, on a port of its own.
    pub fn second_hub(world: &World) -> Result<Self> {
        Self::hub_at(world, "0", &[])
    }

    fn hub_at(world: &World, port: &str, more: &[&str]) -> Result<Self> {
        let kubeconfig =
            Layout::new(world.fleet().directory())?.cluster("hub").join("parallax-hub.kubeconfig");
        let mut args = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--bind=127.0.0.1".to_owned(),
            format!("--session-port={port}"),
            "--port=0".to_owned(),
            "--metrics-port=0".to_owned(),
        ];
        args.extend(more.iter().map(|argument| (*argument).to_owned()));
        Self::start(world, "hub", "parallax-hub", args, vec![])
    }

    fn start(
        world: &World,
        cluster: &str,
        program: &str,
        args: Vec<String>,
        env: Vec<(String, String)>,
    ) -> Result<Self> {
        let launcher = Path::new(env!("CARGO_BIN_EXE_fleet"));
        // The fleet has built its programs beside the tool.
        let spec = ProcessSpec {
            program: launcher.with_file_name(program),
            args,
            env,
            log: Layout::new(world.fleet().directory())?
                .cluster(cluster)
                .join("logs")
                .join(format!("{program}-{:08x}.log", rand::random::<u32>())),
            inside: None,
        };
        let log = Log::from_now(spec.log.clone());
        Ok(Self { process: Process::start(launcher, &spec)?, log })
    }

    /// Ends it without notice.
    pub async fn kill(self) {
        self.process.kill().await;
    }
}
