//! The hub's and the member's programs, as cargo makes them beside the fleet tool.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::binaries::check_rust;
use crate::cargo::cargo;
use crate::manifests::repository;
use crate::progress::Progress;

/// The two programs.
#[derive(Clone, Debug)]
pub struct Product {
    /// `parallax-hub`.
    pub hub: PathBuf,
    /// `parallax-member`.
    pub member: PathBuf,
}

impl Product {
    /// Lets cargo bring both up to date, in the target directory and profile that the fleet tool was built in, and
    /// gives their paths. Takes a second when nothing has changed.
    ///
    /// # Errors
    /// Rust or a C compiler is missing, or the build fails; the compiler's own words are in the error.
    pub async fn build(fleet: &Path, progress: Progress) -> anyhow::Result<Self> {
        let [hub, member] = programs(fleet, ["parallax-hub", "parallax-member"], progress).await?;
        Ok(Self { hub, member })
    }
}

/// The example agent's program, built in the same way.
///
/// # Errors
/// As those of [`Product::build`].
pub async fn example_agent(fleet: &Path, progress: Progress) -> anyhow::Result<PathBuf> {
    let [agent] = programs(fleet, ["example-agent"], progress).await?;
    Ok(agent)
}

/// The kubectl plugin's program, built in the same way.
///
/// # Errors
/// As those of [`Product::build`].
pub async fn plugin(fleet: &Path, progress: Progress) -> anyhow::Result<PathBuf> {
    let [plugin] = programs(fleet, ["kubectl-parallax"], progress).await?;
    Ok(plugin)
}

async fn programs<const N: usize>(
    fleet: &Path,
    names: [&str; N],
    progress: Progress,
) -> anyhow::Result<[PathBuf; N]> {
    let directory = fleet.parent().with_context(|| format!("{} lies in no directory", fleet.display()))?;
    let paths = names.map(|name| directory.join(name));
    let checkout = repository();
    if checkout.join("Cargo.toml").is_file() {
        check_rust()?;
        let what = format!("building {}", names.join(" and "));
        let step = progress.long_step(what, "minutes the first time, then seconds");
        build(&checkout, directory, &names).await?;
        step.done();
    }
    for path in &paths {
        if !path.is_file() {
            bail!("{} is missing: run cargo build --release in the repository", path.display());
        }
    }
    Ok(paths)
}

async fn build(checkout: &Path, directory: &Path, names: &[&str]) -> anyhow::Result<()> {
    let profile = Profile::of(directory);
    let mut command = tokio::process::Command::from(cargo());
    command
        // The whole workspace is named, as by the alias `cargo fleet`: so features are resolved alike, and no
        // dependency is compiled twice.
        .args(["build", "--quiet", "--workspace"])
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .args(["--profile", profile.name()])
        .current_dir(checkout)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(target) = directory.parent() {
        command.arg("--target-dir").arg(target);
    }
    let output = command.output().await.context("running cargo build")?;
    if !output.status.success() {
        bail!("building {} failed:\n{}", names.join(" and "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A profile as cargo names it, which is not how it names its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    Dev,
    Release,
}

impl Profile {
    fn of(directory: &Path) -> Self {
        if directory.file_name().is_some_and(|name| name == "debug") { Self::Dev } else { Self::Release }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_that_of_the_fleet_tool() {
        assert_eq!(Profile::of(Path::new("/r/target/debug")), Profile::Dev);
        assert_eq!(Profile::of(Path::new("/r/target/release")), Profile::Release);
    }
}
