//! Amounts of the resources that placement weighs: what a cluster has, and what a replica asks for.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::quantity::nanos;

/// How many extended resources of a cluster are told of.
pub const EXTENDED: usize = 32;

const PER_MILLI: i128 = 1_000_000;
const PER_UNIT: i128 = 1_000_000_000;
/// What memory is written in: the largest unit that divides it.
const BINARY_UNITS: [(&str, u32); 4] = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];

/// Amounts of resources. None of them is negative where they are of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Pods.
    pub pods: i64,
    /// Whole units of extended resources, by name ("nvidia.com/gpu"). One that isn't in here, a cluster doesn't have.
    pub extended: BTreeMap<String, i64>,
}

impl Amounts {
    /// As Kubernetes writes them, in a node's status or a container's requests. What is no quantity counts as nothing,
    /// fractions of the units above as whole ones, and resources of other kinds (storage, huge pages) not at all.
    #[must_use]
    pub fn of(quantities: &BTreeMap<String, Quantity>) -> Self {
        let amount = |name: &str, unit: i128| quantities.get(name).map_or(0, |q| whole(q, unit));
        let extended = quantities.iter().filter(|(name, _)| name.contains('/'));
        Self {
            cpu: amount("cpu", PER_MILLI),
            memory: amount("memory", PER_UNIT),
            pods: amount("pods", PER_UNIT),
            extended: extended.map(|(name, q)| (name.clone(), whole(q, PER_UNIT))).collect(),
        }
    }

    /// As they are shown: [`Self::of`] reads the same back.
    #[must_use]
    pub fn quantities(&self) -> BTreeMap<String, Quantity> {
        let own = [("cpu", cpu(self.cpu)), ("memory", memory(self.memory)), ("pods", self.pods.to_string())];
        let extended = self.extended.iter().map(|(name, units)| (name.clone(), Quantity(units.to_string())));
        own.into_iter().map(|(name, text)| (name.to_owned(), Quantity(text))).chain(extended).collect()
    }

    /// These and others.
    #[must_use]
    pub fn plus(&self, others: &Self) -> Self {
        let mut sum = self.clone();
        sum.add(others);
        sum
    }

    /// Adds others to these.
    pub fn add(&mut self, others: &Self) {
        self.cpu = self.cpu.saturating_add(others.cpu);
        self.memory = self.memory.saturating_add(others.memory);
        self.pods = self.pods.saturating_add(others.pods);
        for (name, units) in &others.extended {
            let sum = self.extended.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*units);
        }
    }

    /// What is left of these without others, at least 0 of each. An extended resource that isn't here doesn't come in.
    #[must_use]
    pub fn less(&self, others: &Self) -> Self {
        let left = |has: i64, taken: i64| has.saturating_sub(taken).max(0);
        let taken = |name: &String| others.extended.get(name).copied().unwrap_or(0);
        Self {
            cpu: left(self.cpu, others.cpu),
            memory: left(self.memory, others.memory),
            pods: left(self.pods, others.pods),
            extended: self.extended.iter().map(|(n, has)| (n.clone(), left(*has, taken(n)))).collect(),
        }
    }

    /// So many times these.
    #[must_use]
    pub fn times(&self, count: i64) -> Self {
        let times = |amount: i64| amount.saturating_mul(count);
        Self {
            cpu: times(self.cpu),
            memory: times(self.memory),
            pods: times(self.pods),
            extended: self.extended.iter().map(|(name, units)| (name.clone(), times(*units))).collect(),
        }
    }

    /// Of each the larger one.
    #[must_use]
    pub fn or_more(&self, others: &Self) -> Self {
        let mut extended = self.extended.clone();
        for (name, units) in &others.extended {
            let most = extended.entry(name.clone()).or_default();
            *most = (*most).max(*units);
        }
        Self {
            cpu: self.cpu.max(others.cpu),
            memory: self.memory.max(others.memory),
            pods: self.pods.max(others.pods),
            extended,
        }
    }

    /// Whether these are about the same as `others`: as many of every extended resource, and of all else a difference of
    /// at most one part in so many of `whole`.
    #[must_use]
    pub fn are_near(&self, others: &Self, whole: &Self, parts: i64) -> bool {
        let near = |a: i64, b: i64, whole: i64| a.abs_diff(b) <= (whole / parts).unsigned_abs();
        near(self.cpu, others.cpu, whole.cpu)
            && near(self.memory, others.memory, whole.memory)
            && near(self.pods, others.pods, whole.pods)
            && self.extended == others.extended
    }

    /// Whether there is more of anything here than in `other`.
    #[must_use]
    pub fn exceed(&self, other: &Self) -> bool {
        self.cpu > other.cpu
            || self.memory > other.memory
            || self.pods > other.pods
            || self.extended.iter().any(|(name, units)| other.extended.get(name).is_none_or(|o| units > o))
    }
}

/// A quantity in whole units of so many 10⁻⁹, rounded up; 0 for what is none.
fn whole(quantity: &Quantity, unit: i128) -> i64 {
    let nanos = nanos(&quantity.0).unwrap_or(0);
    let units = nanos / unit + i128::from(nanos % unit > 0);
    i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
}

fn cpu(millis: i64) -> String {
    if millis % 1000 == 0 { (millis / 1000).to_string() } else { format!("{millis}m") }
}

fn memory(bytes: i64) -> String {
    let unit = BINARY_UNITS.into_iter().find(|(_, bits)| bytes != 0 && bytes % (1 << bits) == 0);
    unit.map_or_else(|| bytes.to_string(), |(suffix, bits)| format!("{}{suffix}", bytes >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(of: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
        of.iter().map(|(name, text)| ((*name).to_owned(), Quantity((*text).to_owned()))).collect()
    }

    fn some() -> Amounts {
        Amounts {
            cpu: 1500,
            memory: 3 << 30,
            pods: 110,
            extended: [("example.com/gpu".to_owned(), 2)].into(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = some().quantities();
        assert_eq!(
            written,
            quantities(&[("cpu", "1500m"), ("memory", "3Gi"), ("pods", "110"), ("example.com/gpu", "2")])
        );
        for amounts in [some(), Amounts::default(), Amounts { memory: 12_345, cpu: 2000, ..some() }] {
            assert_eq!(Amounts::of(&amounts.quantities()), amounts);
        }
    }

    #[test]
    fn fractions_count_as_whole_and_other_resources_not_at_all() {
        let read = Amounts::of(&quantities(&[
            ("cpu", "0.0001"),
            ("memory", "0.5"),
            ("ephemeral-storage", "10Gi"),
            ("hugepages-2Mi", "4"),
            ("example.com/gpu", "nonsense"),
        ]));
        let none = [("example.com/gpu".to_owned(), 0)].into();
        assert_eq!(read, Amounts { cpu: 1, memory: 1, pods: 0, extended: none });
    }

    #[test]
    fn nothing_is_left_of_what_is_taken_whole() {
        let gpu = |n| [("example.com/gpu".to_owned(), n)].into();
        let taken = Amounts { cpu: 2000, memory: 1 << 30, pods: 10, extended: gpu(1) };
        assert_eq!(some().less(&taken), Amounts { cpu: 0, memory: 2 << 30, pods: 100, extended: gpu(1) });
        let other = Amounts { extended: [("example.com/tpu".to_owned(), 1)].into(), ..Amounts::default() };
        assert_eq!(some().less(&other), some(), "the cluster has none of it, before and after");
        assert_eq!(some().less(&taken).plus(&taken).or_more(&some()).cpu, 2000);
    }

    #[test]
    fn amounts_are_near_within_a_part_of_the_whole() {
        let whole = Amounts { cpu: 16_000, memory: 16 << 30, pods: 160, ..some() };
        let near = |edit: fn(&mut Amounts)| {
            let mut other = some();
            edit(&mut other);
            some().are_near(&other, &whole, 16)
        };
        assert!(near(|a| a.cpu += 1000) && !near(|a| a.cpu += 1001) && !near(|a| a.cpu -= 1001));
        assert!(near(|a| a.memory -= 1 << 30) && !near(|a| a.memory = 0));
        assert!(near(|a| a.pods += 10) && !near(|a| a.pods += 11));
        assert!(!near(|a| a.extended.values_mut().for_each(|n| *n -= 1)), "each of these counts");
        assert!(
            !some().are_near(&Amounts { pods: 109, ..some() }, &Amounts::default(), 16),
            "of nothing, anything"
        );
    }

    #[test]
    fn more_of_one_thing_is_more() {
        let fewer_pods = Amounts { pods: 1, ..some() };
        assert!(some().exceed(&fewer_pods) && !fewer_pods.exceed(&some()) && !some().exceed(&some()));
        let without = Amounts { extended: BTreeMap::new(), ..some() };
        assert!(some().exceed(&without) && !without.exceed(&some()));
    }
}
