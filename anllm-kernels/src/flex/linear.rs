//! Products of few rows with a weight matrix: as fast as the weights can be read, on all cores. Many rows go through
//! the library's matrix product instead.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::tensors::{filled, values};
use super::vectors::product;

/// Rows up to which reading the weights is what takes time.
pub(super) const FEW: usize = 4;
/// Weights that one thread takes at a time, in elements.
const PIECE: usize = 1 << 15;

/// `x·weightᵀ`: `x` is `[N, in]` with `N` at most [`FEW`], `weight` `[out, in]`.
pub(super) fn few_rows(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let rows = x.layout().shape()[0];
    let (out, width) = (weight.layout().shape()[0], weight.layout().shape()[1]);
    let (x, weight) = (values(x), values(weight));
    let piece = (PIECE / width).max(1);
    // `[out, N]` first: what a thread writes lies in a row.
    let mut columns = vec![0.0; out * rows];
    columns.par_chunks_mut(piece * rows).zip(weight.par_chunks(piece * width)).for_each(|(out, weight)| {
        Arch::new().dispatch(Products { x: &x, weight, width, out });
    });
    if rows == 1 {
        return filled(columns, [1, out]);
    }
    let mut result = vec![0.0; rows * out];
    for (row, line) in result.chunks_exact_mut(out).enumerate() {
        line.iter_mut().zip(columns[row..].iter().step_by(rows)).for_each(|(to, from)| *to = *from);
    }
    filled(result, [rows, out])
}

struct Products<'a> {
    /// `[N, in]`.
    x: &'a [f32],
    /// Some rows of the weight, `[…, in]`.
    weight: &'a [f32],
    /// `in`.
    width: usize,
    /// `[…, N]`.
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, weight, width, out } = self;
        let rows = x.len() / width;
        // Weights are read from front to back, which is what memory is fastest at.
        for (weight, out) in weight.chunks_exact(width).zip(out.chunks_exact_mut(rows)) {
            for (x, out) in x.chunks_exact(width).zip(out) {
                *out = product(simd, x, weight);
            }
        }
    }
}
