//! Panels of matrices of floats.

use std::ops::Range;

use super::super::lanes::Lanes;
use super::super::stored::Stored;
use super::Right;
use crate::packed::ROWS;

/// A matrix `[inner, out]` whose columns lie from front to back, `stride` elements apart: a weight `[out, inner]`, row by
/// row.
pub(in crate::flex) struct Down<'a, T> {
    pub(in crate::flex) elements: &'a [T],
    pub(in crate::flex) stride: usize,
    /// `out`.
    pub(in crate::flex) columns: usize,
}

impl<T: Stored> Right for Down<'_, T> {
    #[inline(always)]
    fn fill<L: Lanes>(&self, lanes: L, first: usize, inner: Range<usize>, panel: &mut [[f32; ROWS]]) {
        let width = inner.len();
        // Where columns are missing the last one stands in for them.
        let column = |number: usize| (first + number).min(self.columns - 1) * self.stride + inner.start;
        let columns: [&[T]; ROWS] = std::array::from_fn(|number| &self.elements[column(number)..][..width]);
        let (blocks, rest) = panel.as_chunks_mut::<ROWS>();
        for half in [0, 8] {
            let columns: [&[[T; ROWS]]; 8] =
                std::array::from_fn(|number| &columns[half + number].as_chunks::<ROWS>().0[..blocks.len()]);
            for (i, block) in blocks.iter_mut().enumerate() {
                let mut wide = [[0.0; ROWS]; 8];
                for (wide, column) in wide.iter_mut().zip(columns) {
                    *wide = lanes.rows(T::load(lanes, &column[i]));
                }
                for (part, block) in block.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                    let lines = lanes.turned(wide.each_ref().map(|wide| &wide.as_chunks::<8>().0[part]));
                    for (line, turned) in block.iter_mut().zip(lines) {
                        line[half..half + 8].copy_from_slice(&turned);
                    }
                }
            }
        }
        if !rest.is_empty() {
            for (number, column) in columns.iter().enumerate() {
                let mut last = [T::default(); ROWS];
                last[..rest.len()].copy_from_slice(&column[width - rest.len()..]);
                let wide = lanes.rows(T::load(lanes, &last));
                rest.iter_mut().zip(wide).for_each(|(line, value)| line[number] = value);
            }
        }
    }
}

/// A matrix `[inner, out]` whose rows lie from front to back, `stride` floats apart.
pub(in crate::flex) struct Across<'a> {
    pub(in crate::flex) numbers: &'a [f32],
    pub(in crate::flex) stride: usize,
    /// `out`.
    pub(in crate::flex) columns: usize,
}

impl Right for Across<'_> {
    #[inline(always)]
    fn fill<L: Lanes>(&self, _: L, first: usize, inner: Range<usize>, panel: &mut [[f32; ROWS]]) {
        let count = (self.columns - first).min(ROWS);
        for (row, line) in inner.zip(panel) {
            let own = &self.numbers[row * self.stride + first..][..count];
            match own.try_into() {
                Ok(own) => *line = own,
                Err(_) => line[..count].copy_from_slice(own),
            }
        }
    }
}
