//! The gate of the MLP, element by element.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::exp::sigmoid;
use super::tensors::{filled, values};

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 14;

pub(super) fn swiglu(gate: &FlexTensor, up: &FlexTensor) -> FlexTensor {
    filled(gated(&values(gate), &values(up)), gate.layout().shape().clone())
}

/// `silu(gate)·up`, element by element.
pub(super) fn gated(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; gate.len()];
    out.par_chunks_mut(PIECE).zip(gate.par_chunks(PIECE)).zip(up.par_chunks(PIECE)).for_each(|((out, gate), up)| {
        Arch::new().dispatch(Forward { gate, up, out });
    });
    out
}

pub(super) fn swiglu_backward(gate: &FlexTensor, up: &FlexTensor, slope: &FlexTensor) -> (FlexTensor, FlexTensor) {
    let shape = gate.layout().shape().clone();
    let (gate, up, slope) = (values(gate), values(up), values(slope));
    let mut of_gate = vec![0.0; gate.len()];
    let mut of_up = vec![0.0; gate.len()];
    let inputs = gate.par_chunks(PIECE).zip(up.par_chunks(PIECE)).zip(slope.par_chunks(PIECE));
    let outputs = of_gate.par_chunks_mut(PIECE).zip(of_up.par_chunks_mut(PIECE));
    inputs.zip(outputs).for_each(|(((gate, up), slope), (of_gate, of_up))| {
        Arch::new().dispatch(Backward { gate, up, slope, of_gate, of_up });
    });
    (filled(of_gate, shape.clone()), filled(of_up, shape))
}

struct Forward<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = S::F32_LANES;
        let inputs = self.gate.chunks(lanes).zip(self.up.chunks(lanes));
        for ((gate, up), out) in inputs.zip(self.out.chunks_mut(lanes)) {
            let (gate, up) = (simd.partial_load_f32s(gate), simd.partial_load_f32s(up));
            let value = simd.mul_f32s(gate, sigmoid(simd, gate));
            simd.partial_store_f32s(out, simd.mul_f32s(value, up));
        }
    }
}

struct Backward<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    slope: &'a [f32],
    of_gate: &'a mut [f32],
    of_up: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = S::F32_LANES;
        let one = simd.splat_f32s(1.0);
        let inputs = self.gate.chunks(lanes).zip(self.up.chunks(lanes)).zip(self.slope.chunks(lanes));
        let outputs = self.of_gate.chunks_mut(lanes).zip(self.of_up.chunks_mut(lanes));
        for (((gate, up), slope), (of_gate, of_up)) in inputs.zip(outputs) {
            let gate = simd.partial_load_f32s(gate);
            let up = simd.partial_load_f32s(up);
            let slope = simd.partial_load_f32s(slope);
            let share = sigmoid(simd, gate);
            let value = simd.mul_f32s(gate, share);
            // silu′ = σ + x·σ·(1 − σ)
            let bend = simd.mul_add_f32s(value, simd.sub_f32s(one, share), share);
            simd.partial_store_f32s(of_gate, simd.mul_f32s(simd.mul_f32s(slope, up), bend));
            simd.partial_store_f32s(of_up, simd.mul_f32s(slope, value));
        }
    }
}
