//! What a real node needs of the machine, each said in one line where it is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::cgroups;
use super::init::HIDDEN;

/// A file of each Debian package that is needed.
const PACKAGES: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
];

/// Where programs are looked for: a user's `PATH` often lacks the administrator's.
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The `PATH` of the node's programs.
pub(super) fn path() -> String {
    DIRECTORIES.join(":")
}

/// Where a program lies.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

/// The machine can run a real node, which sees these paths: its own directory, and what is started in it.
///
/// # Errors
/// One line that says what is missing, and what to do.
pub fn check(paths: &[&Path]) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "a real node needs root, for namespaces, mounts and cgroups: run this as root, or without --real-node"
        );
    }
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(file, _)| find(file).is_none() && !Path::new(file).is_file())
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        bail!(
            "a real node needs more programs: apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    if !Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() {
        bail!("a real node needs the kernel's br_netfilter: modprobe br_netfilter");
    }
    if !std::fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("\toverlay\n")) {
        bail!("a real node needs the kernel's overlay file system: modprobe overlay");
    }
    cgroups::check()?;
    namespaces()?;
    visible(paths)
}

fn visible(paths: &[&Path]) -> anyhow::Result<()> {
    for path in paths {
        if let Some(hidden) = HIDDEN.iter().find(|hidden| path.starts_with(hidden)) {
            bail!(
                "a real node has a {hidden} of its own, and does not see {}: move it elsewhere",
                path.display()
            );
        }
    }
    Ok(())
}

/// Root of a container may lack the right, and some kernels the kind.
fn namespaces() -> anyhow::Result<()> {
    let args = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "true"];
    let output =
        Command::new("unshare").args(args).stdin(Stdio::null()).output().context("running unshare")?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        bail!(
            "a real node needs namespaces of its own, and they are refused ({}): run this outside of a container, or \
             in a privileged one",
            told.trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn programs_are_found_without_the_users_path() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program"), None);
    }

    #[test]
    fn a_path_that_the_node_would_not_see_is_refused() {
        let (fleet, tool) = (Path::new("/tmp/fleet"), Path::new("/var/lib/ci/target/release/fleet"));
        visible(&[fleet]).unwrap();
        let error = visible(&[fleet, tool]).unwrap_err().to_string();
        assert_eq!(
            error,
            "a real node has a /var/lib of its own, and does not see /var/lib/ci/target/release/fleet: move it elsewhere"
        );
    }
}
