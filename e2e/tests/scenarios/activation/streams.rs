//! Connections that stay open: a WebSocket, server-sent events, and a call of gRPC that goes both ways.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use futures::{SinkExt as _, StreamExt as _};
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parallax_crds::activation::Stage;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::callers::Kept;
use super::pods::Pods;
use super::{sleeper, talk};
use crate::world::World;

/// The events of an agent.
struct Events {
    body: Incoming,
    /// What has arrived and wasn't looked at yet.
    arrived: String,
}

impl Events {
    async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get("/events").header("host", "agent").header("accept", "text/event-stream");
        let answer = sender.send_request(request.body(String::new())?).await?;
        Ok(Self { body: answer.into_body(), arrived: String::new() })
    }

    async fn hears(&mut self, text: &str) -> Result<()> {
        let event = talk::event(text);
        while self.arrived.len() < event.len() {
            let mut body = std::pin::Pin::new(&mut self.body);
            let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
            let frame = frame.context("the events have ended")??;
            if let Ok(data) = frame.into_data() {
                self.arrived.push_str(std::str::from_utf8(&data)?);
            }
        }
        let rest =
            self.arrived.strip_prefix(&event).with_context(|| format!("{:?} has come", self.arrived))?;
        self.arrived = rest.to_owned();
        Ok(())
    }
}

/// A WebSocket to an agent.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        Ok(Self(client_async("ws://agent/talk", stream).await?.0))
    }

    /// Says something, and hears it back.
    async fn talk(&mut self, text: &str) -> Result<()> {
        self.0.send(Message::text(text)).await?;
        let heard = self.0.next().await.context("the WebSocket has ended")??;
        anyhow::ensure!(heard == Message::text(text), "{heard:?} came back");
        Ok(())
    }
}

/// A call of gRPC, over HTTP/2 without TLS from its first byte.
struct Call {
    says: mpsc::Sender<String>,
    hears: tonic::Streaming<String>,
}

impl Call {
    async fn open(to: SocketAddr) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{to}"))?.connect().await?;
        let mut client = Grpc::new(channel);
        client.ready().await?;
        let (says, said) = mpsc::channel(1);
        let path = http::uri::PathAndQuery::from_static("/test.Agent/Talk");
        let messages = tonic::Request::new(ReceiverStream::new(said));
        let answer = client.streaming(messages, path, ProstCodec::<String, String>::default()).await?;
        Ok(Self { says, hears: answer.into_inner() })
    }

    /// Says something, and hears it back.
    async fn talk(&mut self, text: &str) -> Result<()> {
        self.says.send(text.to_owned()).await.context("the call has ended")?;
        let heard = self.hears.message().await?.context("the call has ended")?;
        anyhow::ensure!(heard == text, "{heard:?} came back");
        Ok(())
    }

    /// Says nothing more, and hears that all went well.
    async fn end(mut self) -> Result<()> {
        drop(self.says);
        anyhow::ensure!(self.hears.message().await?.is_none(), "something came that nobody said");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_open_wakes_an_agent_keeps_it_awake_and_is_passed_on_as_it_comes() -> Result<()> {
    const STREAMED: [&str; 3] = ["events", "socket", "call"];
    const CALLED: &str = "called";
    let world = World::calm("streams").await?;
    let agents = [STREAMED[0], STREAMED[1], STREAMED[2], CALLED];
    let pods = agents.map(|name| Pods::play(world.pods(0), name));
    let mut addresses = Vec::new();
    for name in agents {
        world.apply(name, sleeper(1)).await?;
    }
    for name in agents {
        addresses.push(world.led_to(name, 1).await?[0]);
        world.asleep(name).await?;
    }

    // Held, each of them, until there is a pod.
    let (mut events, mut socket, mut call) =
        tokio::try_join!(Events::open(addresses[0]), Socket::open(addresses[1]), Call::open(addresses[2]))?;
    events.hears("open").await?;
    socket.talk("first").await?;
    call.talk("first").await?;
    // Meanwhile another one is called and left alone, twice, and goes to zero each time.
    for _ in 0..2 {
        Kept::open(addresses[3]).await?.call("/work").await?;
        world.asleep(CALLED).await?;
    }
    for name in STREAMED {
        let activation = world.activation(name).await?.context("it is behind the activators")?;
        assert_eq!(activation.stage, Stage::Up, "{name} has a connection: {activation:?}");
    }
    for (said, pods) in ["/events", "/talk", "/test.Agent/Talk"].into_iter().zip(&pods) {
        assert_eq!(pods.arrived(), [(said.to_owned(), 1)].into());
    }
    // By the same connections: nobody has broken them off, and nothing waits for what is still to come.
    pods[0].tell("second")?;
    events.hears("second").await?;
    socket.talk("second").await?;
    call.talk("second").await?;

    drop(events);
    socket.0.close(None).await?;
    call.end().await?;
    for name in STREAMED {
        world.asleep(name).await?;
    }
    world.finish().await
}
