//! Products of few rows with weights of 16-bit floats, which are read as they are stored: half the bytes.

use burn::tensor::DType;
use burn_flex::FlexTensor;
use half::{bf16, f16};
use rayon::prelude::*;

use super::lanes::{self, Lanes, OnLanes};
use super::tensors::{filled, values};
use crate::packed::ROWS as LANES;

/// Weights that one thread takes at a time, in elements.
const PIECE: usize = 1 << 16;

/// `x·weightᵀ`: `x` is `[N, in]`, `weight` `[out, in]` of 16-bit floats, row by row. None for another type.
pub(super) fn few_rows(x: &FlexTensor, weight: &FlexTensor) -> Option<FlexTensor> {
    let (stored, kind): (&[u16], _) = match weight.dtype() {
        DType::F16 => (bytemuck::cast_slice(weight.as_slice::<f16>()?), Kind::Half),
        DType::BF16 => (bytemuck::cast_slice(weight.as_slice::<bf16>()?), Kind::Brain),
        _ => return None,
    };
    let rows = x.layout().shape()[0];
    let (out, width) = (weight.layout().shape()[0], weight.layout().shape()[1]);
    let x = values(x);
    let mut result = vec![0.0; rows * out];
    for (x, result) in x.chunks_exact(width).zip(result.chunks_exact_mut(out)) {
        let piece = (PIECE / width).max(1);
        result.par_chunks_mut(piece).zip(stored.par_chunks(piece * width)).for_each(|(out, stored)| {
            lanes::run(Products { x, stored, kind, out });
        });
    }
    Some(filled(result, [rows, out]))
}

/// How the 16 bits are to be read.
#[derive(Clone, Copy)]
enum Kind {
    /// IEEE half precision.
    Half,
    /// The upper half of a 32-bit float.
    Brain,
}

struct Products<'a> {
    /// `[in]`.
    x: &'a [f32],
    /// Some rows of the weight, `[…, in]`.
    stored: &'a [u16],
    kind: Kind,
    /// `[…]`.
    out: &'a mut [f32],
}

impl OnLanes for Products<'_> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { x, stored, kind, out } = self;
        for (stored, out) in stored.chunks_exact(x.len()).zip(out) {
            *out = match kind {
                Kind::Half => product::<L, false>(lanes, x, stored),
                Kind::Brain => product::<L, true>(lanes, x, stored),
            };
        }
    }
}

#[inline(always)]
fn product<L: Lanes, const BRAIN: bool>(lanes: L, x: &[f32], stored: &[u16]) -> f32 {
    let (x_whole, x_rest) = x.as_chunks::<LANES>();
    let (whole, rest) = stored.as_chunks::<LANES>();
    // Two sums, since one addition has to wait for the one before it.
    let mut sums = [lanes.floats(0.0); 2];
    for (number, (x, stored)) in x_whole.iter().zip(whole).enumerate() {
        let stored = if BRAIN { lanes.brains(stored) } else { lanes.halves(stored) };
        sums[number % 2] = lanes.add_each(stored, x, sums[number % 2]);
    }
    if !rest.is_empty() {
        let (mut x, mut last) = ([0.0; LANES], [0; LANES]);
        x[..x_rest.len()].copy_from_slice(x_rest);
        last[..rest.len()].copy_from_slice(rest);
        let last = if BRAIN { lanes.brains(&last) } else { lanes.halves(&last) };
        sums[0] = lanes.add_each(last, &x, sums[0]);
    }
    let [a, b] = sums.map(|sum| lanes.rows(sum));
    let mut sums = [0.0; LANES];
    for lane in 0..LANES {
        sums[lane] = a[lane] + b[lane];
    }
    sums.iter().sum()
}
