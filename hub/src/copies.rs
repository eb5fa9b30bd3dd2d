//! What is in objects of agents' namespaces, for members that run these agents. Who is told of which is the fleet's
//! decision; what is in them is here for as long as it takes to pass it on.

mod read;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use parallax_crds::copies::{CopyAnswer, CopyWish, Place};
use parallax_hub_core::fleet::SessionId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::read::{Unread, read};
use self::subscriptions::Subscriptions;
use crate::sessions::Registry;

/// Objects that are read at a time.
const READERS: usize = 4;
/// Before an object that could not be read is tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// Before one is looked at again of which nothing could be told.
const LATER: Duration = Duration::from_secs(30);

/// See the module.
pub struct Copies {
    client: Client,
    registry: Arc<Registry>,
    subscriptions: Mutex<Subscriptions>,
    /// Something is due.
    due: Notify,
}

impl Copies {
    /// Nobody is told anything yet.
    pub fn new(client: Client, registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self { client, registry, subscriptions: Mutex::default(), due: Notify::new() })
    }

    /// A session is told from now on, for the sake of an agent.
    pub fn tell(&self, session: SessionId, wish: &CopyWish) {
        self.subscriptions.lock().subscribe(session, wish);
        self.due.notify_one();
    }

    /// It isn't any longer, for the sake of that agent.
    pub fn tell_no_longer(&self, session: &SessionId, wish: &CopyWish) {
        self.subscriptions.lock().unsubscribe(session, wish);
    }

    /// A session has ended.
    pub fn ended(&self, session: &SessionId) {
        self.subscriptions.lock().end(session);
    }

    /// Reads what is due, for ever.
    pub async fn run(self: Arc<Self>) {
        futures::future::join_all((0..READERS).map(|_| self.read_all())).await;
    }

    async fn read_all(self: &Arc<Self>) {
        loop {
            let Some((place, sessions)) = self.subscriptions.lock().begin() else {
                self.due.notified().await;
                continue;
            };
            // What is left is another reader's.
            self.due.notify_one();
            let content = match read(&self.client, &place).await {
                Ok(content) => Ok(content),
                Err(Unread::Withheld(why)) => Err(why),
                Err(Unread::Later(why)) => {
                    tracing::warn!(?place, why, "an object can't be read now; trying again");
                    tokio::time::sleep(PAUSE).await;
                    self.subscriptions.lock().done(&place, sessions);
                    self.due.notify_one();
                    continue;
                }
            };
            let answer = CopyAnswer { place, content };
            for session in &sessions {
                if let Some(handle) = self.registry.get(session) {
                    handle.with(|machine| machine.answer_copy(&answer));
                }
            }
            let word = answer.content.as_ref().err().map_or("told", |why| &why.reason);
            tracing::debug!(place = ?answer.place, members = sessions.len(), word, "members are told of an object");
            self.subscriptions.lock().done(&answer.place, Vec::new());
            if answer.content.is_err() {
                self.look_later(answer.place);
            }
            self.due.notify_one();
        }
    }

    /// Nothing shows that a namespace may be read now.
    fn look_later(self: &Arc<Self>, place: Place) {
        let copies = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(LATER).await;
            if let Some(copies) = copies.upgrade() {
                copies.subscriptions.lock().changed(&place);
                copies.due.notify_one();
            }
        });
    }
}
