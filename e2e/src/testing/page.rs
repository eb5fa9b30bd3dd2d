//! A page of the documentation whose commands are run as its readers paste them.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::Fleet;

/// A block of commands on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The line of the page that it begins on.
    pub line: usize,
    /// The commands.
    pub commands: String,
    /// What they print in the end, as the block `text` right after them says: see [`shows`].
    pub prints: Option<String>,
}

/// The blocks of commands (`bash`) of a page in Markdown, each with the block of output (`text`) that follows it.
#[must_use]
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().zip(1..);
    let mut may_print = false;
    while let Some((line, number)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            may_print &= line.trim().is_empty();
            continue;
        };
        let mut block = String::new();
        for (line, _) in lines.by_ref().take_while(|(line, _)| !line.starts_with("```")) {
            block.push_str(line);
            block.push('\n');
        }
        match (language, steps.last_mut()) {
            ("bash", _) => steps.push(Step { line: number, commands: block, prints: None }),
            ("text", Some(step)) if may_print => step.prints = Some(block),
            _ => {}
        }
        may_print = language == "bash";
    }
    steps
}

/// Whether the lines of `expected` are in `output`, in this order, with others between them. The width of white space
/// doesn't count, and `…` stands for anything within a line, also for nothing.
///
/// # Errors
/// The first line that isn't there.
pub fn shows(output: &str, expected: &str) -> Result<(), String> {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut printed = output.lines().map(squeezed);
    for line in expected.lines().map(squeezed).filter(|line| !line.is_empty()) {
        if !printed.any(|printed| fits(&printed, &line)) {
            return Err(line);
        }
    }
    Ok(())
}

fn fits(line: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return line == pattern };
    let Some(mut left) = line.strip_prefix(first) else { return false };
    let mut parts = rest.split('…').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    true
}

/// A shell whose kubectl points at a cluster, as its administrator.
pub struct Shell {
    kubectl: PathBuf,
    directory: PathBuf,
}

impl Shell {
    /// For a cluster, with this current namespace and a directory of that name to work in.
    ///
    /// # Errors
    /// There is no such cluster, or the directory can't be made.
    pub async fn at(fleet: &Fleet, cluster: &str, namespace: &str) -> anyhow::Result<Self> {
        let record = fleet.record();
        let directory = record.directory.join(namespace);
        std::fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
        std::fs::copy(&record.cluster(cluster)?.kubeconfig, directory.join("config"))
            .context("copying the kubeconfig")?;
        let shell = Self { kubectl: record.kubectl, directory };
        shell.run(&format!("kubectl config set-context --current --namespace {namespace}")).await?;
        Ok(shell)
    }

    /// The directory that commands run in.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// What the commands print, all of which succeed.
    ///
    /// # Errors
    /// One fails; what they printed is in the error.
    pub async fn run(&self, commands: &str) -> anyhow::Result<String> {
        let bin = self.kubectl.parent().context("kubectl lies nowhere")?.display();
        let output = tokio::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(&self.directory)
            .env("PATH", format!("{bin}:{}", std::env::var("PATH")?))
            .env("KUBECONFIG", self.directory.join("config"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("running bash")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{commands}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_its_commands_and_what_they_print() {
        let page = "# A page\n\n```bash\nkubectl get pods\n```\n\n```text\nNAME\n…\n```\n\n```yaml\nkind: Pod\n```\n\n\
                    ```bash\nkubectl delete pod a\n```\n\nWords.\n\n```text\nno output\n```\n";
        let step = |line, commands: &str, prints: Option<&str>| Step {
            line,
            commands: commands.to_owned(),
            prints: prints.map(str::to_owned),
        };
        assert_eq!(
            steps(page),
            [step(3, "kubectl get pods\n", Some("NAME\n…\n")), step(16, "kubectl delete pod a\n", None)]
        );
    }

    #[test]
    fn output_shows_lines_in_their_order_whatever_their_white_space() {
        let output = "NAME     PHASE     AGE\nfirst    Running   5m12s\nsecond   Pending   1s\n";
        for expected in [
            "NAME PHASE AGE\nfirst Running …\nsecond Pending …",
            "NAME   PHASE  AGE\n\n  second  Pending  1s",
            "…Running…\n…",
            "first…m…",
            "sec…ing…s",
        ] {
            assert_eq!(shows(output, expected), Ok(()), "{expected}");
        }
        for (expected, missing) in [
            ("first Running", "first Running"),
            ("second …\nfirst …", "first …"),
            ("…Failed…", "…Failed…"),
            ("first … 5m", "first … 5m"),
            ("NAME …\nNAME …", "NAME …"),
            ("second…second", "second…second"),
        ] {
            assert_eq!(shows(output, expected), Err(missing.to_owned()), "{expected}");
        }
    }
}
