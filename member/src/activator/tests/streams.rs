use hyper::Request;
use hyper::body::{Bytes, Frame};
use hyper::client::conn::{http1, http2};
use hyper::header::{HeaderMap, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Front;
use super::pod::{Frames, Pod, data, frame};

#[tokio::test]
async fn events_arrive_as_they_are_sent() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let stream = TcpStream::connect(front.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (events, body) = Frames::new();
    let request = Request::post("/stream").header("host", "a").body(body).unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    for n in 0..3 {
        let event = format!("data: {n}\n\n");
        events.send(Frame::data(event.clone().into())).await.unwrap();
        let arrived = frame(answer.body_mut()).await.unwrap().into_data().unwrap();
        assert_eq!(arrived, event);
    }
    drop(events);
    assert!(frame(answer.body_mut()).await.is_none());
}

#[tokio::test]
async fn http2_streams_go_both_ways_at_once_with_trailers() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let stream = TcpStream::connect(front.address).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut calls = Vec::new();
    for n in 0..3 {
        let (messages, body) = Frames::new();
        let uri = format!("http://{}/stream", front.address);
        let request = Request::post(uri).header("te", "trailers").body(body).unwrap();
        messages.send(Frame::data(Bytes::from(format!("first {n}")))).await.unwrap();
        calls.push((messages, sender.send_request(request).await.unwrap()));
    }
    for (n, (messages, answer)) in calls.iter_mut().enumerate() {
        let first = frame(answer.body_mut()).await.unwrap().into_data().unwrap();
        assert_eq!(first, format!("first {n}"));
        messages.send(Frame::data("second".into())).await.unwrap();
        assert_eq!(frame(answer.body_mut()).await.unwrap().into_data().unwrap(), "second");
        let status = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
        messages.send(Frame::trailers(status)).await.unwrap();
        let trailers = frame(answer.body_mut()).await.unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    }
    assert_eq!((pod.requests(), pod.connections()), (3, 1));
}

/// A connection to the agent that is a WebSocket, as far as the activator knows.
async fn upgraded(front: &Front, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let upgrade = "host: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{upgrade}\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    stream
}

#[tokio::test]
async fn an_upgraded_connection_that_the_pod_has_ended_counts_no_longer_though_its_client_stays() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let mut stream = upgraded(&front, "/hang-up").await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the client is told");
    front.house.ordered(super::LIMITS, super::Order { open: false, serial: 2, slept: 0 }, None);
    front.says(|word| word.closed == Some(2)).await;
    drop(stream);
}

#[tokio::test]
async fn an_upgraded_connection_passes_bytes_both_ways_and_counts_as_open() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let mut stream = upgraded(&front, "/ws").await;
    for word in ["hello", "again"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, word.as_bytes());
    }
    front.house.ordered(super::LIMITS, super::Order { open: false, serial: 2, slept: 0 }, None);
    assert_eq!(front.word().closed, None, "it is still open");
    drop(stream);
    front.says(|word| word.closed == Some(2)).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_pod_and_not_the_memory() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let stream = TcpStream::connect(front.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (chunks, body) = Frames::new();
    let request = Request::post("/stream").header("host", "a").body(body).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let chunk = Bytes::from(vec![0; 64 * 1024]);
    // Until everything on the way is full: what the kernel holds of four sockets, and the buffers between them.
    let mut sent = 0_usize;
    let stalled = std::time::Duration::from_secs(2);
    while let Ok(Ok(())) = tokio::time::timeout(stalled, chunks.send(Frame::data(chunk.clone()))).await {
        sent += chunk.len();
        assert!(sent < 64 * 1024 * 1024, "nothing holds the sender up");
    }
    drop(chunks);
    assert!(data(answer.into_body()).await.len() >= sent);
}
