//! The pages on the kinds' fields are current, and no page links to what isn't there.
#![allow(clippy::unwrap_used)]

mod generated;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parallax_crds::{definitions, reference};
use serde_json::Value;

#[test]
fn the_pages_on_fields_are_what_the_types_say() {
    let pages = reference::pages().unwrap().into_iter().map(|page| (page.file, page.text));
    let folder = repository().join("docs/reference/fields");
    generated::assert_current(&folder, "docs/reference/fields", pages);
}

#[test]
fn every_field_of_every_kind_says_what_it_means() {
    fn walk(schema: &Value, path: &str) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(field["description"].is_string(), "{path} has no description: give it one, in its type");
            walk(field, &path);
            walk(&field["items"], &path);
            walk(&field["additionalProperties"], &path);
        }
    }
    for definition in definitions::all().unwrap() {
        let schema = &definition.body["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let kind = definition.body["spec"]["names"]["kind"].as_str().unwrap();
        for part in ["spec", "status"] {
            walk(&schema["properties"][part], &format!("{kind}.{part}"));
        }
    }
}

#[test]
fn every_message_and_service_of_the_protocol_is_on_its_page() {
    let page = std::fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    let proto = std::fs::read_to_string(repository().join("proto/proto/fleet.proto")).unwrap();
    // A trace's and an agent's names are said of other messages; the rest is what the page is about.
    let skipped = ["FromMember", "FromHub", "AgentKey", "EnrollRequest", "EnrollResponse"];
    let declared = proto.lines().filter_map(|line| {
        line.strip_prefix("message ").or_else(|| line.strip_prefix("service "))?.split([' ', '{']).next()
    });
    let declared: Vec<_> = declared.filter(|name| !skipped.contains(name)).collect();
    assert!(declared.contains(&"Hello") && declared.contains(&"Fleet"), "{declared:?}");
    for name in declared {
        assert!(names(&page, name), "docs/protocol.md does not say what {name} is");
    }
    for outcome in proto.lines().filter_map(|line| line.trim().strip_prefix("OUTCOME_")?.split(' ').next()) {
        assert!(outcome == "UNSPECIFIED" || names(&page, outcome), "docs/protocol.md lacks {outcome}");
    }
}

#[test]
fn every_reason_that_a_page_names_is_in_the_code() {
    // Its own test shows that it is right.
    let mut code = std::fs::read_to_string(repository().join("docs/one-cluster.md")).unwrap();
    for folder in ["crds/src", "proto/src", "platform/src", "hub", "member", "e2e/tests"] {
        let mut files = Vec::new();
        collect(&repository().join(folder), "rs", &mut files);
        for file in files {
            let text = std::fs::read_to_string(file).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            code.extend(lines.flat_map(|line| [line, "\n"]));
        }
    }
    let known: BTreeSet<&str> = words(&code).collect();
    for page in ["troubleshooting.md", "agents.md", "reference/agent.md"] {
        let text = std::fs::read_to_string(repository().join("docs").join(page)).unwrap();
        // `Ready=Unknown` names two.
        let named = text.split('`').skip(1).step_by(2).flat_map(|code| code.split('='));
        let is_reason = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.contains(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_alphabetic())
        };
        let reasons: Vec<&str> = named.filter(is_reason).collect();
        assert!(!reasons.is_empty(), "docs/{page} names no reason");
        for reason in reasons {
            assert!(known.contains(reason), "docs/{page} names {reason}, which is nowhere in the code");
        }
    }
}

#[test]
fn the_guide_for_agents_has_every_variable_that_they_are_given() {
    let page = std::fs::read_to_string(repository().join("docs/agents.md")).unwrap();
    let built = std::fs::read_to_string(repository().join("member/core/src/build/container.rs")).unwrap();
    let given: Vec<&str> = built.split("own(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(given.contains(&"AGENT_NAME"), "{given:?}");
    for variable in given {
        assert!(
            page.contains(&format!("| `{variable}` |")),
            "docs/agents.md does not say what {variable} is"
        );
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut pages = Vec::new();
    collect(&repository().join("docs"), "md", &mut pages);
    collect(&repository().join("deploy"), "md", &mut pages);
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|p| repository().join(p)),
    );
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        // What is code has no links, whatever it looks like.
        let prose: String = text.split('`').step_by(2).collect();
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{} links to {link}", page.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                assert!(text.lines().any(|line| slug(line) == anchor), "{} links to {link}", page.display());
            }
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of this kind in a folder and those in it.
fn collect(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, into);
        } else if path.extension().is_some_and(|e| e == extension) {
            into.push(path);
        }
    }
}

/// Whether the text has the name as a word of its own.
fn names(text: &str, name: &str) -> bool {
    words(text).any(|word| word == name)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
}

/// The anchor of a heading.
fn slug(line: &str) -> String {
    let title = line.trim_start_matches('#');
    if title.len() == line.len() {
        return String::new();
    }
    let kept = title.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-')
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
