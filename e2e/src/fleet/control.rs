//! How `cargo fleet stop` and `start` reach the process that keeps the fleet, which alone can start a component again:
//! it has to be its parent. One line of JSON each way, over a Unix socket in the fleet's directory.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::Fleet;
use crate::layout::{Component, Layout};

/// How long a caller may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take: a component has 15 s to end, and a minute to listen.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// What is to happen to a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It ends, and stays down.
    Stop,
    /// It starts again, as it was started before.
    Start,
}

/// A wish of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What is to happen.
    pub action: Action,
    /// `hub`, `member-1`, …
    pub cluster: String,
    /// To which of its components.
    pub component: Component,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Done,
    /// It was so already.
    Already,
    /// It could not be done; why.
    Failed(String),
}

/// The fleet's end of the socket.
pub struct Control {
    listener: UnixListener,
}

impl Control {
    /// Listens in the directory, which has just been made.
    ///
    /// # Errors
    /// The socket can't be made.
    pub fn bind(layout: &Layout) -> anyhow::Result<Self> {
        let (_directory, path) = reach(layout)?;
        let listener = UnixListener::bind(path).with_context(|| {
            format!("making a socket in {}: choose another --dir", layout.root().display())
        })?;
        Ok(Self { listener })
    }

    /// Does what is asked for, one wish at a time.
    pub async fn serve(&self, fleet: &Fleet) -> Infallible {
        loop {
            match self.listener.accept().await {
                // A caller that goes away doesn't want to know.
                Ok((stream, _)) => drop(converse(fleet, stream).await),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// Asks the process that keeps the fleet in this directory.
///
/// # Errors
/// It does not listen, or not answer.
pub async fn ask(layout: &Layout, request: &Request) -> anyhow::Result<Answer> {
    let root = layout.root().display();
    let (_directory, path) = reach(layout)?;
    let stream = UnixStream::connect(path).await.with_context(|| {
        format!("the fleet in {root} does not listen yet: wait until `cargo fleet up` says that it works")
    })?;
    let mut stream = BufReader::new(stream);
    let line = serde_json::to_string(request).context("writing what to do")? + "\n";
    stream.write_all(line.as_bytes()).await.context("saying what to do")?;
    let mut answer = String::new();
    timeout(LIMIT, stream.read_line(&mut answer))
        .await
        .with_context(|| format!("no answer within {} s: see {root}/supervisor.log", LIMIT.as_secs()))?
        .context("reading the answer")?;
    if answer.is_empty() {
        bail!("the fleet in {root} has ended meanwhile: `cargo fleet up` starts one");
    }
    serde_json::from_str(&answer).context("the answer")
}

/// The socket's path through an open directory: that of the socket itself may be longer than the 107 bytes of an address.
fn reach(layout: &Layout) -> anyhow::Result<(File, PathBuf)> {
    let root = layout.root();
    let directory = File::open(root).with_context(|| format!("opening {}", root.display()))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd()));
    Ok((directory, path))
}

async fn converse(fleet: &Fleet, stream: UnixStream) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    timeout(PATIENCE, stream.read_line(&mut line)).await??;
    let request: Request = serde_json::from_str(&line)?;
    let answer =
        carry_out(fleet, &request).await.unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
    stream.write_all((serde_json::to_string(&answer)? + "\n").as_bytes()).await?;
    Ok(())
}

async fn carry_out(fleet: &Fleet, request: &Request) -> anyhow::Result<Answer> {
    let Request { action, cluster, component } = request;
    let runs = fleet.process(cluster, *component).is_some();
    match action {
        Action::Stop => fleet.stop(cluster, *component).await?,
        Action::Start if !runs => fleet.restart(cluster, *component).await?,
        Action::Start => {}
    }
    Ok(if runs == (*action == Action::Stop) { Answer::Done } else { Answer::Already })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_directory_with_a_long_name_has_a_socket_too() {
        let root = std::env::temp_dir().join(format!("parallax-control-{}", std::process::id()));
        let deep = root.join("a-name-of-forty-characters-or-a-bit-more/".repeat(4));
        std::fs::create_dir_all(&deep).unwrap();
        let layout = Layout::new(&deep).unwrap();
        let request =
            Request { action: Action::Stop, cluster: "hub".into(), component: Component::ParallaxHub };
        let refused = ask(&layout, &request).await.unwrap_err();
        assert!(refused.to_string().contains("does not listen yet"), "{refused:#}");
        let control = Control::bind(&layout).unwrap();
        let (asked, answered) = tokio::join!(ask(&layout, &request), async {
            let (stream, _) = control.listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            stream.write_all(b"\"already\"\n").await.unwrap();
            line
        });
        assert_eq!(asked.unwrap(), Answer::Already);
        assert!(answered.contains("\"stop\"") && answered.contains("\"parallax-hub\""), "{answered}");
        std::fs::remove_dir_all(root).unwrap();
    }
}
