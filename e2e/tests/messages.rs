//! Every error says what to do about it, or that nothing is to be done.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Where users' errors come from.
const SOURCES: &[&str] = &[
    "crds/src",
    "proto/src",
    "platform/src",
    "hub/core/src",
    "hub/src",
    "member/core/src",
    "member/src",
    "cli/src",
];

/// What makes a message: its string literals are in the parentheses that follow.
const MAKERS: &[&str] = &["#[error", "Rejection::new"];

/// How an advice begins.
const ADVICE: &[&str] = &[
    "add",
    "apply",
    "bind",
    "call",
    "change",
    "check",
    "choose",
    "copy",
    "create",
    "delete",
    "enroll",
    "find out",
    "give",
    "issue",
    "kubectl",
    "let",
    "make",
    "name",
    "order",
    "put",
    "raise",
    "remove",
    "rename",
    "report",
    "restart",
    "restore",
    "run",
    "see",
    "set",
    "start",
    "stop",
    "try",
    "undo",
    "upgrade",
    "use",
    // Nobody needs to do anything, or must look elsewhere.
    "it is tried again",
    "the hub's log says why",
    "its log says why",
];

/// Messages that pass on another one, which says what to do, or that somebody else completes.
const PASSED_ON: &[(&str, &[&str])] = &[
    // Of the API server; whoever makes the call says what it was for.
    ("platform/src/call.rs", &["{0}", "the API server is not available: {0}", "the call failed: {0}"]),
    ("cli/src/error.rs", &["{what}: {source}"]),
    // Ends with the command that lists those there are.
    ("cli/src/error.rs", &["there is no {0}: {hint}"]),
    // Of an identity that can't be read.
    (
        "proto/src/tls/error.rs",
        &[
            "{0}",
            "the hub at {address} is not trusted: {source}",
            "the hub at {address} refused this member's certificate: {refusal}",
        ],
    ),
    // Of the dialler.
    ("proto/src/driver/member.rs", &["{0}"]),
    // Of what was malformed in a request.
    ("hub/src/enrollment.rs", &["{0}"]),
    // Part of `Refusal::Token`, which says how to get another.
    (
        "hub/src/store/join_tokens.rs",
        &[
            "no such join token is out: it was used already, or never made",
            "the join token is not the one that is out for the cluster",
            "the join token has expired",
        ],
    ),
    // Of the hub, which has looked at its Secret.
    ("member/core/src/credentials/found.rs", &["{}"]),
    // Handled where they arise, and shown to nobody.
    ("member/core/src/credentials/secret.rs", &["the API server's answer is no Secret"]),
    ("member/core/src/replicas.rs", &["not FLEET/SHARE"]),
    ("member/src/activator/upstreams.rs", &["it took longer than {} s", "the connection has ended"]),
    // The type that carries a rejection's message.
    ("member/core/src/validate.rs", &["{message}"]),
];

#[test]
fn every_error_says_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut looked_at, mut silent) = (0, Vec::new());
    for source in SOURCES {
        for path in rust_files(&root.join(source)) {
            let file = path.strip_prefix(root).unwrap().to_str().unwrap();
            let passed_on: Vec<&str> = PASSED_ON
                .iter()
                .filter(|(of, _)| *of == file)
                .flat_map(|(_, messages)| messages.iter().copied())
                .collect();
            for message in messages(&fs::read_to_string(&path).unwrap()) {
                looked_at += 1;
                if !advises(&message) && !passed_on.contains(&message.as_str()) {
                    silent.push(format!("{file}: {message}"));
                }
            }
        }
    }
    assert!(looked_at > 100, "only {looked_at} messages were found: are they made in another way now?");
    assert!(
        silent.is_empty(),
        "these don't say what to do; add it after `;` or `:`, beginning with a verb that ADVICE has:\n{}",
        silent.join("\n")
    );
}

#[test]
fn advice_is_told_from_what_is_none() {
    for good in ["it is full; choose another", "no such flag: use --help", "run: kubectl get pods"] {
        assert!(advises(good), "{good}");
    }
    for bad in ["it is full", "it can't be used", "usage: none", "the settings; nothing is set"] {
        assert!(!advises(bad), "{bad}");
    }
    let made = messages(
        r#"
        /// #[error("a comment; never mind")]
        #[error("one")]
        #[error(
            "two {} \
             lines; see \"it\"",
            name(x)
        )]
        #[error("four; use {}", all.join(", "))]
        #[error("{0}")]
        #[error(transparent)]
        Err(Rejection::new("Reason", format!("three ({e})")))
        "#,
    );
    assert_eq!(made, ["one", "two {} lines; see \"it\"", "four; use {}", "{0}", "three ({e})"]);
}

/// Whether a clause of `message` begins with an advice.
fn advises(message: &str) -> bool {
    let clauses = message.split([';', ':', ',', '(']).flat_map(|clause| clause.split(" or "));
    let mut clauses =
        clauses.map(|clause| clause.trim().trim_start_matches("and ").trim_start_matches("then "));
    clauses.any(|clause| {
        ADVICE.iter().any(|advice| {
            clause.strip_prefix(advice).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
    })
}

/// The messages of a file's errors, as its source has them: a reason, which is one word, may come before.
fn messages(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let shipped = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found: Vec<(usize, String)> = Vec::new();
    for maker in MAKERS {
        for (at, _) in shipped.match_indices(&format!("{maker}(")) {
            let literals = literals(&shipped[at + maker.len()..]);
            let message = literals.iter().find(|text| text.contains(' ')).or(literals.first());
            found.extend(message.map(|message| (at, message.clone())));
        }
    }
    found.sort();
    found.into_iter().map(|(_, message)| message).collect()
}

/// The string literals between the parenthesis that `code` begins with and its counterpart.
fn literals(code: &str) -> Vec<String> {
    let (mut literals, mut depth) = (Vec::new(), 0);
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => break,
            ')' => depth -= 1,
            '"' => {
                let mut text = String::new();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    match (c, chars.peek()) {
                        ('\\', Some('\n')) => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                        ('\\', _) => text.extend(chars.next()),
                        _ => text.push(c),
                    }
                }
                literals.push(text);
            }
            _ => {}
        }
    }
    literals
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
