//! Messages of the wire to the values that the machines decide on, and back.
//!
//! What arrives is checked field by field: [`Malformed`] names the first one that is wrong. What is sent is made to
//! pass these checks: texts for people are cut, trace contexts that aren't are left out.

mod cluster;
mod copies;
mod fields;
mod keys;
mod to_hub;
mod to_member;
mod usage;

pub(crate) use cluster::{cluster_report, cluster_report_message};
pub(crate) use copies::{copy_answer, copy_answer_message, copy_wish, copy_wish_message};
pub use fields::Malformed;
pub(crate) use fields::{digest, sent, text};
pub(crate) use keys::{key_answer, key_answer_message, key_wish, key_wish_message};
pub(crate) use to_hub::{
    event, event_message, have, hello, inventory_entry, report, result, result_message, status,
};
pub(crate) use to_member::{removal, removal_message, upsert, upsert_message, welcome};
pub(crate) use usage::{usage, usage_message};
