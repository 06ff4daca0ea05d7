//! What some heads score with some keys.

use pulp::Simd;

use super::super::super::sums::{TOGETHER, sums};
use super::BLOCK;
use super::entries::Lines;

/// Keys that heads look at together.
pub(super) const KEYS: usize = TOGETHER;

/// Some keys of a block.
pub(super) struct Score<'a> {
    /// The block's.
    pub(super) keys: &'a Lines<'a>,
    pub(super) group: usize,
    pub(super) first: usize,
    /// How many, at most [`KEYS`].
    pub(super) count: usize,
    pub(super) scale: f32,
}

impl Score<'_> {
    /// `scores` `[N, BLOCK]`: `N` queries with each key, times `scale`.
    #[inline(always)]
    pub(super) fn of<S: Simd, const N: usize>(&self, simd: S, queries: [&[f32]; N], scores: &mut [f32]) {
        if self.count == KEYS {
            let products = products(simd, queries, self.keys::<KEYS>(self.first));
            for n in 0..N {
                let scores = &mut scores[n * BLOCK + self.first..][..KEYS];
                let sums = sums(simd, products[n]);
                for m in 0..KEYS {
                    scores[m] = sums[m] * self.scale;
                }
            }
            return;
        }
        for key in self.first..self.first + self.count {
            let products = products(simd, queries, self.keys::<1>(key));
            for n in 0..N {
                scores[n * BLOCK + key] = simd.reduce_sum_f32s(products[n][0]) * self.scale;
            }
        }
    }

    /// `M` keys from `first` on.
    #[inline(always)]
    fn keys<const M: usize>(&self, first: usize) -> [&[f32]; M] {
        let mut keys: [&[f32]; M] = [&[]; M];
        for (m, key) in keys.iter_mut().enumerate() {
            *key = self.keys.get(first + m, self.group);
        }
        keys
    }
}

/// Each of `N` queries with each of `M` keys; the sum of a vector is the product. A key is loaded once for all queries.
///
/// Loops throughout: what `map` is given on an array is not compiled for these vectors where it is not inlined.
#[inline(always)]
fn products<S: Simd, const N: usize, const M: usize>(
    simd: S,
    queries: [&[f32]; N],
    keys: [&[f32]; M],
) -> [[S::f32s; M]; N] {
    let mut sums = [[simd.splat_f32s(0.0); M]; N];
    let (mut query, mut key) = ([const { Vectors::<S>::none() }; N], [const { Vectors::<S>::none() }; M]);
    for n in 0..N {
        query[n] = Vectors::of(queries[n]);
    }
    for m in 0..M {
        key[m] = Vectors::of(keys[m]);
    }
    for i in 0..key[0].whole.len() {
        for n in 0..N {
            for m in 0..M {
                sums[n][m] = simd.mul_add_f32s(query[n].whole[i], key[m].whole[i], sums[n][m]);
            }
        }
    }
    if !key[0].rest.is_empty() {
        for n in 0..N {
            let query = simd.partial_load_f32s(query[n].rest);
            for m in 0..M {
                sums[n][m] = simd.mul_add_f32s(query, simd.partial_load_f32s(key[m].rest), sums[n][m]);
            }
        }
    }
    sums
}

/// A slice as vectors.
struct Vectors<'a, S: Simd> {
    whole: &'a [S::f32s],
    rest: &'a [f32],
}

impl<'a, S: Simd> Vectors<'a, S> {
    const fn none() -> Self {
        Self { whole: &[], rest: &[] }
    }

    #[inline(always)]
    fn of(slice: &'a [f32]) -> Self {
        let (whole, rest) = S::as_simd_f32s(slice);
        Self { whole, rest }
    }
}
