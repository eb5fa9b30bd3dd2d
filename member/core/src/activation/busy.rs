//! An agent's own word that it works: the gauge `parallax_agent_busy` among its metrics.

/// The gauge's name.
const NAME: &str = "parallax_agent_busy";
/// What is kept of a line. The gauge's is shorter by far.
const LINE: usize = 4096;

/// Reads metrics as they come, in the text format of Prometheus or of OpenMetrics.
#[derive(Debug, Default)]
pub struct Gauge {
    line: Vec<u8>,
    busy: bool,
}

impl Gauge {
    /// The next bytes.
    pub fn read(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// Whether the gauge was above zero, whatever its labels, once all was read.
    #[must_use]
    pub fn is_busy(mut self) -> bool {
        self.end_line();
        self.busy
    }

    fn end_line(&mut self) {
        let value = std::str::from_utf8(&self.line).ok().and_then(value);
        self.busy |= value.is_some_and(|value| value > 0.0);
        self.line.clear();
    }
}

/// The gauge's value, in a line that has it.
fn value(line: &str) -> Option<f64> {
    let rest = line.trim_start().strip_prefix(NAME)?;
    let rest = match rest.strip_prefix('{') {
        Some(labels) => after(labels)?,
        None => rest.starts_with([' ', '\t']).then_some(rest)?,
    };
    rest.split_whitespace().next()?.parse().ok()
}

/// What comes after labels. In quotes, a brace is a letter.
fn after(labels: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in labels.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(&labels[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn busy(text: &str) -> bool {
        let mut gauge = Gauge::default();
        gauge.read(text.as_bytes());
        gauge.is_busy()
    }

    #[test]
    fn an_agent_is_busy_by_any_value_above_zero() {
        for text in [
            "parallax_agent_busy 1",
            "# TYPE parallax_agent_busy gauge\nparallax_agent_busy 0.5 1800000000\nother 3\n",
            "parallax_agent_busy{task=\"a }\\\" b\"} 2\n",
            "parallax_agent_busy{task=\"a\"} 0\nparallax_agent_busy{task=\"b\"} +Inf\n",
            "parallax_agent_busy\t1e3\r\n",
        ] {
            assert!(busy(text), "{text}");
        }
    }

    #[test]
    fn zero_nothing_and_what_is_none_are_not_busy() {
        for text in [
            "",
            "parallax_agent_busy 0\n",
            "parallax_agent_busy NaN\n",
            "parallax_agent_busy{a=\"1",
            "parallax_agent_busy_seconds 7\n",
            "parallax_agent_busy\n",
            "# parallax_agent_busy 1\n",
            "other{name=\"parallax_agent_busy\"} 1\n",
        ] {
            assert!(!busy(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_bytes_come(
            noise in prop::collection::vec(any::<u8>(), 0..300),
            at in 0..400_usize,
            long in 0..20_000_usize,
        ) {
            let mut text = noise;
            text.extend(std::iter::repeat_n(b'x', long));
            text.extend(b"\nparallax_agent_busy{a=\"b\"} 1\n");
            let (first, rest) = text.split_at(at.min(text.len()));
            let mut gauge = Gauge::default();
            gauge.read(first);
            gauge.read(rest);
            prop_assert!(gauge.is_busy());
        }
    }
}
