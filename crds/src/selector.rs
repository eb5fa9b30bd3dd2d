//! Kubernetes label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Whether `labels` satisfy every part of `selector`; an empty selector is satisfied by any labels, as in
/// Kubernetes. An operator that Kubernetes doesn't know is satisfied by none.
#[must_use]
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let exact = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    exact && selector.match_expressions.iter().flatten().all(|requirement| satisfied(requirement, labels))
}

fn satisfied(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let listed = || value.is_some_and(|v| requirement.values.iter().flatten().any(|listed| listed == v));
    match requirement.operator.as_str() {
        "In" => listed(),
        // Kubernetes: a label that is absent is not in any list.
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
        let values = (!values.is_empty()).then(|| values.iter().map(|v| (*v).to_owned()).collect());
        let requirement = LabelSelectorRequirement { key: key.into(), operator: operator.into(), values };
        LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None }
    }

    #[test]
    fn an_empty_selector_matches_everything() {
        assert!(matches(&LabelSelector::default(), &labels(&[])));
        assert!(matches(&LabelSelector::default(), &labels(&[("tier", "gold")])));
    }

    #[test]
    fn every_match_label_must_be_there_with_its_value() {
        let selector = LabelSelector {
            match_labels: Some(labels(&[("tier", "gold"), ("gpu", "yes")])),
            match_expressions: None,
        };
        assert!(matches(&selector, &labels(&[("tier", "gold"), ("gpu", "yes"), ("more", "x")])));
        assert!(!matches(&selector, &labels(&[("tier", "gold"), ("gpu", "no")])));
        assert!(!matches(&selector, &labels(&[("tier", "gold")])));
    }

    #[test]
    fn each_operator_means_what_it_means_in_kubernetes() {
        let gold = labels(&[("tier", "gold")]);
        let none = labels(&[]);
        let cases = [
            ("In", &["gold", "silver"][..], true, false),
            ("In", &["silver"], false, false),
            ("NotIn", &["gold"], false, true),
            ("NotIn", &["silver"], true, true),
            ("Exists", &[], true, false),
            ("DoesNotExist", &[], false, true),
            ("GreaterThan", &["1"], false, false),
        ];
        for (operator, values, with_gold, without) in cases {
            let selector = expression("tier", operator, values);
            assert_eq!(matches(&selector, &gold), with_gold, "{operator} {values:?}, tier=gold");
            assert_eq!(matches(&selector, &none), without, "{operator} {values:?}, no label");
        }
    }

    #[test]
    fn labels_and_expressions_must_both_hold() {
        let mut selector = expression("gpu", "Exists", &[]);
        selector.match_labels = Some(labels(&[("tier", "gold")]));
        assert!(matches(&selector, &labels(&[("tier", "gold"), ("gpu", "yes")])));
        assert!(!matches(&selector, &labels(&[("tier", "gold")])));
        assert!(!matches(&selector, &labels(&[("gpu", "yes")])));
    }
}
