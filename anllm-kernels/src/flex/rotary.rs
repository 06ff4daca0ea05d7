//! The rotation, token by token.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::tensors::{View, filled, laid_out, values};
use crate::rotary::Turn;

/// `x` is `[B, T, H, D]`, `cos` and `sin` are `[B | 1, T, D/2]`.
pub(super) fn rotate(x: &FlexTensor, cos: &FlexTensor, sin: &FlexTensor, turn: Turn) -> FlexTensor {
    let shape = x.layout().shape().clone();
    let [tokens, heads, width] = [shape[1], shape[2], shape[3]];
    let x = laid_out(x.clone());
    let view = View::of(&x);
    let (cos, sin) = (values(cos), values(sin));
    let half = width / 2;
    let mut out = vec![0.0; shape.num_elements()];
    let table_tokens = cos.len() / half.max(1);
    out.par_chunks_mut((heads * width).max(1)).enumerate().with_min_len(16).for_each(|(number, out)| {
        let angle = number % table_tokens * half;
        let (cos, sin) = (&cos[angle..angle + half], &sin[angle..angle + half]);
        for (head, out) in out.chunks_exact_mut(width).enumerate() {
            let x = view.get(number / tokens, number % tokens, head);
            Arch::new().dispatch(Head { x, cos, sin, sign: turn.sign(), out });
        }
    });
    filled(out, shape)
}

struct Head<'a> {
    x: &'a [f32],
    cos: &'a [f32],
    sin: &'a [f32],
    sign: f32,
    out: &'a mut [f32],
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = S::F32_LANES;
        let half = self.cos.len();
        let (first, second) = self.x.split_at(half);
        let (out_first, out_second) = self.out.split_at_mut(half);
        let sign = simd.splat_f32s(self.sign);
        let inputs = first.chunks(lanes).zip(second.chunks(lanes));
        let angles = self.cos.chunks(lanes).zip(self.sin.chunks(lanes));
        let outputs = out_first.chunks_mut(lanes).zip(out_second.chunks_mut(lanes));
        for (((first, second), (cos, sin)), (out_first, out_second)) in inputs.zip(angles).zip(outputs) {
            let (first, second) = (simd.partial_load_f32s(first), simd.partial_load_f32s(second));
            let cos = simd.partial_load_f32s(cos);
            let sin = simd.mul_f32s(simd.partial_load_f32s(sin), sign);
            let turned_first = simd.sub_f32s(simd.mul_f32s(first, cos), simd.mul_f32s(second, sin));
            let turned_second = simd.mul_add_f32s(first, sin, simd.mul_f32s(second, cos));
            simd.partial_store_f32s(out_first, turned_first);
            simd.partial_store_f32s(out_second, turned_second);
        }
    }
}
