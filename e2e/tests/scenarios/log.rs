//! What a process has said since a test began to listen.

use std::path::PathBuf;

use anyhow::Result;

use crate::world::World;

/// A log file, from a place in it on.
pub struct Log {
    path: PathBuf,
    from: usize,
}

impl Log {
    /// What is written to the file from now on.
    pub fn from_now(path: PathBuf) -> Self {
        let from = std::fs::metadata(&path).map_or(0, |file| usize::try_from(file.len()).unwrap_or(0));
        Self { path, from }
    }

    /// The first line that holds all these words.
    pub fn line(&self, words: &[&str]) -> Option<String> {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes.get(self.from..).unwrap_or_default()).into_owned();
        let found = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
        found.map(str::to_owned)
    }

    /// Waits until a line holds all these words.
    pub async fn says(&self, world: &World, words: &[&str]) -> Result<()> {
        let what = format!("a line of {} with {words:?}", self.path.display());
        world.eventually(&what, || async { Ok(self.line(words).is_some()) }).await
    }
}
