//! Reads what a pod exposes for scrapers.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parallax_member_core::build::METRICS_PATH;
use parallax_member_core::exposition::{Lines, Sample};
use tokio::net::TcpStream;

/// How long a pod may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// What is read of its metrics.
const ENOUGH: usize = 8 * 1024 * 1024;

/// Why a pod's metrics can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
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

/// Gives `each` what the pod exposes there. The caller says how long that may take.
pub async fn scrape(pod: SocketAddr, each: impl FnMut(&Sample<'_>)) -> Result<(), Untold> {
    let dialled = tokio::time::timeout(CONNECT, TcpStream::connect(pod)).await;
    let stream = dialled.map_err(|_| Untold::Unreached)??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(METRICS_PATH).header("host", pod.to_string()).body(String::new())?;
    // The connection ends with the question.
    tokio::select! {
        answer = async {
            let answer = sender.send_request(request).await?;
            if answer.status() != StatusCode::OK {
                return Err(Untold::Status(answer.status()));
            }
            read(answer.into_body(), each).await
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

async fn read(mut body: Incoming, mut each: impl FnMut(&Sample<'_>)) -> Result<(), Untold> {
    let (mut lines, mut length) = (Lines::default(), 0);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let data = frame?.into_data().unwrap_or_default();
        lines.read(&data, &mut each);
        length += data.len();
        if length > ENOUGH {
            break;
        }
    }
    lines.end(each);
    Ok(())
}
