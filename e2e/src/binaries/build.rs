//! Building a cluster's programs with Go, into a cache outside the repository.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::catalog::{KUBERNETES, Tool};
use super::prerequisites;
use crate::process;
use crate::progress::Progress;

const GO_MOD: &str = include_str!("../../control-plane/go.mod");
const GO_SUM: &str = include_str!("../../control-plane/go.sum");
const TOOLS_GO: &str = include_str!("../../control-plane/tools.go");

/// The cache of one version of the control plane.
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of this very module: `~/.cache/parallax/control-plane/<version>-<hash of go.mod and go.sum>`.
    ///
    /// # Errors
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    pub fn find() -> anyhow::Result<Self> {
        let base = crate::layout::base_directory("XDG_CACHE_HOME", ".cache")?;
        Ok(Self::at(&base.join("parallax/control-plane")))
    }

    fn at(base: &Path) -> Self {
        let digest = Sha256::new().chain_update(GO_MOD).chain_update(GO_SUM).finalize();
        let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { root: base.join(format!("{KUBERNETES}-{hash}")) }
    }

    /// Where a built program lies, or would.
    pub fn path(&self, tool: Tool) -> PathBuf {
        self.root.join("bin").join(tool.file())
    }

    /// Builds what is missing of `tools`. A finished program appears under its name in one step, so an interrupted
    /// build goes on where it stopped; two tools at once build each program once.
    ///
    /// # Errors
    /// Go is missing or too old, or a build fails; the compiler's own words are in the error.
    pub fn build(&self, launcher: &Path, tools: &[Tool], progress: Progress) -> anyhow::Result<()> {
        prerequisites::check_go()?;
        let module = self.write_module()?;
        let _lock = self.lock(progress)?;
        let missing: Vec<Tool> = tools.iter().copied().filter(|tool| !self.path(*tool).is_file()).collect();
        if missing.len() > 2 {
            progress.line(&format!(
                "Building {} programs with Go, once: on two cores the control plane's take about 9 min, a real node's 3 more. \
                 They go to {}",
                missing.len(),
                self.root.join("bin").display()
            ));
        }
        for (index, tool) in missing.iter().enumerate() {
            let what = format!("building {} ({}/{})", tool.file(), index + 1, missing.len());
            let step = progress.long_step(what, tool.usual_build());
            self.build_one(launcher, &module, *tool)?;
            step.done();
        }
        Ok(())
    }

    fn write_module(&self) -> anyhow::Result<PathBuf> {
        let module = self.root.join("module");
        std::fs::create_dir_all(&module).with_context(|| format!("creating {}", module.display()))?;
        for (name, content) in [("go.mod", GO_MOD), ("go.sum", GO_SUM), ("tools.go", TOOLS_GO)] {
            let path = module.join(name);
            if std::fs::read_to_string(&path).is_ok_and(|there| there == content) {
                continue;
            }
            std::fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(module)
    }

    fn lock(&self, progress: Progress) -> anyhow::Result<File> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        if file.try_lock().is_err() {
            let step =
                progress.step("waiting for another fleet tool that builds the control plane's programs");
            file.lock().with_context(|| format!("locking {}", path.display()))?;
            step.done();
        }
        Ok(file)
    }

    fn build_one(&self, launcher: &Path, module: &Path, tool: Tool) -> anyhow::Result<()> {
        let target = self.path(tool);
        let bin = self.root.join("bin");
        std::fs::create_dir_all(&bin).with_context(|| format!("creating {}", bin.display()))?;
        let unfinished = bin.join(format!(".{}.unfinished", tool.file()));
        let mut go = process::launched(launcher, Path::new("go"));
        go.args(["build", "-trimpath", "-ldflags", &link_flags(), "-o"])
            .arg(&unfinished)
            .arg(tool.package())
            .current_dir(module)
            .env("CGO_ENABLED", "0")
            .env_remove("GOFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let running = process::spawner::spawn(go).context("starting go build")?;
        let output = running.wait_with_output().context("waiting for go build")?;
        if !output.status.success() {
            bail!(
                "go build of {} failed:\n{}",
                tool.package(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        std::fs::rename(&unfinished, &target)
            .with_context(|| format!("moving a build to {}", target.display()))
    }
}

/// Without them the API server calls itself v0.0.0, and clients and controllers that look at the version misbehave.
fn link_flags() -> String {
    let mut parts = KUBERNETES.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let variable = "-X k8s.io/component-base/version";
    format!(
        "-s -w {variable}.gitVersion=v{KUBERNETES} {variable}.gitMajor={major} {variable}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_named_after_the_version_and_the_modules_content() {
        let path = Cache::at(Path::new("/cache")).path(Tool::Etcd);
        let text = path.to_string_lossy();
        assert!(text.starts_with("/cache/1.36.3-") && text.ends_with("/bin/etcd"), "{text}");
    }

    #[test]
    fn the_link_flags_carry_the_version_in_three_parts() {
        let flags = link_flags();
        assert!(flags.contains("gitVersion=v1.36.3 "));
        assert!(flags.contains("gitMajor=1 ") && flags.ends_with("gitMinor=36"));
    }
}
