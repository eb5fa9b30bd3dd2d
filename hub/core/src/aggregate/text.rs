//! What members say, made fit for a status: the API server refuses a condition whose reason isn't a word, and
//! a status has room for a line from each cluster, not for a page.

/// The most characters of a row's message.
const LONGEST_MESSAGE: usize = 512;
/// The most characters of a reason.
const LONGEST_REASON: usize = 128;

/// `text` if it can be a condition's reason: a letter, then letters, digits, `_`, `,` and `:`, and neither of
/// the latter two at the end (Kubernetes' own pattern).
pub(super) fn word(text: &str) -> Option<&str> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ':');
    let fits = text.len() <= LONGEST_REASON
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with([',', ':'])
        && text.chars().all(good);
    fits.then_some(text)
}

/// The first line of `text`, shortened; none when it says nothing.
pub(super) fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if line.chars().count() <= LONGEST_MESSAGE {
        return Some(line.to_owned());
    }
    let mut short: String = line.chars().take(LONGEST_MESSAGE - 1).collect();
    short.push('…');
    Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_kubernetes_takes_as_a_reason_is_a_word() {
        for good in ["CrashLoopBackOff", "A", "Failed_2", "a:b,c"] {
            assert_eq!(word(good), Some(good));
        }
        for bad in ["", "2Late", "no spaces", "ends:", "ends,", "Grüße", &"x".repeat(129)] {
            assert_eq!(word(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(first_line("\n  back-off 5m0s  \nstack trace"), Some("back-off 5m0s".into()));
        assert_eq!(first_line(" \n "), None);
        let short = first_line(&"ü".repeat(2_000)).unwrap_or_default();
        assert_eq!((short.chars().count(), short.ends_with('…')), (LONGEST_MESSAGE, true));
        assert_eq!(first_line(&short), Some(short), "what is short stays as it is");
    }
}
