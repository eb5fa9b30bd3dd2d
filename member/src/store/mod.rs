//! Everything the member knows of its cluster, in one index. Watches and the answers to writes update it
//! at once, so that nobody waits for the echo of an own write.

mod child;
mod cluster;
mod foreign;
mod index;
mod kept;
mod listed;
mod objects;
mod slice;
mod slot;
pub mod watch;

pub use child::{Child, owner_of, resource};
pub use index::{End, Index, Namespace};
pub use kept::{Kept, Versioned};
pub use listed::Listed;
pub use objects::{AnyPod, Assignment, Ending, Pod, SlimNode, SlimPod};
pub use slice::{Slice, addresses, served_by};
pub use slot::Slot;
