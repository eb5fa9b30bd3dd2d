//! Asks pods whether they work: see [`Gauge`].

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parallax_crds::AgentKey;
use parallax_member_core::activation::Gauge;
use tokio::net::TcpStream;

/// How long a pod may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How long it may take to answer.
pub const ANSWER: Duration = Duration::from_secs(5);
/// What is read of its metrics.
const ENOUGH: usize = 8 * 1024 * 1024;

/// Why nobody knows whether a pod works.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error("it took no connection within {} s; check metrics.port of the agent", CONNECT.as_secs())]
    Unreached,
    #[error(transparent)]
    Refused(#[from] std::io::Error),
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("the request can't be made ({0}); report it")]
    Unmade(#[from] hyper::http::Error),
    #[error("it answered {0}; check what the agent serves at /metrics")]
    Status(StatusCode),
}

/// Whether one of these pods works. One that takes the question and leaves it unanswered has its hands full; one that
/// can't be asked, or doesn't have the gauge, says nothing. `patience` bounds the whole, usually [`ANSWER`].
pub async fn any(agent: &AgentKey, pods: &[SocketAddr], patience: Duration) -> bool {
    let asked = |pod: SocketAddr| async move {
        match tokio::time::timeout(patience, ask(pod)).await {
            Ok(Ok(busy)) => busy,
            Ok(Err(untold)) => {
                tracing::warn!(%agent, %pod, "its metrics can't be read, so that it counts as idle: {untold}");
                false
            }
            Err(_) => {
                tracing::info!(%agent, %pod, "its metrics take longer than {patience:?}, so that it counts as busy");
                true
            }
        }
    };
    let mut answers: FuturesUnordered<_> = pods.iter().copied().map(asked).collect();
    while let Some(busy) = answers.next().await {
        if busy {
            return true;
        }
    }
    false
}

async fn ask(pod: SocketAddr) -> Result<bool, Untold> {
    let dialled = tokio::time::timeout(CONNECT, TcpStream::connect(pod)).await;
    let stream = dialled.map_err(|_| Untold::Unreached)??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/metrics").header("host", pod.to_string()).body(String::new())?;
    // The connection ends with the question.
    tokio::select! {
        answer = async {
            let answer = sender.send_request(request).await?;
            if answer.status() != StatusCode::OK {
                return Err(Untold::Status(answer.status()));
            }
            read(answer.into_body()).await
        } => answer,
        ended = async {
            let ended = connection.await;
            match ended {
                Err(error) => Err(error.into()),
                // What it had to say is on its way to the other branch.
                Ok(()) => std::future::pending().await,
            }
        } => ended,
    }
}

async fn read(mut body: Incoming) -> Result<bool, Untold> {
    let (mut gauge, mut length) = (Gauge::default(), 0);
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        let data: Bytes = frame?.into_data().unwrap_or_default();
        gauge.read(&data);
        length += data.len();
        if length > ENOUGH {
            break;
        }
    }
    Ok(gauge.is_busy())
}
