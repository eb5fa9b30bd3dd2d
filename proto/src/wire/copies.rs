//! What is in objects of agents' namespaces on the hub.

use std::fmt;

use parallax_crds::copies::{Content, CopyAnswer, CopyWish, Place, Source};
use parallax_crds::link::Withheld;
use parallax_crds::names::is_dns_label;

use super::fields::{Malformed, agent, clip, key_message, malformed, message, reason};
use crate::session::limits::{COPY_BYTES, MESSAGE_BYTES, REASON_BYTES};
use crate::v1;

fn source(kind: i32, name: &str) -> Result<Source, Malformed> {
    match v1::CopyKind::try_from(kind) {
        Ok(v1::CopyKind::Namespace) if name.is_empty() => Ok(Source::Namespace),
        Ok(v1::CopyKind::Namespace) => malformed("copy.name", "is not empty"),
        Ok(v1::CopyKind::Unspecified) | Err(_) => malformed("copy.kind", "is none that this version knows"),
    }
}

fn parts(source: &Source) -> (v1::CopyKind, String) {
    match source {
        Source::Namespace => (v1::CopyKind::Namespace, String::new()),
    }
}

pub(crate) fn copy_wish(wish: v1::CopyWish) -> Result<CopyWish, Malformed> {
    let v1::CopyWish { key, incarnation, kind, name } = wish;
    Ok(CopyWish { agent: agent(key.as_ref(), &incarnation)?, source: source(kind, &name)? })
}

pub(crate) fn copy_wish_message(wish: &CopyWish) -> v1::CopyWish {
    let (kind, name) = parts(&wish.source);
    v1::CopyWish {
        key: key_message(&wish.agent.key),
        incarnation: wish.agent.incarnation.as_str().to_owned(),
        kind: kind.into(),
        name,
    }
}

pub(crate) fn copy_answer(answer: v1::CopyAnswer) -> Result<CopyAnswer, Malformed> {
    let v1::CopyAnswer { namespace, kind, name, content, reason: word, message: sentence } = answer;
    if !is_dns_label(&namespace) {
        return malformed("copy_answer.namespace", "is not a DNS-1123 label");
    }
    if content.len() > COPY_BYTES {
        return malformed("copy_answer.content", "is too long");
    }
    let content = match Content::new(content) {
        Some(content) => Ok(content),
        None => Err(Withheld { reason: reason(word)?, message: message(sentence)? }),
    };
    Ok(CopyAnswer { place: Place { namespace, source: source(kind, &name)? }, content })
}

pub(crate) fn copy_answer_message(answer: &CopyAnswer) -> v1::CopyAnswer {
    let Place { namespace, source } = &answer.place;
    let (kind, name) = parts(source);
    let about =
        v1::CopyAnswer { namespace: namespace.clone(), kind: kind.into(), name, ..v1::CopyAnswer::default() };
    match &answer.content {
        Ok(content) => v1::CopyAnswer { content: content.json().clone(), ..about },
        Err(Withheld { reason, message }) => v1::CopyAnswer {
            reason: clip(reason, REASON_BYTES),
            message: clip(message, MESSAGE_BYTES),
            ..about
        },
    }
}

impl fmt::Debug for v1::CopyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, kind, name, content, reason, message } = self;
        f.debug_struct("CopyAnswer")
            .field("namespace", namespace)
            .field("kind", kind)
            .field("name", name)
            .field("content_bytes", &content.len())
            .field("reason", reason)
            .field("message", message)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::{AgentKey, AgentRef, Incarnation};

    use super::*;

    fn wish() -> CopyWish {
        CopyWish {
            agent: AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u-1") },
            source: Source::Namespace,
        }
    }

    fn answers() -> [CopyAnswer; 2] {
        let withheld = Withheld { reason: "Forbidden".into(), message: "let the hub".into() };
        let content = Content::new(r#"{"labels":{"a":"canary"}}"#.into()).unwrap();
        [Ok(content), Err(withheld)].map(|content| CopyAnswer { place: wish().place(), content })
    }

    #[test]
    fn wishes_and_answers_arrive_as_they_were_sent() {
        assert_eq!(copy_wish(copy_wish_message(&wish())).unwrap(), wish());
        for answer in answers() {
            assert_eq!(copy_answer(copy_answer_message(&answer)).unwrap(), answer);
        }
    }

    #[test]
    fn nothing_that_is_printed_has_the_content() {
        let [answer, _] = answers();
        let frame = v1::from_hub::Frame::CopyAnswer(copy_answer_message(&answer));
        let shown = format!("{answer:?} {frame:?}");
        assert!(!shown.contains("canary") && shown.contains("content_bytes: 25"), "{shown}");
    }

    #[test]
    fn what_is_no_wish_or_no_answer_is_refused_by_its_field() {
        let broken = |change: fn(&mut v1::CopyWish)| {
            let mut wish = copy_wish_message(&wish());
            change(&mut wish);
            copy_wish(wish).unwrap_err().field
        };
        assert_eq!(broken(|wish| wish.key = None), "key");
        assert_eq!(broken(|wish| wish.kind = 99), "copy.kind");
        assert_eq!(broken(|wish| wish.kind = 0), "copy.kind");
        assert_eq!(broken(|wish| wish.name = "x".into()), "copy.name");
        let wrong = |change: fn(&mut v1::CopyAnswer)| {
            let [answer, _] = answers();
            let mut answer = copy_answer_message(&answer);
            change(&mut answer);
            copy_answer(answer).unwrap_err().field
        };
        assert_eq!(wrong(|answer| answer.namespace = "Team".into()), "copy_answer.namespace");
        assert_eq!(wrong(|answer| answer.content = vec![b' '; COPY_BYTES + 1].into()), "copy_answer.content");
    }
}
