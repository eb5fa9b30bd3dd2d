//! The activator's side, for one agent: which request goes on, to which pod, waits, or is refused.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a pod that refused a connection gets no other, unless it is the only one and the time is over.
const SHUNNED: Duration = Duration::from_millis(500);
/// How long an agent that says it works isn't asked again, however short its quiet time.
const BUSY: Duration = Duration::from_secs(5);

/// What an agent's spec says of held requests, and of its sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a request is held at most.
    pub hold: Duration,
    /// How many are held at most.
    pub pending: u32,
    /// How long nothing may come before the agent counts as idle.
    pub quiet: Duration,
    /// Its pods can say themselves that they work, and are asked before they are told to go.
    pub asked: bool,
}

/// A pod that takes requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The pod's UID.
    pub uid: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What becomes of a request that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It goes on to that pod. [`Door::leave`] or [`Door::turn_back`] must follow.
    Go(SocketAddr),
    /// It waits, until that time at most. [`Door::enter`] or [`Door::give_up`] must follow.
    Wait(Duration),
    /// As many wait as may.
    Full,
}

/// What becomes of a request that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It goes on to that pod, as by [`Entry::Go`].
    Go(SocketAddr),
    /// It waits until something changes, or until that time.
    Wait(Option<Duration>),
}

/// What the member says through the assignment's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// Requests may go on.
    pub open: bool,
    /// Rises with every change.
    pub serial: i64,
    /// The last serial behind which all pods were told to go; 0: none.
    pub slept: i64,
}

/// What an activator says of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// There are requests, or there were within the quiet time, or the pods say that they work.
    pub wanted: bool,
    /// When there was one last; the activator's start when it has seen none.
    pub since: Duration,
    /// There was none since then.
    pub uncalled: bool,
    /// The gate that is closed here, with nothing on its way to a pod.
    pub closed: Option<i64>,
}

/// The pods are to be asked whether they work; [`Door::answered`] must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    serial: i64,
    since: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Door {
    limits: Limits,
    order: Order,
    /// Pods that take requests.
    ready: Vec<Backend>,
    /// Whose turn it is among them.
    turn: usize,
    /// A pod that refused a connection, until when.
    shunned: Option<(SocketAddr, Duration)>,
    /// The pods that were known when this gate was first confirmed closed.
    at_close: Option<(i64, BTreeSet<Arc<str>>)>,
    /// Pods that were told to go, whatever their readiness still says.
    spent: BTreeSet<Arc<str>>,
    going: u32,
    held: u32,
    since: Duration,
    /// Nothing has come since the start.
    untouched: bool,
    /// What the pods were asked last when they said that they don't work.
    idle: Option<Question>,
    /// The pods work at least until then.
    busy: Option<Duration>,
}

impl Door {
    /// A door that is closed, with nobody behind it.
    #[must_use]
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            limits,
            order: Order::default(),
            ready: Vec::new(),
            turn: 0,
            shunned: None,
            at_close: None,
            spent: BTreeSet::new(),
            going: 0,
            held: 0,
            since: now,
            untouched: true,
            idle: None,
            busy: None,
        }
    }

    /// The spec has changed. Requests that wait already keep their time.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How long a request is held at most.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.limits.hold
    }

    /// The member has opened or closed the gate.
    pub fn obey(&mut self, order: Order) {
        self.order = order;
        if order.open
            && let Some((serial, pods)) = self.at_close.take()
            && serial == order.slept
        {
            self.spent = pods;
        }
    }

    /// These pods take requests.
    pub fn set_ready(&mut self, ready: Vec<Backend>) {
        self.ready = ready;
    }

    /// A request arrives.
    pub fn arrive(&mut self, now: Duration) -> Entry {
        self.touch(now);
        if let Ok(address) = self.pick(now) {
            self.going += 1;
            return Entry::Go(address);
        }
        if self.held >= self.limits.pending {
            return Entry::Full;
        }
        self.held += 1;
        Entry::Wait(now + self.limits.hold)
    }

    /// A request that waits tries to go on.
    pub fn enter(&mut self, now: Duration) -> Admission {
        match self.pick(now) {
            Ok(address) => {
                self.held -= 1;
                self.going += 1;
                Admission::Go(address)
            }
            Err(again) => Admission::Wait(again),
        }
    }

    /// A request was on its way and that pod took no connection, so nothing of it was sent: it waits again.
    pub fn turn_back(&mut self, from: SocketAddr, now: Duration) {
        self.shunned = Some((from, now + SHUNNED));
        self.going -= 1;
        self.held += 1;
    }

    /// A request that waited does so no longer.
    pub fn give_up(&mut self, now: Duration) {
        self.held -= 1;
        self.touch(now);
    }

    /// A request that went on is done.
    pub fn leave(&mut self, now: Duration) {
        self.going -= 1;
        self.touch(now);
    }

    /// Requests on their way, and held ones.
    #[must_use]
    pub fn open(&self) -> (u32, u32) {
        (self.going, self.held)
    }

    /// Whether the member lets requests go on.
    #[must_use]
    pub fn gate_is_open(&self) -> bool {
        self.order.open
    }

    /// What is to be said of the agent, and when to ask again though nothing happens.
    ///
    /// # Errors
    /// What the pods are to be asked before.
    pub fn word(&mut self, now: Duration) -> Result<(Word, Option<Duration>), Question> {
        let open = self.going + self.held > 0;
        let quiet_at = self.busy.unwrap_or_default().max(self.since + self.limits.quiet);
        let recent = !self.untouched && now < quiet_at;
        // Once when nothing has come for long enough, and once more when nothing can come any more.
        let question = Question { serial: self.order.serial, since: self.since };
        if self.limits.asked && !open && !recent && self.idle != Some(question) {
            return Err(question);
        }
        let ordered = !self.order.open && self.order.serial > 0;
        let closed = (ordered && self.going == 0).then_some(self.order.serial);
        if let Some(serial) = closed
            && self.at_close.as_ref().is_none_or(|(at, _)| *at != serial)
        {
            self.at_close = Some((serial, self.ready.iter().map(|pod| pod.uid.clone()).collect()));
        }
        let word = Word { wanted: open || recent, since: self.since, uncalled: self.untouched, closed };
        let again = if open { now + self.limits.quiet } else { quiet_at };
        Ok((word, word.wanted.then_some(again)))
    }

    /// What the pods said to the question.
    pub fn answered(&mut self, question: Question, busy: bool, now: Duration) {
        if busy {
            self.touch(now);
            self.busy = Some(now + BUSY);
        } else {
            self.idle = Some(question);
        }
    }

    /// The pod whose turn it is, or when there may be one though nothing changes.
    fn pick(&mut self, now: Duration) -> Result<SocketAddr, Option<Duration>> {
        if !self.order.open {
            return Err(None);
        }
        self.shunned = self.shunned.filter(|(_, until)| now < *until);
        let shunned = self.shunned.map(|(address, _)| address);
        for _ in 0..self.ready.len() {
            self.turn = (self.turn + 1) % self.ready.len();
            let pod = &self.ready[self.turn];
            if !self.spent.contains(&pod.uid) && shunned != Some(pod.address) {
                return Ok(pod.address);
            }
        }
        Err(self.shunned.map(|(_, until)| until))
    }

    fn touch(&mut self, now: Duration) {
        self.since = self.since.max(now);
        self.untouched = false;
    }
}
