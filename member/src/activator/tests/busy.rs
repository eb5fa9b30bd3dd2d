use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_member_core::activation::{Limits, Order};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Front, LIMITS, OPEN};
use crate::activator::busy;

/// Somebody who answers every question with that.
async fn who_says(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 256];
            let _ = stream.read(&mut question).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    address
}

async fn any(pods: &[SocketAddr]) -> bool {
    busy::any(&AgentKey::new("team", "writer"), pods, Duration::from_millis(300)).await
}

#[tokio::test]
async fn an_agent_works_when_one_of_its_pods_says_so() {
    let (idle, works) =
        (who_says("parallax_agent_busy 0\n").await, who_says("parallax_agent_busy 1\n").await);
    assert!(!any(&[]).await && !any(&[idle]).await);
    assert!(any(&[idle, works]).await);
}

#[tokio::test]
async fn a_pod_that_cannot_be_asked_is_idle_and_one_that_does_not_answer_is_not() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent = listener.local_addr().unwrap();
    assert!(any(&[silent]).await);
    drop(listener);
    assert!(!any(&[silent]).await);
}

#[tokio::test]
async fn all_pods_that_stay_are_asked_at_the_port_of_their_metrics_before_a_closed_gate_is_confirmed() {
    let limits = Limits { asked: true, ..LIMITS };
    let front = Front::start(limits).await;
    let pod = IpAddr::from([10, 0, 0, 1]);
    front.house.populated(Vec::new(), vec![pod]);
    front.house.ordered(limits, OPEN, Some(9100));
    let asking = front.house.word().err().unwrap();
    assert_eq!(asking.of, [SocketAddr::new(pod, 9100)]);
    front.house.answered(asking.question, false);
    assert_eq!(front.word().closed, None);
    front.house.ordered(limits, Order { open: false, serial: 2, slept: 0 }, Some(9100));
    let asking = front.house.word().err().unwrap();
    front.house.answered(asking.question, false);
    assert_eq!(front.word().closed, Some(2));
}
