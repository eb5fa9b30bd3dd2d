//! The hub at work, from what it has found stored to its end.
//!
//! Both lists → ready, and members are let in. At the end sessions say Bye, writes that are under way finish, and the
//! process exits with 0.

use std::sync::Arc;
use std::time::Duration;

use kube::{Api, Client};
use parallax_crds::{MemberCluster, ParallaxAgent};
use parallax_hub_core::fleet::{Config, Fleet, Input};
use parallax_platform::addresses::Port;
use parallax_platform::{Events, Watch};
use parallax_proto::driver::Clock;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::brain::Brain;
use crate::copies::Copies;
use crate::enrollment::Enroller;
use crate::error::HubError;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::run::Settings;
use crate::sessions::{Registry, Sessions};
use crate::store::at_start::AtStart;
use crate::store::state::HubState;
use crate::writers::Writers;
use crate::{fence, listener, tls, watch};

/// Members between admission and sync at a time; others come again.
const MAX_RESYNCS: usize = 64;
/// Things that happened and wait for the brain. Full: watches and sessions wait, and their senders with them.
const WAITING: usize = 1024;
/// How long sessions have to say Bye, and then writes to finish: together less than the grace of ten seconds.
const FAREWELLS: Duration = Duration::from_secs(3);
const LAST_WRITES: Duration = Duration::from_secs(4);

/// What every part of the hub needs.
pub struct Hub {
    pub settings: Settings,
    pub client: Client,
    pub registry: Arc<Registry>,
    pub metrics: Metrics,
    pub events: Events,
}

/// What the fleet is told of by the API server.
pub struct Watches {
    pub agents: Watch,
    pub clusters: Watch,
}

/// The parts that live as long as the process: without one, it would look well and do nothing.
struct Vital {
    thinking: JoinHandle<()>,
    watches: JoinSet<()>,
    fence: JoinHandle<HubError>,
}

impl Hub {
    /// From what was stored to the end.
    pub async fn serve(
        self,
        stored: AtStart,
        port: Port,
        watches: Watches,
        stop: CancellationToken,
    ) -> Result<(), HubError> {
        let AtStart { state, ca, tombstones, revisions } = stored;
        tracing::info!(hub = %state.uid, epoch = state.epoch, ca = %ca.fingerprint(), "the hub begins");
        self.metrics.epoch(state.epoch);
        let clock = Clock::start();
        let (inputs, taken_in) = mpsc::channel(WAITING);
        let (events, said) = mpsc::channel(WAITING);
        let (writes, streams) = (TaskTracker::new(), TaskTracker::new());
        let namespace = self.settings.namespace.clone();
        let fence = tokio::spawn(fence::superseded(self.client.clone(), namespace, state.holder.clone()));
        let keys = Keys::new(self.client.clone(), self.registry.clone());
        let copies = Copies::new(self.client.clone(), self.registry.clone());
        let handing = (Arc::clone(&keys), Arc::clone(&copies));
        let brain = self.brain(state, clock, handing, inputs.clone(), writes.clone());
        let thinking = tokio::spawn(brain.run(taken_in, said, stop.clone()));
        let handing_over = tokio::spawn(keys.run(self.settings.credentials_from.clone()));
        let telling = tokio::spawn(copies.run());
        // Nobody listens any more only when the hub stops.
        let _ = inputs.send(Input::TombstonesLoaded(tombstones)).await;
        let _ = inputs.send(Input::RevisionsLoaded(revisions)).await;
        let listed = CancellationToken::new();
        let mut vital = Vital { thinking, watches: watches.follow(&inputs, &listed), fence };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            error = vital.ends() => return Err(error),
            () = listed.cancelled() => {}
        }

        let ca = Arc::new(ca);
        let (trust_domain, validity) =
            (self.settings.trust_domain.clone(), self.settings.certificate_validity);
        let tls = tls::show_identity(&ca, trust_domain, validity, &stop)?;
        let enroller = Enroller {
            ca,
            validity,
            secrets: Api::namespaced(self.client.clone(), &self.settings.namespace),
            clusters: Api::all(self.client.clone()),
        };
        let sessions = Sessions { registry: self.registry.clone(), clock, events, tasks: streams.clone() };
        let mut serving = listener::let_in(port, &tls, sessions, enroller, &stop)?;
        tracing::info!("ready: members are let in");
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            error = vital.ends() => return Err(error),
            ended = &mut serving => {
                tracing::error!(?ended, "members are no longer let in");
                return Err(HubError::Halted { part: "the listener for members" });
            }
        }

        for handle in self.registry.all() {
            handle.with(|session| session.bye("HubStops", clock.now()));
        }
        streams.close();
        writes.close();
        // The server ends once its connections have carried the last frames.
        let farewells = async {
            streams.wait().await;
            serving.await
        };
        let said = tokio::time::timeout(FAREWELLS, farewells).await.is_ok();
        let written = tokio::time::timeout(LAST_WRITES, writes.wait()).await.is_ok();
        vital.thinking.abort();
        handing_over.abort();
        telling.abort();
        vital.fence.abort();
        if said && written {
            tracing::info!("the hub ends");
        } else {
            tracing::warn!(said, written, "the hub ends with good-byes or writes under way");
        }
        Ok(())
    }

    fn brain(
        &self,
        state: HubState,
        clock: Clock,
        (keys, copies): (Arc<Keys>, Arc<Copies>),
        answers: mpsc::Sender<Input>,
        writes: TaskTracker,
    ) -> Brain {
        let Settings { namespace, defaults, credentials_from, hold_mass_deletions, .. } = &self.settings;
        let config = Config {
            hub_uid: state.uid.clone(),
            epoch: state.epoch,
            defaults: defaults.clone(),
            hold_mass_deletions: *hold_mass_deletions,
            credentials_from: credentials_from.iter().cloned().collect(),
            max_resyncs: MAX_RESYNCS,
        };
        let config_maps = Api::namespaced(self.client.clone(), namespace);
        Brain {
            fleet: Fleet::new(config),
            hub_uid: state.uid,
            clock,
            registry: self.registry.clone(),
            keys,
            copies,
            writers: Writers::new(
                self.client.clone(),
                config_maps,
                &state.holder,
                answers,
                self.metrics.clone(),
                writes,
            ),
            events: self.events.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

impl Watches {
    /// Follows both kinds; `listed` is cancelled once both are known whole.
    fn follow(self, inputs: &mpsc::Sender<Input>, listed: &CancellationToken) -> JoinSet<()> {
        let Self { agents, clusters } = self;
        let (agents_listed, clusters_listed) = (CancellationToken::new(), CancellationToken::new());
        let seen = (agents_listed.clone(), clusters_listed.clone());
        let mut watches = JoinSet::new();
        watches.spawn(watch::follow::<ParallaxAgent>(agents, inputs.clone(), move || seen.0.cancel()));
        watches.spawn(watch::follow::<MemberCluster>(clusters, inputs.clone(), move || seen.1.cancel()));
        let listed = listed.clone();
        tokio::spawn(async move {
            agents_listed.cancelled().await;
            clusters_listed.cancelled().await;
            listed.cancel();
        });
        watches
    }
}

impl Vital {
    /// Waits for the end of any of them, and says what that means.
    async fn ends(&mut self) -> HubError {
        tokio::select! {
            biased;
            _ = &mut self.thinking => HubError::Halted { part: "the fleet's state machine" },
            _ = self.watches.join_next() => HubError::Halted { part: "a watch" },
            ended = &mut self.fence => {
                ended.unwrap_or(HubError::Halted { part: "the watch of the hub's record" })
            }
        }
    }
}
