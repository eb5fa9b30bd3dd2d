use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::pod::{Pod, get, together};
use super::{Front, LIMITS, OPEN};
use crate::activator::visit::House;
use parallax_member_core::activation::{Limits, Order};

/// Waits until so many requests wait.
async fn held(house: &House, count: i64) {
    while house.metrics.held.get() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_that_find_nobody_wait_and_are_answered_by_the_first_ready_pod() {
    let front = Front::start(LIMITS).await;
    front.house.ordered(LIMITS, OPEN, None);
    assert!(!front.word().wanted);
    let requests = tokio::spawn(together((0..20).map({
        let address = front.address;
        move |n| async move { get(address, &format!("/{n}")).await }
    })));
    front.says(|word| word.wanted).await;
    held(&front.house, 20).await;
    let pod = Pod::start().await;
    front.populate(&[pod.address]);
    let answers = requests.await.unwrap();
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")), "{answers:?}");
    assert_eq!(pod.requests(), 20);
}

#[tokio::test]
async fn more_than_may_wait_are_told_to_come_again() {
    let limits = Limits { pending: 2, ..LIMITS };
    let front = Front::start(limits).await;
    front.house.ordered(limits, OPEN, None);
    let waiting = tokio::spawn(together([get(front.address, "/a"), get(front.address, "/b")]));
    held(&front.house, 2).await;
    let answer = get(front.address, "/c").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("retry-after: 5"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(
        (body["reason"].as_str(), body["agent"].as_str()),
        (Some("TooManyPending"), Some("team/writer"))
    );
    let pod = Pod::start().await;
    front.populate(&[pod.address]);
    assert!(waiting.await.unwrap().iter().all(|answer| answer.starts_with("HTTP/1.1 200")));
}

#[tokio::test]
async fn a_request_that_nobody_takes_in_time_is_told_so() {
    let limits = Limits { hold: Duration::from_millis(50), ..LIMITS };
    let front = Front::start(limits).await;
    front.house.ordered(limits, OPEN, None);
    let answer = get(front.address, "/").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("ActivationTimeout"), "{answer}");
    assert_eq!(front.house.metrics.held.get(), 0);
}

#[tokio::test]
async fn a_client_that_gives_up_waiting_is_not_waited_for() {
    let front = Front::start(LIMITS).await;
    front.house.ordered(LIMITS, OPEN, None);
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    held(&front.house, 1).await;
    drop(stream);
    held(&front.house, 0).await;
    let pod = Pod::start().await;
    front.populate(&[pod.address]);
    assert_eq!(pod.requests(), 0);
}

#[tokio::test]
async fn a_closed_gate_holds_what_comes_and_is_confirmed_once_nothing_is_under_way() {
    let pod = Pod::start().await;
    let front = Front::before(&[pod.address]).await;
    let mut slow = TcpStream::connect(front.address).await.unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na").await.unwrap();
    while pod.requests() == 0 {
        tokio::task::yield_now().await;
    }
    front.house.ordered(LIMITS, Order { open: false, serial: 2, slept: 0 }, None);
    let later = tokio::spawn(get(front.address, "/later").boxed());
    held(&front.house, 1).await;
    assert_eq!(front.word().closed, None);
    slow.write_all(b"b").await.unwrap();
    front.says(|word| word.closed == Some(2)).await;
    assert_eq!(pod.requests(), 1);
    front.house.ordered(LIMITS, Order { open: true, serial: 3, slept: 0 }, None);
    assert!(later.await.unwrap().contains("GET /later"));
}
