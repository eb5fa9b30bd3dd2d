//! The reference pages name every field, and no page links to what isn't there.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use parallax_crds::definitions;
use serde_json::Value;

#[test]
fn every_field_of_every_kind_is_in_its_reference_page() {
    for (kind, page) in
        [("ParallaxAgent", "agent.md"), ("MemberCluster", "cluster.md"), ("AgentAssignment", "assignment.md")]
    {
        let text = std::fs::read_to_string(repository().join("docs/reference").join(page)).unwrap();
        let definition = definitions::all()
            .unwrap()
            .into_iter()
            .find(|d| d.body["spec"]["names"]["kind"] == kind)
            .unwrap();
        let schema = &definition.body["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            // The template is a resolved ParallaxAgent; conditions and selectors are Kubernetes'.
            let skipped = ["template", "conditions"];
            for (name, field) in schema["properties"][part]["properties"].as_object().unwrap() {
                assert!(names(&text, name), "{page} does not say what {part}.{name} is");
                if skipped.contains(&name.as_str()) {
                    continue;
                }
                for inner in inner_fields(field) {
                    assert!(names(&text, &inner), "{page} does not say what {part}.{name}.{inner} is");
                }
            }
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
fn every_link_between_pages_leads_somewhere() {
    let mut pages = Vec::new();
    collect(&repository().join("docs"), &mut pages);
    collect(&repository().join("deploy"), &mut pages);
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|p| repository().join(p)),
    );
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
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

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "md") {
            into.push(path);
        }
    }
}

/// The fields right inside a field.
fn inner_fields(field: &Value) -> Vec<String> {
    let of = |schema: &Value| -> Vec<String> {
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    [of(field), of(&field["items"])].concat()
}

/// Whether the text has the name as a word of its own.
fn names(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name)
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
