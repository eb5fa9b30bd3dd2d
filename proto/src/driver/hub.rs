//! Drives the hub's end of one session.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use parallax_crds::ClusterName;
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tonic::Status;

use super::{Clock, sleep_until};
use crate::session::{HubEvent, HubSession};
use crate::v1;

/// An event, with the cluster and the number of the session that it is from.
pub type Addressed = (ClusterName, u64, HubEvent);

/// Runs a session until it is closed; its last event is always `Closed`. To end it early, say `session.lock().bye(..)`
/// and wake it: the stream is then closed within [`crate::session::limits::FAREWELL`].
///
/// The call's handler returns its response at once, with the other end of `outgoing` as its stream: a channel of a few
/// frames, since what waits in it can't be coalesced any more. While nobody takes `events`, nothing is read.
pub async fn run(
    session: Arc<Mutex<HubSession>>,
    wake: Arc<Notify>,
    number: u64,
    clock: Clock,
    mut incoming: impl Stream<Item = Result<v1::FromMember, Status>> + Send + Unpin,
    outgoing: mpsc::Sender<Result<v1::FromHub, Status>>,
    events: mpsc::Sender<Addressed>,
) {
    let cluster = session.lock().cluster().clone();
    let mut connected = true;
    loop {
        let frames_have_room = loop {
            match outgoing.try_reserve() {
                Ok(permit) => match session.lock().poll_frame(clock.now()) {
                    Some(frame) => permit.send(Ok(frame)),
                    None => break true,
                },
                Err(TrySendError::Full(())) => break false,
                Err(TrySendError::Closed(())) => {
                    connected = false;
                    session.lock().on_eof(clock.now());
                    break true;
                }
            }
        };
        let events_have_room = loop {
            match events.try_reserve() {
                Ok(permit) => match session.lock().poll_event() {
                    Some(event) => permit.send((cluster.clone(), number, event)),
                    None => break true,
                },
                Err(TrySendError::Full(())) => break false,
                Err(TrySendError::Closed(())) => {
                    let mut session = session.lock();
                    session.bye("the hub stops", clock.now());
                    while session.poll_event().is_some() {}
                    break true;
                }
            }
        };
        let (closed, deadline) = {
            let session = session.lock();
            (session.is_closed(), session.next_deadline())
        };
        if closed && events_have_room {
            return;
        }
        // Each round asks for all there is to say, so a wake-up that waits behind frames is heard all the same. With this
        // order a simulation plays the same way each time.
        tokio::select! {
            biased;
            () = sleep_until(&clock, deadline) => session.lock().on_timer(clock.now()),
            () = outgoing.closed(), if connected => {}
            _ = outgoing.reserve(), if !frames_have_room => {}
            _ = events.reserve(), if !events_have_room => {}
            frame = incoming.next(), if connected && events_have_room => {
                let mut session = session.lock();
                match frame {
                    Some(Ok(frame)) => session.on_frame(frame, clock.now()),
                    Some(Err(_)) | None => {
                        connected = false;
                        session.on_eof(clock.now());
                    }
                }
            }
            () = wake.notified() => {}
        }
    }
}
