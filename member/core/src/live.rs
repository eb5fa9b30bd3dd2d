//! What is read off live objects: only what decides or is told. The types leave out every other field, so
//! that a cache of them stays small.

mod deployment;
mod pod;
mod trouble;

pub use self::deployment::DeploymentFacts;
pub use self::pod::{ContainerState, ContainerStatus, PodCondition, PodFacts, PodStatus};
pub use self::trouble::Trouble;
pub(crate) use self::trouble::first_line;
