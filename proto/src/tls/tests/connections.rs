//! Connections: how many, how long, and what a caller learns who gets none.

use super::*;

#[tokio::test]
async fn no_session_is_resumed() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let mut config = anybody(&rustls::version::TLS13, &ca);
    config.resumption = Resumption::in_memory_sessions(8);
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..3 {
        let tcp = TcpStream::connect(hub.address).await.unwrap();
        let mut stream = connector.connect(some_name(), tcp).await.unwrap();
        // A ticket would come before the first byte of HTTP/2.
        stream.read_u8().await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn the_identity_is_replaced_while_the_listener_runs() {
    let (old, new) = (ca(), ca());
    let hub = Hub::start(&old).await;
    let (veteran, stranger) = (member(&old, Timestamp::now()), member(&new, Timestamp::now()));
    let channel = hub.dial(&veteran).await.unwrap();
    let before = hub.tls.not_after();

    hub.tls.replace_identity(old.issue_hub(DAY * 2, Timestamp::now()).unwrap()).unwrap();
    assert!(hub.tls.not_after() > before);
    let fresh = hub.dial(&veteran).await.unwrap();
    assert_eq!(who_am_i(&fresh).await.unwrap(), "member-1");
    // One of another CA is shown from the next handshake on too; whom the hub trusts is as before.
    hub.tls.replace_identity(new.issue_hub(DAY, Timestamp::now()).unwrap()).unwrap();
    assert!(hub.dial_error(&veteran).await.needs_somebody());
    assert!(hub.dial_error(&stranger).await.needs_somebody());
    // What was connected stays.
    assert_eq!(who_am_i(&channel).await.unwrap(), "member-1");
}

#[tokio::test]
async fn slow_handshakes_do_not_hold_up_others() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(hub.address).await.unwrap());
    }
    let identity = member(&ca, Timestamp::now());
    let dialled = hub.dial(&identity);
    eventually("a dial beside silent connections", dialled).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_never_comes_gives_its_place_back() {
    let ca = ca();
    let identity = ca.issue_hub(DAY, Timestamp::now()).unwrap();
    let handshake_timeout = Duration::from_millis(200);
    let limits = Limits { handshakes: 1, handshake_timeout, ..Limits::default() };
    let hub = Hub::showing(&ca, identity, limits).await;
    let mut silent = TcpStream::connect(hub.address).await.unwrap();
    let identity = member(&ca, Timestamp::now());
    let dialled = hub.dial(&identity);
    eventually("a dial after a silent connection", dialled).await.unwrap();
    let end = eventually("the end of the silent connection", silent.read_u8()).await;
    assert!(end.is_err());
}

#[tokio::test]
async fn callers_without_a_certificate_are_few_and_do_not_stay() {
    let ca = ca();
    let identity = ca.issue_hub(DAY, Timestamp::now()).unwrap();
    let limits = Limits { anonymous: 1, anonymous_lifetime: Duration::from_millis(300), ..Limits::default() };
    let hub = Hub::showing(&ca, identity, limits).await;
    let address = hub.address.to_string();
    let first = enroll_channel(&address, ca.fingerprint()).await.unwrap();
    let second = enroll_channel(&address, ca.fingerprint()).await.err().unwrap();
    assert!(matches!(second, DialError::Closed { .. } | DialError::Connect { .. }), "{second}");
    // Members are not concerned.
    let session = hub.dial(&member(&ca, Timestamp::now())).await.unwrap();
    eventually("the end of the first caller's time", async {
        while who_am_i(&first).await.unwrap_err().code() == tonic::Code::Unauthenticated {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A channel is one connection: it doesn't come back by itself.
    let status = who_am_i(&first).await.unwrap_err();
    assert!(format!("{status:?}").contains("dial again"), "{status:?}");
    enroll_channel(&address, ca.fingerprint()).await.unwrap();
    assert_eq!(who_am_i(&session).await.unwrap(), "member-1");
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let ca = ca();
    let hub = Hub::start(&ca).await;
    // Over in a second, and cut five later.
    let short = member(&ca, Timestamp::now() - DAY + Duration::from_secs(1));
    let channel = hub.dial(&short).await.unwrap();
    assert_eq!(who_am_i(&channel).await.unwrap(), "member-1");
    eventually("the connection's end", async {
        while who_am_i(&channel).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_listener_closes_with_its_stream_of_connections() {
    let ca = ca();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let identity = ca.issue_hub(DAY, Timestamp::now()).unwrap();
    let tls = HubTls::new(domain(), identity, &[ca.certificate().clone()]).unwrap();
    drop(tls.incoming(listener, Limits::default()));
    eventually("the listener's end", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_hub_is_told_from_what_is_not_there() {
    let ca = ca();
    let identity = member(&ca, Timestamp::now());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        drop(listener);
        stream
    });
    let error = session_channel(&address.to_string(), &identity).await.err().unwrap();
    assert!(matches!(error, DialError::Handshake { .. }) && !error.needs_somebody(), "{error}");
    drop(answering.await.unwrap());
    let error = session_channel(&address.to_string(), &identity).await.err().unwrap();
    assert!(matches!(error, DialError::Connect { .. }) && !error.needs_somebody(), "{error}");
    let error = session_channel("no port", &identity).await.err().unwrap();
    assert!(matches!(error, DialError::Connect { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_says_nothing_is_given_up() {
    let ca = ca();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = session_channel(&address, &member(&ca, Timestamp::now())).await.err().unwrap();
    assert!(matches!(error, DialError::TimedOut { .. }), "{error}");
}
