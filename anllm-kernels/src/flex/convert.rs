//! Floats of 32 bits to floats of 16, and back.

use burn::tensor::{DType, TensorData};
use burn_flex::FlexTensor;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::tensors::{filled, values};

/// Numbers that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// None between other types.
pub(super) fn convert(x: &FlexTensor, dtype: DType) -> Option<FlexTensor> {
    let shape = x.layout().shape().clone();
    match (x.dtype(), dtype) {
        (DType::F32, DType::F16) => Some(FlexTensor::from_data(TensorData::new(narrow::<f16>(&values(x)), shape))),
        (DType::F32, DType::BF16) => Some(FlexTensor::from_data(TensorData::new(narrow::<bf16>(&values(x)), shape))),
        (DType::F16, DType::F32) => Some(filled(wide::<f16>(x.to_contiguous().as_slice()?), shape)),
        (DType::BF16, DType::F32) => Some(filled(wide::<bf16>(x.to_contiguous().as_slice()?), shape)),
        _ => None,
    }
}

fn narrow<E: Copy + Default + Send>(numbers: &[f32]) -> Vec<E>
where
    [E]: HalfFloatSliceExt,
{
    let mut result = vec![E::default(); numbers.len()];
    let pieces = result.par_chunks_mut(PIECE).zip(numbers.par_chunks(PIECE));
    pieces.for_each(|(result, numbers)| result.convert_from_f32_slice(numbers));
    result
}

fn wide<E: Sync>(numbers: &[E]) -> Vec<f32>
where
    [E]: HalfFloatSliceExt,
{
    let mut result = vec![0.0; numbers.len()];
    let pieces = result.par_chunks_mut(PIECE).zip(numbers.par_chunks(PIECE));
    pieces.for_each(|(result, numbers)| numbers.convert_to_f32_slice(result));
    result
}
