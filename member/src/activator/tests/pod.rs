//! A pod that the tests play: it says which request it answers, and counts them.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A body that a test sends frame by frame.
pub struct Frames(mpsc::Receiver<Frame<Bytes>>);

impl Frames {
    pub fn new() -> (mpsc::Sender<Frame<Bytes>>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self(receiver))
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// The frames of a body, as they come.
pub async fn frame(body: &mut Incoming) -> Option<Frame<Bytes>> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context))
        .await
        .map(Result::unwrap)
}

/// All data of a body.
pub async fn data(mut body: Incoming) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(frame) = frame(&mut body).await {
        if let Ok(data) = frame.into_data() {
            all.extend_from_slice(&data);
        }
    }
    all
}

/// A pod.
pub struct Pod {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Pod {
    /// Answers every request with its method, path, body's length and the headers named in `x-show`; `/stream` passes
    /// what comes back on frame by frame, with trailers; an upgrade echoes bytes, or is ended at once by `/hang-up`.
    pub async fn start() -> Self {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
    }

    pub fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, accepted) = (Arc::clone(&requests), Arc::clone(&connections));
        let serving = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let count = Arc::clone(&count);
                tasks.spawn(async move {
                    let service = service_fn(move |request| {
                        count.fetch_add(1, Ordering::SeqCst);
                        answer(request)
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, requests, connections, serving }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends it and all its connections.
    pub async fn kill(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    let (sender, frames) = Frames::new();
    let mut response = Response::new(frames);
    if request.headers().contains_key("upgrade") {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("connection", "upgrade".parse().unwrap());
        response.headers_mut().insert("upgrade", request.headers()["upgrade"].clone());
        let ends = request.uri().path() == "/hang-up";
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if ends {
                return;
            }
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
        return Ok(response);
    }
    if request.uri().path() == "/break" {
        // The connection ends without an answer.
        panic!("as asked");
    }
    let (parts, mut body) = request.into_parts();
    let streams = parts.uri.path() == "/stream";
    tokio::spawn(async move {
        if streams {
            while let Some(frame) = frame(&mut body).await {
                if sender.send(frame).await.is_err() {
                    return;
                }
            }
            return;
        }
        let length = data(body).await.len();
        let shown = parts.headers.get("x-show").and_then(|name| parts.headers.get(name.to_str().unwrap()));
        let shown = shown.map_or("", |value| value.to_str().unwrap());
        let line = format!("{} {} {length} {shown}", parts.method, parts.uri.path());
        let _ = sender.send(Frame::data(line.into())).await;
    });
    Ok(response)
}

/// A client's connection over HTTP/1.1, by hand.
pub async fn exchange(address: SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

/// A GET that ends its connection.
pub async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: writer\r\nconnection: close\r\n\r\n")).await
}

/// Runs this many futures at a time.
pub async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    futures.into_iter().collect::<futures::stream::FuturesUnordered<_>>().collect().await
}
