//! What people are told of a rollout.

use jiff::Timestamp;

pub(super) const PAUSED: &str = "spec.rollout.paused is true: the clusters that wait keep what they have";
pub(super) const NOWHERE: &str = "no cluster has the agent";

pub(super) fn approval(wave: usize, waves: usize) -> String {
    format!(
        "wave {} of {waves} begins when it is approved: kubectl parallax rollout approve, or the annotation {}",
        wave + 1,
        parallax_crds::labels::APPROVE
    )
}

pub(super) fn observing(wave: usize, waves: usize, until: Timestamp) -> String {
    format!("wave {} of {waves}: all of its clusters are ready, and are looked at until {until:.0}", wave + 1)
}

pub(super) fn progress(
    wave: usize,
    waves: usize,
    (ready, all): (usize, usize),
    first: &str,
    away: bool,
) -> String {
    let clusters = if all == 1 { "cluster is" } else { "clusters are" };
    let away = if away { ", which is away or suspended" } else { "" };
    format!("wave {} of {waves}: {ready} of {all} {clusters} ready; it waits for {first}{away}", wave + 1)
}

pub(super) fn failed(cluster: &str, why: &str) -> String {
    let why = &why[..why.floor_char_boundary(512)];
    format!("{cluster}: {why}{}", go_on())
}

pub(super) fn late(cluster: &str, seconds: i32) -> String {
    format!("{cluster}: the change isn't ready there after {seconds} s{}", go_on())
}

fn go_on() -> &'static str {
    "; no other cluster gets the change: change the spec, or go on in spite of it with kubectl parallax rollout resume"
}
