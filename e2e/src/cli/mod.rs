//! The `fleet` tool's command line.

mod bench;
mod component;
mod down;
mod logs;
mod status;
mod supervise;
mod test;
mod up;

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use component::ComponentArgs;

use crate::binaries::Binaries;
use crate::fleet::control::Action;
use crate::layout::{Component, Layout};
use crate::progress::Progress;

/// Real fleets of Kubernetes clusters on one machine, to try Parallax and to test it.
#[derive(Debug, Parser)]
#[command(name = "fleet", bin_name = "cargo fleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a hub and members with real control planes, and show the example agents until they run
    Up(UpArgs),
    /// End a fleet and remove its directory
    Down(DirectoryArgs),
    /// Show what runs
    Status {
        #[command(flatten)]
        directory: DirectoryArgs,
        /// How to print
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// Stop one component of a fleet that runs: the hub, a member, or a part of a control plane
    Stop(ComponentArgs),
    /// Start a component again that was stopped or has ended
    Start(ComponentArgs),
    /// Find or build the control plane's programs, and show where each comes from
    Binaries {
        /// Those of a real node too
        #[arg(long)]
        real_node: bool,
    },
    /// Print a cluster's logs
    Logs {
        /// hub, member-1, …
        cluster: String,
        /// One component's whole log; without it, the last lines of each
        component: Option<Component>,
        #[command(flatten)]
        directory: DirectoryArgs,
    },
    /// Run every test of the workspace, unit to end-to-end
    Test {
        /// Only tests whose names contain this
        filter: Option<String>,
    },
    /// Measure a running fleet beside a floor of the same run
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Become a program that is killed when its parent ends
    #[command(name = "__launch", hide = true)]
    Launch {
        #[arg(long)]
        parent: u32,
        program: String,
        #[arg(last = false, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Be the first process of a real node's namespaces
    #[command(name = "__node-init", hide = true)]
    NodeInit {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        hostname: String,
    },
    /// Clear a fleet's directory away once standard input is closed
    #[command(name = "__sweep", hide = true)]
    Sweep {
        #[arg(long)]
        id: String,
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
struct DirectoryArgs {
    #[arg(long, help = directory_help())]
    dir: Option<PathBuf>,
}

fn directory_help() -> String {
    let default =
        Layout::default_root().map_or_else(|error| error.to_string(), |path| path.display().to_string());
    format!("The fleet's directory [default: {default}]")
}

impl DirectoryArgs {
    fn layout(&self) -> anyhow::Result<Layout> {
        match &self.dir {
            Some(directory) => Layout::new(directory),
            None => Layout::new(&Layout::default_root()?),
        }
    }
}

#[derive(Clone, Debug, Args)]
struct UpArgs {
    /// Member clusters beside the hub's
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    members: u8,
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Return once the fleet works; it then runs until `cargo fleet down`
    #[arg(long)]
    detach: bool,
    /// Don't apply the example agents
    #[arg(long)]
    no_demo: bool,
    /// Start only the control planes: no CRDs, no hub, no members
    #[arg(long)]
    control_planes_only: bool,
    /// Give member-1 a real node that runs real containers; needs root and some Debian packages, which it names
    #[arg(long)]
    real_node: bool,
    /// Be the supervisor of a detached fleet: say so on standard output once it works
    #[arg(long, hide = true, conflicts_with = "detach")]
    supervise: bool,
}

impl UpArgs {
    fn shows_demo(&self) -> bool {
        !self.no_demo && !self.control_planes_only
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Runs the tool; an error is one line (and what lies under it) on standard error and exit code 1.
pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Launch { parent, program, args } => {
            let never: Infallible = crate::process::launch(parent, &program, &args)?;
            match never {}
        }
        Command::NodeInit { dir, hostname } => {
            let never: Infallible = crate::real_node::init(&dir, &hostname)?;
            match never {}
        }
        Command::Sweep { id, dir } => crate::fleet::sweep(&dir, &id).map(|()| ExitCode::SUCCESS),
        Command::Up(args) => block_on(up::up(args)),
        Command::Down(directory) => down::down(&directory.layout()?).map(|()| ExitCode::SUCCESS),
        Command::Status { directory, output } => block_on(status::status(&directory.layout()?, output)),
        Command::Binaries { real_node } => binaries(real_node).map(|()| ExitCode::SUCCESS),
        Command::Stop(args) => block_on(component::change(Action::Stop, args)),
        Command::Start(args) => block_on(component::change(Action::Start, args)),
        Command::Logs { cluster, component, directory } => {
            logs::logs(&directory.layout()?, &cluster, component).map(|()| ExitCode::SUCCESS)
        }
        Command::Bench(which) => block_on(bench::bench(which)),
        Command::Test { filter } => block_on(test::test(filter)),
    }
}

fn block_on(future: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let result = runtime.block_on(future);
    // Not waiting for blocking work: an interrupted build of the control plane's programs ends with this process.
    runtime.shutdown_background();
    result
}

/// The path of this binary, for the launcher. To be read at the start: a rebuild of the tool while it runs makes it the
/// path of a deleted file.
fn this_binary() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("finding the fleet binary")
}

fn binaries(real_node: bool) -> anyhow::Result<()> {
    let binaries = Binaries::prepare(&this_binary()?, real_node, Progress::Told)?;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["PROGRAM", "FROM", "PATH"]);
    for (tool, source, path) in binaries.all() {
        table.add_row([tool.file().to_owned(), source.to_string(), path.display().to_string()]);
    }
    print(&table.trim_fmt());
    Ok(())
}

/// Prints a line on standard output; a closed pipe is no error (`fleet logs hub | head`).
fn print(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
