//! What a backend has to do. Each method's own body is the reference.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::{FloatTensor, IntTensor, QuantizedTensor};
use burn::tensor::{FloatDType, TensorPrimitive};

use crate::attention::{Attended, AttentionGradients, Next, Reaches, SequencePrimitives, next, reference as attention};
use crate::cross_entropy::{CrossEntropy, Slope};
use crate::packed::{self, PackedMatrix};
use crate::rotary::Turn;
use crate::{append, cross_entropy, gate, linear, norm, rotary};

/// A backend with the operations of this crate, on its tensor primitives.
///
/// Shape letters: `B` rows, `T` query tokens, `S` keys, `H` query heads, `K` key/value heads (`H` a multiple of it),
/// `D` head width, `N` rows of a matrix, `C` its width.
pub trait Kernels: Backend {
    /// Whether [`times_packed_each`](Self::times_packed_each) and products with 16-bit weights read weights as they are: where
    /// not, weights are better kept in the type of the activations.
    const MULTIPLIES_PACKED: bool = false;

    /// Whether the backend's own product takes quantised tensors as they are, so that [`QuantizedMatrix`](crate::QuantizedMatrix) saves memory there.
    const MULTIPLIES_QUANTIZED: bool = false;

    /// `softmax(q·kᵀ/√D)·v` over what each query reaches: `query` `[B, T, H, D]`, `key` and `value` `[B, S, K, D]`.
    ///
    /// Every query reaches at least one key.
    fn reach_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> Attended<Self> {
        attention::forward(query, key, value, reaches)
    }

    /// The next token of each of `N` sequences, and at least one: writes its `key` and `value`, `[1, N, K, D]`, behind what
    /// the sequence holds, which has room, and lets its `query`, `[1, N, H, D]`, attend to what it reaches. What is held
    /// may be of another float type than the token; the result is of the token's.
    fn attend_next(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        held: Vec<SequencePrimitives<'_, Self>>,
    ) -> Next<FloatTensor<Self>> {
        next::reference::<Self>(query, key, value, held)
    }

    /// `work` on each of `items`, which have nothing to do with each other; results come in their order. Where operations
    /// run on the cores of this machine the items may run side by side, since each has too little work for all of them.
    fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
        items.into_iter().map(work).collect()
    }

    /// How many of the items of [`each`](Self::each) go side by side.
    fn side_by_side() -> usize {
        1
    }

    /// The gradients of [`reach_attention`](Self::reach_attention)'s inputs, from its inputs, its result and the gradient `slope`
    /// of its output, `[B, T, H, D]`.
    fn reach_attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        attended: Attended<Self>,
        slope: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> AttentionGradients<Self> {
        attention::backward(query, key, value, attended, slope, reaches)
    }

    /// Turns the channel pairs `(i, i + D/2)` of `x`, `[B, T, H, D]`, by angles whose cosines and sines are
    /// `[B | 1, T, D/2]`.
    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>, turn: Turn) -> FloatTensor<Self> {
        rotary::reference::<Self>(x, cos, sin, turn)
    }

    /// `x / √(mean(x²) + ε) · weight`: `x` is `[N, C]`, `weight` `[C]`.
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        norm::reference::<Self>(x, weight, epsilon)
    }

    /// The gradients of [`rms_norm`](Self::rms_norm)'s `x` and `weight`, from the gradient `slope` of its output.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
        slope: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        norm::reference_backward::<Self>(x, weight, epsilon, slope)
    }

    /// `gate / (1 + exp(−gate)) · up`, both `[N, C]`.
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        gate::reference::<Self>(gate, up)
    }

    /// The gradients of [`swiglu`](Self::swiglu)'s `gate` and `up`, from the gradient `slope` of its output.
    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        slope: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gate::reference_backward::<Self>(gate, up, slope)
    }

    /// Element `columns[n]` of row `n` of `x`, `[N, C]` and `[N, 1]`: `[N, 1]`.
    fn pick(x: FloatTensor<Self>, columns: IntTensor<Self>) -> FloatTensor<Self> {
        Self::float_gather(1, x, columns)
    }

    /// The cross-entropy of `answers`, `[N, 1]`, under the softmax of `scores`, `[N, V]`, and the gradient of the scores.
    fn cross_entropy(
        scores: FloatTensor<Self>,
        answers: IntTensor<Self>,
        slope: Slope,
    ) -> CrossEntropy<FloatTensor<Self>> {
        cross_entropy::reference::<Self>(scores, answers, slope)
    }

    /// `lhs·rhs`: `[…, M, K]` and `[…, K, N]`. The product of 32-bit floats keeps their precision, which a backend's own may
    /// not.
    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(lhs, rhs)
    }

    /// `sum + lhs·rhs`, of the type of `sum`: `[M, N]`, `[M, K]` and `[K, N]`.
    fn add_product(sum: FloatTensor<Self>, lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::add_product_reference::<Self>(sum, lhs, rhs)
    }

    /// `x·weightᵀ` with a quantised weight `[out, in]`: `x` is `[N, in]`, of 32-bit floats.
    fn times_quantized(x: FloatTensor<Self>, weight: QuantizedTensor<Self>) -> FloatTensor<Self> {
        let weight = TensorPrimitive::QFloat(Self::q_transpose(weight));
        Self::q_matmul(TensorPrimitive::Float(x), weight).tensor()
    }

    /// `x·weightᵀ`: `x` is `[N, in]`, `weight` `[out, in]`.
    fn times_transposed(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::reference::<Self>(x, weight)
    }

    /// `buffer` `[1, capacity, K, D]` with `entries` `[1, N, K, D]` from slot `start` on, which fit, and become floats of the
    /// buffer's type.
    fn put(buffer: FloatTensor<Self>, start: usize, entries: FloatTensor<Self>) -> FloatTensor<Self> {
        append::reference::<Self>(buffer, start, entries)
    }

    /// `x` as floats of type `dtype`, each the nearest that the type has.
    fn convert(x: FloatTensor<Self>, dtype: FloatDType) -> FloatTensor<Self> {
        Self::float_cast(x, dtype)
    }

    /// `x·weightᵀ` with each of some packed weights `[out, in]`: `x` is `[N, in]`.
    ///
    /// The plain body unpacks the whole matrix for every product.
    fn times_packed_each<const W: usize>(x: FloatTensor<Self>, weights: [&PackedMatrix; W]) -> [FloatTensor<Self>; W] {
        weights.map(|weight| packed::reference::<Self>(x.clone(), weight))
    }

    /// The same of `x` after [`rms_norm`](Self::rms_norm): `norm` is `[in]`.
    fn norm_times_packed_each<const W: usize>(
        x: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        epsilon: f64,
        weights: [&PackedMatrix; W],
    ) -> [FloatTensor<Self>; W] {
        packed::norm_reference::<Self, W>(x, norm, epsilon, weights)
    }

    /// `sum + x·weightᵀ`: `sum` is `[N, out]`, `x` `[N, in]`.
    fn add_packed(sum: FloatTensor<Self>, x: FloatTensor<Self>, weight: &PackedMatrix) -> FloatTensor<Self> {
        packed::add_reference::<Self>(sum, x, weight)
    }

    /// The same of [`swiglu`](Self::swiglu)'s result: `gate` and `up` are `[N, in]`.
    fn add_gated_packed(
        sum: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        weight: &PackedMatrix,
    ) -> FloatTensor<Self> {
        Self::add_packed(sum, Self::swiglu(gate, up), weight)
    }
}

/// A backend that learns through [`Kernels`], as does the one under it.
pub trait TrainableKernels: AutodiffBackend<InnerBackend: Kernels> + Kernels {}

impl<A: AutodiffBackend<InnerBackend: Kernels> + Kernels> TrainableKernels for A {}
