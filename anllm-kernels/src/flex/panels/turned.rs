//! A matrix turned round, rows for columns.

use rayon::prelude::*;

use super::super::lanes::{self, Lanes, OnLanes};

/// Rows and columns that are turned together.
const SIDE: usize = 8;
/// Columns that one thread turns at a time.
const WIDE: usize = 64;

/// `numbers`, `rows` lines of `columns` floats that begin `stride` apart, as `[columns, rows]`.
pub(in crate::flex) fn turned(numbers: &[f32], rows: usize, columns: usize, stride: usize) -> Vec<f32> {
    let mut result = vec![0.0; rows * columns];
    if rows > 0 {
        result.par_chunks_mut(WIDE * rows).enumerate().for_each(|(piece, into)| {
            lanes::run(Turn { numbers: &numbers[piece * WIDE..], rows, stride, into });
        });
    }
    result
}

struct Turn<'a> {
    /// From the first column on.
    numbers: &'a [f32],
    rows: usize,
    stride: usize,
    /// `[some columns, rows]`.
    into: &'a mut [f32],
}

impl OnLanes for Turn<'_> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { numbers, rows, stride, into } = self;
        let columns = into.len() / rows;
        let (whole_rows, whole_columns) = (rows / SIDE * SIDE, columns / SIDE * SIDE);
        for row in (0..whole_rows).step_by(SIDE) {
            for column in (0..whole_columns).step_by(SIDE) {
                let mut square = [[0.0; SIDE]; SIDE];
                for (number, line) in square.iter_mut().enumerate() {
                    line.copy_from_slice(&numbers[(row + number) * stride + column..][..SIDE]);
                }
                let turned = lanes.turned(square.each_ref());
                for (number, line) in turned.iter().enumerate() {
                    into[(column + number) * rows + row..][..SIDE].copy_from_slice(line);
                }
            }
        }
        for row in 0..rows {
            let first = if row < whole_rows { whole_columns } else { 0 };
            for column in first..columns {
                into[column * rows + row] = numbers[row * stride + column];
            }
        }
    }
}
