//! The node's addresses, and its link to the host.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::prerequisites;

/// How many real nodes a machine can have at a time: one address range each.
const MOST: u8 = 250;

/// The address ranges of one real node: those with the same number belong together, and no two nodes of a machine have
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    index: u8,
}

impl Network {
    /// The host's address on the link: the API server listens on it, and pods reach it.
    pub fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200, self.index, 1)
    }

    /// The node's address on the link.
    pub fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200, self.index, 2)
    }

    /// The pods' addresses, in CIDR notation.
    pub fn pods(self) -> String {
        format!("10.244.{}.0/24", self.index)
    }

    /// The Services' addresses, in CIDR notation.
    pub fn services(self) -> String {
        format!("10.96.{}.0/24", self.index)
    }

    /// The API server's own Service.
    pub fn api_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 96, self.index, 1)
    }

    /// The cluster's DNS.
    pub fn dns(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 96, self.index, 10)
    }

    fn link(self) -> String {
        format!("plx{}", self.index)
    }
}

/// Connects the network namespace of a process with the host's by a link, under the first number that is free, and
/// gives addresses and routes to both ends. All of it goes with the link, and the link with the namespace, or with
/// [`release`] of its mark.
///
/// That the kernel refuses a second link of the same name is what keeps two fleets from taking the same number.
///
/// # Errors
/// A command of `ip` fails, or every number is taken.
pub(super) fn claim(process: u32, mark: &str) -> anyhow::Result<Network> {
    let namespace = process.to_string();
    for index in 1..=MOST {
        let network = Network { index };
        let link = network.link();
        let added = ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
        if added == Outcome::Exists {
            continue;
        }
        must(&["link", "set", &link, "alias", mark])?;
        let host = format!("{}/30", network.host());
        must(&["address", "add", &host, "dev", &link])?;
        must(&["link", "set", &link, "up"])?;
        let via = network.node().to_string();
        let mut taken = false;
        for range in [network.pods(), network.services()] {
            taken |= ip(&["route", "add", &range, "via", &via])? == Outcome::Exists;
        }
        if taken {
            // Something else on this machine uses these addresses.
            must(&["link", "delete", &link])?;
            continue;
        }
        inside(process, &network)?;
        return Ok(network);
    }
    bail!("this machine has {MOST} real nodes, or routes to all of 10.200.0.0/16, already: end a fleet")
}

/// Removes the links whose mark begins so, and with them their addresses and routes.
///
/// # Errors
/// One can't be removed.
pub(super) fn release(mark: &str) -> anyhow::Result<()> {
    for entry in std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let is_ours = |alias: String| alias.starts_with(mark);
        if !std::fs::read_to_string(entry.path().join("ifalias")).is_ok_and(is_ours) {
            continue;
        }
        let link = entry.file_name();
        // It may have gone by itself meanwhile.
        if let Err(error) = must(&["link", "delete", &link.to_string_lossy()])
            && entry.path().exists()
        {
            return Err(error);
        }
    }
    Ok(())
}

fn inside(process: u32, network: &Network) -> anyhow::Result<()> {
    let node = format!("{}/30", network.node());
    let host = network.host().to_string();
    for args in [
        ["link", "set", "lo", "up"].as_slice(),
        &["address", "add", &node, "dev", "eth0"],
        &["link", "set", "eth0", "up"],
        &["route", "add", "default", "via", &host],
    ] {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{process}/ns/net")).arg(program()).args(args);
        if run(command, args)? == Outcome::Exists {
            bail!("ip {} in the node: it is there already", args.join(" "));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Exists,
}

fn must(args: &[&str]) -> anyhow::Result<()> {
    match ip(args)? {
        Outcome::Done => Ok(()),
        Outcome::Exists => bail!("ip {}: it is there already", args.join(" ")),
    }
}

fn ip(args: &[&str]) -> anyhow::Result<Outcome> {
    let mut command = Command::new(program());
    command.args(args);
    run(command, args)
}

fn program() -> PathBuf {
    prerequisites::find("ip").unwrap_or_else(|| "ip".into())
}

fn run(mut command: Command, args: &[&str]) -> anyhow::Result<Outcome> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("running ip {}", args.join(" ")))?;
    if output.status.success() {
        return Ok(Outcome::Done);
    }
    let told = String::from_utf8_lossy(&output.stderr);
    if told.contains("File exists") {
        return Ok(Outcome::Exists);
    }
    bail!("ip {} failed: {}", args.join(" "), told.trim());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_of_a_node_carry_its_number_and_two_nodes_share_none() {
        let (one, two) = (Network { index: 1 }, Network { index: 2 });
        assert_eq!(one.pods(), "10.244.1.0/24");
        assert_eq!(one.dns(), Ipv4Addr::new(10, 96, 1, 10));
        assert_ne!(one.services(), two.services());
        assert_ne!(one.host(), two.host());
    }
}
