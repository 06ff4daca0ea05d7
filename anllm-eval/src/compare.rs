//! Whether one run is better than another, or luck: the same questions under both, drawn again and again (paired
//! bootstrap, Efron 1979; for corpus scores Koehn 2004).

use serde::Serialize;

use crate::task::PythonRandom;

/// The difference of two runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Pairs compared.
    pub n: usize,
    /// The first run's value.
    pub a: f64,
    /// The second's.
    pub b: f64,
    /// `b − a`.
    pub difference: f64,
    /// The interval that holds the difference of 95 of 100 draws.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Twice the share of draws on the other side of no difference: how often luck alone would look like this.
    pub p: f64,
}

/// Compares two runs on the same items. `value` says what a run comes to over the items with these numbers, which may
/// repeat.
pub fn paired_bootstrap(
    items: usize,
    draws: usize,
    seed: u64,
    value: impl Fn(Run, &mut dyn Iterator<Item = usize>) -> f64,
) -> Comparison {
    let difference = |chosen: &[usize]| {
        let [a, b] = [Run::A, Run::B].map(|run| value(run, &mut chosen.iter().copied()));
        (a, b, b - a)
    };
    let all: Vec<usize> = (0..items).collect();
    let (a, b, observed) = difference(&all);
    let mut random = PythonRandom::new(seed);
    let mut drawn: Vec<f64> = Vec::with_capacity(draws);
    let mut chosen = vec![0; items];
    for _ in 0..draws {
        chosen.fill_with(|| random.below(items.max(1)));
        drawn.push(difference(&chosen).2);
    }
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * drawn.len().saturating_sub(1) as f64).round() as usize;
        drawn.get(place).copied().unwrap_or(observed)
    };
    let below = drawn.iter().filter(|difference| **difference <= 0.0).count();
    let above = drawn.iter().filter(|difference| **difference >= 0.0).count();
    let p = 2.0 * below.min(above) as f64 / drawn.len().max(1) as f64;
    Comparison { n: items, a, b, difference: observed, low: at(0.025), high: at(0.975), p: p.min(1.0) }
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// The first.
    A,
    /// The second.
    B,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(a: &[f64], b: &[f64]) -> Comparison {
        paired_bootstrap(a.len(), 2000, 7, |run, chosen| {
            let values = if run == Run::A { a } else { b };
            let (sum, count) = chosen.fold((0.0, 0), |(sum, count), item| (sum + values[item], count + 1));
            sum / f64::from(count)
        })
    }

    /// Differences of mean `d` and standard error `s` have an interval of about `d ± 1.96 s`.
    #[test]
    fn intervals_are_as_wide_as_the_spread_says() {
        let a: Vec<f64> = (0..400).map(|item| f64::from(item % 7)).collect();
        let b: Vec<f64> = (0..400).map(|item| f64::from(item % 7) + f64::from(item % 5) * 0.1).collect();
        let found = means(&a, &b);
        let gaps: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
        let mean = gaps.iter().sum::<f64>() / 400.0;
        let error = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 399.0 / 400.0).sqrt();
        assert!((found.difference - mean).abs() < 1e-12);
        assert!((found.low - (mean - 1.96 * error)).abs() < 0.2 * error, "{found:?}, {error}");
        assert!((found.high - (mean + 1.96 * error)).abs() < 0.2 * error, "{found:?}, {error}");
        assert_eq!(found.p, 0.0, "no draw is without a difference");
    }

    #[test]
    fn pairs_count_and_not_their_spread() {
        // Values differ far more from each other than from their partners.
        let a: Vec<f64> = (0..50).map(|item| f64::from(item * 100)).collect();
        let b: Vec<f64> = a.iter().map(|value| value + 1.0).collect();
        let found = means(&a, &b);
        assert!((found.low - 1.0).abs() < 1e-9 && (found.high - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn equal_runs_do_not_differ() {
        let found = means(&[1.0, 0.0, 1.0], &[1.0, 0.0, 1.0]);
        assert_eq!((found.difference, found.low, found.high, found.p), (0.0, 0.0, 0.0, 1.0));
    }
}
