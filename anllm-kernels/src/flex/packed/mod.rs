//! Products with packed matrices, which stay as they are.
//!
//! With few rows of `x` reading the weights is what takes time: 16 rows of them are multiplied at once, those of few bits
//! with `x` rounded to integers. With many rows the products do, and 32-bit floats have the fastest ones: sixteen rows of
//! the weights become a panel of them, once for all rows of `x`.

mod activations;
mod blocks;
mod digits;
mod rounded;
mod tile;

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use self::activations::integers;
use self::blocks::Multiplied;
use self::digits::Digits;
use self::rounded::Rounded;
use self::tile::Rows;
use super::lanes::{self, Lanes};
use super::panels::{Left, Right, multiply};
use super::share::share;
use crate::packed::{PackedMatrix, PackedType, ROWS, VALUES, each_type};

/// Bytes of weights that one thread takes at a time, and into how many such pieces weights are cut if that allows: the
/// smaller they are, the sooner threads come to the end together.
const PIECE: RangeInclusive<usize> = 1 << 15..=1 << 17;
const PIECES: usize = 64;
/// Rows of `x` up to which they are few.
const FEW: usize = 7;

/// `x·weightᵀ` with each of some weights `[out, in]`: `x` is `rows` rows of `in`.
///
/// Few rows go through all of them in one go: they become integers once, and threads are called together once.
pub(super) fn times_each<const W: usize>(x: &[f32], rows: usize, weights: [&PackedMatrix; W]) -> [Vec<f32>; W] {
    if x.is_empty() {
        return weights.map(|weight| vec![0.0; rows * weight.dims()[0]]);
    }
    let x = whole_blocks(x, x.len() / rows);
    if rows > FEW {
        return weights.map(|weight| {
            let mut result = vec![0.0; rows * weight.dims()[0]];
            many(&x, rows, weight, &mut result, false);
            result
        });
    }
    let mut sums = few(&x, rows, &weights);
    if rows == 1 && W == 1 {
        // They lie as they should already: a head's scores are many.
        return weights.map(|weight| {
            sums.truncate(weight.dims()[0]);
            std::mem::take(&mut sums)
        });
    }
    let mut rest = sums.as_slice();
    weights.map(|weight| {
        let (own, others) = rest.split_at(groups(weight) * rows * ROWS);
        rest = others;
        let mut result = vec![0.0; rows * weight.dims()[0]];
        each_row(own, &mut result, rows, |result, own| result.copy_from_slice(own));
        result
    })
}

/// Adds the product with one weight to `sum`, `[N, out]`.
pub(super) fn add(sum: &mut [f32], x: &[f32], rows: usize, weight: &PackedMatrix) {
    if x.is_empty() {
        return;
    }
    let x = whole_blocks(x, x.len() / rows);
    if rows > FEW {
        return many(&x, rows, weight, sum, true);
    }
    let sums = few(&x, rows, &[weight]);
    each_row(&sums, sum, rows, |sum, own| sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own));
}

/// Writes the product into `result`, or adds it to what is there: `x` is `[N, columns·32]`, the result `[N, out]`.
fn many(x: &[f32], rows: usize, weight: &PackedMatrix, result: &mut [f32], more: bool) {
    let left = Left::lines(x, x.len() / rows);
    let columns = left.inner / VALUES;
    each_type!(weight.blocks(), blocks => multiply(left, &Packed { blocks, columns }, result, more));
}

/// Rows of `width` values, each filled up with 0 to whole blocks.
fn whole_blocks(x: &[f32], width: usize) -> Cow<'_, [f32]> {
    let padded = width.next_multiple_of(VALUES);
    if padded == width {
        return Cow::Borrowed(x);
    }
    let mut rows = vec![0.0; x.len() / width * padded];
    for (row, x) in rows.chunks_exact_mut(padded).zip(x.chunks_exact(width)) {
        row[..width].copy_from_slice(x);
    }
    Cow::Owned(rows)
}

/// The products of a few rows, `x` `[N, columns·32]`, with some weights: `[groups of all weights, N, 16]`, so that what a
/// thread writes lies in a row.
fn few(x: &[f32], rows: usize, weights: &[&PackedMatrix]) -> Vec<f32> {
    let any = |wanted: fn(PackedType) -> bool| weights.iter().any(|weight| wanted(weight.kind()));
    let rounded = if any(|kind| kind == PackedType::Q8_0) { integers(x) } else { Vec::new() };
    let digits = if any(|kind| matches!(kind, PackedType::Q4_0 | PackedType::Q4_1)) { integers(x) } else { Vec::new() };
    let columns = x.len() / rows / VALUES;
    let inputs = Inputs { rows, columns, floats: x, integers: &rounded, digits: &digits };
    let all: usize = weights.iter().map(|weight| groups(weight)).sum();
    let bytes: usize = weights.iter().map(|weight| weight.bytes()).sum();
    let piece = (bytes / PIECES).clamp(*PIECE.start(), *PIECE.end());
    let together = (piece * all / bytes.max(1)).max(1);
    let group = rows * ROWS;
    let mut sums = vec![0.0; all * group];
    share(&mut sums, together * group, |piece, mut sums| {
        // The first of the piece's groups, counted from each weight's first one on.
        let mut first = piece * together;
        for weight in weights {
            let count = groups(weight).saturating_sub(first).min(sums.len() / group);
            let (own, rest) = std::mem::take(&mut sums).split_at_mut(count * group);
            if count > 0 {
                let blocks = first * columns..(first + count) * columns;
                each_type!(weight.blocks(), all => {
                    lanes::run(Rows { inputs, blocks: &all[blocks], sums: own });
                });
            }
            first = first.saturating_sub(groups(weight));
            sums = rest;
        }
    });
    sums
}

/// How many groups of sixteen rows a matrix has.
fn groups(weight: &PackedMatrix) -> usize {
    weight.dims()[0].div_ceil(ROWS)
}

/// Hands what belongs to each row of `result`, `[N, out]`, of the sums `[groups, N, 16]` to `take`, up to sixteen at a
/// time.
fn each_row(sums: &[f32], result: &mut [f32], rows: usize, take: impl Fn(&mut [f32], &[f32])) {
    let out = result.len() / rows;
    if rows == 1 {
        return take(result, &sums[..out]);
    }
    for (row, result) in result.chunks_exact_mut(out.max(1)).enumerate() {
        for (group, result) in result.chunks_mut(ROWS).enumerate() {
            let from = (group * rows + row) * ROWS;
            take(result, &sums[from..from + result.len()]);
        }
    }
}

/// A few rows of `x`.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// `N`.
    rows: usize,
    /// Blocks in a row.
    columns: usize,
    /// `[N, columns·32]`.
    floats: &'a [f32],
    /// `[N, columns]`; empty where no weights are of 8 bits.
    integers: &'a [Rounded],
    /// `[N, columns]`; empty where no weights are of 4 bits.
    digits: &'a [Digits],
}

/// Blocks `[groups, columns]` as the right matrix of a product, `[columns·32, groups·16]`.
struct Packed<'a, T> {
    blocks: &'a [T],
    columns: usize,
}

impl<T: Multiplied> Right for Packed<'_, T> {
    /// `inner` is whole blocks.
    #[inline(always)]
    fn fill<L: Lanes>(&self, lanes: L, first: usize, inner: Range<usize>, panel: &mut [[f32; ROWS]]) {
        let start = first / ROWS * self.columns + inner.start / VALUES;
        for (block, panel) in self.blocks[start..].iter().zip(panel.as_chunks_mut().0) {
            block.unpack(lanes, panel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Lanes, OnLanes, Plain};
    use super::super::panels::{PAIR, Product};
    use super::*;

    #[test]
    fn every_kind_of_lanes_gives_what_plain_ones_give() {
        /// Products as with few rows, and as with many.
        fn sums<T: Multiplied>(lanes: impl Lanes, x: &[f32], rows: usize, blocks: &[T]) -> [Vec<f32>; 2] {
            let columns = x.len() / rows / VALUES;
            let out = blocks.len() / columns * ROWS;
            let [mut few, mut many] = [vec![0.0; rows * out], vec![0.0; rows * out]];
            let inputs = Inputs { rows, columns, floats: x, integers: &integers(x), digits: &integers(x) };
            Rows { inputs, blocks, sums: &mut few }.on(lanes);
            let width = columns * VALUES;
            let mut panels = vec![[0.0; ROWS]; out / ROWS * width];
            for (group, panel) in panels.chunks_exact_mut(width).enumerate() {
                Packed { blocks, columns }.fill(lanes, group * ROWS, 0..width, panel);
            }
            let mut into: Vec<_> = many.chunks_exact_mut(out).collect();
            for first in (0..out).step_by(PAIR * ROWS) {
                let panels = &panels[first / ROWS * width..];
                let panels = &panels[..panels.len().min(PAIR * width)];
                Product { x, stride: width, panels, width, into: &mut into, first, more: false }.on(lanes);
            }
            [few, many]
        }
        let (out, width, rows) = (48, 128, 13);
        let value = |i: usize| ((i * 7919 % 1013) as f32 / 506.0 - 1.0) * (i % 5) as f32;
        let x: Vec<f32> = (0..rows * width).map(value).collect();
        let weight: Vec<f32> = (0..out * width).map(|i| value(i + 3)).collect();
        let kinds =
            [PackedType::Q8_0, PackedType::Q4_0, PackedType::Q4_1, PackedType::F32, PackedType::F16, PackedType::BF16];
        for kind in kinds {
            let matrix = PackedMatrix::nearest(kind, [out, width], &weight);
            each_type!(matrix.blocks(), blocks => {
                let plain = sums(Plain, &x, rows, blocks);
                let check = |found: [Vec<f32>; 2], name: &str| {
                    for (a, b) in found.iter().flatten().zip(plain.iter().flatten()) {
                        // Integers are exact everywhere; fused multiplications round once less.
                        assert!((a - b).abs() <= 1e-4 + 1e-5 * b.abs(), "{kind} on {name}: {a} instead of {b}");
                    }
                };
                #[cfg(target_arch = "x86_64")]
                {
                    if let Some(simd) = pulp::x86::V3::try_new() {
                        check(sums(simd, &x, rows, blocks), "AVX2");
                    }
                    if let Some(simd) = pulp::x86::V4::try_new() {
                        check(sums(simd, &x, rows, blocks), "AVX-512");
                    }
                }
                check(plain.clone(), "plain lanes");
            });
        }
    }
}
