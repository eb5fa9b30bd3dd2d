//! Where a cluster's programs come from: the first of `KUBEBUILDER_ASSETS`, the tool's cache, the `PATH` (only
//! the right version), and a build with Go.

mod build;
mod catalog;
mod prerequisites;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use build::Cache;
pub use catalog::{KUBERNETES, Tool};
pub use prerequisites::check_rust;
use rustix::fs::Access;
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
    /// `KUBEBUILDER_ASSETS` is set and of no use, or something must be built and Go is missing or fails.
    pub fn prepare(launcher: &Path, real_node: bool, progress: Progress) -> anyhow::Result<Self> {
        let cache = Cache::find()?;
        let assets =
            std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(directory) = &assets {
            let absent = absent_from(directory, real_node)?;
            if !absent.is_empty() {
                progress.line(&format!(
                    "KUBEBUILDER_ASSETS={} has no {}: taken from elsewhere",
                    directory.display(),
                    names(&absent)
                ));
            }
        }
        let locate = |tool: Tool| locate(tool, assets.as_deref(), &cache);
        let missing: Vec<Tool> = Tool::needed(real_node).filter(|tool| locate(*tool).is_none()).collect();
        if !missing.is_empty() {
            cache.build(launcher, &missing, progress)?;
        }
        let found = Tool::needed(real_node).filter_map(|tool| Some((tool, locate(tool)?))).collect();
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

/// The programs that are not in a directory that the user has named.
///
/// # Errors
/// None is there, or one can't be executed: the user meant something else.
fn absent_from(directory: &Path, real_node: bool) -> anyhow::Result<Vec<Tool>> {
    let shown = format!("KUBEBUILDER_ASSETS={}", directory.display());
    let wish = "name a directory with the programs of a control plane, or unset it and they are built";
    if !directory.is_dir() {
        bail!("{shown} is no directory: {wish}");
    }
    let (there, absent): (Vec<Tool>, Vec<Tool>) =
        Tool::needed(real_node).partition(|tool| directory.join(tool.file()).is_file());
    if there.is_empty() {
        bail!("{shown} has none of {}: {wish}", names(&absent));
    }
    for tool in there {
        let path = directory.join(tool.file());
        rustix::fs::access(&path, Access::EXEC_OK).with_context(|| {
            format!("{} of KUBEBUILDER_ASSETS can't be executed: chmod +x it", path.display())
        })?;
    }
    Ok(absent)
}

fn names(tools: &[Tool]) -> String {
    tools.iter().map(|tool| tool.file()).collect::<Vec<_>>().join(", ")
}

fn locate(tool: Tool, assets: Option<&Path>, cache: &Cache) -> Option<(Source, PathBuf)> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_named_directory_of_no_use_is_refused_with_what_is_missing() {
        let directory = std::env::temp_dir().join(format!("parallax-assets-{}", std::process::id()));
        let error = |path: &Path| absent_from(path, false).unwrap_err().to_string();
        assert!(error(&directory).contains("is no directory"), "{}", error(&directory));
        std::fs::create_dir_all(&directory).unwrap();
        assert!(error(&directory).contains("has none of etcd, kube-apiserver, "), "{}", error(&directory));
        let etcd = directory.join("etcd");
        std::fs::write(&etcd, "").unwrap();
        std::fs::set_permissions(&etcd, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(error(&directory).contains("chmod +x"), "{}", error(&directory));
        std::fs::set_permissions(&etcd, std::fs::Permissions::from_mode(0o755)).unwrap();
        let absent = absent_from(&directory, false).unwrap();
        assert!(absent.len() == Tool::CONTROL_PLANE.len() - 1 && !absent.contains(&Tool::Etcd), "{absent:?}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
