//! Clients of an agent behind the activators.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// A connection of HTTP/2: many requests at a time.
#[derive(Clone)]
pub struct Multiplexed(http2::SendRequest<String>, SocketAddr);

impl Multiplexed {
    pub async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender, to))
    }

    /// Sends one request, and checks that it is what is answered.
    pub async fn call(mut self, path: String) -> Result<()> {
        let request = Request::get(format!("http://{}{path}", self.1)).body(String::new())?;
        let answer = self.0.send_request(request).await.with_context(|| path.clone())?;
        check(answer.status(), answer.into_body(), &path).await
    }
}

/// A connection of HTTP/1.1 that is kept: one request at a time.
pub struct Kept(http1::SendRequest<String>, JoinHandle<hyper::Result<()>>);

impl Kept {
    pub async fn open(to: SocketAddr) -> Result<Self> {
        Self::open_from(SocketAddr::from(([127, 0, 0, 1], 0)), to).await
    }

    /// From an address of the caller's own.
    pub async fn open_from(from: SocketAddr, to: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(from)?;
        let stream = socket.connect(to).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self(sender, tokio::spawn(connection)))
    }

    /// Sends one request, and checks that it is what is answered.
    pub async fn call(&mut self, path: &str) -> Result<()> {
        self.0.ready().await?;
        let request = Request::post(path).header("host", "agent").body("work".to_owned())?;
        // A request that is handed over just as the connection ends is never answered.
        let answer = tokio::select! {
            biased;
            answer = self.0.send_request(request) => answer.with_context(|| path.to_owned())?,
            _ = &mut self.1 => anyhow::bail!("{path}: the connection has ended"),
        };
        check(answer.status(), answer.into_body(), path).await
    }
}

async fn check(status: StatusCode, mut body: Incoming, path: &str) -> Result<()> {
    let mut text = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.with_context(|| path.to_owned())?.into_data() {
            text.extend_from_slice(&data);
        }
    }
    let text = String::from_utf8_lossy(&text);
    anyhow::ensure!(status == StatusCode::OK && text == path, "{path} was answered {status}: {text}");
    Ok(())
}
