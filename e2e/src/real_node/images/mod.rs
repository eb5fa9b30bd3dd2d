//! The images that a real node runs, made of programs on this machine without a registry or a build daemon.

mod layer;
mod layout;
mod libraries;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use self::layer::Layer;
use self::layout::Image;
use super::prerequisites;
use crate::binaries::{Binaries, Tool};
use crate::process::Namespaces;

/// What holds a pod's namespaces.
pub const SANDBOX: &str = "parallax.local/sandbox:1";
/// A shell with curl, to look at a cluster from inside.
pub const TOOLBOX: &str = "parallax.local/toolbox:1";
/// The cluster's DNS.
pub const COREDNS: &str = "parallax.local/coredns:1";
/// The cluster's resource metrics.
pub const METRICS_SERVER: &str = "parallax.local/metrics-server:1";
/// The example agent.
pub const AGENT: &str = "parallax.local/example-agent:1";

/// The hub's flags by which the built-in types run the example agent: their images are `PREFIX/agent-TYPE:TAG`.
pub const HUB_FLAGS: [&str; 2] = ["--image-prefix=parallax.local", "--image-tag=1"];

/// The built-in types.
const TYPES: [&str; 4] = ["claude", "codex", "gemini", "aider"];

/// Nobody's: what containers run as that need no rights.
const USER: &str = "65532:65532";

/// Busybox is one program under many names; these are enough to look around.
const SHELL: [&str; 12] =
    ["sh", "cat", "env", "hostname", "id", "ip", "ls", "nslookup", "ps", "sleep", "touch", "wget"];

/// Makes every image and gives it to the node's containerd.
///
/// # Errors
/// A program or a library can't be read, or containerd refuses an image.
pub fn import(
    directory: &Path,
    binaries: &Binaries,
    example_agent: &Path,
    node: &Namespaces,
) -> anyhow::Result<()> {
    for (name, image) in all(binaries, example_agent)? {
        let path = directory.join(format!("{name}.tar"));
        let mut file =
            std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        file.write_all(&image.archive()?).with_context(|| format!("writing {}", path.display()))?;
        let mut ctr = node.command("ctr")?;
        ctr.args(["--namespace=k8s.io", "images", "import", "--digests=false"]).arg(&path);
        let output = ctr.stdin(Stdio::null()).output().context("running ctr")?;
        if !output.status.success() {
            bail!("containerd refuses the image {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

fn all(binaries: &Binaries, example_agent: &Path) -> anyhow::Result<Vec<(&'static str, Image)>> {
    let busybox = program("busybox")?;
    let mut shell = Layer::default();
    shell.file("bin/busybox", &busybox)?;
    for name in SHELL {
        shell.link(&format!("bin/{name}"), "busybox");
    }
    let mut toolbox = shell.clone();
    toolbox.program("usr/bin/curl", &program("curl")?)?;
    let mut agent = shell;
    agent.program("agent", example_agent)?;
    let mut sandbox = Layer::default();
    sandbox.file("bin/busybox", &busybox)?;
    let one = |path: &str, tool: Tool| -> anyhow::Result<Layer> {
        let mut layer = Layer::default();
        layer.program(path, &binaries.path(tool))?;
        Ok(layer)
    };
    let types = TYPES.iter().map(|agent_type| format!("parallax.local/agent-{agent_type}:1"));
    let agents = std::iter::once(AGENT.to_owned()).chain(types).collect();
    // Longer than any fleet: this busybox knows no infinity.
    let sleep = ["/bin/busybox", "sleep", "2000000000"].as_slice();
    Ok(vec![
        ("sandbox", Image::new(vec![SANDBOX.into()], sandbox, sleep, USER)),
        ("toolbox", Image::new(vec![TOOLBOX.into()], toolbox, sleep, USER)),
        ("example-agent", Image::new(agents, agent, &["/agent"], USER)),
        ("coredns", Image::new(vec![COREDNS.into()], one("coredns", Tool::CoreDns)?, &["/coredns"], "")),
        (
            "metrics-server",
            Image::new(
                vec![METRICS_SERVER.into()],
                one("metrics-server", Tool::MetricsServer)?,
                &["/metrics-server"],
                USER,
            ),
        ),
    ])
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    prerequisites::find(name).with_context(|| format!("{name} is gone: run this again to see its package"))
}
