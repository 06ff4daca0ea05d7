//! The operations that anchor-based models need and [Burn](https://burn.dev) lacks, as extensions of its backends.
//!
//! ```text
//! attend         attention over what each query reaches, and nothing else     Reaches, from anllm-core's Reach
//! attend_summed  the same with the sums by which `join` makes one of two parts
//! attend_next    one token of each of several sequences, which is written behind what each holds
//! rotate         rotary position embedding
//! rms_norm       root-mean-square normalisation
//! swiglu         the gate of the MLP
//! linear         x·Wᵀ, whose gradient comes in the weight's own layout
//! linear_packed  the same with weights of 8 or 4 bits, which stay packed         PackedMatrix
//! linear_packed_each  several of them with the same rows, in one go
//! norm_linear_packed_each, add_linear_packed, add_gated_packed  the same with what comes before and after it
//! QuantizedMatrix  such weights on a GPU, multiplied by Burn's quantised product
//! product        l·r, in the precision of 32-bit floats on every backend
//! add_product    sum + l·r, in the sum's own memory
//! cross_entropy  of answers under scores, with the gradient in the scores' own memory
//! pick           one element of each row
//! put            entries into a cache's buffer, in place
//! convert        floats of another type
//! ```
//!
//! [`Kernels`] is the trait of backends that can do them. Its methods have a plain body of Burn's own operations, the
//! reference, so that any backend takes part with an empty `impl`; Flex has SIMD kernels instead, GPUs some for
//! attention and ways to multiply, and `Autodiff` a backward pass for each. Tests compare every kernel with its
//! reference, outputs and gradients.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod append;
mod attention;
mod autodiff;
mod backends;
mod convert;
mod cross_entropy;
mod gate;
mod kernels;
mod linear;
mod norm;
mod packed;
mod pick;
mod primitive;
mod rotary;

#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;

pub use append::put;
pub use attention::{
    Attended, AttentionGradients, Next, Reaches, Sequence, SequencePrimitives, ShapeError, Summed, attend, attend_next,
    attend_summed, join,
};
pub use convert::convert;
pub use cross_entropy::{CrossEntropy, Slope, cross_entropy};
pub use gate::swiglu;
pub use kernels::{Kernels, TrainableKernels};
pub use linear::{add_product, linear, product};
pub use norm::rms_norm;
pub use packed::{
    PackError, PackedMatrix, PackedType, QuantizedMatrix, add_gated_packed, add_linear_packed, linear_packed,
    linear_packed_each, norm_linear_packed_each,
};
pub use pick::pick;
pub use rotary::{Turn, rotate};
