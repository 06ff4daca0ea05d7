//! RMS norm, row by row.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::tensors::{filled, values};

/// Rows that one thread takes at a time. Partial sums of the weight's gradient are formed over as many.
const ROWS: usize = 64;

pub(super) fn forward(x: &FlexTensor, weight: &FlexTensor, epsilon: f32) -> FlexTensor {
    filled(normalised(&values(x), &values(weight), epsilon), x.layout().shape().clone())
}

/// `x` `[N, C]` normalised, `weight` `[C]`.
pub(super) fn normalised(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let piece = (ROWS * weight.len()).max(1);
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(piece).zip(x.par_chunks(piece)).for_each(|(out, x)| {
        Arch::new().dispatch(Forward { x, weight, epsilon, out });
    });
    out
}

pub(super) fn backward(
    x: &FlexTensor,
    weight: &FlexTensor,
    epsilon: f32,
    slope: &FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let shape = x.layout().shape().clone();
    let (x, weight, slope) = (values(x), values(weight), values(slope));
    let width = weight.len();
    let piece = (ROWS * width).max(1);
    let mut of_x = vec![0.0; x.len()];
    let pieces = of_x.par_chunks_mut(piece).zip(x.par_chunks(piece)).zip(slope.par_chunks(piece));
    let parts: Vec<Vec<f32>> = pieces
        .map(|((of_x, x), slope)| {
            let mut of_weight = vec![0.0; width];
            Arch::new().dispatch(Backward { x, weight: &weight, epsilon, slope, of_x, of_weight: &mut of_weight });
            of_weight
        })
        .collect();
    let mut of_weight = vec![0.0; width];
    for part in parts {
        of_weight.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    (filled(of_x, shape), filled(of_weight, [width]))
}

struct Forward<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (width, lanes) = (self.weight.len(), S::F32_LANES);
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let inverse = simd.splat_f32s(inverse_root(simd, x, self.epsilon));
            let inputs = x.chunks(lanes).zip(self.weight.chunks(lanes));
            for ((x, weight), out) in inputs.zip(out.chunks_mut(lanes)) {
                let x = simd.mul_f32s(simd.partial_load_f32s(x), inverse);
                simd.partial_store_f32s(out, simd.mul_f32s(x, simd.partial_load_f32s(weight)));
            }
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    slope: &'a [f32],
    of_x: &'a mut [f32],
    of_weight: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (width, lanes) = (self.weight.len(), S::F32_LANES);
        let rows = self.x.chunks_exact(width).zip(self.slope.chunks_exact(width));
        for ((x, slope), of_x) in rows.zip(self.of_x.chunks_exact_mut(width)) {
            let root = inverse_root(simd, x, self.epsilon);
            let inverse = simd.splat_f32s(root);
            // With n = x·r: ∂L/∂x = r·(g·w − n·mean(g·w·n)).
            let mut along = simd.splat_f32s(0.0);
            let inputs = x.chunks(lanes).zip(slope.chunks(lanes)).zip(self.weight.chunks(lanes));
            for (((x, slope), weight), of_weight) in inputs.zip(self.of_weight.chunks_mut(lanes)) {
                let normal = simd.mul_f32s(simd.partial_load_f32s(x), inverse);
                let part = simd.mul_f32s(simd.partial_load_f32s(slope), normal);
                along = simd.mul_add_f32s(part, simd.partial_load_f32s(weight), along);
                let sum = simd.add_f32s(simd.partial_load_f32s(of_weight), part);
                simd.partial_store_f32s(of_weight, sum);
            }
            let mean = simd.splat_f32s(simd.reduce_sum_f32s(along) / width as f32);
            let inputs = x.chunks(lanes).zip(slope.chunks(lanes)).zip(self.weight.chunks(lanes));
            for (((x, slope), weight), of_x) in inputs.zip(of_x.chunks_mut(lanes)) {
                let normal = simd.mul_f32s(simd.partial_load_f32s(x), inverse);
                let pull = simd.mul_f32s(simd.partial_load_f32s(slope), simd.partial_load_f32s(weight));
                let rest = simd.sub_f32s(pull, simd.mul_f32s(normal, mean));
                simd.partial_store_f32s(of_x, simd.mul_f32s(rest, inverse));
            }
        }
    }
}

/// `1 / √(mean(x²) + ε)`.
#[inline(always)]
fn inverse_root<S: Simd>(simd: S, x: &[f32], epsilon: f32) -> f32 {
    let mut sum = simd.splat_f32s(0.0);
    for x in x.chunks(S::F32_LANES) {
        let x = simd.partial_load_f32s(x);
        sum = simd.mul_add_f32s(x, x, sum);
    }
    (simd.reduce_sum_f32s(sum) / x.len() as f32 + epsilon).sqrt().recip()
}
