//! What the API server refuses for good: it is tried again now and then, and said once.

use std::collections::HashMap;

use parallax_hub_core::fleet::{Write, WriteOutcome};
use parking_lot::Mutex;

/// Refused writes that are remembered. With more, some are said again.
const LIMIT: usize = 4096;

/// The last refusal of each write.
#[derive(Debug, Default)]
pub struct Refusals {
    told: Mutex<HashMap<Write, String>>,
}

impl Refusals {
    /// Takes in how a write went. Whether it was refused for a reason that was not said yet.
    pub fn is_news(&self, write: &Write, outcome: &WriteOutcome) -> bool {
        let mut told = self.told.lock();
        match outcome {
            WriteOutcome::Invalid(why) => {
                if told.get(write).is_some_and(|known| known == why) {
                    return false;
                }
                if told.len() >= LIMIT {
                    told.clear();
                }
                told.insert(write.clone(), why.clone());
                true
            }
            // Nothing is learnt of what is stored.
            WriteOutcome::Conflict | WriteOutcome::Failed(_) => false,
            WriteOutcome::Ok(_) | WriteOutcome::NotFound => {
                told.remove(write);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(why: &str) -> WriteOutcome {
        WriteOutcome::Invalid(why.to_owned())
    }

    #[test]
    fn a_refusal_is_news_once_until_it_changes_or_is_over() {
        let refusals = Refusals::default();
        let steps = [
            (refused("phase"), true),
            (refused("phase"), false),
            (WriteOutcome::Failed("away".to_owned()), false),
            (refused("phase"), false),
            (refused("reason"), true),
            (WriteOutcome::Ok("1".to_owned()), false),
            (refused("reason"), true),
        ];
        for (n, (outcome, news)) in steps.iter().enumerate() {
            assert_eq!(refusals.is_news(&Write::Epoch, outcome), *news, "step {n}: {outcome:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let refusals = Refusals::default();
        for n in 0..=LIMIT {
            let write =
                Write::AddFinalizer(parallax_crds::AgentKey::new("team", &n.to_string()), "uid".to_owned());
            assert!(refusals.is_news(&write, &refused("x")));
        }
        assert!(refusals.told.lock().len() <= LIMIT);
    }
}
