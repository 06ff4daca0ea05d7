//! Matrices laid out for products: sixteen rows side by side, of floats or of few bits, where blocks of 32 values in a row
//! share a scale, as GGUF's simple types have them.

mod block;
mod floats;
mod linear;
mod quantize;
mod quantized;

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

pub(crate) use block::{Block, Bytes, Nibbles, ROWS, RaisedNibbles, VALUES};
pub(crate) use floats::{Brains, Halves, Singles};
pub use linear::{add_gated_packed, add_linear_packed, linear_packed, linear_packed_each, norm_linear_packed_each};
pub(crate) use linear::{add_reference, norm_reference, reference};
pub use quantized::QuantizedMatrix;

/// How the values of a block are stored. The names, and the bytes of a block, are GGUF's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types)]
pub enum PackedType {
    /// `d·q`, `q` of 8 bits with sign: 34 bytes for 32 values.
    Q8_0,
    /// `d·(q − 8)`, `q` of 4 bits: 18 bytes for 32 values.
    Q4_0,
    /// `d·q + m`, `q` of 4 bits: 20 bytes for 32 values.
    Q4_1,
    /// Floats of 32 bits.
    F32,
    /// Half-precision floats.
    F16,
    /// The upper halves of 32-bit floats.
    BF16,
}

impl PackedType {
    /// Bytes of one block of 32 values.
    pub const fn bytes_per_block(self) -> usize {
        match self {
            Self::Q8_0 => Bytes::STORED,
            Self::Q4_0 => Nibbles::STORED,
            Self::Q4_1 => RaisedNibbles::STORED,
            Self::F32 => Singles::STORED,
            Self::F16 => Halves::STORED,
            Self::BF16 => Brains::STORED,
        }
    }

    /// Whether values are stored as they are, without scales.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }

    /// Bytes of a row of `width` values; none where they are no whole number of blocks. Floats need none.
    fn row_bytes(self, width: usize) -> Option<usize> {
        match self.is_float() {
            true => Some(width * (self.bytes_per_block() / VALUES)),
            false => width.is_multiple_of(VALUES).then(|| width / VALUES * self.bytes_per_block()),
        }
    }
}

impl fmt::Display for PackedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Blocks that are not a matrix of the shape they are said to have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes of {kind} cannot be a matrix of {out} rows of {width} values: {expected} were expected")]
pub struct PackError {
    kind: PackedType,
    out: usize,
    width: usize,
    bytes: usize,
    expected: String,
}

/// A matrix `[out, in]` of few bits, or of floats that lie the same way. Cheap to clone.
///
/// Sixteen rows lie side by side, so that a vector of the processor holds the same place of sixteen rows: bytes are
/// moved for that once, when the matrix is made, and values stay what they were, bit for bit.
#[derive(Clone)]
pub struct PackedMatrix {
    out: usize,
    width: usize,
    blocks: Blocks,
}

#[derive(Clone)]
pub(crate) enum Blocks {
    Q8_0(Arc<[Bytes]>),
    Q4_0(Arc<[Nibbles]>),
    Q4_1(Arc<[RaisedNibbles]>),
    F32(Arc<[Singles]>),
    F16(Arc<[Halves]>),
    BF16(Arc<[Brains]>),
}

/// Does the same with blocks of any type.
macro_rules! each_type {
    ($blocks:expr, $name:ident => $body:expr) => {
        match $blocks {
            $crate::packed::Blocks::Q8_0($name) => $body,
            $crate::packed::Blocks::Q4_0($name) => $body,
            $crate::packed::Blocks::Q4_1($name) => $body,
            $crate::packed::Blocks::F32($name) => $body,
            $crate::packed::Blocks::F16($name) => $body,
            $crate::packed::Blocks::BF16($name) => $body,
        }
    };
}
pub(crate) use each_type;

impl PackedMatrix {
    /// From blocks as GGUF stores them, `out` rows of `width` values; `place` says which row of `bytes` is which row
    /// of the matrix. A row of the matrix whose `place` is beyond them is 0.
    ///
    /// # Errors
    /// When `width` is no whole number of blocks that have a scale, or the bytes are more or fewer.
    pub fn from_stored(
        kind: PackedType,
        [out, width]: [usize; 2],
        bytes: &[u8],
        place: impl Fn(usize) -> usize + Sync,
    ) -> Result<Self, PackError> {
        let misfit = |expected| PackError { kind, out, width, bytes: bytes.len(), expected };
        let Some(stride) = kind.row_bytes(width) else {
            return Err(misfit(format!("rows of a multiple of {VALUES} values")));
        };
        if out.checked_mul(stride) != Some(bytes.len()) {
            return Err(misfit(format!("{out} times {stride}")));
        }
        let row = |row: usize| {
            let start = place(row) * stride;
            bytes.get(start..start + stride).unwrap_or(&[])
        };
        Ok(Self::build(kind, [out, width], |number, put| put(row(number))))
    }

    /// The nearest matrix of this type to `values`, `[out, in]`. A last block that `in` does not fill is filled with 0.
    ///
    /// # Panics
    /// When `values` has another number of elements.
    pub fn nearest(kind: PackedType, [out, width]: [usize; 2], values: &[f32]) -> Self {
        assert_eq!(values.len(), out * width, "values of a matrix [{out}, {width}]");
        Self::build(kind, [out, width], |number, put| {
            put(&quantize::row(kind, &values[number * width..(number + 1) * width]));
        })
    }

    /// Asks `row` for each row's stored blocks, through a function that takes them.
    fn build(kind: PackedType, [out, width]: [usize; 2], row: impl Fn(usize, &mut dyn FnMut(&[u8])) + Sync) -> Self {
        let blocks = match kind {
            PackedType::Q8_0 => Blocks::Q8_0(interleaved(out, width, row)),
            PackedType::Q4_0 => Blocks::Q4_0(interleaved(out, width, row)),
            PackedType::Q4_1 => Blocks::Q4_1(interleaved(out, width, row)),
            PackedType::F32 => Blocks::F32(interleaved(out, width, row)),
            PackedType::F16 => Blocks::F16(interleaved(out, width, row)),
            PackedType::BF16 => Blocks::BF16(interleaved(out, width, row)),
        };
        Self { out, width, blocks }
    }

    /// `[out, in]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.out, self.width]
    }

    /// How values are stored.
    pub fn kind(&self) -> PackedType {
        match self.blocks {
            Blocks::Q8_0(_) => PackedType::Q8_0,
            Blocks::Q4_0(_) => PackedType::Q4_0,
            Blocks::Q4_1(_) => PackedType::Q4_1,
            Blocks::F32(_) => PackedType::F32,
            Blocks::F16(_) => PackedType::F16,
            Blocks::BF16(_) => PackedType::BF16,
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        each_type!(&self.blocks, blocks => size_of_val::<[_]>(blocks))
    }

    pub(crate) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The values of some rows, `[rows.len(), in]`.
    ///
    /// # Panics
    /// When a row is not one of the matrix's.
    pub fn rows(&self, rows: &[usize]) -> Vec<f32> {
        let mut values = vec![0.0; rows.len() * self.width];
        if self.width > 0 {
            let each = values.par_chunks_mut(self.width).zip(rows).with_min_len(16);
            each.for_each(|(values, &row)| self.row_into(row, values));
        }
        values
    }

    /// All values, `[out, in]`.
    pub fn values(&self) -> Vec<f32> {
        self.rows(&(0..self.out).collect::<Vec<_>>())
    }

    fn row_into(&self, row: usize, values: &mut [f32]) {
        assert!(row < self.out, "row {row} of a matrix of {}", self.out);
        let columns = self.width.div_ceil(VALUES);
        let (group, lane) = (row / ROWS, row % ROWS);
        each_type!(&self.blocks, blocks => {
            let blocks = &blocks[group * columns..(group + 1) * columns];
            for (values, block) in values.chunks_mut(VALUES).zip(blocks) {
                values.copy_from_slice(&block.values(lane)[..values.len()]);
            }
        });
    }
}

fn interleaved<T: Block>(out: usize, width: usize, row: impl Fn(usize, &mut dyn FnMut(&[u8])) + Sync) -> Arc<[T]> {
    let columns = width.div_ceil(VALUES);
    // Filled where it stays: the largest matrix of a model is not to be there twice.
    let mut blocks: Arc<[T]> = std::iter::repeat_n(T::zeroed(), out.div_ceil(ROWS) * columns).collect();
    if let (Some(blocks), 1..) = (Arc::get_mut(&mut blocks), columns) {
        blocks.par_chunks_mut(columns).enumerate().for_each(|(group, blocks)| {
            for lane in 0..ROWS.min(out - group * ROWS) {
                row(group * ROWS + lane, &mut |stored| {
                    for (block, stored) in blocks.iter_mut().zip(stored.chunks(T::STORED)) {
                        block.set(lane, stored);
                    }
                });
            }
        });
    }
    blocks
}

impl fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedMatrix({}, {:?})", self.kind(), self.dims())
    }
}
