//! Back to an earlier revision of an agent.

use jiff::Timestamp;
use parallax_crds::ParallaxAgentSpec;
use parallax_crds::labels::REFRESH;
use parallax_hub_core::revisions::{back_to, part_of};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::{say, table};
use crate::revisions::{Known, differing, known};

/// How much of a value is shown.
const SHOWN: usize = 60;

/// Goes back to a revision, by default the newest with other pods.
pub async fn run(hub: &Hub, name: &str, to: Option<i64>, dry_run: bool) -> Result<(), CliError> {
    let object = format!("parallaxagent.parallax.io/{name}");
    let agent = hub.agent_as_written(name).await?;
    let uid = agent.metadata.uid.clone().unwrap_or_default();
    let all = known(&hub.revisions(name).await?, &uid)?;
    let now = agent.data.get("spec").cloned().unwrap_or_default();
    let typed: ParallaxAgentSpec =
        serde_json::from_value(now.clone()).map_err(|error| CliError::Form(error.to_string()))?;
    let target = chosen(&all, &typed, to, &object)?;
    let number = target.about.number;
    let is_newest = all.last().is_some_and(|newest| newest.id == target.id);
    if is_newest && part_of(&typed) == target.revision.spec {
        say(&format!("{object} already runs revision {number}"));
        return Ok(());
    }
    let then = back_to(&now, &target.spec);
    // The hub is told whose defaults to pin, along with the spec.
    let wish = format!("{}/{}", Timestamp::now(), target.id);
    let annotated = agent.metadata.annotations.is_some();
    let steps = steps(&uid, agent.metadata.generation, &then, &wish, annotated);
    if dry_run {
        say(&changes(&now, &then, all.last(), target));
    }
    hub.step_agent(name, &steps, dry_run).await?;
    let done = if dry_run { " (dry run: nothing was changed)" } else { "" };
    say(&format!("{object} rolled back to revision {number}{done}"));
    Ok(())
}

fn chosen<'a>(
    all: &'a [Known],
    now: &ParallaxAgentSpec,
    to: Option<i64>,
    object: &str,
) -> Result<&'a Known, CliError> {
    if let Some(wanted) = to {
        return all.iter().find(|known| known.about.number == wanted).ok_or_else(|| {
            let numbers: Vec<_> = all.iter().map(|known| known.about.number.to_string()).collect();
            let known = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
            CliError::NoRevision { agent: object.to_owned(), wanted, known }
        });
    }
    let nothing = || CliError::NothingEarlier(object.to_owned());
    let newest = all.last().ok_or_else(nothing)?;
    // A spec that the hub can't resolve, or hasn't seen yet, is no revision: the newest one is that before it.
    if part_of(now) != newest.revision.spec {
        return Ok(newest);
    }
    let others = |known: &&Known| known.about.pods != newest.about.pods;
    all.iter().rev().find(others).ok_or_else(nothing)
}

/// The patch, for the agent as it was read.
fn steps(uid: &str, generation: Option<i64>, spec: &Value, wish: &str, annotated: bool) -> Value {
    let path = format!("/metadata/annotations/{}", REFRESH.replace('~', "~0").replace('/', "~1"));
    let mut steps = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": uid}),
        json!({"op": "test", "path": "/metadata/generation", "value": generation}),
        json!({"op": "replace", "path": "/spec", "value": spec}),
    ];
    if annotated {
        steps.push(json!({"op": "add", "path": path, "value": wish}));
    } else {
        // A test for null passes where there is no such field: an annotation that came in between is safe.
        steps.push(json!({"op": "test", "path": "/metadata/annotations", "value": null}));
        let value = json!({REFRESH: wish});
        steps.push(json!({"op": "add", "path": "/metadata/annotations", "value": value}));
    }
    Value::Array(steps)
}

/// What changes, field by field.
fn changes(now: &Value, then: &Value, newest: Option<&Known>, target: &Known) -> String {
    let shown = |of: &Value, name: &str| of.get(name).map(Value::to_string).unwrap_or_default();
    let short = |text: String| match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    let row = |name: &str| [name.to_owned(), short(shown(now, name)), short(shown(then, name))];
    let mut rows: Vec<_> = differing(now, then).into_iter().map(row).collect();
    if let Some(newest) = newest.filter(|newest| newest.about.defaults != target.about.defaults) {
        rows.push(["default image".to_owned(), newest.image(), target.image()]);
    }
    table(["FIELD", "NOW", "THEN"], rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use parallax_hub_core::FleetDefaults;
    use parallax_hub_core::revisions::{About, Revision, RevisionId, pods_of};

    use super::*;

    fn spec(image: &str) -> ParallaxAgentSpec {
        serde_json::from_value(json!({"type": "claude", "image": image})).unwrap()
    }

    fn revision(number: i64, image: &str) -> Known {
        let (spec, defaults) = (part_of(&spec(image)), Arc::new(FleetDefaults::default()));
        let id = RevisionId::of("uid", &spec, &defaults).unwrap();
        let pods = pods_of(&spec, &defaults).unwrap();
        let about = About { number, generation: number, pods, defaults: defaults.clone(), refreshed: None };
        let raw = serde_json::to_value(&spec).unwrap();
        let revision = Revision { number, generation: number, spec, defaults };
        Known { name: id.name("x"), id, about, revision, spec: raw }
    }

    #[test]
    fn by_default_it_goes_back_to_the_newest_with_other_pods() {
        let all = [revision(1, "example.org/a:1"), revision(2, "example.org/a:2")];
        let number = |now: &str, to| chosen(&all, &spec(now), to, "x").map(|known| known.about.number);
        assert_eq!(number("example.org/a:2", None).unwrap(), 1);
        assert_eq!(number("example.org/a:3", None).unwrap(), 2, "what is no revision yet is left");
        assert_eq!(number("example.org/a:2", Some(2)).unwrap(), 2);
        let error = number("example.org/a:2", Some(7)).unwrap_err().to_string();
        assert!(error.contains("no revision 7; there are 1, 2"), "{error}");
        assert!(chosen(&all[..1], &spec("example.org/a:1"), None, "x").is_err());
        assert!(chosen(&[], &spec("example.org/a:1"), None, "x").is_err());
    }

    #[test]
    fn only_what_was_read_is_changed_and_other_annotations_stay() {
        let steps =
            |annotated| steps("uid", Some(3), &json!({"type": "claude"}), "now/0123456789", annotated);
        assert_eq!(steps(true)[0], json!({"op": "test", "path": "/metadata/uid", "value": "uid"}));
        assert_eq!(steps(true)[1], json!({"op": "test", "path": "/metadata/generation", "value": 3}));
        assert_eq!(steps(true)[3]["path"], "/metadata/annotations/parallax.io~1refresh");
        assert_eq!(steps(false)[3], json!({"op": "test", "path": "/metadata/annotations", "value": null}));
        assert_eq!(steps(false)[4]["value"], json!({"parallax.io/refresh": "now/0123456789"}));
    }
}
