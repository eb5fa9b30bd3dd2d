//! One line per step, with a spinner while it lasts where a person looks on.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Where steps are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On standard error.
    Told,
    /// Nowhere: tests.
    Silent,
}

impl Progress {
    /// Begins a step that takes a while.
    pub fn step(self, what: impl Into<Cow<'static, str>>) -> Step {
        self.begin(what.into(), "")
    }

    /// Begins a step that takes long enough for its usual time to be told.
    pub fn long_step(self, what: impl Into<Cow<'static, str>>, usually: &str) -> Step {
        self.begin(what.into(), &format!(", usually {usually}"))
    }

    fn begin(self, what: Cow<'static, str>, hint: &str) -> Step {
        let spinner = (self == Self::Told && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_message(format!("{what}{hint}"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if spinner.is_none() {
            self.line(&format!("  … {what}{hint}"));
        }
        Step { progress: self, what, begun: Instant::now(), spinner }
    }

    /// Tells one line.
    pub fn line(self, text: &str) {
        if self == Self::Told {
            // A closed terminal must not stop a fleet.
            writeln!(std::io::stderr(), "{text}").ok();
        }
    }
}

/// A step that has begun; dropping it unfinished says nothing more, as the error that follows does.
pub struct Step {
    progress: Progress,
    what: Cow<'static, str>,
    begun: Instant,
    spinner: Option<ProgressBar>,
}

impl Step {
    /// The step is done.
    pub fn done(mut self) {
        self.clear();
        let seconds = self.begun.elapsed().as_secs_f64();
        self.progress.line(&format!("  ✓ {} ({seconds:.1} s)", self.what));
    }

    fn clear(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.clear();
    }
}
