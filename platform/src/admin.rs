//! The admin ports: `/healthz`, `/readyz` and `/metrics`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::addresses::listen;
use crate::{Metrics, PlatformError, Readiness};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long answers under way may take once the process ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// An HTTP listener that is bound but doesn't answer yet.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminServer {
    /// Binds a port; 0 is any free one. `flag` is what sets it, as in `--metrics-port (METRICS_PORT)`.
    ///
    /// # Errors
    /// When the port is in use, or the address isn't this machine's.
    pub fn bind(bind: IpAddr, port: u16, flag: &'static str) -> Result<Self, PlatformError> {
        let listener = listen(bind, port, flag)?;
        let address =
            listener.local_addr().map_err(|source| PlatformError::Listen { bind, port, flag, source })?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, and for at most 2 s more what is under way.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, routes: Router, shutdown: CancellationToken) -> io::Result<()> {
        let serving =
            axum::serve(self.listener, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let too_long = async {
            shutdown.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            served = async { serving.await } => served,
            () = too_long => Ok(()),
        }
    }
}

/// `/healthz`, which answers as long as the process does, and `/readyz`, which says what it waits for.
pub fn health(readiness: Readiness) -> Router {
    let readyz = move || {
        let report = readiness.report();
        let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        std::future::ready((status, report.text))
    };
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(readyz))
}

/// `/metrics` as OpenMetrics text.
pub fn metrics(metrics: Metrics) -> Router {
    let text = move || {
        let text = metrics.render();
        std::future::ready(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
    };
    Router::new().route("/metrics", get(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_ports_answer_and_end_with_the_process() {
        let server = AdminServer::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, "--metrics-port").unwrap();
        let address = server.address();
        let readiness = Readiness::default();
        let check = readiness.check("caches");
        let shutdown = CancellationToken::new();
        let routes = health(readiness).merge(super::metrics(Metrics::new("test", "0")));
        let serving = tokio::spawn(server.serve(routes, shutdown.clone()));

        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let waiting = get(address, "/readyz").await;
        assert!(waiting.starts_with("HTTP/1.1 503") && waiting.contains("caches: not ready: starting"));
        check.ready();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let metrics = get(address, "/metrics").await;
        assert!(metrics.contains(OPENMETRICS) && metrics.ends_with("# EOF\n"), "{metrics}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

        shutdown.cancel();
        serving.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_finishes_does_not_hold_up_the_end() {
        let server = AdminServer::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, "--metrics-port").unwrap();
        let mut client = TcpStream::connect(server.address()).await.unwrap();
        client.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.serve(health(Readiness::default()), shutdown.clone()));
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }
}
