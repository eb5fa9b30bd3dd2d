//! One agent behind the activator: its door, its pods' connections, and the requests that are on their way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_member_core::activation::{Admission, Backend, Door, Entry, Limits, Order, Question, Word};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::clock::Clock;
use super::metrics::{Metrics, Outcome};
use super::refusal::Refusal;
use super::upstreams::Upstreams;

/// The door, and whether its keeper is to be told of everybody who comes and goes.
#[derive(Debug)]
struct Entrance {
    door: Door,
    /// While requests come and may go on, one more changes nothing that is said.
    attentive: bool,
    /// Where pods serve metrics; none when the agent has none.
    metrics: Option<u16>,
    /// The pods that would be told to go.
    staying: Vec<IpAddr>,
}

/// What is to come before there is something to say of an agent.
pub struct Asking {
    /// What is asked.
    pub question: Question,
    /// Where the metrics of its pods are.
    pub of: Vec<SocketAddr>,
}

/// An agent that may go to zero.
#[derive(Debug)]
pub struct House {
    /// Which agent.
    pub key: AgentKey,
    /// Connections to its pods.
    pub upstreams: Upstreams,
    /// What is counted.
    pub metrics: Metrics,
    clock: Clock,
    entrance: Mutex<Entrance>,
    /// Requests that wait are told that something has changed.
    changed: watch::Sender<()>,
    /// Who reports is told that there is something new to say.
    news: Notify,
}

impl House {
    /// A house whose gate is closed.
    pub fn new(key: AgentKey, limits: Limits, clock: Clock, metrics: Metrics) -> Arc<Self> {
        let entrance = Mutex::new(Entrance {
            door: Door::new(limits, clock.now()),
            attentive: true,
            metrics: None,
            staying: Vec::new(),
        });
        let (changed, _) = watch::channel(());
        let (upstreams, news) = (Upstreams::default(), Notify::new());
        Arc::new(Self { key, upstreams, metrics, clock, entrance, changed, news })
    }

    /// What the assignment says now.
    pub fn ordered(&self, limits: Limits, order: Order, metrics: Option<u16>) {
        {
            let entrance = &mut *self.entrance.lock();
            entrance.door.limit(limits);
            entrance.door.obey(order);
            entrance.attentive = true;
            entrance.metrics = metrics;
        }
        self.changed.send_replace(());
        self.news.notify_one();
    }

    /// The pods that take requests now, and all that are to stay.
    pub fn populated(&self, ready: Vec<Backend>, staying: Vec<IpAddr>) {
        let pods: Vec<SocketAddr> = ready.iter().map(|pod| pod.address).collect();
        {
            let entrance = &mut *self.entrance.lock();
            entrance.door.set_ready(ready);
            entrance.staying = staying;
        }
        self.upstreams.retain(&pods);
        self.changed.send_replace(());
    }

    /// What is to be said of the agent, and when to look again though nothing happens.
    ///
    /// # Errors
    /// Whom to ask before.
    pub fn word(&self) -> Result<(Word, Option<tokio::time::Instant>), Asking> {
        let Entrance { door, attentive, metrics, staying } = &mut *self.entrance.lock();
        match door.word(self.clock.now()) {
            Ok((word, again)) => {
                *attentive = !word.wanted || !door.gate_is_open();
                Ok((word, again.map(|at| self.clock.instant(at))))
            }
            Err(question) => {
                *attentive = true;
                let port = metrics.iter();
                let of = port.flat_map(|port| staying.iter().map(|pod| SocketAddr::new(*pod, *port)));
                Err(Asking { question, of: of.collect() })
            }
        }
    }

    /// What the pods said of themselves.
    pub fn answered(&self, question: Question, busy: bool) {
        self.entrance.lock().door.answered(question, busy, self.clock.now());
    }

    /// Returns when there may be something new to say.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Lets a request in: at once, or when a pod takes it.
    pub async fn visit(self: &Arc<Self>) -> Result<Visit, Refusal> {
        let now = self.clock.now();
        let (entry, attentive) = {
            let Entrance { door, attentive, .. } = &mut *self.entrance.lock();
            (door.arrive(now), *attentive)
        };
        if attentive {
            self.news.notify_one();
        }
        match entry {
            Entry::Go(pod) => Ok(Visit { house: Arc::clone(self), pod, deadline: None, over: false }),
            Entry::Full => {
                self.metrics.requests(Outcome::Overflow);
                Err(Refusal::Full)
            }
            Entry::Wait(deadline) => self.wait(deadline).await,
        }
    }

    async fn wait(self: &Arc<Self>, deadline: Duration) -> Result<Visit, Refusal> {
        self.metrics.held.inc();
        let held = Held { house: Arc::clone(self), over: false };
        let began = self.clock.now();
        let mut changed = self.changed.subscribe();
        loop {
            let now = self.clock.now();
            if now >= deadline {
                self.metrics.requests(Outcome::TimedOut);
                return Err(Refusal::TimedOut);
            }
            let admission = self.entrance.lock().door.enter(now);
            let again = match admission {
                Admission::Go(pod) => {
                    held.let_in();
                    self.metrics.hold_seconds.observe((now.saturating_sub(began)).as_secs_f64());
                    return Ok(Visit { house: Arc::clone(self), pod, deadline: Some(deadline), over: false });
                }
                Admission::Wait(again) => again.map_or(deadline, |again| again.min(deadline)),
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(self.clock.instant(again)) => {}
            }
        }
    }
}

/// A request that waits; it does so no longer when this is dropped, as when its client goes away.
struct Held {
    house: Arc<House>,
    over: bool,
}

impl Held {
    fn let_in(mut self) {
        self.over = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.house.metrics.held.dec();
        if !self.over {
            self.house.entrance.lock().door.give_up(self.house.clock.now());
            self.house.news.notify_one();
        }
    }
}

/// A request on its way to a pod, until this is dropped.
#[derive(Debug)]
pub struct Visit {
    house: Arc<House>,
    /// To which pod.
    pub pod: SocketAddr,
    deadline: Option<Duration>,
    over: bool,
}

impl Visit {
    /// Whose pod it is.
    pub fn house(&self) -> &Arc<House> {
        &self.house
    }

    /// The pod took no connection: waits for it or another one.
    pub async fn turn_back(mut self) -> Result<Self, Refusal> {
        let house = Arc::clone(&self.house);
        let now = house.clock.now();
        let deadline = {
            let mut entrance = house.entrance.lock();
            entrance.door.turn_back(self.pod, now);
            self.deadline.unwrap_or_else(|| now + entrance.door.hold())
        };
        self.over = true;
        house.wait(deadline).await
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let attentive = {
            let Entrance { door, attentive, .. } = &mut *self.house.entrance.lock();
            door.leave(self.house.clock.now());
            *attentive
        };
        if attentive {
            self.house.news.notify_one();
        }
    }
}
