//! The fleet tool itself: control planes that work, components that go and come, and nothing left behind.
#![allow(clippy::unwrap_used, missing_docs)]

mod commands;
mod components;
mod control_planes;
mod hub;
