//! What bounds a session's frames, memory and time.

use std::time::Duration;

/// Frames are built to stay below this many bytes; only a single larger object exceeds it.
pub const FRAME_BYTES: usize = 256 * 1024;

/// Neither end decodes a frame above this many bytes.
pub const DECODE_BYTES: usize = 4 * 1024 * 1024;

/// The largest order that is sent at all. API servers admit about 1.5 MiB per object.
pub const ORDER_BYTES: usize = 1024 * 1024;

/// Orders per Delta, so that their results fit into few frames.
pub const DELTA_ORDERS: usize = 1024;

/// Deltas that may wait for their acknowledgement.
pub const DELTAS_IN_FLIGHT: usize = 2;

/// Each end says something at least this often, unless the hub says otherwise.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// Silence for this long ends a session.
pub const SILENCE: Duration = Duration::from_secs(45);

/// What a closing end still has to say is dropped after this long.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// How often the two sets are compared even when nothing seems wrong, before jitter.
pub const AUDIT: Duration = Duration::from_secs(3600);

/// Events of a member that wait to be sent; more are counted and dropped, the oldest first.
pub const EVENTS: usize = 256;

/// Bytes of a reason, a CamelCase word.
pub const REASON_BYTES: usize = 128;

/// Bytes of a message to people; what is longer is cut before it is sent.
pub const MESSAGE_BYTES: usize = 1024;

/// Bytes of what a member asks to have confirmed.
pub const CHALLENGE_BYTES: usize = 64;

/// Bytes of an API key's value. A longer one is not handed over.
pub const KEY_BYTES: usize = 64 * 1024;

/// Bytes of what is in an object that the hub tells of, as JSON. What is larger is not told.
pub const COPY_BYTES: usize = 192 * 1024;

/// How often a member tells what its agents use.
pub const USAGE_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes of one such frame: in bigger fleets, agents take turns.
pub(crate) const USAGE_BYTES: usize = 192 * 1024;

/// Wishes in one frame.
pub(crate) const WISHES: usize = 128;
