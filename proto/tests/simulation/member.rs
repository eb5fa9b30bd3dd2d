//! A member made of a link, and a map in place of its API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parallax_crds::AgentKey;
use parallax_crds::copies::CopyAnswer;
use parallax_crds::fixtures::{held, report};
use parallax_crds::link::{Held, KeyAnswer, OrderResult, Outcome};
use parallax_crds::names::AgentRef;
use parallax_proto::driver::Clock;
use parallax_proto::driver::member::{self, Carrier, Dial, DialError};
use parallax_proto::session::{Batch, MemberLink, MemberLinkConfig, Welcomed};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use turmoil::net::TcpStream;

use crate::hub::FIRST_PORT;
use crate::support::link_config;

/// What survives a restart.
#[derive(Default)]
pub struct MemberStore {
    pub held: BTreeMap<AgentKey, Held>,
    epoch: Option<(String, u64)>,
    boots: u64,
    /// Every incarnation that ever ended here.
    pub removed: BTreeSet<AgentRef>,
}

#[derive(Clone)]
struct Member {
    store: Arc<Mutex<MemberStore>>,
    link: Arc<Mutex<MemberLink>>,
    wake: Arc<Notify>,
}

struct Dialler(u16);

impl Dial for Dialler {
    async fn dial(&self) -> Result<Channel, DialError> {
        let port = self.0;
        let connector =
            tower::service_fn(
                move |_| async move { TcpStream::connect(("hub", port)).await.map(TokioIo::new) },
            );
        let endpoint = Endpoint::from_static("http://hub").connect_timeout(Duration::from_secs(5));
        endpoint.connect_with_connector(connector).await.map_err(|error| DialError(error.to_string()))
    }
}

struct Executor {
    member: Member,
    batches: mpsc::UnboundedSender<Batch>,
}

impl Carrier for Executor {
    fn carry(&self, batch: Batch) {
        let persisted = self.member.store.lock().epoch.clone();
        assert_eq!(persisted, Some((batch.hub_uid.clone(), batch.epoch)), "obeyed before persisted");
        self.batches.send(batch).unwrap();
    }

    fn key(&self, answer: KeyAnswer) {
        panic!("nobody asked for {answer:?}");
    }

    fn copy(&self, answer: CopyAnswer) {
        panic!("nobody asked for {answer:?}");
    }

    async fn persist_epoch(&self, hub_uid: &str, epoch: u64) -> Result<(), String> {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut store = self.member.store.lock();
        if let Some((_, old)) = &store.epoch {
            assert!(*old < epoch, "the epoch goes back");
        }
        store.epoch = Some((hub_uid.to_owned(), epoch));
        Ok(())
    }

    fn connected(&self, _: &Welcomed) {}

    fn refused(&self, reason: &str, message: &str) {
        panic!("refused: {reason}: {message}");
    }

    fn lost(&self, cause: &str) {
        assert!(!cause.contains("broke the protocol"), "{cause}");
    }
}

impl Member {
    fn hold(&self, held: Held) {
        self.store.lock().held.insert(held.agent.key.clone(), held.clone());
        let mut link = self.link.lock();
        link.report(report(&held));
        link.hold(held);
    }

    fn answer(&self, nonce: u64, agent: AgentRef, outcome: Outcome) {
        let result = OrderResult::well(agent, None, outcome);
        self.link.lock().on_result(nonce, result);
        self.wake.notify_one();
    }

    /// Carries out one batch after the other; each write takes a while.
    async fn work(self, mut batches: mpsc::UnboundedReceiver<Batch>, seed: u64) {
        let mut random = SmallRng::seed_from_u64(seed);
        while let Some(batch) = batches.recv().await {
            for order in batch.orders {
                tokio::time::sleep(Duration::from_millis(random.random_range(0..120))).await;
                let key = &order.agent.key;
                let old = self.store.lock().held.get(key).map(|held| held.agent.clone());
                if let Some(old) = old.filter(|old| *old != order.agent) {
                    self.store.lock().removed.insert(old);
                }
                self.hold(held(&order));
                self.answer(batch.nonce, order.agent, Outcome::Persisted);
            }
            for (agent, _) in batch.removals {
                tokio::time::sleep(Duration::from_millis(random.random_range(0..120))).await;
                let held = self.store.lock().held.get(&agent.key).cloned();
                let Some(held) = held.filter(|held| held.agent == agent) else {
                    self.answer(batch.nonce, agent, Outcome::Gone);
                    continue;
                };
                self.hold(Held { removing: true, ..held });
                self.answer(batch.nonce, agent.clone(), Outcome::Removing);
                tokio::spawn(self.clone().finish(agent, random.random_range(0..2000)));
            }
        }
    }

    /// The pods of a removed agent end, and what is left of it goes.
    async fn finish(self, agent: AgentRef, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        {
            let mut store = self.store.lock();
            if !store.held.get(&agent.key).is_some_and(|held| held.agent == agent && held.removing) {
                return;
            }
            store.held.remove(&agent.key);
            store.removed.insert(agent.clone());
        }
        {
            let mut link = self.link.lock();
            link.release(&agent.key);
            link.unreport(&agent.key);
        }
        self.answer(0, agent, Outcome::Gone);
    }
}

/// The member's process.
pub async fn run(number: usize, seed: u64, store: Arc<Mutex<MemberStore>>) -> turmoil::Result {
    let clock = Clock::start();
    let (link, boot) = {
        let mut store = store.lock();
        store.boots += 1;
        let boot = store.boots;
        let mut link = MemberLink::new(
            MemberLinkConfig {
                cluster_uid: format!("cluster-{number}"),
                boot_id: format!("boot-{boot}"),
                seed: seed.wrapping_mul(31).wrapping_add(number as u64 * 1000 + boot),
                ..link_config(store.epoch.as_ref().map(|(_, epoch)| *epoch))
            },
            clock.now(),
        );
        for held in store.held.values() {
            link.hold(held.clone());
            link.report(report(held));
        }
        (Arc::new(Mutex::new(link)), boot)
    };
    let member = Member { store, link: link.clone(), wake: Arc::new(Notify::new()) };
    let (batches, inbox) = mpsc::unbounded_channel();
    tokio::spawn(member.clone().work(inbox, seed + boot));
    // What was going when the process died goes on.
    let removing: Vec<AgentRef> = {
        let store = member.store.lock();
        store.held.values().filter(|held| held.removing).map(|held| held.agent.clone()).collect()
    };
    for agent in removing {
        tokio::spawn(member.clone().finish(agent, 500));
    }
    let port = FIRST_PORT + u16::try_from(number)?;
    let executor = Executor { member: member.clone(), batches };
    member::run(link, member.wake, clock, Dialler(port), executor, CancellationToken::new()).await;
    Ok(())
}
