//! How the elements of a weight matrix are stored: floats of 32 or 16 bits, widened in registers.

use burn::tensor::DType;
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::lanes::Lanes;
use crate::packed::ROWS as LANES;

/// An element.
pub(super) trait Stored: Copy + Default + Sync {
    /// Sixteen of them.
    fn load<L: Lanes>(lanes: L, stored: &[Self; LANES]) -> L::Floats;
}

impl Stored for f32 {
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, stored: &[Self; LANES]) -> L::Floats {
        lanes.load(stored)
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, stored: &[Self; LANES]) -> L::Floats {
        lanes.halves(bytemuck::cast_ref(stored))
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, stored: &[Self; LANES]) -> L::Floats {
        lanes.brains(bytemuck::cast_ref(stored))
    }
}

/// The elements of a matrix.
#[derive(Clone, Copy)]
pub(super) enum Elements<'a> {
    Floats(&'a [f32]),
    Halves(&'a [f16]),
    Brains(&'a [bf16]),
}

impl<'a> Elements<'a> {
    /// Of a matrix that lies row by row, in one of these types.
    pub(super) fn of(matrix: &'a FlexTensor) -> Option<Self> {
        match matrix.dtype() {
            DType::F32 => matrix.as_slice().map(Self::Floats),
            DType::F16 => matrix.as_slice().map(Self::Halves),
            DType::BF16 => matrix.as_slice().map(Self::Brains),
            _ => None,
        }
    }
}
