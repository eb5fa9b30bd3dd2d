//! Kubernetes quantities compared by value: API servers store "1000m" as "1".

/// A power of ten below the smallest unit that Kubernetes keeps (nano).
const NANO: i128 = 1_000_000_000;

/// Whether two quantities mean the same amount. Text that is no quantity equals only itself.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    a == b || matches!((nanos(a), nanos(b)), (Some(a), Some(b)) if a == b)
}

/// A quantity in units of 10⁻⁹, rounded away from zero as Kubernetes does; none when the text is not a
/// quantity or is too large to count.
#[must_use]
pub fn nanos(text: &str) -> Option<i128> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (mut numerator, mut denominator) = multiplier(suffix)?;
    numerator = numerator.checked_mul(NANO)?;
    for _ in 0..fraction.len() {
        denominator = denominator.checked_mul(10)?;
    }
    let scaled = mantissa.checked_mul(numerator)?;
    let value = scaled / denominator + i128::from(scaled % denominator != 0);
    Some(if negative { -value } else { value })
}

/// A suffix as a fraction.
fn multiplier(suffix: &str) -> Option<(i128, i128)> {
    let binary = |n: u32| Some((1_i128 << (10 * n), 1));
    let decimal = |n: u32| Some((10_i128.pow(n), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            match exponent {
                0..=18 => decimal(exponent.unsigned_abs()),
                -18..=-1 => Some((1, 10_i128.pow(exponent.unsigned_abs()))),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn the_same_amount_is_the_same_however_it_is_written() {
        for (a, b) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("2.50", "2500m"),
            (".5", "500m"),
            ("1.", "1"),
            ("-1", "-1000m"),
            ("0", "0Gi"),
        ] {
            assert!(same(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn another_amount_is_another() {
        for (a, b) in [
            ("1", "1m"),
            ("1Mi", "1M"),
            ("1", "-1"),
            ("", "0"),
            ("one", "1"),
            ("1.2.3", "1.23"),
            ("1e99", "1"),
        ] {
            assert!(!same(a, b), "{a} and {b}");
        }
    }
}
