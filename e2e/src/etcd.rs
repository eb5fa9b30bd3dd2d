//! What an etcd says about itself on its plain-HTTP metrics port.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(10);

/// How many puts it has done since it started.
///
/// # Errors
/// It does not answer, or not with that counter.
pub async fn puts(metrics_url: &str) -> anyhow::Result<u64> {
    let text = get(metrics_url).await?;
    counter(&text, "etcd_mvcc_put_total").with_context(|| format!("no etcd_mvcc_put_total at {metrics_url}"))
}

/// Reads a plain-HTTP URL of this machine.
///
/// # Errors
/// It is not `http://`, does not answer within 10 s, or not with status 200.
pub async fn get(url: &str) -> anyhow::Result<String> {
    tokio::time::timeout(LIMIT, exchange(url))
        .await
        .with_context(|| format!("{url} does not answer within {} s", LIMIT.as_secs()))?
        .with_context(|| format!("reading {url}"))
}

/// HTTP/1.0, so that the answer ends with the connection and is never chunked.
async fn exchange(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").context("not a plain http:// URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(format!("GET /{path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a header")?;
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        bail!("status {status}: {}", body.trim());
    }
    Ok(body.to_owned())
}

/// The sum of a counter's samples in Prometheus text.
fn counter(text: &str, name: &str) -> Option<u64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.split_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.trim().parse::<f64>().ok()
    });
    let mut sum = None;
    for value in values {
        // Counters of whole things: exact far beyond what a test counts.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = value as u64;
        sum = Some(sum.unwrap_or(0) + whole);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::counter;

    #[test]
    fn a_counter_is_summed_over_its_labels_and_not_confused_with_longer_names() {
        let text = "# TYPE a counter\na{x=\"1\"} 2\na{x=\"2\"} 3e+00\na_more 100\n";
        assert_eq!(counter(text, "a"), Some(5));
        assert_eq!(counter(text, "a_more"), Some(100));
        assert_eq!(counter(text, "b"), None);
    }
}
