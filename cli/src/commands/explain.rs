//! Why an agent runs where it runs.

use parallax_crds::AgentKey;

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::{Form, answer};
use crate::what_if::Picture;

/// Prints the placement's explanation.
pub async fn run(hub: &Hub, name: &str, form: Form) -> Result<(), CliError> {
    let agent = hub.agent(name).await?;
    let key = AgentKey::of(&agent.metadata);
    let report = Picture::of(hub).await?.decided().report(&key);
    let report = report.ok_or_else(|| CliError::NoSuch(format!("ParallaxAgent {key}")))?;
    answer(form, &report, || report.to_string())
}
