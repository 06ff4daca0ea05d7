//! Writing into a buffer where it is.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Tensor};

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// `buffer` `[1, capacity, K, D]` with `entries` `[1, N, K, D]` from slot `start` on, which become floats of the buffer's
/// type: in place where this is the only holder of the buffer and the backend can.
///
/// # Panics
/// When the entries do not fit.
pub fn put<B: Kernels>(buffer: Tensor<B, 4>, start: usize, entries: Tensor<B, 4>) -> Tensor<B, 4> {
    let ([rows, capacity, heads, width], [_, count, ..]) = (buffer.dims(), entries.dims());
    assert!(
        entries.dims() == [rows, count, heads, width] && start + count <= capacity,
        "entries {:?} from {start} on do not fit into {:?}",
        entries.dims(),
        buffer.dims(),
    );
    tensor(B::put(primitive(buffer), start, primitive(entries)))
}

pub(crate) fn reference<B: Backend>(buffer: FloatTensor<B>, start: usize, entries: FloatTensor<B>) -> FloatTensor<B> {
    let (buffer, entries) = (tensor::<B, 4>(buffer), tensor::<B, 4>(entries));
    let entries = entries.cast(FloatDType::from(buffer.dtype()));
    let [rows, count, heads, width] = entries.dims();
    primitive(buffer.slice_assign([0..rows, start..start + count, 0..heads, 0..width], entries))
}
