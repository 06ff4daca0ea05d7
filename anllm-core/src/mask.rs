//! The mask written out, one bit for each (query, key) pair: for tests, for pictures, and for attention that has no
//! kernel of its own.

use std::fmt;

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData};

use crate::policy::CachePolicy;
use crate::segments::{Place, Segments};

/// Which keys each query sees, `[T, S]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenseMask {
    keys: usize,
    /// Row-major; `true` where the query sees the key.
    visible: Vec<bool>,
}

impl DenseMask {
    /// The anchor mask of a whole row, `[T, T]`.
    pub fn of(segments: &Segments) -> Self {
        Self::between(segments.places(), segments.places(), crate::visible)
    }

    /// The mask of `policy` between any queries and keys.
    pub fn under(policy: &dyn CachePolicy, queries: &[Place], keys: &[Place]) -> Self {
        Self::between(queries, keys, |query, key| policy.visible(query, key))
    }

    /// The mask of any predicate.
    pub fn between(queries: &[Place], keys: &[Place], visible: impl Fn(&Place, &Place) -> bool) -> Self {
        let row = |query| keys.iter().map(move |key| (query, key));
        let bits = queries.iter().flat_map(row).map(|(query, key)| visible(query, key)).collect();
        Self { keys: keys.len(), visible: bits }
    }

    /// From `S` flags for each query, row after row.
    pub(crate) fn from_rows(keys: usize, visible: Vec<bool>) -> Self {
        Self { keys, visible }
    }

    /// Number of queries, `T`.
    pub fn queries(&self) -> usize {
        self.visible.len().checked_div(self.keys).unwrap_or(0)
    }

    /// Number of keys, `S`.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Whether query `i` sees key `j`; `false` beyond the mask.
    pub fn get(&self, i: usize, j: usize) -> bool {
        j < self.keys && self.visible.get(i * self.keys + j).copied().unwrap_or(false)
    }

    /// Whether every query sees every key, so that attention needs no mask at all.
    pub fn all(&self) -> bool {
        self.visible.iter().all(|v| *v)
    }

    /// The pairs to hide, `[T, S]`: `true` where the query does *not* see the key, as `mask_fill` wants it.
    pub fn hidden<B: Backend>(&self, device: &B::Device) -> Tensor<B, 2, Bool> {
        let hidden: Vec<bool> = self.visible.iter().map(|v| !v).collect();
        Tensor::from_data(TensorData::new(hidden, [self.queries(), self.keys]), device)
    }
}

impl fmt::Display for DenseMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, row) in self.visible.chunks(self.keys.max(1)).enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            for (j, visible) in row.iter().enumerate() {
                let space = if j > 0 { " " } else { "" };
                write!(f, "{space}{}", u8::from(*visible))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    /// Paper, Figure 2.
    const FIGURE_2: &str = "\
1 0 0 0 0 0 0 0
1 1 0 0 0 0 0 0
1 1 1 0 0 0 0 0
1 1 1 1 0 0 0 0
0 0 0 1 1 0 0 0
0 0 0 1 1 1 0 0
0 0 0 0 1 1 1 0
0 0 0 1 0 0 1 1";

    #[test]
    fn draws_the_papers_figure() {
        let mask = DenseMask::of(&Segments::from_anchors(8, &[3, 6]));
        assert_eq!(mask.to_string(), FIGURE_2);
        assert_eq!((mask.queries(), mask.keys(), mask.all()), (8, 8, false));
    }

    #[test]
    fn the_tensor_is_the_complement() {
        let mask = DenseMask::of(&Segments::from_anchors(8, &[3, 6]));
        let hidden = mask.hidden::<Flex>(&Default::default()).into_data();
        let hidden: Vec<bool> = hidden.iter::<bool>().collect();
        for i in 0..8 {
            for j in 0..8 {
                assert_eq!(hidden[i * 8 + j], !mask.get(i, j));
            }
        }
    }
}
