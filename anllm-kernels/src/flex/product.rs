//! `lhs·rhs` of two matrices of 32-bit floats, either of which may be the view of a transposed one: what gradients are
//! made of.

use burn::tensor::DType;
use burn_flex::FlexTensor;

use super::panels::{Across, Down, Left, multiply, turned};
use super::tensors::filled;

/// Rows from which on panels are worth making.
const LEAST: usize = 8;

/// `lhs` `[N, inner]` times `rhs` `[inner, out]`; none where panels do not fit: few rows, other types, several matrices,
/// elements that lie otherwise.
pub(super) fn product(lhs: &FlexTensor, rhs: &FlexTensor) -> Option<FlexTensor> {
    let factors = Factors::of(lhs, rhs)?;
    let [rows, out] = factors.shape();
    let mut result = vec![0.0; rows * out];
    factors.multiply(&mut result, false);
    Some(filled(result, [rows, out]))
}

/// Adds the product to `sum`, `[N, out]`, where both it and the factors lie so that it can be done in place; says whether.
pub(super) fn add(sum: &mut FlexTensor, lhs: &FlexTensor, rhs: &FlexTensor) -> bool {
    let layout = sum.layout();
    let whole = sum.dtype() == DType::F32 && sum.is_contiguous() && layout.start_offset() == 0;
    let Some(factors) = Factors::of(lhs, rhs).filter(|factors| whole && layout.shape().as_slice() == factors.shape())
    else {
        return false;
    };
    let [rows, out] = factors.shape();
    factors.multiply(&mut sum.storage_mut()[..rows * out], true);
    true
}

/// Two matrices for which panels are worth making.
struct Factors<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
}

impl<'a> Factors<'a> {
    fn of(lhs: &'a FlexTensor, rhs: &'a FlexTensor) -> Option<Self> {
        let (left, right) = (Matrix::of(lhs)?, Matrix::of(rhs)?);
        let fits = left.rows >= LEAST && left.columns == right.rows && right.rows * right.columns > 0;
        fits.then_some(Self { left, right })
    }

    /// Of the product.
    fn shape(&self) -> [usize; 2] {
        [self.left.rows, self.right.columns]
    }

    /// Writes the product, or adds it to what is there.
    fn multiply(&self, into: &mut [f32], more: bool) {
        let Self { left, right } = self;
        let (rows, inner, columns) = (left.rows, left.columns, right.columns);
        let upright;
        let lines = match left.lying {
            Lying::Across => Left { numbers: left.numbers, rows, inner, stride: left.stride },
            Lying::Down => {
                upright = turned(left.numbers, inner, rows, left.stride);
                Left::lines(&upright, inner)
            }
        };
        match right.lying {
            Lying::Across => {
                multiply(lines, &Across { numbers: right.numbers, stride: right.stride, columns }, into, more)
            }
            Lying::Down => {
                multiply(lines, &Down { elements: right.numbers, stride: right.stride, columns }, into, more)
            }
        }
    }
}

/// A matrix where it is.
struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    /// From one line to the next.
    stride: usize,
    lying: Lying,
}

/// What lies from front to back.
enum Lying {
    /// Rows.
    Across,
    /// Columns.
    Down,
}

impl<'a> Matrix<'a> {
    fn of(tensor: &'a FlexTensor) -> Option<Self> {
        let layout = tensor.layout();
        let (&[rows, columns], &[down, across]) = (layout.shape().as_slice(), layout.strides()) else { return None };
        if tensor.dtype() != DType::F32 {
            return None;
        }
        let [down, across] = [usize::try_from(down).ok()?, usize::try_from(across).ok()?];
        let numbers = tensor.storage::<f32>().get(layout.start_offset()..)?;
        let (stride, lying) = match (down, across) {
            (_, 1) if down >= columns || rows == 1 => (down, Lying::Across),
            (1, _) if across >= rows || columns == 1 => (across, Lying::Down),
            _ => return None,
        };
        Some(Self { numbers, rows, columns, stride, lying })
    }
}
