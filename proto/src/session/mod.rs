//! The session of one member with its hub, as one state machine per end: frames and time in, frames and effects out.
//!
//! Neither end does I/O or knows a clock. `now` is monotonic time since an arbitrary origin that is the same for all
//! calls on one machine. Frames are pulled ([`HubSession::poll_frame`], [`MemberLink::poll_frame`]) only while the
//! transport has room: that is the back-pressure, and what makes batches grow under load without windows of time.

mod backoff;
mod hub;
pub mod limits;
mod member;

pub use hub::{CloseReason, HelloFacts, HubEvent, HubSession, HubSessionConfig};
pub use member::{Batch, MemberAction, MemberLink, MemberLinkConfig, Welcomed};
