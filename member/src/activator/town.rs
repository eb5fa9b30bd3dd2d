//! All agents behind the activator: which there are, from what the assignments say.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kube::api::ObjectMeta;
use kube::{Api, Client};
use parallax_crds::activation::{Sleep, Stage};
use parallax_crds::{AgentAssignment, AgentKey, AgentRef, Incarnation};
use parallax_member_core::activation::{Limits, Order};
use parallax_member_core::callers::Callers;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admitted, Sources};
use super::clock::Clock;
use super::listen::{self, Port};
use super::metrics::Metrics;
use super::pods::{Pods, WatchedPod};
use super::report::{self, Speaker};
use super::visit::House;

/// Connections of all ports together.
const CONNECTIONS: usize = 8192;

/// How long clients may still be led here once the Service's slices lead elsewhere: every node learns that in its own
/// time.
pub const UNLISTED: Duration = Duration::from_secs(2);

/// What is the same for all agents.
pub struct Settings {
    /// The address that clients reach the activator at, which is its name in the assignments.
    pub address: IpAddr,
    /// The address to listen on.
    pub bind: IpAddr,
    /// Who may connect beside an agent's own callers.
    pub admitted: Admitted,
}

/// See the module.
pub struct Town {
    client: Client,
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    pods: Mutex<Pods>,
    homes: Mutex<HashMap<AgentKey, Home>>,
    room: Arc<Semaphore>,
    /// Connections and reports, to be waited for at the end.
    pub tasks: TaskTracker,
    closing: CancellationToken,
}

/// An agent that is listened for.
struct Home {
    /// Of which assignment.
    assignment: String,
    agent: AgentRef,
    house: Arc<House>,
    speaker: Arc<Speaker>,
    /// Who may call it.
    callers: Arc<Mutex<Callers>>,
    /// Ends what is said of it.
    silence: CancellationToken,
    /// Ends its port.
    closing: CancellationToken,
    listing: u32,
}

impl Town {
    /// Nobody lives there yet. `closing` ends all ports.
    pub fn new(
        client: Client,
        settings: Settings,
        metrics: Metrics,
        closing: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            settings,
            clock: Clock::start(),
            metrics,
            pods: Mutex::default(),
            homes: Mutex::default(),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks: TaskTracker::new(),
            closing,
        })
    }

    /// An assignment, as it is now.
    pub fn assignment_seen(self: &Arc<Self>, object: &AgentAssignment, listing: u32) {
        let (Some(namespace), Some(name), Some(uid)) =
            (&object.metadata.namespace, &object.metadata.name, &object.metadata.uid)
        else {
            return;
        };
        let key = AgentKey::new(namespace, name);
        let activation = object.status.as_ref().and_then(|status| status.activation.as_ref());
        // Always in this order.
        let pods = self.pods.lock();
        let mut homes = self.homes.lock();
        if homes.get(&key).is_some_and(|home| home.assignment != *uid || activation.is_none()) {
            self.leave(&mut homes, &key);
        }
        let Some(activation) = activation else { return };
        let agent =
            AgentRef { key: key.clone(), incarnation: Incarnation::new(&object.spec.agent.incarnation) };
        let template = &object.spec.template;
        let metrics = template.runtime.metrics_port().and_then(|port| u16::try_from(port).ok());
        let limits = limits(template.sleep.as_ref(), metrics.is_some());
        let order =
            Order { open: activation.stage == Stage::Up, serial: activation.serial, slept: activation.slept };
        let status = object.status.as_ref();
        let heard = status.and_then(|status| status.activators.get(&self.settings.address.to_string()));
        if !homes.contains_key(&key) {
            let before = heard.and_then(|word| u16::try_from(word.port).ok());
            let Some(home) = self.settle(&agent, uid, limits, before) else { return };
            home.house.populated(pods.ready(&agent), pods.staying(&agent));
            homes.insert(key.clone(), home);
            self.metrics.agents.set(i64::try_from(homes.len()).unwrap_or(i64::MAX));
        }
        if let Some(home) = homes.get_mut(&key) {
            home.listing = listing;
            home.house.ordered(limits, order, metrics);
            let planes = &self.settings.admitted.control_planes;
            *home.callers.lock() = Callers::of(namespace, template.runtime.network.as_ref(), planes);
            home.speaker.heard(heard);
        }
    }

    /// A listing has the assignment, but not in a form that can be read: it stays what it was.
    pub fn assignment_kept(&self, meta: &ObjectMeta, listing: u32) {
        if let Some(home) = self.homes.lock().get_mut(&AgentKey::of(meta))
            && meta.uid.as_ref() == Some(&home.assignment)
        {
            home.listing = listing;
        }
    }

    /// An assignment is gone.
    pub fn assignment_gone(&self, namespace: &str, name: &str) {
        self.leave(&mut self.homes.lock(), &AgentKey::new(namespace, name));
    }

    /// A listing is complete: whom it didn't have is gone.
    pub fn assignments_listed(&self, listing: u32) {
        let mut homes = self.homes.lock();
        let gone: Vec<_> =
            homes.iter().filter(|(_, home)| home.listing != listing).map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| self.leave(&mut homes, key));
    }

    /// Changes what is known of pods, and tells whom it concerns.
    pub fn with_pods(&self, change: impl FnOnce(&mut Pods) -> Vec<AgentRef>) {
        let mut pods = self.pods.lock();
        let changed = change(&mut pods);
        let homes = self.homes.lock();
        for agent in changed {
            if let Some(home) = homes.get(&agent.key).filter(|home| home.agent == agent) {
                home.house.populated(pods.ready(&agent), pods.staying(&agent));
            }
        }
    }

    /// Changes what is known of callers.
    pub fn with_sources(&self, change: impl FnOnce(&mut Sources)) {
        change(&mut self.pods.lock().sources);
    }

    /// A pod, as it is now.
    pub fn pod_seen(&self, pod: &WatchedPod) {
        self.with_pods(|pods| pods.put(pod));
    }

    fn settle(
        self: &Arc<Self>,
        agent: &AgentRef,
        assignment: &str,
        limits: Limits,
        before: Option<u16>,
    ) -> Option<Home> {
        let key = &agent.key;
        let listener = match bind(self.settings.bind, before) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(agent = %key, "can't listen: {error}; raise the limit of open files");
                return None;
            }
        };
        let address = listener.local_addr().ok()?;
        tracing::info!(agent = %key, %address, "listening");
        let house = House::new(key.clone(), limits, self.clock, self.metrics.clone());
        let closing = self.closing.child_token();
        let town = Arc::clone(self);
        let callers = Arc::<Mutex<Callers>>::default();
        let whose = Arc::clone(&callers);
        let port = Port {
            admits: Arc::new(move |from| {
                town.settings.admitted.everywhere(from) || town.pods.lock().sources.admit(from, &whose.lock())
            }),
            room: Arc::clone(&self.room),
            connections: self.tasks.clone(),
            closing: closing.clone(),
        };
        self.tasks.spawn(listen::serve(listener, Arc::clone(&house), port));
        let api = Api::namespaced(self.client.clone(), key.namespace());
        let speaker = Speaker::new(api, key.name(), self.settings.address, address.port());
        let silence = closing.child_token();
        self.tasks.spawn(report::speak(Arc::clone(&speaker), Arc::clone(&house), silence.clone()));
        Some(Home {
            assignment: assignment.to_owned(),
            agent: agent.clone(),
            house,
            speaker,
            callers,
            silence,
            closing,
            listing: 0,
        })
    }

    fn leave(&self, homes: &mut HashMap<AgentKey, Home>, key: &AgentKey) {
        if let Some(home) = homes.remove(key) {
            tracing::info!(agent = %key, "no longer listening");
            home.silence.cancel();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(UNLISTED) => home.closing.cancel(),
                    () = home.closing.cancelled() => {}
                }
            });
            self.metrics.agents.set(i64::try_from(homes.len()).unwrap_or(i64::MAX));
        }
    }
}

/// The port that the agent had before, so that the Service's slices stay right; another one if it is taken.
fn bind(address: IpAddr, before: Option<u16>) -> std::io::Result<TcpListener> {
    let listen = |port| {
        let listener = std::net::TcpListener::bind(SocketAddr::new(address, port))?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    before.map_or_else(|| listen(0), |port| listen(port).or_else(|_| listen(0)))
}

fn limits(sleep: Option<&Sleep>, asked: bool) -> Limits {
    let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    // Without one, the agent is about to be taken from behind the activator.
    let sleep = sleep.copied().unwrap_or(Sleep { delay_seconds: 300, hold_seconds: 30, max_pending: 100 });
    Limits {
        hold: seconds(sleep.hold_seconds),
        pending: u32::try_from(sleep.max_pending).unwrap_or_default(),
        quiet: seconds(sleep.delay_seconds),
        asked,
    }
}
