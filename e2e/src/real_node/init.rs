//! The node's first process: arranges its mounts, then waits for the orphans of its PID namespace.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_move,
};
use rustix::process::{WaitOptions, wait};

use super::config::SYSCTLS;

/// What lies under these belongs to the machine; the node gets empty ones of its own.
pub(super) const HIDDEN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// Directories of the node that hold data, and so lie on a disk: where they are seen, and their names among its files.
const DATA: [(&str, &str); 3] =
    [("/var/lib/containerd", "containerd"), ("/var/lib/kubelet", "kubelet"), ("/var/log/pods", "pods")];

/// The file that says that everything is arranged.
pub(super) const ARRANGED: &str = "arranged";

/// Is the node's first process. It was started in namespaces of its own, with mounts that don't reach the machine's.
///
/// # Errors
/// Returns only with one: something can't be mounted or set.
pub fn init(directory: &Path, hostname: &str) -> anyhow::Result<Infallible> {
    rustix::system::sethostname(hostname.as_bytes()).context("setting the node's host name")?;
    mount("proc", "/proc", "proc", MountFlags::empty(), None).context("mounting /proc")?;
    for path in HIDDEN {
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
            .with_context(|| format!("mounting a tmpfs on {path}"))?;
    }
    for (path, name) in DATA {
        let data = directory.join(name);
        create(path.as_ref())?;
        create(&data)?;
        mount_bind(&data, path).with_context(|| format!("mounting {} on {path}", data.display()))?;
    }
    sysfs()?;
    sysctls(directory)?;
    // Volumes that the kubelet mounts must reach containers that run already.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    mount_change("/", shared).context("sharing the node's mounts with its containers")?;
    // Dead children are waited for, one after the other. One that never ends keeps the wait from failing.
    let mut sleeper = Command::new("sleep").arg("infinity").spawn().context("starting sleep")?;
    fs::write(directory.join(ARRANGED), "").context("saying that the node is arranged")?;
    while sleeper.try_wait().is_ok_and(|ended| ended.is_none()) {
        wait(WaitOptions::empty()).context("waiting for the node's orphans")?;
    }
    anyhow::bail!("the node was ended from inside")
}

/// The devices of this network namespace, with the machine's cgroups under them.
fn sysfs() -> anyhow::Result<()> {
    let aside = Path::new("/run/sys");
    create(aside)?;
    mount("sysfs", aside, "sysfs", MountFlags::empty(), None).context("mounting a sysfs")?;
    mount_bind_recursive("/sys/fs/cgroup", aside.join("fs/cgroup")).context("carrying the cgroups over")?;
    mount_move(aside, "/sys").context("mounting /sys")
}

fn sysctls(directory: &Path) -> anyhow::Result<()> {
    for (name, value) in SYSCTLS {
        let file = directory.join("sysctl").join(name);
        if let Some(parent) = file.parent() {
            create(parent)?;
        }
        fs::write(&file, value).with_context(|| format!("writing {}", file.display()))?;
        let path = Path::new("/proc/sys").join(name);
        mount_bind(&file, &path).with_context(|| format!("laying a file over {}", path.display()))?;
    }
    for (name, why) in [
        ("net/ipv4/ip_forward", "pods reach nothing outside"),
        (
            "net/bridge/bridge-nf-call-iptables",
            "a Service's pods don't reach each other: modprobe br_netfilter",
        ),
    ] {
        let path = Path::new("/proc/sys").join(name);
        fs::write(&path, "1").with_context(|| format!("{} can't be set, and so {why}", path.display()))?;
    }
    Ok(())
}

fn create(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))
}
