//! Where an agent stands: whether the activators are in the way to it, and whether its pods may be gone.

use std::net::IpAddr;
use std::time::Duration;

use parallax_crds::activation::WakeUp;

use super::gate::{Gate, Heard, Signs, Stage};

/// One activator of the cluster, and what it says of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub address: IpAddr,
    /// It takes requests.
    pub ready: bool,
    /// Where it listens for the agent, once it has said so.
    pub port: Option<u16>,
    /// What it says of it.
    pub heard: Heard,
}

/// What is known of the ways that lead to the agent's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ways {
    /// The Service selects the pods itself.
    pub selects: bool,
    /// Slices of the Service that Kubernetes' own controllers made.
    pub foreign: bool,
    /// Of these, one leads to a ready pod.
    pub foreign_ready: bool,
    /// Slices of ours, which lead to activators.
    pub ours: bool,
}

/// What is known of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What was decided last; none when no activator was in the way.
    pub gate: Option<Gate>,
    /// How long it must be idle; none when it may not go to zero.
    pub delay: Option<Duration>,
    /// The activators of the cluster.
    pub activators: &'a [Listed],
    /// How its pods are reached.
    pub ways: Ways,
    /// A pod of it is there that is not ending.
    pub pods: bool,
    /// The wake-up that was asked for last through the API.
    pub wake: Option<WakeUp>,
}

/// What should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What the activators are told; none: to forget the agent.
    pub gate: Option<Gate>,
    /// The activators that the Service leads to.
    pub routes: Vec<(IpAddr, u16)>,
    /// The Service selects no pods: it leads to the activators only.
    pub led: bool,
    /// Slices that lead to activators stay though the Service selects the pods: nothing else leads to them yet.
    pub keep_ours: bool,
    /// When to ask again though nothing changes.
    pub again: Option<Duration>,
}

impl Standing {
    /// The pods are to go.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.gate.is_some_and(|gate| gate.stage == Stage::Zero)
    }
}

/// Where the agent stands.
#[must_use]
pub fn standing(known: &Known<'_>, now: Duration) -> Standing {
    let Known { gate, delay, activators, ways, pods, wake } = *known;
    let wanted = delay.is_some() && !activators.is_empty();
    let Some(gate) = gate else {
        // The activators begin to listen when they are told of the agent, and say where.
        let gate = wanted.then(|| Gate::new(now, wake));
        return Standing { gate, routes: vec![], led: false, keep_ours: false, again: None };
    };
    let routes: Vec<_> = activators
        .iter()
        .filter(|activator| wanted && activator.ready)
        .filter_map(|activator| Some((activator.address, activator.port?)))
        .collect();
    let heard: Vec<_> = activators.iter().map(|activator| activator.heard).collect();
    // A request that comes another way is seen by nobody. Once the pods are gone, no way leads to one.
    let alone = ways.ours && !ways.selects && !ways.foreign;
    let signs = Signs {
        activators: &heard,
        delay: delay.unwrap_or_default(),
        may_sleep: !routes.is_empty() && (alone || gate.stage == Stage::Zero),
        pods,
        wake,
    };
    let (next, again) = gate.next(&signs, now);
    // Who may go to zero no more leaves the activators once the Service leads to its pods by itself.
    let keep_ours = routes.is_empty() && !activators.is_empty() && !ways.foreign_ready;
    let left = !wanted && next.is_open() && !ways.ours;
    // It stops selecting only when there is another way already.
    let led = !routes.is_empty() && (ways.ours || !ways.selects);
    Standing { gate: (!left).then_some(next), routes, led, keep_ours, again }
}
