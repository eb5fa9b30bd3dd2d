//! The proxy over real TCP, between clients and pods that the tests play.
#![allow(clippy::unwrap_used)]

mod busy;
mod pod;
mod requests;
mod streams;
mod waking;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_member_core::activation::{Backend, Limits, Order, Word};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::listen::{self, Port};
use super::metrics::Metrics;
use super::visit::House;

const OPEN: Order = Order { open: true, serial: 1, slept: 0 };
const LIMITS: Limits =
    Limits { hold: Duration::from_secs(60), pending: 100, quiet: Duration::from_secs(300), asked: false };

/// One agent behind an activator, and where it listens.
struct Front {
    house: Arc<House>,
    address: SocketAddr,
    _closing: tokio_util::sync::DropGuard,
}

impl Front {
    async fn start(limits: Limits) -> Self {
        Self::start_admitting(limits, |_| true).await
    }

    async fn start_admitting(
        limits: Limits,
        admits: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        let metrics = Metrics::new(&parallax_platform::Metrics::new("test", "0"));
        let house = House::new(AgentKey::new("team", "writer"), limits, Clock::start(), metrics);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let closing = CancellationToken::new();
        let port = Port {
            admits: Arc::new(admits),
            room: Arc::new(Semaphore::new(1000)),
            connections: TaskTracker::new(),
            closing: closing.clone(),
        };
        tokio::spawn(listen::serve(listener, Arc::clone(&house), port));
        Self { house, address, _closing: closing.drop_guard() }
    }

    /// With an open gate and these pods.
    async fn before(pods: &[SocketAddr]) -> Self {
        let front = Self::start(LIMITS).await;
        front.house.ordered(LIMITS, OPEN, None);
        front.populate(pods);
        front
    }

    fn populate(&self, pods: &[SocketAddr]) {
        let backend = |address: &SocketAddr| Backend { uid: address.to_string().into(), address: *address };
        let staying = pods.iter().map(SocketAddr::ip).collect();
        self.house.populated(pods.iter().map(backend).collect(), staying);
    }

    /// What is said of the agent.
    fn word(&self) -> Word {
        self.house.word().unwrap_or_else(|asking| panic!("{:?} is to be asked", asking.of)).0
    }

    /// Waits until what is said of the agent is as it should be.
    async fn says(&self, holds: impl Fn(&Word) -> bool) {
        while !holds(&self.word()) {
            self.house.news().await;
        }
    }
}
