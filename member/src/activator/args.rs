//! `parallax-member activator`.

use std::net::IpAddr;
use std::process::ExitCode;

use ipnet::IpNet;
use parallax_platform::{KubeArgs, ListenArgs, Threads, run_service};

use super::admission::Admitted;
use super::run;

/// Stand in front of the agents that may go to zero: hold their requests, and have them woken
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address that the cluster reaches this activator at; in a pod, its own
    #[arg(long, env = "PARALLAX_ADDRESS", value_name = "IP")]
    address: IpAddr,
    /// Namespaces whose pods labelled app=parallax-control-plane may call the agents of every namespace
    #[arg(
        long = "control-plane-namespaces",
        env = "PARALLAX_CONTROL_PLANE_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE,..."
    )]
    control_planes: Vec<String>,
    /// Addresses that may call every agent, beside the pods that may
    #[arg(long = "admit", env = "PARALLAX_ADMIT", value_delimiter = ',', value_name = "CIDR")]
    networks: Vec<IpNet>,
    #[command(flatten)]
    listen: ListenArgs,
}

impl Args {
    /// Does what the command line says; how it ended.
    pub fn execute(self, kube: KubeArgs) -> ExitCode {
        let Self { address, control_planes, networks, listen } = self;
        let settings =
            run::Settings { kube, listen, address, admitted: Admitted { control_planes, networks } };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        run_service(Threads::Workers(cores), |stop| run::run(settings, stop))
    }
}
