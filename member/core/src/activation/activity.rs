//! When an agent was last called.

use std::time::Duration;

use super::door::Word;
use super::gate::{Gate, Stage};

/// When work for an agent was last heard of, where `before` is what was known before.
///
/// The activators' words are taken once the pods are to go: by then each has said it for good. Before, every one of them
/// would be news, and news is written and sent.
#[must_use]
pub fn last_called(
    before: Option<Duration>,
    gate: Gate,
    words: impl IntoIterator<Item = Word>,
) -> Option<Duration> {
    if gate.stage != Stage::Zero {
        return before;
    }
    // What comes after the pods are to go wakes the agent, and is told then.
    let settled = |word: &Word| !word.wanted && !word.uncalled && word.since <= gate.since;
    let told = words.into_iter().filter(settled).map(|word| word.since).max();
    before.max(told)
}
