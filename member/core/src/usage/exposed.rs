//! What a pod exposes of itself.

use crate::exposition::Sample;

/// What a pod says of itself on its endpoint for metrics; none of what it doesn't have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposed {
    /// The gauge `parallax_agent_busy` is above zero.
    pub busy: Option<bool>,
    /// The counter `parallax_agent_requests_total`.
    pub requests: Option<u64>,
    /// The counter `parallax_agent_tokens_total` with `type="input"`.
    pub input_tokens: Option<u64>,
    /// The same with `type="output"`.
    pub output_tokens: Option<u64>,
}

impl Exposed {
    /// Takes a sample in. Of several with one name, counters are added up.
    pub fn take(&mut self, sample: &Sample<'_>) {
        match (sample.name, sample.label("type").as_deref()) {
            ("parallax_agent_busy", _) => {
                self.busy = Some(self.busy.unwrap_or(false) || sample.value > 0.0);
            }
            ("parallax_agent_requests_total", _) => add(&mut self.requests, sample.value),
            ("parallax_agent_tokens_total", Some("input")) => add(&mut self.input_tokens, sample.value),
            ("parallax_agent_tokens_total", Some("output")) => add(&mut self.output_tokens, sample.value),
            _ => {}
        }
    }

    /// Requests, input tokens, output tokens.
    pub(super) fn counts(&self) -> [Option<u64>; 3] {
        [self.requests, self.input_tokens, self.output_tokens]
    }
}

/// Adds a counter's value. One that is no count is none.
fn add(sum: &mut Option<u64>, value: f64) {
    if value.is_finite() && value >= 0.0 {
        // A float that is too large for the integer becomes its largest value.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = value as u64;
        *sum = Some(sum.unwrap_or(0).saturating_add(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Lines;

    /// What is read of an endpoint.
    fn exposed(text: &str) -> Exposed {
        let mut exposed = Exposed::default();
        let mut lines = Lines::default();
        lines.read(text.as_bytes(), |sample| exposed.take(sample));
        lines.end(|sample| exposed.take(sample));
        exposed
    }

    #[test]
    fn series_of_one_counter_are_added_up() {
        let text = "parallax_agent_requests_total{path=\"/a\"} 3\nparallax_agent_requests_total{path=\"/b\"} 4\n\
            parallax_agent_tokens_total{type=\"input\",model=\"x\"} 1e3\n\
            parallax_agent_tokens_total{model=\"x\",type=\"output\"} 20\n\
            parallax_agent_tokens_total{model=\"x\"} 7\n\
            parallax_agent_busy{task=\"a\"} 0\nparallax_agent_busy{task=\"b\"} 1\nparallax_agent_busy{task=\"c\"} 0\n";
        let wanted = Exposed {
            busy: Some(true),
            requests: Some(7),
            input_tokens: Some(1_000),
            output_tokens: Some(20),
        };
        assert_eq!(exposed(text), wanted);
    }

    #[test]
    fn an_agent_is_busy_by_any_value_above_zero() {
        for value in ["1", "0.5 1800000000", "1e3", "+Inf"] {
            assert_eq!(exposed(&format!("parallax_agent_busy{{task=\"a\"}} {value}\n")).busy, Some(true));
        }
        for value in ["0", "-1", "NaN"] {
            assert_eq!(exposed(&format!("parallax_agent_busy {value}\n")).busy, Some(false));
        }
        assert_eq!(exposed("parallax_agent_busy_seconds 7\n# parallax_agent_busy 1\n").busy, None);
    }

    #[test]
    fn what_is_not_exposed_is_unknown_and_what_is_no_count_is_not_counted() {
        assert_eq!(exposed("other 1\n"), Exposed::default());
        assert_eq!(exposed("parallax_agent_busy 0").busy, Some(false));
        for value in ["-1", "NaN", "+Inf"] {
            assert_eq!(exposed(&format!("parallax_agent_requests_total {value}")).requests, None);
        }
    }
}
