//! The command line.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use jiff::{Span, SpanRelativeTo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::ClusterName;
use parallax_crds::labels::SYSTEM_NAMESPACE;
use parallax_hub_core::FleetDefaults;
use parallax_platform::{KubeArgs, ListenArgs, LogArgs, Threads, run_command, run_service};
use parallax_proto::identity::TrustDomain;

use crate::token_command::Output;
use crate::{run, token_command};

/// The hub waits far more than it computes, and each thread has memory of its own.
const THREADS: Threads = Threads::Workers(2);

/// The hub of a Parallax fleet.
#[derive(Debug, Parser)]
#[command(name = "parallax-hub", version, about, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    kube: KubeArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub (what happens without a command)
    Run(RunArgs),
    /// Make a join token for a cluster, and its MemberCluster if there is none; needs an administrator's kubeconfig
    Token(TokenArgs),
}

/// What the hub and its commands must agree on.
#[derive(Debug, Clone, clap::Args)]
struct HubArgs {
    /// Namespace of the hub's own objects
    #[arg(long, env = "PARALLAX_SYSTEM_NAMESPACE", default_value = SYSTEM_NAMESPACE, value_name = "NAMESPACE", global = true)]
    system_namespace: String,
    /// Trust domain of the fleet's identities, spiffe://DOMAIN/…
    #[arg(long, env = "PARALLAX_TRUST_DOMAIN", default_value = TrustDomain::DEFAULT, value_name = "DOMAIN", global = true)]
    trust_domain: TrustDomain,
}

/// How the hub runs.
#[derive(Debug, Clone, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// Port that members connect to; 0 = any free one
    #[arg(long, env = "SESSION_PORT", default_value_t = 8443, value_name = "PORT")]
    session_port: u16,
    /// Port of /healthz and /readyz; 0 = any free one
    #[arg(long, env = "PORT", default_value_t = 3300, value_name = "PORT")]
    port: u16,
    /// What the images of built-in agent types begin with: PREFIX/agent-TYPE:TAG
    #[arg(long, env = "PARALLAX_IMAGE_PREFIX", default_value = FleetDefaults::IMAGE_PREFIX, value_name = "PREFIX")]
    image_prefix: String,
    /// Tag of the images of built-in agent types
    #[arg(long, env = "PARALLAX_IMAGE_TAG", default_value = FleetDefaults::IMAGE_TAG, value_name = "TAG")]
    image_tag: String,
    /// CPU that an agent requests when its load is measured by CPU and it says nothing itself
    #[arg(long, env = "PARALLAX_DEFAULT_CPU_REQUEST", default_value = FleetDefaults::CPU_REQUEST, value_name = "QUANTITY", value_parser = quantity)]
    default_cpu_request: Quantity,
    /// Memory that an agent requests when its load is measured by memory and it says nothing itself
    #[arg(long, env = "PARALLAX_DEFAULT_MEMORY_REQUEST", default_value = FleetDefaults::MEMORY_REQUEST, value_name = "QUANTITY", value_parser = quantity)]
    default_memory_request: Quantity,
    /// How long the certificates are valid that the hub issues, such as 24h or 90d; 1m to 90d
    #[arg(long, env = "PARALLAX_CERTIFICATE_VALIDITY", default_value = "24h", value_name = "DURATION", value_parser = certificate_validity)]
    certificate_validity: Duration,
    /// Namespaces whose agents may get their API key from the hub (credentials.source: Hub), with commas between
    #[arg(long, env = "PARALLAX_CREDENTIALS_FROM", value_delimiter = ',', value_name = "NAMESPACE")]
    credentials_from: Vec<String>,
    /// Hold the deletion of many agents at once for an administrator's approval, too
    #[arg(long, env = "PARALLAX_HOLD_MASS_DELETIONS")]
    hold_mass_deletions: bool,
}

#[derive(Debug, Clone, clap::Args)]
struct TokenArgs {
    /// The cluster's name in the fleet
    #[arg(value_parser = ClusterName::new)]
    cluster: ClusterName,
    /// Let the cluster enroll anew: forget its certificate and its pinned UID
    #[arg(long)]
    reset: bool,
    /// How long the token is good for, at most 1h
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = token_life)]
    ttl: Duration,
    /// How the token is printed
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Args {
    /// Does what the command line says; how it ended.
    pub fn execute(self) -> ExitCode {
        let Self { command, run, hub, kube, log } = self;
        if let Err(error) = parallax_platform::init_logging(&log) {
            return run_command(async { Err(error) });
        }
        match command {
            None => run.execute(hub, kube),
            Some(Command::Run(run)) => run.execute(hub, kube),
            Some(Command::Token(token)) => token.execute(hub, kube),
        }
    }
}

impl RunArgs {
    fn execute(self, hub: HubArgs, kube: KubeArgs) -> ExitCode {
        let Self {
            listen: ListenArgs { bind, metrics_port, addresses_file },
            session_port,
            port,
            image_prefix,
            image_tag,
            default_cpu_request: cpu_request,
            default_memory_request: memory_request,
            certificate_validity,
            credentials_from,
            hold_mass_deletions,
        } = self;
        let HubArgs { system_namespace, trust_domain } = hub;
        let settings = run::Settings {
            kube,
            namespace: system_namespace,
            trust_domain,
            bind,
            session_port,
            http_port: port,
            metrics_port,
            addresses_file,
            defaults: FleetDefaults { image_prefix, image_tag, cpu_request, memory_request },
            certificate_validity,
            credentials_from,
            hold_mass_deletions,
        };
        run_service(THREADS, |stop| run::run(settings, stop))
    }
}

impl TokenArgs {
    fn execute(self, hub: HubArgs, kube: KubeArgs) -> ExitCode {
        let Self { cluster, reset, ttl, output } = self;
        let HubArgs { system_namespace, trust_domain } = hub;
        let wish =
            token_command::Wish { cluster, reset, ttl, output, namespace: system_namespace, trust_domain };
        run_command(token_command::make(kube, wish))
    }
}

fn certificate_validity(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(60), Duration::from_secs(90 * 24 * 3600))
}

fn token_life(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1), Duration::from_secs(3600))
}

/// A duration such as "90s", "30m", "24h" or "90d", within bounds.
fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let unclear = |_| "give a duration such as 90s, 30m, 24h or 90d".to_owned();
    let span: Span = text.parse().map_err(unclear)?;
    // A day of a validity is 24 hours, whatever a clock on a wall does.
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(unclear)?;
    let duration =
        Duration::try_from(duration).map_err(|_| "give a duration that isn't negative".to_owned())?;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("give a duration from {} to {}", said(least), said(most)))
    }
}

/// In the largest unit that leaves nothing over.
fn said(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        seconds if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// An amount above zero, as Kubernetes writes them: 100m, 0.5, 256Mi.
fn quantity(text: &str) -> Result<Quantity, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let amount = number.parse::<f64>().is_ok_and(|amount| amount > 0.0);
    if amount && matches!(suffix, "" | "m" | "k" | "M" | "G" | "T" | "Ki" | "Mi" | "Gi" | "Ti") {
        Ok(Quantity(text.to_owned()))
    } else {
        Err("give an amount above zero such as 100m, 0.5 or 256Mi".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_flag_of_the_hub_has_an_environment_variable() {
        let command = Args::command();
        let without: Vec<_> = command
            .get_arguments()
            .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
            .filter(|arg| arg.get_env().is_none())
            .map(|arg| arg.get_id().to_string())
            .collect();
        assert_eq!(without, Vec::<String>::new());
    }

    #[test]
    fn a_token_lives_an_hour_at_most() {
        assert_eq!(token_life("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(token_life("90s"), Ok(Duration::from_secs(90)));
        for bad in ["61m", "0s", "-1m", "soon", ""] {
            assert!(token_life(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_validity_may_be_given_in_days() {
        let day = Duration::from_secs(24 * 3600);
        for (text, duration) in
            [("90d", 90 * day), ("24h", day), ("1d 12h", day + day / 2), ("60s", day / 1440)]
        {
            assert_eq!(certificate_validity(text), Ok(duration), "{text}");
        }
        let refusal = "give a duration from 1m to 90d".to_owned();
        for bad in ["91d", "59s", "0d"] {
            assert_eq!(certificate_validity(bad), Err(refusal.clone()), "{bad}");
        }
        for bad in ["30", "1y", "1mo", "d", "soon"] {
            assert!(certificate_validity(bad).is_err_and(|said| said.contains("90d")), "{bad}");
        }
    }

    #[test]
    fn a_default_request_is_an_amount() {
        for good in ["100m", "0.5", "2", "256Mi", "1G"] {
            assert_eq!(quantity(good), Ok(Quantity(good.to_owned())));
        }
        for bad in ["", "0", "-1", "much", "1.2.3", "100mm", "m", "."] {
            assert!(quantity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_asked_for_by_a_cluster_name() {
        assert!(Args::try_parse_from(["parallax-hub", "token", "member-1", "-o", "json"]).is_ok());
        assert!(Args::try_parse_from(["parallax-hub", "token", "Member_1"]).is_err());
        assert!(Args::try_parse_from(["parallax-hub", "token"]).is_err());
    }

    #[test]
    fn the_hub_runs_with_and_without_its_command() {
        for line in [vec!["parallax-hub", "--port", "0"], vec!["parallax-hub", "run", "--port", "0"]] {
            assert!(Args::try_parse_from(line).is_ok());
        }
    }
}
