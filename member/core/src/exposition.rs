//! Metrics as pods expose them, read as they come: the text format of Prometheus, or of OpenMetrics.

use std::borrow::Cow;

/// What is kept of a line. Those that anybody here asks for are shorter by far.
const LINE: usize = 4096;

/// One sample of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    labels: &'a str,
    /// Its value.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The sample that a line has, if it has one.
    fn of(line: &'a str) -> Option<Self> {
        let line = line.trim_start();
        let end = line.find(['{', ' ', '\t'])?;
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('#') {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_at_checked(closing(rest)?)?,
            None => ("", rest),
        };
        let value = rest.trim_start_matches('}').split_whitespace().next()?.parse().ok()?;
        Some(Self { name, labels, value })
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, wanted: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.labels;
        loop {
            let (name, quoted) = rest.split_once('=')?;
            let quoted = quoted.trim_start().strip_prefix('"')?;
            let end = ending(quoted)?;
            if name.trim_matches([',', ' ', '\t']) == wanted {
                return Some(unescaped(&quoted[..end]));
            }
            rest = &quoted[end + 1..];
        }
    }
}

/// Where the labels end. In quotes, a brace is a letter.
fn closing(labels: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let next = at + labels[at..].find(['}', '"'])?;
        if labels[next..].starts_with('}') {
            return Some(next);
        }
        at = next + 1 + ending(&labels[next + 1..])? + 1;
    }
}

/// Where a text in quotes ends.
fn ending(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next().map(|escaped| if escaped == 'n' { '\n' } else { escaped })),
            letter => plain.push(letter),
        }
    }
    plain.into()
}

/// Puts bytes together to lines, and lines to samples.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// The next bytes; `each` gets the samples that they complete.
    pub fn read(&mut self, bytes: &[u8], mut each: impl FnMut(&Sample<'_>)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end(&mut each);
            }
        }
    }

    /// There are no more: what is left may be a sample.
    pub fn end(&mut self, mut each: impl FnMut(&Sample<'_>)) {
        if let Some(sample) = std::str::from_utf8(&self.line).ok().and_then(Sample::of) {
            each(&sample);
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn samples(parts: &[&[u8]]) -> Vec<(String, Option<String>, f64)> {
        let mut all = Vec::new();
        let mut each = |sample: &Sample<'_>| {
            all.push((sample.name.to_owned(), sample.label("a").map(Cow::into_owned), sample.value));
        };
        let mut lines = Lines::default();
        parts.iter().for_each(|part| lines.read(part, &mut each));
        lines.end(&mut each);
        all
    }

    fn sample(name: &str, label: Option<&str>, value: f64) -> (String, Option<String>, f64) {
        (name.to_owned(), label.map(str::to_owned), value)
    }

    #[test]
    fn each_form_of_a_sample_is_read() {
        let text = "# TYPE x gauge\nx 1\n x{} 2 1800000000\nx{a=\"b\"} 0.5\r\nx\t1e3\n\
            x{ b = \"}\\\" \", a=\"\\\\ \\n\\\"\" , } 3 # {trace=\"1\"} 1\nx{a=\"last\"} +Inf";
        let all = [
            sample("x", None, 1.0),
            sample("x", None, 2.0),
            sample("x", Some("b"), 0.5),
            sample("x", None, 1000.0),
            sample("x", Some("\\ \n\""), 3.0),
            sample("x", Some("last"), f64::INFINITY),
        ];
        assert_eq!(samples(&[text.as_bytes()]), all);
    }

    #[test]
    fn what_is_no_sample_is_passed_over() {
        for text in ["", "x", "x ", "# x 1", "x{a=\"1", "x{a=\"1\"}", "x one", "{} 1", "x{a=\"}\" 1"] {
            assert_eq!(samples(&[text.as_bytes()]), [], "{text}");
        }
        assert_eq!(samples(&[b"x{a=b} 1"]), [sample("x", None, 1.0)], "a label without quotes is none");
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
            text.extend(b"\nx{a=\"b\"} 1\n");
            let (first, rest) = text.split_at(at.min(text.len()));
            prop_assert_eq!(samples(&[first, rest]), samples(&[&text]));
            let all = samples(&[&text]);
            prop_assert_eq!(all.last().unwrap(), &sample("x", Some("b"), 1.0));
        }

        #[test]
        fn no_text_is_too_strange(text in "[xa{}=\",\\\\ 1\n#]{0,40}") {
            samples(&[text.as_bytes()]);
        }
    }
}
