//! `fleet test`: every test of the workspace.

use std::process::{ExitCode, Stdio};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{print, this_binary};
use crate::binaries::Binaries;
use crate::cargo::cargo;
use crate::manifests::repository;
use crate::product::Product;
use crate::progress::Progress;
use crate::real_node;
use crate::testing::SKIPPED;

/// Builds what the tests start, runs them, and ends with cargo's exit code.
pub(super) async fn test(filter: Option<String>) -> anyhow::Result<ExitCode> {
    let progress = Progress::Told;
    let launcher = this_binary()?;
    let this = launcher.clone();
    // Where a real node can't run, its tests are skipped, and its programs not needed.
    let real_node = real_node::check(&[]).is_ok();
    tokio::task::spawn_blocking(move || Binaries::prepare(&this, real_node, progress))
        .await
        .context("finding programs")??;
    Product::build(&launcher, progress).await?;

    let mut cargo = Command::from(cargo())
        .args(["test", "--workspace", "--release", "--no-fail-fast"])
        .args(filter)
        // The same cases in every run: a new counterexample is sought on purpose, with another seed.
        .env("PROPTEST_RNG_SEED", std::env::var("PROPTEST_RNG_SEED").as_deref().unwrap_or("1"))
        .current_dir(repository())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("running cargo test")?;
    let output = cargo.stdout.take().context("cargo's standard output")?;
    let mut lines = BufReader::new(output).lines();
    let mut totals = Totals::default();
    while let Some(line) = lines.next_line().await.context("reading cargo's output")? {
        totals.add(&line);
        print(&line);
    }
    let status = cargo.wait().await.context("waiting for cargo test")?;
    print(&format!("\ntotal: {totals}"));
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The sums of the lines with which each test program ends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
    skipped_themselves: u64,
}

impl Totals {
    fn add(&mut self, line: &str) {
        // The harness counts a test that skips itself as passed.
        if line.starts_with(SKIPPED) {
            self.skipped_themselves += 1;
        }
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let number: u64 = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => (),
            }
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, ignored, skipped_themselves } = self;
        let (passed, skipped) = (passed.saturating_sub(*skipped_themselves), ignored + skipped_themselves);
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn totals_are_added_up_over_programs() {
        let mut totals = Totals::default();
        totals.add(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s",
        );
        totals.add("test a_test ... ok");
        totals.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s");
        assert_eq!(totals.to_string(), "14 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_test_that_skips_itself_is_not_counted_as_passed() {
        let mut totals = Totals::default();
        totals.add("skipped: an_agent_runs: a real node needs root");
        totals.add("test an_agent_runs ... ok");
        totals.add(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        assert_eq!(totals.to_string(), "2 passed, 0 failed, 1 skipped");
    }
}
