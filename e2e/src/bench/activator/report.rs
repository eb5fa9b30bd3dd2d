//! What was measured, as text and as JSON.

use std::fmt;

use serde::Serialize;

use crate::bench::percentile::Percentiles;

/// Everything that one run measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One request at a time.
    pub latency: Latency,
    /// As many as go through.
    pub throughput: Throughput,
}

/// One request at a time, on one connection.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Straight to the pod.
    pub direct: Percentiles,
    /// Through the activator.
    pub through: Percentiles,
}

/// As many requests as go through, a second.
#[derive(Debug, Serialize)]
pub struct Throughput {
    /// On so many connections.
    pub connections: u16,
    /// Straight to the pod.
    pub direct: f64,
    /// Through the activator.
    pub through: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency, throughput } = self;
        let precise =
            |p: &Percentiles| format!("p50 {:.3} ms, p95 {:.3} ms, p99 {:.3} ms", p.p50, p.p95, p.p99);
        writeln!(f, "one request at a time (n={} each)", latency.direct.count)?;
        writeln!(f, "  direct     {}", precise(&latency.direct))?;
        writeln!(f, "  activator  {}", precise(&latency.through))?;
        writeln!(f, "  added      p50 {:.3} ms", latency.through.p50 - latency.direct.p50)?;
        writeln!(f, "{} connections at once", throughput.connections)?;
        writeln!(f, "  direct     {:.0} requests/s", throughput.direct)?;
        write!(
            f,
            "  activator  {:.0} requests/s ({:.2} of direct; client and pod share the machine with it)",
            throughput.through,
            throughput.through / throughput.direct
        )
    }
}
