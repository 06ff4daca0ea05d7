//! Kernels for Flex: SIMD chosen when the program runs, work shared between threads in pieces that do not depend on
//! how many threads there are, so that results do not either.

mod attention;
mod convert;
mod cross_entropy;
mod exp;
mod fetch;
mod gate;
mod lanes;
mod linear;
mod norm;
mod packed;
mod panels;
mod product;
mod rotary;
mod share;
mod stored;
mod sums;
mod tensors;
mod vectors;
mod widen;

use burn::tensor::ops::{FloatTensor, FloatTensorOps, IntTensor};
use burn::tensor::{DType, FloatDType};
use burn_flex::{Flex, FlexTensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::attention::{Attended, AttentionGradients, Next, Reaches, SequencePrimitives, next, reference};
use crate::cross_entropy::{CrossEntropy, Slope};
use crate::kernels::Kernels;
use crate::packed::PackedMatrix;
use crate::rotary::Turn;
use tensors::{all_f32, as_f32, as_type, filled, values};

impl Kernels for Flex {
    const MULTIPLIES_PACKED: bool = true;

    fn reach_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> Attended<Self> {
        let dtype = query.dtype();
        let attended = attention::forward(as_f32(query), as_f32(key), as_f32(value), reaches);
        Attended { output: as_type::<4>(attended.output, dtype), log_sum: attended.log_sum }
    }

    fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
        match items.len() {
            0 | 1 => items.into_iter().map(work).collect(),
            _ => items.into_par_iter().map(work).collect(),
        }
    }

    fn side_by_side() -> usize {
        rayon::current_num_threads()
    }

    fn reach_attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        attended: Attended<Self>,
        slope: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> AttentionGradients<Self> {
        match query.dtype() {
            DType::F32 => attention::backward(query, key, value, attended, slope, reaches),
            _ => reference::backward(query, key, value, attended, slope, reaches),
        }
    }

    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>, turn: Turn) -> FloatTensor<Self> {
        match all_f32(&[&x, &cos, &sin]) {
            true => rotary::rotate(&x, &cos, &sin, turn),
            false => crate::rotary::reference::<Self>(x, cos, sin, turn),
        }
    }

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        match all_f32(&[&x, &weight]) {
            true => norm::forward(&x, &weight, epsilon as f32),
            false => crate::norm::reference::<Self>(x, weight, epsilon),
        }
    }

    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
        slope: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        match all_f32(&[&x, &weight, &slope]) {
            true => norm::backward(&x, &weight, epsilon as f32, &slope),
            false => crate::norm::reference_backward::<Self>(x, weight, epsilon, slope),
        }
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        match all_f32(&[&gate, &up]) {
            true => gate::swiglu(&gate, &up),
            false => crate::gate::reference::<Self>(gate, up),
        }
    }

    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        slope: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        match all_f32(&[&gate, &up, &slope]) {
            true => gate::swiglu_backward(&gate, &up, &slope),
            false => crate::gate::reference_backward::<Self>(gate, up, slope),
        }
    }

    fn cross_entropy(
        scores: FloatTensor<Self>,
        answers: IntTensor<Self>,
        slope: Slope,
    ) -> CrossEntropy<FloatTensor<Self>> {
        match cross_entropy::cross_entropy(scores, &answers, slope) {
            Ok(found) => found,
            Err(scores) => crate::cross_entropy::reference::<Self>(scores, answers, slope),
        }
    }

    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        match product::product(&lhs, &rhs) {
            Some(result) => result,
            None => Self::float_matmul(lhs, rhs),
        }
    }

    fn add_product(mut sum: FloatTensor<Self>, lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        match product::add(&mut sum, &lhs, &rhs) {
            true => sum,
            false => crate::linear::add_product_reference::<Self>(sum, lhs, rhs),
        }
    }

    fn times_transposed(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        match linear::times_transposed(&x, &weight) {
            Some(result) => result,
            None => crate::linear::reference::<Self>(x, weight),
        }
    }

    fn put(mut buffer: FloatTensor<Self>, start: usize, entries: FloatTensor<Self>) -> FloatTensor<Self> {
        match whole(&buffer) && entries.dtype() == DType::F32 {
            true => write(&mut buffer, start, &values(&entries)),
            false => return crate::append::reference::<Self>(buffer, start, entries),
        }
        buffer
    }

    /// Burn's own goes through 64 bits, of which it drops the lowest before it rounds to 16.
    fn convert(x: FloatTensor<Self>, dtype: FloatDType) -> FloatTensor<Self> {
        match convert::convert(&x, DType::from(dtype)) {
            Some(result) => result,
            None => Self::float_cast(x, dtype),
        }
    }

    fn attend_next(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mut held: Vec<SequencePrimitives<'_, Self>>,
    ) -> Next<FloatTensor<Self>> {
        let whole = held.iter().all(|held| whole(&held.keys) && whole(&held.values));
        if !whole || !all_f32(&[&query, &key, &value]) {
            return next::reference::<Self>(query, key, value, held);
        }
        let (key, value) = (values(&key), values(&value));
        let slot = key.len() / held.len().max(1);
        for (number, held) in held.iter_mut().enumerate() {
            let own = number * slot..(number + 1) * slot;
            write(&mut held.keys, held.entries, &key[own.clone()]);
            write(&mut held.values, held.entries, &value[own]);
        }
        let heads = attention::next(query, &held);
        Next { heads, held: held.into_iter().map(|held| [held.keys, held.values]).collect() }
    }

    fn times_packed_each<const W: usize>(x: FloatTensor<Self>, weights: [&PackedMatrix; W]) -> [FloatTensor<Self>; W] {
        let (dtype, rows) = (x.dtype(), x.layout().shape()[0]);
        let results = packed::times_each(&values(&as_type::<2>(x, DType::F32)), rows, weights);
        matrices(results, rows, weights).map(|result| as_type::<2>(result, dtype))
    }

    fn norm_times_packed_each<const W: usize>(
        x: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        epsilon: f64,
        weights: [&PackedMatrix; W],
    ) -> [FloatTensor<Self>; W] {
        if !all_f32(&[&x, &norm]) {
            return crate::packed::norm_reference::<Self, W>(x, norm, epsilon, weights);
        }
        let rows = x.layout().shape()[0];
        let x = norm::normalised(&values(&x), &values(&norm), epsilon as f32);
        matrices(packed::times_each(&x, rows, weights), rows, weights)
    }

    fn add_packed(mut sum: FloatTensor<Self>, x: FloatTensor<Self>, weight: &PackedMatrix) -> FloatTensor<Self> {
        if !all_f32(&[&sum, &x]) || !lies_alone(&sum) {
            return crate::packed::add_reference::<Self>(sum, x, weight);
        }
        let rows = x.layout().shape()[0];
        packed::add(sum.storage_mut(), &values(&x), rows, weight);
        sum
    }

    fn add_gated_packed(
        mut sum: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        weight: &PackedMatrix,
    ) -> FloatTensor<Self> {
        if !all_f32(&[&sum, &gate, &up]) || !lies_alone(&sum) {
            return Self::add_packed(sum, Self::swiglu(gate, up), weight);
        }
        let rows = gate.layout().shape()[0];
        packed::add(sum.storage_mut(), &gate::gated(&values(&gate), &values(&up)), rows, weight);
        sum
    }
}

/// Products of `rows` rows with some weights, as tensors `[N, out]`.
fn matrices<const W: usize>(products: [Vec<f32>; W], rows: usize, weights: [&PackedMatrix; W]) -> [FlexTensor; W] {
    let mut outs = weights.iter().map(|weight| weight.dims()[0]);
    products.map(|product| filled(product, [rows, outs.next().unwrap_or(0)]))
}

/// Whether a tensor of floats is all that is stored where it is, in order.
fn lies_alone(x: &FlexTensor) -> bool {
    x.is_contiguous() && x.storage::<f32>().len() == x.layout().shape().num_elements()
}

/// Whether a cache's buffer, `[1, capacity, K, D]`, can be written where it is.
fn whole(buffer: &FlexTensor) -> bool {
    let layout = buffer.layout();
    let known = matches!(buffer.dtype(), DType::F32 | DType::F16 | DType::BF16);
    known && layout.shape()[0] == 1 && buffer.is_contiguous() && layout.start_offset() == 0
}

/// Writes `entries`, `[N, K, D]`, into such a buffer from slot `start` on, rounded to its type. Burn's own assignment holds
/// the buffer twice while it writes, and so copies it each time.
fn write(buffer: &mut FlexTensor, start: usize, entries: &[f32]) {
    let slot = buffer.layout().shape()[2] * buffer.layout().shape()[3];
    let own = start * slot..start * slot + entries.len();
    match buffer.dtype() {
        DType::F16 => buffer.storage_mut::<f16>()[own].convert_from_f32_slice(entries),
        DType::BF16 => buffer.storage_mut::<bf16>()[own].convert_from_f32_slice(entries),
        _ => buffer.storage_mut::<f32>()[own].copy_from_slice(entries),
    }
}
