//! What an agent uses over all its clusters, as its status shows it: rounded, and the same as before while it is about
//! the same. It is for people who look at one agent; what changes from second to second is on `/metrics`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::agent::{Freshness, Usage};
use parallax_crds::link::{AgentUsage, Traffic};
use parallax_crds::quantity::nanos;

use super::ClusterInput;

const MEBIBYTE: u64 = 1 << 20;

/// What is shown, after `previous` was.
pub(super) fn usage(clusters: &[ClusterInput<'_>], previous: Option<&Usage>) -> Option<Usage> {
    let told = || {
        let fresh = clusters.iter().filter(|cluster| cluster.freshness == Freshness::Fresh);
        fresh.filter_map(|cluster| cluster.usage)
    };
    if told().next().is_none() {
        // A hub that has just started hasn't been told yet: that is no reason to take anything back.
        let untold = |cluster: &ClusterInput<'_>| {
            cluster.usage.is_none() && cluster.freshness != Freshness::Unreachable
        };
        return previous.filter(|_| clusters.iter().any(untold)).cloned();
    }
    let rate = |of: fn(&AgentUsage) -> Option<Traffic>| {
        total(told().map(|usage| of(usage).map(|traffic| traffic.per_minute))).map(rounded).map(clamped)
    };
    let next = Usage {
        cpu: total(told().map(|usage| usage.cpu_millicores)).map(|n| Quantity(format!("{}m", rounded(n)))),
        memory: total(told().map(|usage| usage.memory_bytes))
            .map(|n| Quantity(format!("{}Mi", rounded(n.div_ceil(MEBIBYTE))))),
        busy_replicas: total(told().map(|usage| usage.busy_replicas.map(u64::from))).map(clamped),
        requests_per_minute: rate(|usage| usage.requests),
        input_tokens_per_minute: rate(|usage| usage.input_tokens),
        output_tokens_per_minute: rate(|usage| usage.output_tokens),
    };
    if next == Usage::default() {
        return None;
    }
    Some(previous.filter(|previous| is_about(previous, &next)).cloned().unwrap_or(next))
}

/// The sum of what is known; none when nothing is.
fn total(amounts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    amounts.flatten().reduce(u64::saturating_add)
}

/// To two digits.
fn rounded(n: u64) -> u64 {
    let step = 10_u64.pow(n.checked_ilog10().unwrap_or(0).saturating_sub(1));
    n.saturating_add(step / 2) / step * step
}

fn clamped(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Whether nothing is different enough to be worth a write.
fn is_about(previous: &Usage, next: &Usage) -> bool {
    let quantity = |of: &Option<Quantity>| of.as_ref().map(|quantity| nanos(&quantity.0));
    let count = |of: Option<i64>| of.map(|n| Some(i128::from(n)));
    let Usage {
        cpu,
        memory,
        busy_replicas,
        requests_per_minute,
        input_tokens_per_minute,
        output_tokens_per_minute,
    } = next;
    *busy_replicas == previous.busy_replicas
        && near(quantity(&previous.cpu), quantity(cpu))
        && near(quantity(&previous.memory), quantity(memory))
        && near(count(previous.requests_per_minute), count(*requests_per_minute))
        && near(count(previous.input_tokens_per_minute), count(*input_tokens_per_minute))
        && near(count(previous.output_tokens_per_minute), count(*output_tokens_per_minute))
}

/// Both unknown, or less than a fifth apart. A stored amount that can't be read is near to nothing.
fn near(a: Option<Option<i128>>, b: Option<Option<i128>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(Some(a)), Some(Some(b))) => {
            a == b || a.saturating_sub(b).abs().saturating_mul(5) < a.abs().max(b.abs())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::names::AgentRef;
    use parallax_crds::{AgentKey, ClusterName, Incarnation};

    use super::*;
    use crate::aggregate::Word;

    fn measured(cpu: u64, memory: u64) -> AgentUsage {
        let agent = AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u-1") };
        AgentUsage { cpu_millicores: Some(cpu), memory_bytes: Some(memory), ..AgentUsage::unknown(agent) }
    }

    fn shown(rows: &[(Option<&AgentUsage>, Freshness)], previous: Option<&Usage>) -> Option<Usage> {
        let name = ClusterName::new("eu-1").unwrap();
        let clusters: Vec<_> = rows
            .iter()
            .map(|(usage, freshness)| ClusterInput {
                name: &name,
                leaving: 0,
                stays: true,
                wave: 0,
                waits: false,
                has_it: false,
                wanted: None,
                persisted: None,
                suspended: false,
                result: None,
                word: Word::Unheard,
                freshness: *freshness,
                last_reported: None,
                usage: *usage,
            })
            .collect();
        usage(&clusters, previous)
    }

    fn quantities(usage: &Usage) -> (&str, &str) {
        (&usage.cpu.as_ref().unwrap().0, &usage.memory.as_ref().unwrap().0)
    }

    #[test]
    fn clusters_are_summed_up_and_rounded() {
        let (a, b) = (measured(1_234, 100 * MEBIBYTE), measured(20, 5 * MEBIBYTE + 1));
        let usage = shown(&[(Some(&a), Freshness::Fresh), (Some(&b), Freshness::Fresh)], None).unwrap();
        assert_eq!(quantities(&usage), ("1300m", "110Mi"));
        assert_eq!((usage.busy_replicas, usage.requests_per_minute), (None, None), "nobody measures these");
    }

    #[test]
    fn what_is_not_fresh_is_not_counted() {
        let (a, b) = (measured(100, MEBIBYTE), measured(50, MEBIBYTE));
        let usage = shown(&[(Some(&a), Freshness::Fresh), (Some(&b), Freshness::Stale)], None).unwrap();
        assert_eq!(quantities(&usage), ("100m", "1Mi"));
        assert_eq!(shown(&[(Some(&a), Freshness::Unreachable)], Some(&usage)), None);
    }

    #[test]
    fn what_is_about_the_same_stays() {
        let first = shown(&[(Some(&measured(100, 100 * MEBIBYTE)), Freshness::Fresh)], None);
        let then = |cpu| shown(&[(Some(&measured(cpu, 100 * MEBIBYTE)), Freshness::Fresh)], first.as_ref());
        assert_eq!(then(110), first);
        assert_eq!(quantities(&then(125).unwrap()).0, "130m");
        assert_eq!(quantities(&then(0).unwrap()).0, "0m");
    }

    #[test]
    fn a_hub_that_has_just_started_takes_nothing_back() {
        let first = shown(&[(Some(&measured(100, MEBIBYTE)), Freshness::Fresh)], None);
        assert_eq!(shown(&[(None, Freshness::Fresh)], first.as_ref()), first);
        assert_eq!(shown(&[(None, Freshness::Unreachable)], first.as_ref()), None);
        assert_eq!(shown(&[], first.as_ref()), None);
        let unknown = AgentUsage { cpu_millicores: None, memory_bytes: None, ..measured(0, 0) };
        assert_eq!(
            shown(&[(Some(&unknown), Freshness::Fresh)], first.as_ref()),
            None,
            "nobody measures it now"
        );
    }

    #[test]
    fn two_digits_are_kept_of_any_number() {
        let cases = [
            (0, 0),
            (7, 7),
            (99, 99),
            (104, 100),
            (105, 110),
            (1_999, 2_000),
            (u64::MAX, 18 * 10_u64.pow(18)),
        ];
        for (n, wanted) in cases {
            assert_eq!(rounded(n), wanted);
        }
    }
}
