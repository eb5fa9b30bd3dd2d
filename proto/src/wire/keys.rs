//! Agents' API keys that the hub hands over.

use std::fmt;

use parallax_crds::agent::KeyReference;
use parallax_crds::link::{ApiKey, KeyAnswer, KeyWish, Withheld};

use super::fields::{Malformed, agent, clip, key_message, malformed, message, reason, text};
use crate::session::limits::{KEY_BYTES, MESSAGE_BYTES, REASON_BYTES};
use crate::v1;

/// Bytes of the name of a Secret, and of an entry's in it.
const NAME_BYTES: usize = 253;

pub(crate) fn key_wish(wish: v1::KeyWish) -> Result<KeyWish, Malformed> {
    let name = |field, value: String| {
        if value.is_empty() { malformed(field, "is missing") } else { text(field, value, NAME_BYTES) }
    };
    Ok(KeyWish {
        agent: agent(wish.key.as_ref(), &wish.incarnation)?,
        reference: KeyReference {
            name: name("key_wish.secret", wish.secret)?,
            key: name("key_wish.entry", wish.entry)?,
        },
    })
}

pub(crate) fn key_wish_message(wish: &KeyWish) -> v1::KeyWish {
    v1::KeyWish {
        key: key_message(&wish.agent.key),
        incarnation: wish.agent.incarnation.as_str().to_owned(),
        secret: wish.reference.name.clone(),
        entry: wish.reference.key.clone(),
    }
}

pub(crate) fn key_answer(answer: v1::KeyAnswer) -> Result<KeyAnswer, Malformed> {
    let v1::KeyAnswer { wish, value, reason: word, message: sentence } = answer;
    let Some(wish) = wish else { return malformed("key_answer.wish", "is missing") };
    if value.len() > KEY_BYTES {
        return malformed("key_answer.value", "is too long");
    }
    let key = match ApiKey::new(value) {
        Some(key) => Ok(key),
        None => Err(Withheld { reason: reason(word)?, message: message(sentence)? }),
    };
    Ok(KeyAnswer { wish: key_wish(wish)?, key })
}

pub(crate) fn key_answer_message(answer: &KeyAnswer) -> v1::KeyAnswer {
    let wish = Some(key_wish_message(&answer.wish));
    match &answer.key {
        Ok(key) => v1::KeyAnswer { wish, value: key.value().clone(), ..v1::KeyAnswer::default() },
        Err(Withheld { reason, message }) => v1::KeyAnswer {
            wish,
            reason: clip(reason, REASON_BYTES),
            message: clip(message, MESSAGE_BYTES),
            ..v1::KeyAnswer::default()
        },
    }
}

impl fmt::Debug for v1::KeyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wish, value, reason, message } = self;
        f.debug_struct("KeyAnswer")
            .field("wish", wish)
            .field("has_value", &!value.is_empty())
            .field("reason", reason)
            .field("message", message)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::names::AgentRef;
    use parallax_crds::{AgentKey, Incarnation};

    use super::*;

    fn wish() -> KeyWish {
        KeyWish {
            agent: AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u-1") },
            reference: KeyReference { name: "keys".into(), key: "API_KEY".into() },
        }
    }

    fn answers() -> [KeyAnswer; 2] {
        let withheld = Withheld { reason: "SecretMissing".into(), message: "create it".into() };
        let key = ApiKey::new("sk-canary".into()).unwrap();
        [KeyAnswer { wish: wish(), key: Ok(key) }, KeyAnswer { wish: wish(), key: Err(withheld) }]
    }

    #[test]
    fn wishes_and_answers_arrive_as_they_were_sent() {
        assert_eq!(key_wish(key_wish_message(&wish())).unwrap(), wish());
        for answer in answers() {
            assert_eq!(key_answer(key_answer_message(&answer)).unwrap(), answer);
        }
    }

    #[test]
    fn nothing_that_is_printed_has_the_value() {
        let [answer, _] = answers();
        let frame = v1::from_hub::Frame::KeyAnswer(key_answer_message(&answer));
        let shown = format!("{answer:?} {frame:?}");
        assert!(!shown.contains("canary") && shown.contains("has_value: true"), "{shown}");
    }

    #[test]
    fn what_is_no_wish_is_refused_by_its_field() {
        let broken = |change: fn(&mut v1::KeyWish)| {
            let mut wish = key_wish_message(&wish());
            change(&mut wish);
            key_wish(wish).unwrap_err().field
        };
        assert_eq!(broken(|wish| wish.secret = String::new()), "key_wish.secret");
        assert_eq!(broken(|wish| wish.entry = "x".repeat(NAME_BYTES + 1)), "key_wish.entry");
        assert_eq!(broken(|wish| wish.key = None), "key");
        let [mut long, _] = answers().map(|answer| key_answer_message(&answer));
        long.value = vec![b'x'; KEY_BYTES + 1].into();
        assert_eq!(key_answer(long).unwrap_err().field, "key_answer.value");
    }
}
