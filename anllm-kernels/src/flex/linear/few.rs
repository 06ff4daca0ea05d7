//! Few rows: each row of the weights is read once, for all of them. A row's result does not depend on how many others
//! there are.

use rayon::prelude::*;

use super::super::lanes::{self, Lanes, OnLanes};
use super::super::stored::Stored;
use crate::packed::ROWS as LANES;

/// Rows whose sums fit into registers together.
pub(super) const MOST: usize = 7;
/// Bytes of weights that one thread takes at a time.
const PIECE: usize = 1 << 17;

/// `x` is `[N, in]`, `weight` `[out, in]`, the result `[N, out]`.
pub(super) fn product<T: Stored>(x: &[f32], weight: &[T], width: usize) -> Vec<f32> {
    let (rows, out) = (x.len() / width, weight.len() / width);
    let piece = (PIECE / (width * size_of::<T>())).max(1);
    // `[out, N]` first: what a thread writes lies in a row.
    let mut columns = vec![0.0; out * rows];
    columns.par_chunks_mut(piece * rows).zip(weight.par_chunks(piece * width)).for_each(|(out, weight)| {
        lanes::run(Piece { x, rows, weight, width, out });
    });
    if rows == 1 {
        return columns;
    }
    let mut result = vec![0.0; rows * out];
    for (row, line) in result.chunks_exact_mut(out).enumerate() {
        line.iter_mut().zip(columns[row..].iter().step_by(rows)).for_each(|(to, from)| *to = *from);
    }
    result
}

struct Piece<'a, T> {
    /// `[N, in]`.
    x: &'a [f32],
    /// `N`.
    rows: usize,
    /// Some rows of the weight, `[…, in]`.
    weight: &'a [T],
    /// `in`.
    width: usize,
    /// `[…, N]`.
    out: &'a mut [f32],
}

impl<T: Stored> OnLanes for Piece<'_, T> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        match self.rows {
            1 => self.rows::<_, 1>(lanes),
            2 => self.rows::<_, 2>(lanes),
            3 => self.rows::<_, 3>(lanes),
            4 => self.rows::<_, 4>(lanes),
            5 => self.rows::<_, 5>(lanes),
            6 => self.rows::<_, 6>(lanes),
            _ => self.rows::<_, MOST>(lanes),
        }
    }
}

impl<T: Stored> Piece<'_, T> {
    #[inline(always)]
    fn rows<L: Lanes, const N: usize>(self, lanes: L) {
        let Self { x, weight, width, out, .. } = self;
        let whole = width / LANES;
        let x: [&[f32]; N] = std::array::from_fn(|n| &x[n * width..][..width]);
        let whole_x: [&[[f32; LANES]]; N] = x.map(|x| &x.as_chunks::<LANES>().0[..whole]);
        for (weight, out) in weight.chunks_exact(width).zip(out.chunks_exact_mut(N)) {
            let (weight, rest) = weight.as_chunks::<LANES>();
            let mut sums = [lanes.floats(0.0); N];
            for (i, weight) in weight[..whole].iter().enumerate() {
                let weight = T::load(lanes, weight);
                for n in 0..N {
                    sums[n] = lanes.add_each(weight, &whole_x[n][i], sums[n]);
                }
            }
            if !rest.is_empty() {
                let mut last = [T::default(); LANES];
                last[..rest.len()].copy_from_slice(rest);
                let last = T::load(lanes, &last);
                for n in 0..N {
                    let mut inputs = [0.0; LANES];
                    inputs[..rest.len()].copy_from_slice(&x[n][width - rest.len()..]);
                    sums[n] = lanes.add_each(last, &inputs, sums[n]);
                }
            }
            for (out, sums) in out.iter_mut().zip(sums) {
                *out = total(lanes.rows(sums));
            }
        }
    }
}

/// The sum, by halves: vectors add them, where one number after the other would wait for the one before it.
#[inline(always)]
fn total(values: [f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| values[i] + values[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}
