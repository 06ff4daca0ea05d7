//! A tensor that grows.

use anllm_kernels::{Kernels, put};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A tensor `[1, capacity, K, D]` filled from the front.
#[derive(Debug, Clone)]
pub(super) struct Buffer<B: Backend>(Option<Tensor<B, 4>>);

impl<B: Kernels> Default for Buffer<B> {
    fn default() -> Self {
        Self(None)
    }
}

impl<B: Kernels> Buffer<B> {
    /// The smallest buffer, in entries.
    const SMALLEST: usize = 64;

    /// What a buffer grows to before it holds `entries`.
    pub(super) fn capacity_for(entries: usize) -> usize {
        if entries == 0 { 0 } else { entries.next_power_of_two().max(Self::SMALLEST) }
    }

    pub(super) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |t| t.dims()[1])
    }

    /// Writes `entries` `[1, N, K, D]` from slot `start` on, growing as needed. In place where this is the only
    /// holder of the buffer.
    pub(super) fn write(&mut self, start: usize, entries: Tensor<B, 4>) {
        let [_, count, heads, width] = entries.dims();
        let end = start + count;
        let buffer = match self.0.take() {
            Some(buffer) if buffer.dims()[1] >= end => buffer,
            old => {
                let capacity = Self::capacity_for(end);
                let options = (&entries.device(), entries.dtype());
                let grown = Tensor::zeros([1, capacity, heads, width], options);
                match old {
                    Some(old) => {
                        let held = start.min(old.dims()[1]);
                        grown.slice_assign([0..1, 0..held, 0..heads, 0..width], old.narrow(1, 0, held))
                    }
                    None => grown,
                }
            }
        };
        self.0 = Some(put(buffer, start, entries));
    }

    /// The first `len` entries, `[1, len, K, D]`.
    pub(super) fn view(&self, len: usize) -> Tensor<B, 4> {
        match &self.0 {
            Some(buffer) => buffer.clone().narrow(1, 0, len),
            // Nothing was written, so that `len` is 0 and nobody looks; an empty tensor has no backend-neutral form.
            None => Tensor::zeros([1, 1, 1, 1], &B::Device::default()),
        }
    }

    /// The first `len` entries followed by `entries`, `[1, len + N, K, D]`, as a tensor of its own.
    pub(super) fn joined(&self, len: usize, entries: Tensor<B, 4>) -> Tensor<B, 4> {
        if len == 0 { entries } else { Tensor::cat(vec![self.view(len), entries], 1) }
    }
}
