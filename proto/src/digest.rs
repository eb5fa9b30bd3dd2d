//! A digest of a set of assignments that does not depend on their order, and is kept up to date in constant
//! time per change.
//!
//! Each entry is hashed, the hashes are added modulo 2^128. Both ends hold their own set, so the digest only has to
//! tell honest differences, not withstand somebody who chooses entries to make sums collide: a member that lies
//! about what it holds harms nobody but its own cluster.

use parallax_crds::agent::Bounds;
use parallax_crds::link::Scale;
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, Incarnation, SpecHash};
use sha2::{Digest, Sha256};

/// One assignment of a set, as far as both ends must agree on it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where it is.
    pub key: &'a AgentKey,
    /// Which agent of that name.
    pub incarnation: &'a Incarnation,
    /// The hash of its template.
    pub hash: SpecHash,
    /// Its replicas.
    pub scale: Scale,
    /// It isn't as it was ordered: it is being removed, or changes still. No set that a hub wants has such entries.
    pub unsettled: bool,
}

impl<'a> Entry<'a> {
    /// An assignment that is exactly as ordered.
    #[must_use]
    pub fn settled(agent: &'a AgentRef, hash: SpecHash, scale: Scale) -> Self {
        Self { key: &agent.key, incarnation: &agent.incarnation, hash, scale, unsettled: false }
    }

    fn hashed(&self) -> u128 {
        let mut sha = Sha256::new();
        for text in [self.key.namespace(), self.key.name(), self.incarnation.as_str()] {
            sha.update((text.len() as u64).to_be_bytes());
            sha.update(text);
        }
        sha.update(self.hash.as_bytes());
        sha.update(self.scale.replicas.to_be_bytes());
        // Without bounds or a wake-up nothing is added, as by the versions that know none.
        if let Some(Bounds { min, max, start }) = self.scale.bounds {
            [min, max, start].iter().for_each(|bound| sha.update(bound.to_be_bytes()));
        }
        if let Some(wake) = self.scale.wake {
            sha.update(wake.number().to_be_bytes());
        }
        sha.update([u8::from(self.unsettled)]);
        let mut first = [0; 16];
        first.copy_from_slice(&sha.finalize()[..16]);
        u128::from_be_bytes(first)
    }
}

/// How many entries a set has, and a sum over them. Equal sets have equal digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetDigest {
    count: u64,
    sum: u128,
}

impl SetDigest {
    /// Adds an entry, which must not be in the set.
    pub fn add(&mut self, entry: &Entry<'_>) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(entry.hashed());
    }

    /// Takes an entry out, which must be in the set.
    pub fn remove(&mut self, entry: &Entry<'_>) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(entry.hashed());
    }

    /// The number of entries.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum as 16 bytes, as it travels.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        self.sum.to_be_bytes()
    }

    /// A digest that came over the wire; none when `set_hash` isn't 16 bytes long.
    #[must_use]
    pub fn from_parts(count: u64, set_hash: &[u8]) -> Option<Self> {
        Some(Self { count, sum: u128::from_be_bytes(set_hash.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use parallax_crds::activation::WakeUp;
    use parallax_crds::fixtures::hash;
    use proptest::prelude::*;

    fn agent(ns: &str, name: &str, inc: &str) -> AgentRef {
        AgentRef { key: AgentKey::new(ns, name), incarnation: Incarnation::new(inc) }
    }

    #[test]
    fn every_field_of_an_entry_counts() {
        let base = agent("a", "b", "c");
        let others = [agent("ab", "", "c"), agent("a", "bc", ""), agent("x", "b", "c"), agent("a", "b", "x")];
        let of = |entry: Entry<'_>| {
            let mut digest = SetDigest::default();
            digest.add(&entry);
            digest
        };
        let one = Scale::fixed(1);
        let reference = of(Entry::settled(&base, hash(1), one));
        for other in &others {
            assert_ne!(of(Entry::settled(other, hash(1), one)), reference);
        }
        assert_ne!(of(Entry::settled(&base, hash(2), one)), reference);
        assert_ne!(of(Entry::settled(&base, hash(1), Scale::fixed(2))), reference);
        assert_ne!(of(Entry { unsettled: true, ..Entry::settled(&base, hash(1), one) }), reference);
        let bounded = |min, max, start| {
            let bounds = Some(Bounds { min, max, start });
            of(Entry::settled(&base, hash(1), Scale { bounds, ..one }))
        };
        let woken = |number| {
            let scale = Scale { wake: WakeUp::numbered(number), ..one };
            of(Entry::settled(&base, hash(1), scale))
        };
        let all = [
            reference,
            bounded(1, 2, 1),
            bounded(0, 2, 1),
            bounded(1, 3, 1),
            bounded(1, 2, 3),
            woken(1),
            woken(2),
        ];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])));
        assert_eq!(SetDigest::from_parts(reference.count(), &reference.bytes()), Some(reference));
        assert_eq!(SetDigest::from_parts(1, &[1, 2]), None);
    }

    proptest! {
        #[test]
        fn order_and_detours_do_not_matter(mut names in proptest::collection::btree_set("[a-z]{1,4}", 0..20)
            .prop_map(|s| s.into_iter().collect::<Vec<_>>()), extra in "[A-Z]{1,4}", rotate in 0usize..20)
        {
            let agents: Vec<_> = names.iter().map(|n| agent("ns", n, "i")).collect();
            let mut one = SetDigest::default();
            for a in &agents {
                one.add(&Entry::settled(a, hash(7), Scale::fixed(2)));
            }
            let len = names.len().max(1);
            if !names.is_empty() {
                names.rotate_left(rotate % len);
            }
            let passing = agent("ns", &extra, "i");
            let mut two = SetDigest::default();
            two.add(&Entry::settled(&passing, hash(7), Scale::fixed(2)));
            for n in &names {
                two.add(&Entry::settled(&agent("ns", n, "i"), hash(7), Scale::fixed(2)));
            }
            two.remove(&Entry::settled(&passing, hash(7), Scale::fixed(2)));
            prop_assert_eq!(one, two);
        }
    }
}
