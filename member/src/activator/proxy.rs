//! One request, from a client to a pod and back.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};

use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::answer::Answer;
use super::metrics::Outcome;
use super::refusal::Refusal;
use super::upstreams::Unanswered;
use super::visit::{House, Visit};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// How long one side of an upgraded connection may go on once the other has ended it.
const PARTING: Duration = Duration::from_secs(5);

/// Lets a request in, sends it to a pod, and passes the answer on as it comes.
pub async fn pass(house: Arc<House>, from: IpAddr, mut request: Request<Incoming>) -> Response<Answer> {
    let mut visit = match house.visit().await {
        Ok(visit) => visit,
        Err(refusal) => return refusal.answer(&house.key),
    };
    let upgrade = prepare(&mut request, from);
    loop {
        match house.upstreams.send(visit.pod, request).await {
            Ok((mut response, lent)) => {
                house.metrics.requests(Outcome::Passed);
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && let Some((client, protocol)) = upgrade
                {
                    let pod = hyper::upgrade::on(&mut response);
                    tokio::spawn(join(client, pod, visit));
                    let (mut parts, _) = response.into_parts();
                    strip(&mut parts.headers);
                    renew_upgrade(&mut parts.headers, protocol);
                    return Response::from_parts(parts, Answer::Own(None));
                }
                let (mut parts, body) = response.into_parts();
                strip(&mut parts.headers);
                return Response::from_parts(parts, Answer::passed(body, lent, visit));
            }
            Err(Unanswered::Unsent(back)) => {
                request = *back;
                visit = match visit.turn_back().await {
                    Ok(visit) => visit,
                    Err(refusal) => return refusal.answer(&house.key),
                };
            }
            Err(Unanswered::Broken(why)) => {
                tracing::debug!(agent = %house.key, pod = %visit.pod, "no answer: {why}");
                house.metrics.requests(Outcome::Broken);
                return Refusal::Broken.answer(&house.key);
            }
        }
    }
}

/// Makes a client's request one of ours; what the client wants to upgrade to, if it does.
fn prepare(request: &mut Request<Incoming>, from: IpAddr) -> Option<(OnUpgrade, HeaderValue)> {
    let protocol = wanted_upgrade(request);
    strip(request.headers_mut());
    let upgrade = protocol.map(|protocol| {
        renew_upgrade(request.headers_mut(), protocol.clone());
        (hyper::upgrade::on(&mut *request), protocol)
    });
    if request.version() != Version::HTTP_2 {
        // The pod is spoken to in 1.1, whatever the client speaks.
        *request.version_mut() = Version::HTTP_11;
    }
    forwarded_for(request.headers_mut(), from);
    upgrade
}

fn wanted_upgrade(request: &Request<Incoming>) -> Option<HeaderValue> {
    let named = request.headers().get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let upgrades =
        named.flat_map(|names| names.split(',')).any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    (request.version() == Version::HTTP_11 && upgrades).then(|| request.headers().get(UPGRADE).cloned())?
}

fn renew_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Removes what is said to the next hop only (RFC 9110, 7.6.1).
fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let values: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
        for name in values.iter().filter_map(|value| value.to_str().ok()).flat_map(|names| names.split(',')) {
            headers.remove(name.trim());
        }
        headers.remove(CONNECTION);
    }
    for name in
        [KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE]
    {
        headers.remove(name);
    }
    // gRPC asks for trailers this way, and they are passed on.
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
}

fn forwarded_for(headers: &mut HeaderMap, from: IpAddr) {
    let before = headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok());
    let value = before.map_or_else(|| from.to_string(), |before| format!("{before}, {from}"));
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// Passes bytes both ways until one side ends the connection, whatever the other does; the request counts as open until
/// then.
async fn join(client: OnUpgrade, pod: OnUpgrade, visit: Visit) {
    let (client, pod) = match tokio::try_join!(client, pod) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(agent = %visit.house().key, "an upgrade came to nothing: {error}");
            return;
        }
    };
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_pod, to_pod) = tokio::io::split(TokioIo::new(pod));
    let (up, down) = (pin!(carry(from_client, to_pod)), pin!(carry(from_pod, to_client)));
    // What is still on its way arrives. A side that never notices the end would keep the agent awake for nobody.
    match select(up, down).await {
        Either::Left((Ok(()), down)) => drop(tokio::time::timeout(PARTING, down).await),
        Either::Right((Ok(()), up)) => drop(tokio::time::timeout(PARTING, up).await),
        // A connection that is broken is so for both.
        Either::Left((Err(_), _)) | Either::Right((Err(_), _)) => {}
    }
}

/// Passes bytes one way, and then the end of them.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}
