//! The namespaces of agents: they must exist, or are made where the administrator lets the member do so. Those that exist
//! are never changed, and none is ever deleted.

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{Api, PostParams};
use parallax_crds::AgentRef;
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_crds::link::Withheld;
use parallax_member_core::namespace::labels;

use super::Agents;
use super::persist::{Held, terminating};
use crate::copies::Labels;
use crate::failure::{Failure, within};
use crate::store::Namespace;

/// Whether and how missing namespaces are made.
#[derive(Debug, Clone, Default)]
pub struct Making {
    /// They are.
    pub allowed: bool,
    /// The keys of labels that they get from the hub.
    pub labels: Vec<String>,
}

impl Agents {
    /// Makes sure that the agent's namespace can take its assignment.
    pub(super) async fn namespace(&self, agent: &AgentRef) -> Result<(), Held> {
        let name = agent.key.namespace();
        match self.index.lock().namespaces.get(name).copied() {
            Some(Namespace::Active) => return Ok(()),
            Some(Namespace::Terminating) => return Err(terminating(name)),
            None => {}
        }
        let Making { allowed, labels: taken } = &self.settings.namespaces;
        if !allowed {
            let message = format!(
                "namespace {name} does not exist here; create it, or run the member with --create-namespaces"
            );
            return Err(Held::Waiting("NamespaceMissing", message));
        }
        let hub = match self.copies.labels(agent).await {
            Labels::Known(labels) => labels,
            // As it was before hubs told of namespaces.
            Labels::Untold => Default::default(),
            Labels::Withheld(Withheld { message, .. }) => return Err(unlabelled(name, &message)),
            Labels::NotYet => return Err(unlabelled(name, "the hub has not told its labels yet")),
        };
        let mut object = NamespaceObject::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.labels = Some(labels(&hub, taken));
        let params = PostParams { field_manager: Some(MEMBER_MANAGER.into()), ..PostParams::default() };
        let api = Api::<NamespaceObject>::all(self.client.clone());
        match within(api.create(&params, &object)).await {
            Ok(_) | Err(Failure::AlreadyExists(_)) => {
                self.index.lock().namespaces.put(name, Namespace::Active);
                Ok(())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// The hub has told of a namespace: who waits for that is looked at again.
    pub(super) fn namespace_told(&self, name: &str) {
        let waiting = self.orders.lock().waiting_in(name);
        waiting.iter().for_each(|key| self.queue.add(key));
    }
}

fn unlabelled(name: &str, why: &str) -> Held {
    Held::Waiting("NamespaceLabelsUnknown", format!("namespace {name} is not made yet: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::copies::{Content, CopyAnswer, Place, Source};
    use parallax_crds::fixtures;
    use parallax_platform::testing::ApiServer;
    use serde_json::json;

    use super::super::testing::agents_with;
    use super::*;

    const PATH: &str = "/api/v1/namespaces/team";

    /// What becomes of an agent that needs the namespace, and the labels that it then has.
    async fn made(
        agents: &Agents,
        server: &ApiServer,
    ) -> (Result<(), &'static str>, Option<serde_json::Value>) {
        let held =
            agents.namespace(&fixtures::agent("team/writer", "uid")).await.map_err(|held| match held {
                Held::Waiting(reason, _) => reason,
                Held::Rejected(_) | Held::Failed(_) => "something else",
            });
        (held, server.get(PATH).map(|object| object["metadata"]["labels"].clone()))
    }

    fn told(agents: &Agents, content: Result<Content, Withheld>) {
        let place = Place { namespace: "team".to_owned(), source: Source::Namespace };
        agents.copy_answered(CopyAnswer { place, content });
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_made_once_its_labels_are_known_and_left_alone_after_that() {
        let server = ApiServer::new();
        let making = Making { allowed: true, labels: vec!["owner".to_owned()] };
        let agents = agents_with(server.client(), making);
        assert_eq!(made(&agents, &server).await, (Err("NamespaceLabelsUnknown"), None), "the hub is away");
        told(&agents, Err(Withheld { reason: "Forbidden".into(), message: "let it".into() }));
        assert_eq!(made(&agents, &server).await, (Err("NamespaceLabelsUnknown"), None));
        let content = Content::new(r#"{"labels":{"owner":"Ada","cost":"7"}}"#.into());
        told(&agents, Ok(content.unwrap()));
        let labels = json!({"owner": "Ada", "app.kubernetes.io/managed-by": "parallax"});
        assert_eq!(made(&agents, &server).await, (Ok(()), Some(labels.clone())));
        let _ = server.calls();
        assert_eq!(made(&agents, &server).await, (Ok(()), Some(labels)));
        assert_eq!(server.calls(), [], "it exists");
    }

    #[tokio::test]
    async fn a_member_that_may_make_none_waits_for_it() {
        let server = ApiServer::new();
        let agents = agents_with(server.client(), Making::default());
        assert_eq!(made(&agents, &server).await, (Err("NamespaceMissing"), None));
    }
}
