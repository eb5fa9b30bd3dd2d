//! The member's side: whether the activators may send requests on, and whether the pods may go.

use std::time::Duration;

use parallax_crds::activation::WakeUp;

use super::door::Word;

/// How long the activators may take to close, before the gate is opened again.
const CLOSING: Duration = Duration::from_secs(30);

/// How far an agent is on its way to zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Requests go on.
    Up,
    /// The gate is closed, and the pods are still there.
    Closing,
    /// The pods go or are gone.
    Zero,
}

/// What the member has decided; kept in the assignment's status, so that a restart changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// How far it is.
    pub stage: Stage,
    /// Rises with every change of the stage.
    pub serial: i64,
    /// Since when it is at this stage.
    pub since: Duration,
    /// The last serial behind which the pods were told to go; 0: none.
    pub slept: i64,
    /// The last wake-up through the API that was heeded.
    pub woken: Option<WakeUp>,
}

/// What is heard of one activator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It has not said anything of the agent yet.
    Nothing,
    /// Its word.
    Word(Word),
}

/// What a decision is made of.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    /// Every activator that may have requests for the agent.
    pub activators: &'a [Heard],
    /// How long an agent must have been quiet.
    pub delay: Duration,
    /// Its spec lets it go to zero, and no other way leads to its pods.
    pub may_sleep: bool,
    /// A pod of it is there that is not ending.
    pub pods: bool,
    /// The wake-up that was asked for last through the API.
    pub wake: Option<WakeUp>,
}

impl Gate {
    /// Of an agent that begins, with all wake-ups that were asked for until then behind it.
    #[must_use]
    pub fn new(now: Duration, woken: Option<WakeUp>) -> Self {
        Self { stage: Stage::Up, serial: 1, since: now, slept: 0, woken }
    }

    /// Whether requests may go on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Up
    }

    /// What follows, and when to ask again if nothing changes.
    #[must_use]
    pub fn next(self, signs: &Signs<'_>, now: Duration) -> (Self, Option<Duration>) {
        // Who takes it back calls nobody.
        let called = signs.wake.is_some() && signs.wake != self.woken;
        let woken = if called { signs.wake } else { self.woken };
        let to = |stage| Self { stage, serial: self.serial + 1, since: now, woken, ..self };
        let wanted = called || !signs.may_sleep || signs.activators.iter().any(Heard::wants);
        match self.stage {
            // As a request that has come and gone.
            Stage::Up if called => {
                let called = Self { since: now, woken, ..self };
                (called, called.quiet_at(signs))
            }
            Stage::Up => match self.quiet_at(signs) {
                Some(at) if !wanted && at <= now => (to(Stage::Closing), Some(now + CLOSING)),
                Some(at) if !wanted => (self, Some(at)),
                _ => (self, None),
            },
            Stage::Closing if wanted => (to(Stage::Up), None),
            Stage::Closing if signs.all_have_closed(self.serial) => {
                // The serial is what the activators have confirmed: it stays.
                (Self { stage: Stage::Zero, since: now, slept: self.serial, ..self }, None)
            }
            Stage::Closing if self.since + CLOSING <= now => (to(Stage::Up), None),
            Stage::Closing => (self, Some(self.since + CLOSING)),
            // A pod that was told to go may still look well to an activator: nobody is sent there.
            Stage::Zero if wanted && !signs.pods => (to(Stage::Up), None),
            Stage::Zero => (self, None),
        }
    }

    /// When everybody will have been quiet for long enough; none while somebody has not spoken.
    fn quiet_at(&self, signs: &Signs<'_>) -> Option<Duration> {
        let words = signs.activators.iter().map(|heard| match heard {
            Heard::Nothing => None,
            Heard::Word(word) => Some(word.since),
        });
        let last = words.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(last.max(self.since) + signs.delay)
    }
}

impl Signs<'_> {
    fn all_have_closed(&self, serial: i64) -> bool {
        !self.activators.is_empty() && self.activators.iter().all(|heard| heard.has_closed(serial))
    }
}

impl Heard {
    fn wants(&self) -> bool {
        matches!(self, Self::Word(word) if word.wanted)
    }

    fn has_closed(&self, serial: i64) -> bool {
        matches!(self, Self::Word(word) if word.closed == Some(serial))
    }
}
