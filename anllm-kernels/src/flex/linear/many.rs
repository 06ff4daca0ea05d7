//! Many rows: sixteen rows of the weights are widened and turned into a panel, once for all rows.

use rayon::prelude::*;

use super::super::lanes::{self, Lanes, OnLanes};
use super::super::panel::{PAIR, Product, columns, groups_at_once};
use super::stored::Stored;
use crate::packed::ROWS;

/// `x` is `[N, in]`, `weight` `[out, in]`, the result `[N, out]`.
pub(super) fn product<T: Stored>(x: &[f32], weight: &[T], width: usize) -> Vec<f32> {
    let (rows, out) = (x.len() / width, weight.len() / width);
    let mut result = vec![0.0; rows * out];
    let piece = groups_at_once(rows, width) * ROWS;
    let pieces = columns(&mut result, out, piece);
    pieces.into_par_iter().zip(weight.par_chunks(piece * width)).for_each(|(mut into, weight)| {
        let mut panels = vec![[0.0; ROWS]; PAIR * width];
        for (pair, weight) in weight.chunks(PAIR * ROWS * width).enumerate() {
            let groups = weight.chunks(ROWS * width);
            let panels = &mut panels[..groups.len() * width];
            groups.zip(panels.chunks_exact_mut(width)).for_each(|(weight, panel)| lanes::run(Fill { weight, panel }));
            lanes::run(Product { x, panels, width, into: &mut into, first: pair * PAIR * ROWS });
        }
    });
    result
}

/// Some rows of a weight, up to sixteen, as a panel. Where rows are missing the last one stands in for them.
struct Fill<'a, T> {
    /// `[16, in]`.
    weight: &'a [T],
    /// `[in, 16]`.
    panel: &'a mut [[f32; ROWS]],
}

impl<T: Stored> OnLanes for Fill<'_, T> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        fill(lanes, self.weight, self.panel);
    }
}

#[inline(always)]
fn fill<L: Lanes, T: Stored>(lanes: L, weight: &[T], panel: &mut [[f32; ROWS]]) {
    let width = panel.len();
    let last = weight.len() / width - 1;
    let rows: [&[T]; ROWS] = std::array::from_fn(|row| &weight[row.min(last) * width..][..width]);
    let (blocks, rest) = panel.as_chunks_mut::<ROWS>();
    for half in [0, 8] {
        let rows: [&[[T; ROWS]]; 8] =
            std::array::from_fn(|row| &rows[half + row].as_chunks::<ROWS>().0[..blocks.len()]);
        for (i, block) in blocks.iter_mut().enumerate() {
            let mut wide = [[0.0; ROWS]; 8];
            for (wide, row) in wide.iter_mut().zip(rows) {
                *wide = lanes.rows(T::load(lanes, &row[i]));
            }
            for (part, block) in block.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let columns = lanes.turned(wide.each_ref().map(|wide| &wide.as_chunks::<8>().0[part]));
                for (line, column) in block.iter_mut().zip(columns) {
                    line[half..half + 8].copy_from_slice(&column);
                }
            }
        }
    }
    if !rest.is_empty() {
        for (number, row) in rows.iter().enumerate() {
            let mut last = [T::default(); ROWS];
            last[..rest.len()].copy_from_slice(&row[width - rest.len()..]);
            let wide = lanes.rows(T::load(lanes, &last));
            rest.iter_mut().zip(wide).for_each(|(line, value)| line[number] = value);
        }
    }
}
