//! The command line.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use jiff::{Span, SpanRelativeTo};
use parallax_platform::run_command;

use crate::commands::{cordon, drain, explain, history, rebalance, refresh, rollback, rollout, suspend};
use crate::error::CliError;
use crate::hub::{Hub, HubArgs};
use crate::object::Object;
use crate::output::Form;

/// Ask and steer a Parallax fleet through its hub's API server.
///
/// The hub's cluster is the one of the kubeconfig's current context, unless --context or --kubeconfig says otherwise.
#[derive(Debug, Parser)]
#[command(name = "kubectl-parallax", bin_name = "kubectl parallax", version)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell why an agent runs where it runs: every cluster, with what keeps it out or what it is worth
    ///
    /// It is worked out by the hub's own rules from what the hub has written down, and changes nothing.
    ///
    /// Example: kubectl parallax explain my-agent -n demo
    Explain {
        /// The agent
        agent: String,
        /// The form of the answer
        #[arg(long, short, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// List the revisions of an agent: what its pods were made of, and are
    ///
    /// The hub keeps the last five.
    ///
    /// Example: kubectl parallax history my-agent -n demo
    History {
        /// The agent
        agent: String,
        /// The form of the answer
        #[arg(long, short, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Go back to an earlier revision of an agent
    ///
    /// Its pods become what they were, with the fleet's defaults of then. Replicas, bounds of scaling, suspension and placement
    /// stay as they are; placement.overrides go back.
    ///
    /// Example: kubectl parallax rollback my-agent -n demo --to 3 --dry-run
    Rollback {
        /// The agent
        agent: String,
        /// The number of the revision; by default the newest before the current one whose pods are others
        #[arg(long, value_name = "REVISION")]
        to: Option<i64>,
        /// Only tell what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Have agents run with the hub's present defaults: its image tag, its requests
    ///
    /// A hub with other defaults, as after an upgrade, changes no pod before that or another change of the agent.
    ///
    /// Example: kubectl parallax refresh my-agent -n demo
    Refresh {
        /// The agent
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        agent: Option<String>,
        /// Every agent of the namespace
        #[arg(long)]
        all: bool,
        /// Only tell what is pinned now
        #[arg(long)]
        dry_run: bool,
    },
    /// Give a cluster nothing new; what runs there stays
    ///
    /// Example: kubectl parallax cordon eu-1 --dry-run
    Cordon(Cluster),
    /// Give a cluster new agents again, after cordon or drain
    ///
    /// What has left it stays where it went, until it is rebalanced.
    ///
    /// Example: kubectl parallax uncordon eu-1
    Uncordon(Cluster),
    /// Move every agent off a cluster, each replica when its replacement is ready
    ///
    /// Agents that tolerate the taint parallax.io/drained with effect NoExecute stay.
    ///
    /// Example: kubectl parallax drain eu-1 --dry-run
    Drain {
        #[command(flatten)]
        cluster: Cluster,
        /// Return as soon as the hub is told, before anything has moved
        #[arg(long)]
        no_wait: bool,
        /// How long to wait for the agents to leave, such as 90s or 15m
        #[arg(long, default_value = "15m", value_name = "DURATION", value_parser = duration)]
        timeout: Duration,
    },
    /// Stop an agent's replicas everywhere, or keep a cluster as it is
    ///
    /// A suspended agent keeps its place and has no replicas. A suspended cluster keeps what it has and is sent nothing.
    ///
    /// Example: kubectl parallax suspend agent/my-agent -n demo
    Suspend(One),
    /// Undo a suspension
    ///
    /// Example: kubectl parallax resume cluster/eu-1
    Resume(One),
    /// Place agents once as if they ran nowhere yet, and move what is better elsewhere
    ///
    /// Replicas stay where they run while their clusters qualify; this is how a new cluster gets its part of them.
    ///
    /// Example: kubectl parallax rebalance my-agent -n demo --dry-run
    Rebalance {
        /// The agent
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        agent: Option<String>,
        /// Every agent of the namespace
        #[arg(long)]
        all: bool,
        /// Only tell what would move
        #[arg(long)]
        dry_run: bool,
    },
    /// See and steer how a change of an agent gets from wave to wave
    ///
    /// Example: kubectl parallax rollout status my-agent -n demo
    Rollout {
        #[command(subcommand)]
        command: Rollout,
    },
}

#[derive(Debug, Subcommand)]
enum Rollout {
    /// Tell how far it is, and what it waits for
    Status {
        /// The agent
        agent: String,
        /// The form of the answer
        #[arg(long, short, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Let no more clusters have a change
    Pause {
        /// The agent
        agent: String,
    },
    /// Go on after a pause, or past what has failed
    Resume {
        /// The agent
        agent: String,
    },
    /// Let the wave begin that waits for it
    Approve {
        /// The agent
        agent: String,
    },
}

#[derive(Debug, clap::Args)]
struct Cluster {
    /// The cluster
    cluster: String,
    /// Only tell what would move
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
struct One {
    /// NAME or agent/NAME, or cluster/NAME
    object: Object,
    /// Only tell what would move
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Does what the command line says; how it ended.
    pub fn execute(self) -> ExitCode {
        let Self { command, hub } = self;
        run_command(async move { command.execute(&Hub::of(&hub).await?).await })
    }
}

impl Command {
    async fn execute(self, hub: &Hub) -> Result<(), CliError> {
        match self {
            Self::Explain { agent, output } => explain::run(hub, &agent, output).await,
            Self::History { agent, output } => history::run(hub, &agent, output).await,
            Self::Rollback { agent, to, dry_run } => rollback::run(hub, &agent, to, dry_run).await,
            Self::Refresh { agent, dry_run, all: _ } => refresh::run(hub, agent.as_deref(), dry_run).await,
            Self::Cordon(Cluster { cluster, dry_run }) => cordon::cordon(hub, &cluster, dry_run).await,
            Self::Uncordon(Cluster { cluster, dry_run }) => cordon::uncordon(hub, &cluster, dry_run).await,
            Self::Drain { cluster: Cluster { cluster, dry_run }, no_wait, timeout } => {
                let wait = (!no_wait).then_some(timeout);
                drain::run(hub, &cluster, dry_run, wait).await
            }
            Self::Suspend(One { object, dry_run }) => suspend::run(hub, &object, true, dry_run).await,
            Self::Resume(One { object, dry_run }) => suspend::run(hub, &object, false, dry_run).await,
            Self::Rebalance { agent, dry_run, all: _ } => {
                rebalance::run(hub, agent.as_deref(), dry_run).await
            }
            Self::Rollout { command } => command.execute(hub).await,
        }
    }
}

impl Rollout {
    async fn execute(self, hub: &Hub) -> Result<(), CliError> {
        match self {
            Self::Status { agent, output } => rollout::status(hub, &agent, output).await,
            Self::Pause { agent } => rollout::pause(hub, &agent).await,
            Self::Resume { agent } => rollout::resume(hub, &agent).await,
            Self::Approve { agent } => rollout::approve(hub, &agent).await,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write one such as 90s, 15m or 1h");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(exact).map_err(|_| wrong())
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
    fn every_command_has_an_example_that_can_be_run() {
        for command in Args::command().get_subcommands() {
            let about = command.get_long_about().unwrap().to_string();
            let (_, example) = about.split_once("Example: kubectl parallax ").unwrap();
            let words = std::iter::once("kubectl-parallax").chain(example.split_whitespace());
            let parsed = Args::try_parse_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn a_duration_is_read_with_its_unit_and_never_negative() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "90", "-5m", "soon"] {
            assert!(duration(wrong).unwrap_err().contains("15m"), "{wrong}");
        }
    }
}
