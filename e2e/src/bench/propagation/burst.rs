//! Many agents at once, beside as many Deployments applied directly.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;

use super::report::BurstReport;
use super::{LIMIT, Subjects, floor, watch_running};
use crate::bench::seen::Seen;

/// Requests that the bench itself has under way.
const CONCURRENCY: usize = 32;

/// Applies `count` Deployments directly and then `count` agents, each as fast as the API server takes them.
///
/// # Errors
/// When a write is refused, or something is not seen within two minutes.
pub async fn run(subjects: &Subjects, count: u16) -> Result<BurstReport> {
    let direct = floor::watch(subjects).await?;
    let names: Vec<_> = (0..count).map(|i| format!("floor-burst-{i}")).collect();
    let begin = Instant::now();
    stream::iter(&names)
        .map(|name| floor::apply(subjects, name))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    let floor = last(&direct, &names, begin).await?;
    floor::clear(subjects).await?;

    let ours = Seen::start(subjects.deployments(), super::ours(), |_: &Deployment| true).await?;
    let running = watch_running(subjects).await?;
    let names: Vec<_> = (0..count).map(|i| format!("burst-{i}")).collect();
    let begin = Instant::now();
    stream::iter(&names)
        .map(|name| subjects.apply(name))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    let applied = begin.elapsed();
    let all_there = last(&ours, &names, begin).await?;
    let all_running = last(&running, &names, begin).await?;
    Ok(BurstReport {
        count,
        floor_seconds: floor.as_secs_f64(),
        applied_seconds: applied.as_secs_f64(),
        deployments_seconds: all_there.as_secs_f64(),
        running_seconds: all_running.as_secs_f64(),
    })
}

/// How long after `begin` the last of `names` was seen.
async fn last(seen: &Seen, names: &[String], begin: Instant) -> Result<Duration> {
    let mut last = begin;
    for name in names {
        last = last.max(seen.when(name, LIMIT).await?);
    }
    Ok(last - begin)
}
