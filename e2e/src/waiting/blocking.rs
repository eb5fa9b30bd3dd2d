//! The same where there is no runtime: in the sweeper, and in what ends a fleet.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until the condition gives a value, and returns it. `Ok(None)` and errors mean "not yet".
///
/// # Errors
/// The limit is over: the error tells what was waited for, and the condition's last error.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        let last = match condition() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => String::new(),
            Err(error) => format!(" ({error:#})"),
        };
        if begun.elapsed() > limit {
            bail!("waited {} s, in vain: {what}{last}", limit.as_secs());
        }
        sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_wait_ends_with_the_value_or_tells_what_for() {
        let mut looks = 0;
        let value = until("three looks", Duration::from_secs(60), || {
            looks += 1;
            if looks == 1 { Err(anyhow!("not there")) } else { Ok((looks == 3).then_some(looks)) }
        });
        assert_eq!(value.unwrap(), 3);
        let never = until::<()>("the impossible", Duration::ZERO, || Err(anyhow!("no way")));
        assert_eq!(never.unwrap_err().to_string(), "waited 0 s, in vain: the impossible (no way)");
    }
}
