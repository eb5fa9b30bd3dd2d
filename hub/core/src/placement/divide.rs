//! Integer-exact sharing: units go, one after the other, to whoever has the largest claim.
//!
//! With claims that are the ideal shares themselves this is the largest-remainder method: everyone first gets
//! the whole part of the ideal, then the largest fractions get one more. With claims that are what is missing
//! to the ideal (or is too much) it changes a standing division as little as possible.

use std::cmp::Reverse;

/// What one party may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// How much it is due; it falls by the step with each unit given, and may be negative.
    pub due: i128,
    /// The most units that it may be given.
    pub limit: i64,
}

/// Hands out `units`, each to the party with the largest claim left, and says how many each got. Each unit
/// lowers its party's claim by `step` (at least 1). Among equal claims the smaller `tie(index)` is first;
/// it is asked for only where it decides.
///
/// The sum is `units`, or the sum of all limits where that is less. The cost is that of sorting the claims,
/// whatever the number of units.
#[must_use]
pub fn hand_out<K: Ord>(units: i64, step: i128, claims: &[Claim], tie: impl Fn(usize) -> K) -> Vec<i64> {
    let step = step.max(1);
    let whole: Vec<i128> = claims.iter().map(|c| c.due.div_euclid(step)).collect();
    // A claim's k-th unit is worth `whole - k` steps and a fraction. `above(level)` is how many units are
    // worth more than `level` whole steps.
    let above = |level: i128, index: usize| (whole[index] - level).clamp(0, i128::from(claims[index].limit));
    let count = |level: i128| (0..claims.len()).map(|i| above(level, i)).sum::<i128>();

    let units = i128::from(units.max(0));
    if claims.iter().map(|c| i128::from(c.limit)).sum::<i128>() <= units {
        return claims.iter().map(|c| c.limit).collect();
    }
    // The lowest level above which there are no more units than there are to hand out.
    let mut low = whole.iter().min().copied().unwrap_or_default() - units - 1;
    let mut high = whole.iter().max().copied().unwrap_or_default();
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if count(middle) <= units {
            high = middle;
        } else {
            low = middle;
        }
    }
    let mut given: Vec<i128> = (0..claims.len()).map(|i| above(high, i)).collect();
    let left = usize::try_from(units - count(high)).unwrap_or_default();
    // What is left goes to units worth exactly `high` whole steps: by their fraction, then by the tie.
    let mut at_level: Vec<usize> =
        (0..claims.len()).filter(|&i| whole[i] >= high && given[i] < i128::from(claims[i].limit)).collect();
    if left > 0 && left < at_level.len() {
        at_level.sort_by_cached_key(|&i| (Reverse(claims[i].due.rem_euclid(step)), tie(i)));
    }
    for &i in at_level.iter().take(left) {
        given[i] += 1;
    }
    given.into_iter().map(|g| i64::try_from(g).unwrap_or(i64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The definition, one unit at a time.
    fn one_by_one(units: i64, step: i128, claims: &[Claim]) -> Vec<i64> {
        let mut given = vec![0; claims.len()];
        for _ in 0..units {
            let next = (0..claims.len())
                .filter(|&i| given[i] < claims[i].limit)
                .min_by_key(|&i| (Reverse(claims[i].due - i128::from(given[i]) * step), Reverse(i)));
            if let Some(i) = next {
                given[i] += 1;
            }
        }
        given
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn handing_out_at_once_equals_handing_out_one_by_one(
            units in 0i64..60,
            step in 1i128..20,
            claims in prop::collection::vec((-100i128..200, 0i64..12), 0..12),
        ) {
            let claims: Vec<Claim> = claims.into_iter().map(|(due, limit)| Claim { due, limit }).collect();
            prop_assert_eq!(hand_out(units, step, &claims, Reverse), one_by_one(units, step, &claims));
        }
    }

    #[test]
    fn five_over_three_to_two_is_three_and_two() {
        let claims = [Claim { due: 5, limit: 5 }, Claim { due: 5, limit: 5 }];
        assert_eq!(hand_out(5, 2, &claims, |i| i), [3, 2]);
        assert_eq!(hand_out(5, 2, &claims, Reverse), [2, 3]);
    }

    #[test]
    fn nobody_gets_nothing() {
        assert!(hand_out(5, 1, &[], |i| i).is_empty());
    }

    #[test]
    fn billions_of_units_cost_no_more_than_a_few() {
        let claims = vec![Claim { due: i128::from(i32::MAX), limit: i64::from(i32::MAX) }; 10_000];
        let given = hand_out(i64::from(i32::MAX), 10_000, &claims, |i| i);
        assert_eq!(given.iter().sum::<i64>(), i64::from(i32::MAX));
        assert!(given.iter().max().unwrap() - given.iter().min().unwrap() <= 1);
    }
}
