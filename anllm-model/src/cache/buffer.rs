//! A tensor that grows.

use anllm_kernels::{Kernels, convert, put};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Tensor};

/// A tensor `[1, capacity, K, D]` filled from the front, of floats of its own type whatever is written into it.
#[derive(Debug, Clone)]
pub(super) struct Buffer<B: Backend> {
    held: Option<Tensor<B, 4>>,
    dtype: DType,
}

impl<B: Kernels> Buffer<B> {
    /// The smallest buffer, in entries.
    const SMALLEST: usize = 64;

    /// An empty one.
    pub(super) fn new(dtype: DType) -> Self {
        Self { held: None, dtype }
    }

    /// What a buffer grows to before it holds `entries`.
    pub(super) fn capacity_for(entries: usize) -> usize {
        if entries == 0 { 0 } else { entries.next_power_of_two().max(Self::SMALLEST) }
    }

    pub(super) fn capacity(&self) -> usize {
        self.held.as_ref().map_or(0, |t| t.dims()[1])
    }

    /// Writes `entries` `[1, N, K, D]` from slot `start` on, growing as needed. In place where this is the only
    /// holder of the buffer.
    pub(super) fn write(&mut self, start: usize, entries: Tensor<B, 4>) {
        let buffer = self.take(start, entries.dims()[1], &entries);
        self.give(put(buffer, start, entries));
    }

    /// Gives the tensor away, with room from slot `start` on for `count` entries like these, `[1, N, K, D]`, until it is
    /// given [back](Self::give): its only holder can write it in place.
    pub(super) fn take(&mut self, start: usize, count: usize, entries: &Tensor<B, 4>) -> Tensor<B, 4> {
        let [_, _, heads, width] = entries.dims();
        let end = start + count;
        match self.held.take() {
            Some(buffer) if buffer.dims()[1] >= end => buffer,
            old => {
                let capacity = Self::capacity_for(end);
                let options = (&entries.device(), self.dtype);
                let grown = Tensor::zeros([1, capacity, heads, width], options);
                let held = old.as_ref().map_or(0, |old| start.min(old.dims()[1]));
                match old {
                    // What stood from `start` on is written over.
                    Some(old) if held > 0 => {
                        grown.slice_assign([0..1, 0..held, 0..heads, 0..width], old.narrow(1, 0, held))
                    }
                    _ => grown,
                }
            }
        }
    }

    /// Takes the tensor back.
    pub(super) fn give(&mut self, buffer: Tensor<B, 4>) {
        self.held = Some(buffer);
    }

    /// The first `len` entries, `[1, len, K, D]`.
    pub(super) fn view(&self, len: usize) -> Tensor<B, 4> {
        match &self.held {
            Some(buffer) => buffer.clone().narrow(1, 0, len),
            // Nothing was written, so that `len` is 0 and nobody looks; an empty tensor has no backend-neutral form.
            None => Tensor::zeros([1, 1, 1, 1], &B::Device::default()),
        }
    }

    /// The first `len` entries followed by `entries`, `[1, len + N, K, D]`, as a tensor of its own.
    pub(super) fn joined(&self, len: usize, entries: Tensor<B, 4>) -> Tensor<B, 4> {
        let entries = convert(entries, FloatDType::from(self.dtype));
        if len == 0 { entries } else { Tensor::cat(vec![self.view(len), entries], 1) }
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;

    fn entries(values: std::ops::Range<i64>) -> Tensor<Flex, 4> {
        let count = (values.end - values.start) as usize;
        Tensor::<Flex, 1, burn::tensor::Int>::arange(values, &Default::default()).float().reshape([1, count, 1, 1])
    }

    #[test]
    fn a_buffer_that_is_too_small_grows_wherever_it_is_written() {
        for start in [0, 1, 40, 60] {
            let mut buffer = Buffer::<Flex>::new(DType::F32);
            buffer.write(0, entries(0..60));
            buffer.write(start, entries(100..200));
            let found: Vec<f32> = buffer.view(start + 100).into_data().into_vec().unwrap();
            let expected: Vec<f32> = (0..start).chain(100..200).map(|value| value as f32).collect();
            assert_eq!(found, expected, "from {start}");
            assert_eq!(buffer.capacity(), Buffer::<Flex>::capacity_for(start + 100));
        }
    }
}
