//! Where a cluster's programs come from: the first of `KUBEBUILDER_ASSETS`, the tool's cache, the `PATH` (only
//! the right version), and a build with Go.

mod build;
mod catalog;
mod prerequisites;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use build::Cache;
pub use catalog::{KUBERNETES, Tool};
pub use prerequisites::check_rust;
use strum::Display;

use crate::progress::Progress;

/// Where one program was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
pub enum Source {
    /// In the directory that `KUBEBUILDER_ASSETS` names; its version is the user's responsibility.
    #[strum(to_string = "KUBEBUILDER_ASSETS")]
    Assets,
    /// In the tool's cache, built by it.
    #[strum(to_string = "cache")]
    Cache,
    /// On the `PATH`.
    #[strum(to_string = "PATH")]
    Path,
}

/// Programs, found.
#[derive(Clone, Debug)]
pub struct Binaries {
    found: BTreeMap<Tool, (Source, PathBuf)>,
}

impl Binaries {
    /// Finds what is there of a control plane's programs, and of a real node's where they are asked for, and builds the
    /// rest. Blocks, minutes when all must be built; the compiler is started through the launcher (the path of the
    /// `fleet` binary), and ends with this process.
    ///
    /// # Errors
    /// Something must be built and Go is missing or fails.
    pub fn prepare(launcher: &Path, real_node: bool, progress: Progress) -> anyhow::Result<Self> {
        let cache = Cache::find()?;
        let missing: Vec<Tool> =
            Tool::needed(real_node).filter(|tool| locate(*tool, &cache).is_none()).collect();
        if !missing.is_empty() {
            cache.build(launcher, &missing, progress)?;
        }
        let found = Tool::needed(real_node).filter_map(|tool| Some((tool, locate(tool, &cache)?))).collect();
        Ok(Self { found })
    }

    /// The program's path.
    pub fn path(&self, tool: Tool) -> PathBuf {
        self.found.get(&tool).map_or_else(|| tool.file().into(), |(_, path)| path.clone())
    }

    /// Every program with its source and path.
    pub fn all(&self) -> impl Iterator<Item = (Tool, Source, &Path)> {
        self.found.iter().map(|(tool, (source, path))| (*tool, *source, path.as_path()))
    }
}

fn locate(tool: Tool, cache: &Cache) -> Option<(Source, PathBuf)> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    if let Some(path) = assets.map(|directory| directory.join(tool.file())).filter(|path| path.is_file()) {
        return Some((Source::Assets, path));
    }
    let cached = cache.path(tool);
    if cached.is_file() {
        return Some((Source::Cache, cached));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(tool.file()))
        .find(|candidate| candidate.is_file() && has_right_version(tool, candidate))
        .map(|path| (Source::Path, path))
}

fn has_right_version(tool: Tool, path: &Path) -> bool {
    Command::new(path)
        .args(tool.version_args())
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| tool.accepts(&String::from_utf8_lossy(&output.stdout)))
}
