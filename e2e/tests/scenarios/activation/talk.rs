//! What a played pod says: the path of a request to whoever sent it, and to whoever stays what he says himself, or events.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::stream::{self, BoxStream};
use futures::{SinkExt as _, StreamExt as _};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// An answer's body.
pub enum Talk {
    /// These words.
    Words(Option<Bytes>),
    /// Events, as they happen.
    Events(BoxStream<'static, Bytes>),
    /// What the request says, as it comes; at the end, that all went well.
    Echo(Option<Incoming>),
}

impl Body for Talk {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match self.get_mut() {
            Self::Words(words) => words.take().map(|words| Ok(Frame::data(words))),
            Self::Events(events) => {
                ready!(events.poll_next_unpin(context)).map(|event| Ok(Frame::data(event)))
            }
            Self::Echo(said) => match said {
                None => None,
                Some(body) => ready!(Pin::new(body).poll_frame(context)).or_else(|| {
                    *said = None;
                    let status = HeaderValue::from_static("0");
                    Some(Ok(Frame::trailers(
                        [(GRPC_STATUS.clone(), status)].into_iter().collect::<HeaderMap>(),
                    )))
                }),
            },
        };
        Poll::Ready(frame)
    }
}

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
static GRPC_STATUS: hyper::header::HeaderName = hyper::header::HeaderName::from_static("grpc-status");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// An event as it is sent.
pub fn event(text: &str) -> String {
    format!("data: {text}\n\n")
}

/// A stream of all events from now on, which begins with `open`; what a call of gRPC says; a switch to a WebSocket; and the
/// path to any other request.
pub fn answer(request: Request<Incoming>, told: &broadcast::Sender<String>) -> Response<Talk> {
    let headers = request.headers();
    if headers.get(ACCEPT) == Some(&EVENTS) {
        let told =
            stream::unfold(told.subscribe(), |mut told| async move { Some((told.recv().await.ok()?, told)) });
        let events = stream::iter(["open".to_owned()]).chain(told).map(|text| Bytes::from(event(&text)));
        return of_type(EVENTS, Talk::Events(events.boxed()));
    }
    if headers.get(CONTENT_TYPE) == Some(&GRPC) {
        return of_type(GRPC, Talk::Echo(Some(request.into_body())));
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else { return words(request.uri().path().to_owned()) };
    let accept = derive_accept_key(key.as_bytes());
    let mut switch = Response::new(Talk::Words(None));
    *switch.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = switch.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    switch
}

/// These words.
pub fn words(text: String) -> Response<Talk> {
    Response::new(Talk::Words(Some(text.into())))
}

fn of_type(type_: HeaderValue, talk: Talk) -> Response<Talk> {
    let mut response = Response::new(talk);
    response.headers_mut().insert(CONTENT_TYPE, type_);
    response
}

/// The pod's end of a WebSocket, until the other end closes it.
pub async fn socket(upgrade: hyper::upgrade::OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}
