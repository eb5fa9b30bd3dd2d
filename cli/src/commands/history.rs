//! What an agent's pods were made of, and are.

use parallax_hub_core::FleetDefaults;
use serde::Serialize;
use serde_json::Value;

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::{Form, answer, table};
use crate::revisions::{Known, differing, known};

/// One revision, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    revision: i64,
    /// What the agent is to run everywhere.
    current: bool,
    /// The ControllerRevision.
    name: &'a str,
    /// The agent's generation that it began with.
    generation: i64,
    image: String,
    /// What differs from the revision before, by the fields of the spec; and `defaults`.
    changed: Vec<&'a str>,
    spec: &'a Value,
    defaults: &'a FleetDefaults,
}

/// Prints the revisions that the hub keeps of an agent.
pub async fn run(hub: &Hub, name: &str, form: Form) -> Result<(), CliError> {
    let agent = hub.agent(name).await?;
    let all = known(&hub.revisions(name).await?, agent.metadata.uid.as_deref().unwrap_or_default())?;
    let rows = rows(&all);
    answer(form, &rows, || {
        if rows.is_empty() {
            return format!(
                "parallaxagent.parallax.io/{name} has no revision yet: the hub writes one when it has placed the agent"
            );
        }
        let lines = rows.iter().map(|row| {
            let current = if row.current { " (current)" } else { "" };
            let number = format!("{}{current}", row.revision);
            [number, row.generation.to_string(), row.image.clone(), row.changed.join(", ")]
        });
        table(["REVISION", "GENERATION", "IMAGE", "CHANGED"], lines)
    })
}

fn rows(all: &[Known]) -> Vec<Row<'_>> {
    let before = std::iter::once(None).chain(all.iter().map(Some));
    let mut rows: Vec<_> = all.iter().zip(before).map(|(known, before)| row(known, before)).collect();
    if let Some(newest) = rows.last_mut() {
        newest.current = true;
    }
    rows
}

fn row<'a>(known: &'a Known, before: Option<&'a Known>) -> Row<'a> {
    let mut changed = before.map(|before| differing(&before.spec, &known.spec)).unwrap_or_default();
    let other_defaults = before.is_some_and(|before| before.about.defaults != known.about.defaults);
    changed.extend(other_defaults.then_some("defaults"));
    Row {
        revision: known.about.number,
        current: false,
        name: &known.name,
        generation: known.about.generation,
        image: known.image(),
        changed,
        spec: &known.spec,
        defaults: &known.about.defaults,
    }
}
