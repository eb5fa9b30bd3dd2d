//! What the activator says of an agent in its assignment's status: only what has changed, and a wish to wake at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use parallax_crds::AgentAssignment;
use parallax_crds::activation::ActivatorWord;
use parallax_crds::labels::ACTIVATOR_MANAGER;
use parallax_member_core::activation::Word;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::busy;
use super::visit::{Asking, House};
use crate::failure::{Failure, within};

/// The first pause after a write that failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Writes one activator's word about one agent.
pub struct Speaker {
    api: Api<AgentAssignment>,
    agent: String,
    name: String,
    port: u16,
    said: Mutex<Option<ActivatorWord>>,
    lost: Notify,
}

impl Speaker {
    /// Of the activator at that address, which listens for the agent on that port.
    pub fn new(api: Api<AgentAssignment>, agent: &str, address: IpAddr, port: u16) -> Arc<Self> {
        Arc::new(Self {
            api,
            agent: agent.to_owned(),
            name: address.to_string(),
            port,
            said: Mutex::default(),
            lost: Notify::new(),
        })
    }

    /// What the assignment has: a word that was lost is said again.
    pub fn heard(&self, word: Option<&ActivatorWord>) {
        if word.is_none() && self.said.lock().take().is_some() {
            self.lost.notify_one();
        }
    }

    async fn write(&self, word: Value) -> Result<(), Failure> {
        let body = json!({ "status": { "activators": { &self.name: word } } });
        let params =
            PatchParams { field_manager: Some(ACTIVATOR_MANAGER.to_owned()), ..PatchParams::default() };
        within(self.api.patch_status(&self.agent, &params, &Patch::Merge(&body))).await.map(drop)
    }
}

/// Says what there is to say of the agent, until `closing`.
pub async fn speak(speaker: Arc<Speaker>, house: Arc<House>, closing: CancellationToken) {
    let mut pause = PAUSES.0;
    loop {
        let (word, mut again) = match house.word() {
            Ok(word) => word,
            Err(Asking { question, of }) => {
                tokio::select! {
                    busy = busy::any(&house.key, &of, busy::ANSWER) => house.answered(question, busy),
                    // There is something else to say, or to ask.
                    () = house.news() => {}
                    () = closing.cancelled() => return,
                }
                continue;
            }
        };
        let word = form(word, speaker.port);
        if speaker.said.lock().as_ref().is_none_or(|said| differs(said, &word)) {
            match speaker.write(json!(word)).await {
                Ok(()) => {
                    *speaker.said.lock() = Some(word);
                    pause = PAUSES.0;
                    // What has changed meanwhile is to be said too.
                    continue;
                }
                // Its end is on its way here.
                Err(Failure::NotFound(_)) => {}
                Err(failure) => {
                    tracing::warn!(agent = %house.key, "what there is to say was not written, and will be: {failure}");
                    again = Some(Instant::now() + pause);
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
        let later = async {
            match again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closing.cancelled() => return,
            () = house.news() => {}
            () = speaker.lost.notified() => {}
            () = later => {}
        }
    }
}

/// Whether there is something new to say. When the last request was is told only once nothing is wanted.
fn differs(said: &ActivatorWord, word: &ActivatorWord) -> bool {
    let ActivatorWord { port, wanted, since, uncalled, closed } = word;
    said.port != *port
        || said.wanted != *wanted
        || said.closed != *closed
        || said.uncalled != *uncalled
        || (!wanted && said.since.0.as_second() != since.0.as_second())
}

fn form(word: Word, port: u16) -> ActivatorWord {
    let Word { wanted, since, uncalled, closed } = word;
    // In whole seconds, as the API has it.
    let since =
        Timestamp::from_second(i64::try_from(since.as_secs()).unwrap_or_default()).unwrap_or_default();
    ActivatorWord { port: port.into(), wanted, since: Time(since), uncalled, closed }
}
