//! Repeated measurements as their median, with the slowest and the fastest beside it.

use serde::{Serialize, Serializer};

/// Measurements of one thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spread(Vec<f64>);

impl Spread {
    /// From at least one measurement.
    pub(super) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The same in another unit.
    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|value| value * factor).collect())
    }

    /// The middle one; of an even number the mean of the two in the middle.
    pub(super) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            n if n % 2 == 0 => (self.0[middle - 1] + self.0[middle]) / 2.0,
            _ => self.0[middle],
        }
    }

    /// Lowest and highest.
    pub(super) fn ends(&self) -> [f64; 2] {
        [self.0.first(), self.0.last()].map(|end| end.copied().unwrap_or(f64::NAN))
    }

    /// For a table.
    pub(super) fn show(&self) -> String {
        let [low, high] = self.ends();
        let digits = if self.median() < 100.0 { 1 } else { 0 };
        format!("{:.digits$} ({low:.digits$}–{high:.digits$})", self.median())
    }
}

/// The median alone.
impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = Spread::new(vec![3.0, 1.0, 2.0]);
        assert_eq!((spread.median(), spread.ends()), (2.0, [1.0, 3.0]));
        assert_eq!(Spread::new(vec![4.0, 1.0]).median(), 2.5);
        assert_eq!(spread.show(), "2.0 (1.0–3.0)");
    }
}
