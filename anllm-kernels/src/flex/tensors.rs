//! Flex's tensors as slices of 32-bit floats.

use std::borrow::Cow;

use burn::tensor::{DType, Element, FloatDType, TensorData};
use burn_flex::{Flex, FlexTensor};

use crate::convert;
use crate::primitive::{primitive, tensor};

pub(super) fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

pub(super) fn as_f32(x: FlexTensor) -> FlexTensor {
    as_type::<4>(x, DType::F32)
}

/// `x`, of `N` dimensions, as `dtype`.
pub(super) fn as_type<const N: usize>(x: FlexTensor, dtype: DType) -> FlexTensor {
    primitive::<Flex, N>(convert(tensor(x), FloatDType::from(dtype)))
}

/// The elements in order; copied where they do not lie so.
pub(super) fn values(x: &FlexTensor) -> Cow<'_, [f32]> {
    match x.as_slice::<f32>() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(x.to_contiguous().storage::<f32>().to_vec()),
    }
}

/// A tensor of these elements.
pub(super) fn filled(values: Vec<f32>, shape: impl Into<burn::tensor::Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor `[A, B, C, D]` whose last dimension lies in a row: views into a cache's buffers are read where they are.
#[derive(Clone, Copy)]
pub(super) struct View<'a, E = f32> {
    data: &'a [E],
    start: usize,
    strides: [usize; 3],
    width: usize,
}

impl<'a, E: Element + bytemuck::Pod> View<'a, E> {
    /// Of a tensor of `E` that [`laid_out`] returned.
    pub(super) fn of(x: &'a FlexTensor) -> Self {
        let strides = x.layout().strides();
        let stride = |dim: usize| usize::try_from(strides[dim]).unwrap_or(0);
        Self {
            data: x.storage(),
            start: x.layout().start_offset(),
            strides: [stride(0), stride(1), stride(2)],
            width: x.layout().shape()[3],
        }
    }

    /// The same from `[a, b, …]` on.
    pub(super) fn from(self, a: usize, b: usize) -> Self {
        Self { start: self.start + a * self.strides[0] + b * self.strides[1], ..self }
    }

    /// What the tensor lies in, and perhaps others with it.
    pub(super) fn data(&self) -> &'a [E] {
        self.data
    }

    /// `D`.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Where `[a, b, c]` starts.
    #[inline(always)]
    pub(super) fn start(&self, a: usize, b: usize, c: usize) -> usize {
        self.start + a * self.strides[0] + b * self.strides[1] + c * self.strides[2]
    }

    /// The elements of `[a, b]`, `count` times `D` of them, where they lie in a row; those of `[a, b, 0]` where not.
    #[inline(always)]
    pub(super) fn several(&self, a: usize, b: usize, count: usize) -> &'a [E] {
        let count = if self.strides[2] == self.width { count } else { 1 };
        let start = self.start(a, b, 0);
        &self.data[start..start + count * self.width]
    }

    /// `D` elements.
    #[inline(always)]
    pub(super) fn get(&self, a: usize, b: usize, c: usize) -> &'a [E] {
        let start = self.start(a, b, c);
        &self.data[start..start + self.width]
    }
}

/// A tensor of four dimensions that a [`View`] can be taken of.
pub(super) fn laid_out(x: FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    let fits = strides.len() == 4 && strides[3] == 1 && strides.iter().all(|&stride| stride >= 0);
    if fits || x.layout().shape()[3] == 1 && strides.iter().all(|&stride| stride >= 0) { x } else { x.to_contiguous() }
}
