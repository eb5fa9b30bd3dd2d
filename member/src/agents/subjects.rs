//! Whose usage is asked for.

use std::net::SocketAddr;

use super::Agents;
use crate::usage::{Subject, Target};

impl Agents {
    /// Agents that are to run here, and those of their pods that are to stay.
    pub fn subjects(&self) -> Vec<Subject> {
        let index = self.index.lock();
        let subject = |assignment: &crate::store::Assignment| {
            let slot = index.slot(&assignment.agent.key)?;
            let port = assignment.object.spec.template.runtime.metrics_port();
            let port = port.and_then(|port| u16::try_from(port).ok());
            let mine = slot
                .named_pods()
                .filter(|(_, pod)| pod.staying && pod.incarnation == assignment.agent.incarnation);
            let pods = mine.map(|(name, pod)| Target {
                name: name.to_owned(),
                metrics: pod.ip.zip(port).map(SocketAddr::from),
            });
            Some(Subject { agent: assignment.agent.clone(), pods: pods.collect() })
        };
        let here = index.assigned().filter(|assignment| !assignment.deleting());
        here.filter_map(|assignment| subject(assignment)).collect()
    }
}
