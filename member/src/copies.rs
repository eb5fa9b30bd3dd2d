//! What the hub tells of objects in agents' namespaces there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parallax_crds::copies::{Content, CopyAnswer, CopyWish, Place, Source};
use parallax_crds::link::Withheld;
use parallax_crds::{AgentKey, AgentRef};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::agents::Uplink;

/// How long the hub's answer is waited for at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub struct Copies {
    uplink: Uplink,
    said: Mutex<HashMap<Place, Result<Content, Withheld>>>,
    answered: Notify,
}

/// The labels of a namespace on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// These.
    Known(BTreeMap<String, String>),
    /// The hub doesn't tell them, for this reason.
    Withheld(Withheld),
    /// The hub is of a version that tells of no namespace.
    Untold,
    /// The hub has not answered yet.
    NotYet,
}

#[derive(Deserialize)]
struct Labelled {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Copies {
    /// Nothing is known yet.
    pub fn new(uplink: Uplink) -> Arc<Self> {
        Arc::new(Self { uplink, said: Mutex::default(), answered: Notify::new() })
    }

    /// The hub has answered.
    pub fn answered(&self, answer: CopyAnswer) {
        let CopyAnswer { place, content } = answer;
        self.said.lock().insert(place, content);
        self.answered.notify_waiters();
    }

    /// The labels that the agent's namespace has on the hub. They are asked for, and waited for a little.
    pub async fn labels(&self, agent: &AgentRef) -> Labels {
        let wish = CopyWish { agent: agent.clone(), source: Source::Namespace };
        let place = wish.place();
        if self.uplink.link.lock().want_copy(wish) {
            self.uplink.wake.notify_one();
        }
        let known = async {
            loop {
                let mut answered = std::pin::pin!(self.answered.notified());
                answered.as_mut().enable();
                if let Some(said) = self.said.lock().get(&place).cloned() {
                    return read(said);
                }
                if self.uplink.link.lock().has_copies() == Some(false) {
                    return Labels::Untold;
                }
                answered.await;
            }
        };
        tokio::time::timeout(PATIENCE, known).await.unwrap_or(Labels::NotYet)
    }

    /// An agent needs the labels of its namespace no longer: next time, they are asked for anew.
    pub fn forget_labels(&self, agent: &AgentKey) {
        let place = Place { namespace: agent.namespace().to_owned(), source: Source::Namespace };
        if self.uplink.link.lock().forget_copy(agent, &place.source) {
            self.said.lock().remove(&place);
        }
    }
}

fn read(said: Result<Content, Withheld>) -> Labels {
    let unreadable = |error: serde_json::Error| Withheld {
        reason: "Unreadable".to_owned(),
        message: format!(
            "this member can't read the labels that the hub tells ({error}); upgrade the member"
        ),
    };
    let labels = said.and_then(|content| {
        serde_json::from_slice::<Labelled>(content.json()).map_err(unreadable).map(|it| it.labels)
    });
    labels.map_or_else(Labels::Withheld, Labels::Known)
}
