//! `fleet down`, also when the tool that started the fleet was killed.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use crate::fleet;
use crate::layout::Layout;
use crate::progress::Progress;
use crate::waiting::blocking::until;

/// How long the supervisor may take to end everything by itself: the hub and the members have 15 s.
const GRACE: Duration = Duration::from_secs(30);

pub(super) fn down(layout: &Layout) -> anyhow::Result<()> {
    let root = layout.root().display();
    let record = layout.read()?.with_context(|| format!("no fleet in {root}: nothing to end"))?;
    let step = Progress::Told.step(format!("ending the fleet in {root}"));
    if record.supervisor.signal(Signal::TERM) {
        let ended = || Ok((!record.supervisor.is_alive()).then_some(()));
        until("the fleet's supervisor has ended", GRACE, ended).ok();
        record.supervisor.signal(Signal::KILL);
    }
    fleet::clear(layout, &record.id)?;
    if layout.read()?.is_some_and(|left| left.id == record.id) {
        bail!("{root} could not be cleared away: remove it by hand");
    }
    step.done();
    Ok(())
}
