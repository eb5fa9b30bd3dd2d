//! The cgroup under which the kubelet keeps its pods', in every hierarchy of the machine, of version 1 and 2.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::waiting::blocking::until;

/// What is just being killed leaves its cgroup within moments.
const LIMIT: Duration = Duration::from_secs(10);

/// Makes the cgroup in every hierarchy, ready for pods.
///
/// # Errors
/// A hierarchy can't be written.
pub(super) fn create(name: &str) -> anyhow::Result<()> {
    for hierarchy in in_charge(hierarchies()?) {
        let cgroup = hierarchy.mount.join(name);
        if hierarchy.is_unified {
            // Controllers reach a child only where its parent hands them down.
            let controllers =
                std::fs::read_to_string(hierarchy.mount.join("cgroup.controllers")).unwrap_or_default();
            for controller in controllers.split_whitespace() {
                hand_down(&hierarchy.mount, controller)?;
            }
        }
        std::fs::create_dir_all(&cgroup).with_context(|| format!("creating {}", cgroup.display()))?;
        // A new cpuset of version 1 is empty, and then holds no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (hierarchy.mount.join(file), cgroup.join(file));
            if let Ok(all) = std::fs::read_to_string(&from) {
                std::fs::write(&to, all.trim()).with_context(|| format!("writing {}", to.display()))?;
            }
        }
    }
    Ok(())
}

fn hand_down(mount: &Path, controller: &str) -> anyhow::Result<()> {
    let path = mount.join("cgroup.subtree_control");
    std::fs::write(&path, format!("+{controller}"))
        .with_context(|| format!("handing the cgroup controller {controller} down in {}", path.display()))
}

/// The machine has cgroups, and this process may make some.
///
/// # Errors
/// One line that says what is missing.
pub(super) fn check() -> anyhow::Result<()> {
    let hierarchies = in_charge(hierarchies()?);
    if hierarchies.is_empty() {
        bail!(
            "a real node needs cgroups, and no file system of them is mounted under /sys/fs/cgroup: mount -t cgroup2 none /sys/fs/cgroup"
        );
    }
    for Hierarchy { mount, .. } in hierarchies {
        if let Err(error) = rustix::fs::access(&mount, rustix::fs::Access::WRITE_OK) {
            bail!(
                "a real node needs to make cgroups, and {} can't be written ({error}): run this as root, where the \
                 mount is writable",
                mount.display()
            );
        }
    }
    Ok(())
}

/// Removes every cgroup whose name begins so, with those under it.
///
/// # Errors
/// One can't be removed: a process is still in it.
pub(super) fn remove(prefix: &str) -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let entries = std::fs::read_dir(&hierarchy.mount).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
            until(&format!("{} is removed", entry.path().display()), LIMIT, || {
                remove_tree(&entry.path())?;
                Ok(Some(()))
            })
            .context("a process is still in it")?;
        }
    }
    Ok(())
}

/// A cgroup's files can't be removed, and needn't be: only its directories, the innermost first.
fn remove_tree(cgroup: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(cgroup)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match std::fs::remove_dir(cgroup) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    is_unified: bool,
}

fn hierarchies() -> anyhow::Result<Vec<Hierarchy>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
    Ok(parse(&text))
}

/// Those that have controllers. Beside hierarchies of version 1, that of version 2 has none: containerd and the kubelet
/// find their way in it alone, and only what they leave there concerns us.
fn in_charge(mut all: Vec<Hierarchy>) -> Vec<Hierarchy> {
    if all.iter().any(|hierarchy| !hierarchy.is_unified) {
        all.retain(|hierarchy| !hierarchy.is_unified);
    }
    all
}

/// The hierarchies among the mounts.
fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut all: Vec<Hierarchy> = mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let is_unified = match after.split_whitespace().next()? {
                "cgroup" => false,
                "cgroup2" => true,
                _ => return None,
            };
            Some(Hierarchy { mount: before.split_whitespace().nth(4)?.into(), is_unified })
        })
        .collect();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(mount: &str, is_unified: bool) -> Hierarchy {
        Hierarchy { mount: mount.into(), is_unified }
    }

    #[test]
    fn the_unified_hierarchy_is_in_charge_only_where_it_is_the_only_one() {
        let two = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(in_charge(parse(two)), [hierarchy("/sys/fs/cgroup", true)]);
        let hybrid = "\
            31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let (cpu, unified) =
            (hierarchy("/sys/fs/cgroup/cpu", false), hierarchy("/sys/fs/cgroup/unified", true));
        let all = parse(hybrid);
        assert_eq!(all, [cpu, unified], "what is left in each is removed");
        assert_eq!(in_charge(all), [hierarchy("/sys/fs/cgroup/cpu", false)]);
    }
}
