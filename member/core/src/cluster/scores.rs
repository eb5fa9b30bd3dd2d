//! The scores that a cluster gives itself: entries of a ConfigMap of its administrator's.

use std::collections::BTreeMap;

use parallax_crds::names::is_dns_label;

/// How many are told.
pub const MOST: usize = 32;

/// Those entries that are scores, whole numbers from 0 to 100; and of the others, what is wrong with each.
#[must_use]
pub fn scores(entries: &BTreeMap<String, String>) -> (BTreeMap<String, i32>, Vec<String>) {
    let (mut scores, mut wrong) = (BTreeMap::new(), Vec::new());
    for (name, text) in entries {
        if !is_dns_label(name) {
            wrong.push(format!("{name}: a score's name is at most 63 lower-case letters, digits and '-'"));
        } else if scores.len() >= MOST {
            wrong.push(format!("{name}: there are more than {MOST}"));
        } else if let Some(score) = text.trim().parse().ok().filter(|score| (0..=100).contains(score)) {
            scores.insert(name.clone(), score);
        } else {
            wrong.push(format!("{name}: {text:?} is no whole number from 0 to 100"));
        }
    }
    (scores, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> (BTreeMap<String, i32>, Vec<String>) {
        scores(&entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn scores_are_read_and_what_is_none_is_told_of() {
        let (found, wrong) =
            read(&[("cost", "40"), ("latency", " 7\n"), ("gpu-queue", "101"), ("a.b", "1"), ("z", "")]);
        assert_eq!(found, [("cost".to_owned(), 40), ("latency".to_owned(), 7)].into());
        assert_eq!(wrong.len(), 3);
        assert!(wrong[1].contains("\"101\" is no whole number from 0 to 100"), "{wrong:?}");
    }

    #[test]
    fn there_are_not_too_many() {
        let many: Vec<(String, String)> = (0..40).map(|n| (format!("s{n}"), "1".to_owned())).collect();
        let (found, wrong) = scores(&many.into_iter().collect());
        assert_eq!((found.len(), wrong.len()), (MOST, 8));
    }
}
