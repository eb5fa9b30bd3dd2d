//! `fleet stop` and `fleet start`: one component of a fleet that runs.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::{DirectoryArgs, print};
use crate::fleet::control::{Action, Answer, Request, ask};
use crate::layout::{ClusterRecord, Component};

/// Which one.
#[derive(Clone, Debug, Args)]
pub(super) struct ComponentArgs {
    /// hub, member-1, …
    cluster: String,
    /// Which of the cluster's components [default: the hub or the member itself]
    component: Option<Component>,
    #[command(flatten)]
    directory: DirectoryArgs,
}

/// Brings the component down or up; one that is so already is left alone.
pub(super) async fn change(action: Action, args: ComponentArgs) -> anyhow::Result<ExitCode> {
    let ComponentArgs { cluster, component, directory } = args;
    let layout = directory.layout()?;
    let root = layout.root().display();
    let record =
        layout.read()?.with_context(|| format!("no fleet in {root}: `cargo fleet up` starts one"))?;
    if !record.supervisor.is_alive() {
        bail!(
            "the fleet in {root} has ended: clear up with `cargo fleet down --dir {root}`, then `cargo fleet up`"
        );
    }
    let cluster = record.cluster(&cluster)?;
    let component = choose(cluster, component)?;
    let of = format!("{component} of {}", cluster.name);
    let request = Request { action, cluster: cluster.name.clone(), component };
    print(&match (ask(&layout, &request).await?, action) {
        (Answer::Done, Action::Stop) => {
            format!(
                "{of} is stopped; `cargo fleet start {} {component} --dir {root}` starts it again",
                cluster.name
            )
        }
        (Answer::Already, Action::Stop) => format!("{of} is down already"),
        (Answer::Done, Action::Start) => format!("{of} is started"),
        (Answer::Already, Action::Start) => format!("{of} runs already"),
        (Answer::Failed(why), _) => bail!("{why}"),
    });
    Ok(ExitCode::SUCCESS)
}

/// The component that is named, or the one that the cluster is in the fleet for.
fn choose(cluster: &ClusterRecord, named: Option<Component>) -> anyhow::Result<Component> {
    let there = cluster.components();
    let names = || there.iter().map(Component::to_string).collect::<Vec<_>>().join(", ");
    let own = [Component::ParallaxHub, Component::ParallaxMember].into_iter().find(|one| there.contains(one));
    match named {
        Some(named) if there.contains(&named) => Ok(named),
        Some(named) => bail!("{} has no {named}: it has {}", cluster.name, names()),
        None => {
            own.with_context(|| format!("{} has no hub and no member: name one of {}", cluster.name, names()))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::layout::{EtcdRecord, ProcessRecord};
    use crate::process::ProcessIdentity;

    fn cluster(running: &[Component], stopped: &[Component]) -> ClusterRecord {
        let process = |component: &Component| ProcessRecord {
            component: *component,
            identity: ProcessIdentity { pid: 1, start_time: 1 },
            log: "/l".into(),
        };
        ClusterRecord {
            name: "member-1".into(),
            server: String::new(),
            kubeconfig: "/k".into(),
            audit_log: "/a".into(),
            etcd: EtcdRecord { client: String::new(), metrics: String::new() },
            hub: None,
            member: None,
            node: None,
            processes: running.iter().map(process).collect(),
            stopped: stopped.to_vec(),
        }
    }

    #[test]
    fn without_a_name_it_is_the_member_running_or_stopped() {
        let (etcd, member) = (Component::Etcd, Component::ParallaxMember);
        assert_eq!(choose(&cluster(&[etcd, member], &[]), None).unwrap(), member);
        assert_eq!(choose(&cluster(&[etcd], &[member]), None).unwrap(), member);
        assert_eq!(choose(&cluster(&[etcd], &[member]), Some(etcd)).unwrap(), etcd);
    }

    #[test]
    fn what_a_cluster_does_not_have_is_answered_with_what_it_has() {
        let etcd = cluster(&[Component::Etcd], &[Component::Kwok]);
        let error = choose(&etcd, Some(Component::ParallaxHub)).unwrap_err().to_string();
        assert_eq!(error, "member-1 has no parallax-hub: it has etcd, kwok");
        let error = choose(&etcd, None).unwrap_err().to_string();
        assert_eq!(error, "member-1 has no hub and no member: name one of etcd, kwok");
    }
}
