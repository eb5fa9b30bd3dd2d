//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use parallax_crds::labels::SYSTEM_NAMESPACE;
use parallax_member_core::namespace::refused;
use parallax_platform::{KubeArgs, ListenArgs, LogArgs, Threads, run_command, run_service};

use crate::agents::Making;
use crate::{activator, hub_address, run};

/// The member of a Parallax fleet: runs in each cluster what the hub assigns to it.
#[derive(Debug, Parser)]
#[command(
    name = "parallax-member",
    version,
    about,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the hub listens for members
    #[arg(long, env = "PARALLAX_HUB", value_name = "HOST:PORT", required = true, value_parser = hub_address::parse)]
    hub: Option<String>,
    /// File that holds the join token; needed until the cluster is enrolled
    #[arg(long, env = "PARALLAX_JOIN_TOKEN_FILE", value_name = "PATH")]
    join_token_file: Option<PathBuf>,
    /// The join token itself, instead of a file
    #[arg(long, env = "PARALLAX_JOIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    join_token: Option<String>,
    /// Create the namespaces of agents where they are missing; they are never deleted
    #[arg(long, env = "PARALLAX_CREATE_NAMESPACES")]
    create_namespaces: bool,
    /// Labels that namespaces which the member creates get as they are on the hub, by their keys; Pod Security's level
    /// restricted is always taken, and no other
    #[arg(
        long,
        env = "PARALLAX_NAMESPACE_LABELS",
        value_name = "KEY,...",
        value_delimiter = ',',
        value_parser = label_key,
        requires = "create_namespaces"
    )]
    namespace_labels: Vec<String>,
    /// Namespaces whose pods with the label app=parallax-control-plane may reach every agent; those of an agent's own
    /// namespace always may
    #[arg(
        long,
        env = "PARALLAX_CONTROL_PLANE_NAMESPACES",
        value_name = "NAMESPACE,...",
        value_delimiter = ',',
        value_parser = namespace
    )]
    control_plane_namespaces: Vec<String>,
    /// Namespaces whose pods may read the metrics of every agent that has any: Prometheus, say
    #[arg(
        long,
        env = "PARALLAX_SCRAPER_NAMESPACES",
        value_name = "NAMESPACE,...",
        value_delimiter = ',',
        value_parser = namespace
    )]
    scraper_namespaces: Vec<String>,
    /// Namespace of the member's own objects
    #[arg(long, env = "PARALLAX_SYSTEM_NAMESPACE", default_value = SYSTEM_NAMESPACE, value_name = "NAMESPACE")]
    system_namespace: String,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    kube: KubeArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Activator(activator::Args),
}

impl Args {
    /// Does what the command line says; how it ended.
    pub fn execute(self) -> ExitCode {
        let Self {
            command,
            hub,
            join_token_file,
            join_token,
            create_namespaces,
            namespace_labels,
            control_plane_namespaces,
            scraper_namespaces,
            system_namespace,
            listen,
            kube,
            log,
        } = self;
        if let Err(error) = parallax_platform::init_logging(&log) {
            return run_command(async { Err(error) });
        }
        if let Some(Command::Activator(activator)) = command {
            return activator.execute(kube);
        }
        let ListenArgs { bind, metrics_port, addresses_file } = listen;
        let settings = run::Settings {
            kube,
            // Without a command, it is required.
            hub: hub.unwrap_or_default(),
            join_token_file,
            join_token,
            namespaces: Making { allowed: create_namespaces, labels: namespace_labels },
            control_plane_namespaces,
            scraper_namespaces,
            namespace: system_namespace,
            bind,
            metrics_port,
            addresses_file,
        };
        // The member waits far more than it computes.
        run_service(Threads::One, |stop| run::run(settings, stop))
    }
}

fn namespace(text: &str) -> Result<String, String> {
    if parallax_crds::names::is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("no namespace has such a name: write names with commas between, and no spaces".to_owned())
    }
}

fn label_key(text: &str) -> Result<String, String> {
    refused(text).map_or_else(|| Ok(text.to_owned()), |why| Err(why.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        let command = Args::command();
        let ours = command.get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version"));
        let without: Vec<_> =
            ours.filter(|a| a.get_env().is_none()).map(|a| a.get_id().to_string()).collect();
        assert_eq!(without, Vec::<String>::new());
    }

    #[test]
    fn an_activator_needs_its_address_and_no_hub() {
        assert!(Args::try_parse_from(["parallax-member", "activator", "--address", "10.0.0.1"]).is_ok());
        assert!(Args::try_parse_from(["parallax-member", "activator"]).is_err());
    }

    #[test]
    fn namespaces_are_a_list_of_names() {
        let parse = |namespaces| {
            let args = ["parallax-member", "--hub", "hub:8443", "--control-plane-namespaces", namespaces];
            Args::try_parse_from(args).map(|args| args.control_plane_namespaces)
        };
        assert_eq!(parse("ops,parallax").unwrap(), ["ops", "parallax"]);
        for wrong in ["ops, parallax", "Ops", "a/b", ","] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn labels_of_namespaces_are_a_list_of_keys_and_mean_nothing_to_a_member_that_creates_none() {
        let parse = |more: &[&'static str]| {
            let args = [&["parallax-member", "--hub", "hub:8443", "--namespace-labels"], more].concat();
            Args::try_parse_from(args).map(|args| args.namespace_labels)
        };
        assert_eq!(
            parse(&["team,example.org/cost", "--create-namespaces"]).unwrap(),
            ["team", "example.org/cost"]
        );
        assert!(parse(&["pod-security.kubernetes.io/enforce", "--create-namespaces"]).is_err());
        assert!(parse(&["team"]).is_err());
    }

    #[test]
    fn the_hub_must_be_named() {
        assert!(Args::try_parse_from(["parallax-member", "--hub", "hub:8443"]).is_ok());
        assert!(Args::try_parse_from(["parallax-member", "--hub", "hub"]).is_err());
        assert!(Args::try_parse_from(["parallax-member"]).is_err());
    }
}
