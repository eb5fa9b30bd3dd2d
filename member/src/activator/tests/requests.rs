use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Front;
use super::pod::{Frames, Pod, data, exchange, get, together};

#[tokio::test]
async fn a_request_and_its_answer_go_through_whole() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let request = "POST /work?x=1 HTTP/1.1\r\nhost: writer\r\nx-show: host\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    let answer = exchange(front.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("POST /work 5 writer"), "{answer}");
}

#[tokio::test]
async fn what_is_meant_for_one_hop_goes_no_further_and_the_pod_learns_who_calls() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let show = |name: &str| {
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx-show: {name}\r\nx-mine: 1\r\nx-forwarded-for: 10.0.0.9\r\nconnection: close, x-mine\r\n\r\n"
        )
    };
    assert!(exchange(front.address, &show("x-mine")).await.contains("GET / 0 \r\n"));
    assert!(exchange(front.address, &show("x-forwarded-for")).await.contains("GET / 0 10.0.0.9, 127.0.0.1"));
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let stream = TcpStream::connect(front.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for n in 0..20 {
        sender.ready().await.unwrap();
        let (end, body) = Frames::new();
        drop(end);
        let request = Request::get(format!("/{n}")).header("host", "writer").body(body).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(data(answer.into_body()).await, format!("GET /{n} 0 ").as_bytes());
    }
    assert_eq!((pod.requests(), pod.connections()), (20, 1));
}

#[tokio::test]
async fn a_source_that_is_not_admitted_gets_nothing() {
    let pod = Pod::start().await;
    let front = Front::start_admitting(super::LIMITS, |_| false).await;
    front.house.ordered(super::LIMITS, super::OPEN, None);
    front.populate(&[pod.address]);
    assert_eq!(get(front.address, "/").await, "");
    assert_eq!(pod.requests(), 0);
    assert_eq!(front.house.metrics.turned_away.get(), 1);
}

#[tokio::test]
async fn a_request_that_a_pod_may_have_begun_is_never_sent_again() {
    let (pod, other) = (Pod::start().await, Pod::start().await);
    let front = Front::before(&[pod.address, other.address]).await;
    let answer = get(front.address, "/break").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("ConnectionBroken"), "{answer}");
    assert_eq!(pod.requests() + other.requests(), 1);
}

#[tokio::test]
async fn a_connection_that_the_pod_closed_while_idle_costs_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pod = Pod::listen(listener);
    let front = Front::before(&[address]).await;
    assert!(get(front.address, "/first").await.contains("GET /first"));
    pod.kill().await;
    let next = Pod::listen(TcpListener::bind(address).await.unwrap());
    assert!(get(front.address, "/second").await.contains("GET /second"));
    assert_eq!(next.requests(), 1);
}

#[tokio::test]
async fn a_pod_that_takes_no_connection_is_passed_over() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let pod = Pod::start().await;
    let front = Front::before(&[gone, pod.address]).await;
    let answers = together((0..8).map(|_| get(front.address, "/x"))).await;
    assert!(answers.iter().all(|answer| answer.contains("GET /x")), "{answers:?}");
    assert_eq!(pod.requests(), 8);
}

#[tokio::test]
async fn a_client_that_leaves_half_way_leaves_nothing_open() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(b"POST /stream HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(stream);
    front.house.ordered(super::LIMITS, super::Order { open: false, serial: 2, slept: 0 }, None);
    front.says(|word| word.closed == Some(2)).await;
}
